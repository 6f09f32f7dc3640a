"""Measures live streams, one thread, and prints Markdown: how long a push takes, and how often the engine allocates.

    python bench/streams.py [--rounds 6] [--codec NAME]...

Needs Linux with glibc and a C compiler.
"""

import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from harness import Lines, clip, loaded, main, progress, section

STEPS = {"encodec_24khz": 320, "mimi": 1920, "snac_24khz": 2400, "dac_24khz": 2400, "dac_44khz": 4410}
"""Samples that come at a time: a frame, or a tenth of a second."""
WARM_UP = 5.0  # seconds of audio before anything is counted


def table(rounds: int, codecs: list[str]) -> Lines:
    text = f"""
    One thread pushes {10 * rounds} s of sound into an encoder step by step, and then what came out into a decoder;
    random weights. The first {WARM_UP:g} s are left out. The share is that of the 99th percentile in the time until the
    next step. Allocations are those of the engine in a step, the most in any: the array that the network returns and
    the one that the quantizer returns. Python's own objects are not among them."""
    columns = ("step, ms", "p50, ms", "p99, ms", "max, ms", "p99 of the step", "allocations")
    yield from section("Live streams", text, "codec", "direction", *columns)
    for name in codecs:
        yield from rows(name, 10 * rounds)
        progress(name)


def rows(name: str, seconds: int) -> Lines:
    """Rows of the table for one codec."""
    import allocations

    codec = loaded(name)
    step, rate = STEPS[name], codec.spec.sample_rate
    audio = clip(codec, 20)[:, : 20 * rate // step * step]
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


if __name__ == "__main__":
    if os.environ.get("LD_PRELOAD"):
        main(table, __doc__, 6, tuple(STEPS))
    else:
        import allocations

        with tempfile.TemporaryDirectory() as folder:
            library = str(allocations.built(Path(folder)))
            environment = {**os.environ, "LD_PRELOAD": library}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
