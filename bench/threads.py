"""Measures what a second thread gives, alone and beside a busy process, and prints Markdown.

    python bench/threads.py [-o FILE] [--rounds 5] [--seconds 30] [--neighbours 1] [--codec NAME]...

Of one long clip and of a batch of eight short ones, with random weights. One and two threads take turns.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import exact

from wavcodes import Codec, registry

CODECS = ("dac_24khz", "snac_24khz", "encodec_24khz", "mimi")
CLIPS = 8
Work = Callable[[int], object]
"""What is timed, on so many threads."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="file to write the table to")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each kind (default 5)")
    parser.add_argument("--seconds", type=float, default=30, help="length of the clip, and of the batch (default 30)")
    parser.add_argument("--neighbours", type=int, default=1, help="busy processes (default 1)")
    parser.add_argument("--codec", action="append", help="only this one; may be given several times")
    arguments = parser.parse_args()
    text = "\n".join(report(arguments))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return 0


def report(arguments: argparse.Namespace) -> Iterator[str]:
    yield (
        f"Two threads over one on {os.cpu_count()} cores: {arguments.seconds:g} s of audio in one clip and in "
        f"{CLIPS} clips, {arguments.rounds} rounds in turns, medians of the ratio. Busy: beside "
        f"{arguments.neighbours} process(es) that never wait(s)."
    )
    yield ""
    yield "| codec | direction | ms per s, 1 thread | clip | clip, busy | batch | batch, busy |"
    yield "|---|---|---|---|---|---|---|"
    for name in arguments.codec or CODECS:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = registry.checkpoint(name)
            codec = Codec(checkpoint, exact.weights(checkpoint.network(), Path(folder)))
        for direction, clip, batch in jobs(codec, arguments.seconds):
            idle = [in_turns(work, arguments.rounds) for work in (clip, batch)]
            with busy(arguments.neighbours):
                beside = [in_turns(work, arguments.rounds) for work in (clip, batch)]
            ratios = [f"{ratio:.2f}" for pair in zip(idle, beside, strict=True) for _, ratio in pair]
            cost = idle[0][0] / arguments.seconds * 1e3
            yield f"| `{name}` | {direction} | {cost:.1f} | {' | '.join(ratios)} |"
            print(time.strftime("%H:%M:%S"), name, direction, *ratios, file=sys.stderr, flush=True)


def jobs(codec: Codec, seconds: float) -> Iterator[tuple[str, Work, Work]]:
    """(direction, what to do with the clip, and with the batch)."""
    rate = codec.spec.sample_rate
    clip = exact.clip(codec.spec, int(seconds * rate))
    clips = [exact.clip(codec.spec, int(seconds * rate / CLIPS), seed) for seed in range(CLIPS)]
    codes, batch = codec.encode(clip, rate), codec.encode(clips, rate)
    yield (
        "encode",
        lambda threads: codec.encode(clip, rate, threads=threads),
        lambda threads: codec.encode(clips, rate, threads=threads),
    )
    yield (
        "decode",
        lambda threads: codec.decode(codes, threads=threads),
        lambda threads: codec.decode(batch, threads=threads),
    )


def in_turns(work: Work, rounds: int) -> tuple[float, float]:
    """(seconds on one thread, how many times as fast two are)."""
    alone, ratios = [], []
    for _ in range(rounds):
        times = []
        for threads in (1, 2):
            start = time.perf_counter()
            work(threads)
            times.append(time.perf_counter() - start)
        alone.append(times[0])
        ratios.append(times[0] / times[1])
    return median(alone), median(ratios)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Other processes that never wait."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    sys.exit(main())
