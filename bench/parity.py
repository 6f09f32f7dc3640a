"""Compares every codec with its upstream package and prints Markdown.

    python bench/parity.py [-o docs/parity.md] [--shared FOLDER] [--seeds 3] [--codec NAME]...

Needs the extra `peers`, the packages of tools/peers.txt, 6 GB of memory and about 15 minutes. What is compared and what
counts as agreement is in tests/parity.py, for the tests too. Standard error says where it is; the exit code is 1 if
something does not agree.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import ROOT, codec_options

from wavcodes import list_codecs

SHARED = Path(os.environ.get("WAVCODES_SHARED", ROOT.parent / "shared"))
SECONDS = {"mimi": 12}  # longer than the 10 seconds that its transformers look back; 10 for all others
LEAST_EQUAL = 0.999


@dataclass(frozen=True)
class Row:
    codec: str
    package: str
    signals: str
    found: list[Any]  # a Comparison for each signal

    @property
    def count(self) -> int:
        return sum(book.size for each in self.found for book in each.equal)

    @property
    def differ(self) -> int:
        return sum(int((~book).sum()) for each in self.found for book in each.equal)

    def agrees(self) -> bool:
        try:
            for each in self.found:
                each.hold()
        except AssertionError:
            return False
        return self.differ <= (1 - LEAST_EQUAL) * self.count

    def cells(self) -> dict[str, str]:
        margins = [margin for each in self.found for margin in each.margins]
        return {
            "codec": f"`{self.codec}`",
            "upstream": f"{self.package} {version(self.package)}",
            "signals": self.signals,
            "codes": f"{self.count:,}",
            "equal": f"{1 - self.differ / self.count:.4%}",
            "differ": str(self.differ),
            "ties": str(len(margins)),
            "largest margin": largest(margins),
            "latents": largest(each.latent for each in self.found),
            "sound": largest(each.sound for each in self.found),
            "sound with noise": largest(each.noisy for each in self.found),
            "lengths": "exact" if all(each.lengths for each in self.found) else "**wrong**",
            "agrees": "yes" if self.agrees() else "**no**",
        }


def main() -> int:
    parser = codec_options(__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file to write the table to")
    parser.add_argument("--shared", type=Path, default=SHARED, help="real weights ($WAVCODES_SHARED or ../shared)")
    parser.add_argument("--seeds", type=int, default=3, help="sets of random weights per codec (default 3)")
    arguments = parser.parse_args()
    began = time.monotonic()
    rows = [*random_weights(arguments.seeds, arguments.codec), *real_weights(arguments.shared, arguments.codec)]
    if not rows:
        parser.error("there is nothing to compare these codecs with")
    text = "\n".join(report(rows, time.monotonic() - began))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return 0 if all(row.agrees() for row in rows) else 1


def random_weights(seeds: int, only: list[str] | None) -> Iterator[Row]:
    import pairs

    for name in list_codecs():
        if name not in pairs.RANDOM or (only and name not in only):
            continue
        seconds, found = SECONDS.get(name, 10), []
        for seed in range(1, seeds + 1):
            progress(f"{name}, seed {seed} of {seeds}, {seconds} s")
            with tempfile.TemporaryDirectory() as folder:
                pair = pairs.random_pair(name, seed, Path(folder))
            found.append(pair.compare(pairs.sound(pair, seed + 100, seconds * pair.spec.sample_rate)))
            package = pair.package
            del pair  # up to 2 GB
        yield Row(name, package, f"{seeds} x {seconds} s", found)


def real_weights(shared: Path, only: list[str] | None) -> Iterator[Row]:
    import pairs
    import real

    if not (shared / "weights").is_dir():
        progress(f"no real weights at {shared}: their rows are left out")
        return
    if not only or "lyra_v2" in only:
        progress("lyra_v2, speech")
        pair = pairs.LyraPair(real.lyra_weights(shared))
        clips = [real.speech(shared, clip) for clip in real.SPEECH]
        seconds = sum(clip.shape[1] for clip in clips) / pair.spec.sample_rate
        found = [pair.compare(clip) for clip in clips]
        yield Row("lyra_v2", pair.package, f"{len(clips)} clips of speech, {seconds:.0f} s; real weights", found)
    if not only or "snac_24khz" in only:
        progress("snac_24khz, quantizer with the real tables")
        tables = real.SnacTables(shared)
        signals = f"{tables.latent.shape[1]:,} frames; real tables, quantizer alone"
        yield Row("snac_24khz", tables.package, signals, [tables.compare()])


def report(rows: list[Row], seconds: float) -> Iterator[str]:
    import numpy as np
    import parity
    import torch

    import wavcodes
    from wavcodes.engines.native import isa

    table = [row.cells() for row in rows]
    yield "# Agreement with the upstream packages"
    yield ""
    yield INTRODUCTION
    yield ""
    yield (
        f"wavcodes {wavcodes.__version__}, kernels `{isa()}`; torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}; {time.strftime('%F')}, {seconds / 60:.0f} minutes."
    )
    yield ""
    yield "| " + " | ".join(table[0]) + " |"
    yield "|---" * len(table[0]) + "|"
    for cells in table:
        yield "| " + " | ".join(cells.values()) + " |"
    yield ""
    yield NOTES.format(tie=parity.TIE, close=parity.CLOSE, least=LEAST_EQUAL)


INTRODUCTION = """\
Printed by `make parity` (`python bench/parity.py -o docs/parity.md`). `tests/parity.py` defines what is compared and
how far it may differ; the tests use it too, with shorter signals."""

NOTES = """\
- **signals**: so many sets of random weights, in the layout, the configuration and the widths of the published ones,
  each with a signal of its own: noise that comes and goes and a rising tone. The weights are scaled layer by layer and
  the codebooks drawn from what they have to describe, so that codes vary and nothing dies out.
- **codes**: of all books. **differ** counts every code; **ties** are those that no difference in a book in front, in
  the same frames, explains. Their **margin** is by how much the latent is nearer to one of the two entries than to the
  other, computed in float64, as a part of the squared length of what is left to describe (DAC and SNAC: in cosine).
  Below {tie:.0e}, rounding decides and either code is right.
- **latents**, **sound**: largest deviation of any value, in parts of the root mean square of upstream's; at most
  {close:.0e}. Sound is decoded from upstream's codes: with all books and, half a second of it, with the fewest (not of
  SNAC, where upstream has no such choice). With noise (SNAC's) upstream is given the values that ours draws. Where
  there is only a quantizer, the latent is the one that it makes of codes.
- **lengths**: our codes have upstream's frames and segments, and our sound has exactly as many samples as the signal.
  Upstream's need not: DAC at 16 and 24 kHz gives 8 samples too few, where ours are silent; others fill up the frame.
- **agrees**: all of that, and at least {least:.1%} are equal, of the codes of all its signals together.

EnCodec and DAC in `transformers` are not the originals. `tests/test_models.py` compares the same graphs, with fewer
channels, with Meta's `encodec` and Descript's `descript-audio-codec`; `tests/test_parity_mimi.py` compares Mimi with
`transformers` as well."""


def largest(values: Iterable[float | None]) -> str:
    present = [value for value in values if value is not None]
    return "" if not present else f"{max(present):.1e}" if max(present) else "0"


def progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
