"""Measures what a second thread gives, alone and beside a busy process, and prints Markdown.

python bench/threads.py [--rounds 3] [--codec NAME]...
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from harness import Lines, clip, in_turns, loaded, main, progress, section

from wavcodes import Codec

CODECS = ("encodec_24khz", "dac_24khz", "snac_24khz", "mimi")
SECONDS, CLIPS = 10, 8
Work = Callable[..., object]
"""What is timed; takes `threads`."""


def table(rounds: int, codecs: list[str]) -> Lines:
    text = f"""
    How many times as fast two are, on {os.cpu_count()} cores: with {SECONDS} s of audio in one clip, and in a batch of
    {CLIPS} clips; random weights, medians of {rounds} rounds in turns. Busy: beside a process that never waits."""
    columns = ("clip on one thread, ms/s", "clip", "clip, busy", "batch", "batch, busy")
    yield from section("Two threads over one", text, "codec", "direction", *columns)
    for name in codecs:
        for direction, *works in jobs(loaded(name)):
            idle = [two_over_one(work, rounds) for work in works]
            with busy():
                beside = [two_over_one(work, rounds) for work in works]
            ratios = [f"{ratio:.2f}" for pair in zip(idle, beside, strict=True) for _, ratio in pair]
            yield f"| `{name}` | {direction} | {1e3 * idle[0][0] / SECONDS:.1f} | {' | '.join(ratios)} |"
            progress(name, direction, *ratios)


def jobs(codec: Codec) -> Iterator[tuple[str, Work, Work]]:
    """(direction, what to do with the clip, and with the batch)."""
    rate = codec.spec.sample_rate
    one, several = clip(codec, SECONDS), [clip(codec, SECONDS / CLIPS, seed) for seed in range(CLIPS)]
    yield "encode", partial(codec.encode, one, rate), partial(codec.encode, several, rate)
    yield "decode", partial(codec.decode, codec.encode(one, rate)), partial(codec.decode, codec.encode(several, rate))


def two_over_one(work: Work, rounds: int) -> tuple[float, float]:
    """(seconds on one thread, how many times as fast two are)."""
    one, two = in_turns([partial(work, threads=threads) for threads in (1, 2)], rounds)
    return median(one), median(a / b for a, b in zip(one, two, strict=True))


@contextmanager
def busy() -> Iterator[None]:
    """Another process that never waits."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            time.sleep(0.3)
            yield
        finally:
            other.kill()


if __name__ == "__main__":
    main(table, __doc__, 3, CODECS)
