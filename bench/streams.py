"""Measures live streams, one thread, and prints Markdown: how long a push takes, and how often the engine allocates.

    python bench/streams.py [-o docs/streams.md] [--seconds 60] [--codec NAME]...

Random weights in the published layout. Needs Linux with glibc and a C compiler.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STEPS = {"encodec_24khz": 320, "mimi": 1920, "snac_24khz": 2400, "dac_24khz": 2400, "dac_44khz": 4410}
"""Samples that come at a time: a frame, or a tenth of a second."""
WARM_UP = 5.0  # seconds of audio before anything is counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="file to write the table to")
    parser.add_argument("--seconds", type=float, default=60, help="of audio that go through each codec (default 60)")
    parser.add_argument("--codec", action="append", choices=STEPS, help="only this one; may be given several times")
    arguments = parser.parse_args()
    sys.path[0] = str(HERE.parent / "tests")  # instead of this folder
    import allocations

    if not os.environ.get("LD_PRELOAD"):
        with tempfile.TemporaryDirectory() as folder:
            library = str(allocations.built(Path(folder)))
            sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, "LD_PRELOAD": library}).returncode)
    text = "\n".join(report(arguments.seconds, arguments.codec or list(STEPS)))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(seconds: float, codecs: list[str]) -> Iterator[str]:
    from wavcodes.engines.native import isa

    yield "# Live streams"
    yield ""
    yield "Printed by `python bench/streams.py -o docs/streams.md`. One thread pushes sound into an encoder step by"
    yield f"step, and then what came out into a decoder, with random weights: {seconds:g} s of sound. The first"
    yield f"{WARM_UP:g} s are left out. The share is that of the 99th percentile in the time until the next step."
    yield "Allocations are those of the engine in a step, the most in any: the array that the network returns and the"
    yield "one that the quantizer returns. Python's own objects are not among them."
    yield ""
    yield f"Machine: {platform.machine()}, {os.cpu_count()} cores, kernels `{isa()}`, {time.strftime('%Y-%m-%d')}."
    yield ""
    yield "| codec | direction | step, ms | p50, ms | p99, ms | max, ms | p99 of the step | allocations |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in codecs:
        yield from rows(name, seconds)


def rows(name: str, seconds: float) -> Iterator[str]:
    """Rows of the table for one codec."""
    import allocations
    import exact
    import numpy as np

    import wavcodes
    from wavcodes import registry

    with tempfile.TemporaryDirectory() as folder:
        weights = exact.weights(registry.checkpoint(name).network(), Path(folder))
        codec = wavcodes.load(name, weights=weights, threads=1)
    step, rate = STEPS[name], codec.spec.sample_rate
    audio = exact.clip(codec.spec, 20 * rate // step * step)
    count = allocations.counter()
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
    pieces: list[Any] = [audio[:, i : i + step] for i in range(0, audio.shape[1], step)]
    pieces = list(islice(cycle(pieces), round(seconds * rate / step)))
    for direction, push in (("encode", encoder.push), ("decode", decoder.push)):
        times, counts = [], []
        for i, piece in enumerate(pieces):
            before, began = count(), time.perf_counter()
            pieces[i] = push(piece)
            times.append(1e3 * (time.perf_counter() - began))
            counts.append(count() - before)
        warm, length = round(WARM_UP * rate / step), 1e3 * step / rate
        middle, late, most = np.percentile(times[warm:], [50, 99, 100])
        yield (
            f"| `{name}` | {direction} | {length:.1f} | {middle:.2f} | {late:.2f} | {most:.2f} "
            f"| {100 * late / length:.1f} % | {max(counts[warm:])} |"
        )
    print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
