"""Measures `precision="bf16"` against float32 and prints Markdown.

    python bench/bf16.py [-o FILE] [--rounds 7] [--codec NAME]...

Needs the extra `peers`, for random weights in the published layouts, and a processor with AMX. Both precisions run in
one process, one thread each, in turns.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

CODECS = ("snac_24khz", "encodec_24khz", "mimi", "dac_24khz")
SECONDS = 10

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="file to write the table to")
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each side (default 7)")
    parser.add_argument("--codec", action="append", help="only this one; may be given several times")
    arguments = parser.parse_args()
    text = "\n".join(report(arguments.rounds, arguments.codec or CODECS))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return 0


def report(rounds: int, codecs: list[str] | tuple[str, ...]) -> Iterator[str]:
    from run import processor

    from wavcodes.engines.native import isa

    sets = f"`{isa()}` and `{isa('bf16')}`"
    yield f"Machine: {processor()}, {os.cpu_count()} cores, kernels {sets}, {time.strftime('%Y-%m-%d')}."
    yield f"One thread, {SECONDS} s of audio, {rounds} rounds in turns, medians. Random weights; all codebooks."
    yield ""
    yield "| codec | direction | float32, ms per second | bf16, ms per second | ratio | bf16 against float32 |"
    yield "|---|---|---|---|---|---|"
    for name in codecs:
        yield from measured(name, rounds)


def measured(name: str, rounds: int) -> Iterator[str]:
    """Two rows of the table."""
    import peers
    from pairs import RANDOM
    from run import in_turns

    import wavcodes

    with tempfile.TemporaryDirectory() as folder:
        _, path = RANDOM[name][1](name, 0, Path(folder))
        exactly, nearly = (wavcodes.load(name, path, 1, precision=precision) for precision in ("float32", "bf16"))
    rate = exactly.spec.sample_rate
    audio = peers.sound(1, SECONDS * rate)
    codes, other = exactly.encode(audio, rate), nearly.encode(audio, rate)
    equal = np.mean(np.concatenate([a == b for a, b in zip(codes.books, other.books, strict=True)]))
    sound, noise = exactly.decode(codes), exactly.decode(codes) - nearly.decode(codes)
    ratio = 10 * np.log10(np.mean(sound.astype(np.float64) ** 2) / np.mean(noise.astype(np.float64) ** 2))
    for direction, work, what in (
        ("encode", lambda codec: codec.encode(audio, rate), f"{100 * equal:.2f} % of the codes equal"),
        ("decode", lambda codec: codec.decode(codes), f"SNR {ratio:.1f} dB"),
    ):
        one, two = (
            1e3 * median(times) / SECONDS
            for times in in_turns(lambda work=work: work(exactly), lambda work=work: work(nearly), rounds)
        )
        yield f"| `{name}` | {direction} | {one:.1f} | {two:.1f} | **{one / two:.2f}** | {what} |"


if __name__ == "__main__":
    sys.exit(main())
