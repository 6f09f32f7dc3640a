"""Encodes and decodes long signals with every codec as streams, and prints Markdown: memory and time.

    python bench/long.py [-o docs/long-audio.md] [--minutes 1 60] [--threads 1] [--codec NAME]...

Random weights, but for Lyra, whose real ones have to be in $WAVCODES_SHARED or ../shared: it is left out without them.
One process per codec. All codecs take about six hours for 60 minutes of audio.
"""

import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from harness import ROOT, codec_options, machine

from wavcodes import list_codecs

LYRA = Path(os.environ.get("WAVCODES_SHARED", ROOT.parent / "shared")) / "weights" / "lyra_v2_1.2"


def main() -> None:
    parser = codec_options(__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file to write the table to")
    parser.add_argument("--minutes", type=float, nargs=2, default=[1, 60], help="short and long signal (default 1 60)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine (default 1)")
    arguments = parser.parse_args()
    import exact
    import long_audio

    from wavcodes import registry, spec

    short, long = arguments.minutes
    lines = [
        "# Long signals",
        "",
        "Printed by `python bench/long.py -o docs/long-audio.md`. Each codec encodes and decodes one signal as",
        "streams, 10 s at a time, with random weights, in a process of its own. Memory is the peak of resident memory",
        "above what the loaded codec takes, encoder and decoder together; time is the CPU time of both for a second",
        f"of audio: new streams and those that came to {long:g} min take turns, medians of {long_audio.TURNS} windows.",
        "",
        f"Machine: {machine()}, {arguments.threads} thread(s).",
        "",
        f"| codec | codec, MiB | after {short:g} min, MiB | after {long:g} min, MiB "
        f"| new, ms/s | after {long:g} min, ms/s | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in arguments.codec or list_codecs():
        if name == "lyra_v2" and not LYRA.is_dir():
            continue
        with tempfile.TemporaryDirectory() as folder:
            if name == "lyra_v2":
                weights: Path | None = LYRA
            elif spec(name).weights.packaged:
                weights = None
            else:
                weights = exact.weights(registry.checkpoint(name).network(), Path(folder))
            found = long_audio.measure(name, weights, arguments.threads, (short, long))
        early, late = (peak - found["loaded"] for peak in found["peaks"])
        begin, end = (1e3 * median(found["costs"][kind]) for kind in ("early", "late"))
        memory = f"{found['loaded']:.0f} | {early:.0f} | {late:.0f}"
        lines.append(f"| `{name}` | {memory} | {begin:.1f} | {end:.1f} | {end / begin:.2f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
