"""What the benchmarks share: their command line, the page, the clock, codecs with weights, the machine."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # before this folder: both have a `parity`

import exact
import numpy as np
from numpy.typing import NDArray

from wavcodes import Codec, list_codecs, registry
from wavcodes.engines.native import isa

ROOT = Path(__file__).resolve().parents[1]
CODECS = ("encodec_24khz", "encodec_48khz", "dac_24khz", "dac_44khz", "snac_24khz", "snac_44khz", "mimi")
"""One of each size of each family, which the tables have unless --codec names others."""

T = TypeVar("T")
Work = Callable[[], object]
Lines = Iterator[str]


def codec_options(about: str | None) -> argparse.ArgumentParser:
    """The option that all that is measured codec by codec has."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument(
        "--codec",
        action="append",
        choices=list_codecs(),
        metavar="NAME",
        help="only this one; may be given several times",
    )
    return parser


def options(about: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
    """The options that all tables have."""
    parser = codec_options(about)
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"how often to measure (default {rounds or 'that of each table'})"
    )
    return parser


def main(
    table: Callable[[int, list[str]], Lines],
    about: str | None,
    rounds: int,
    codecs: Sequence[str] = CODECS,
    others: Sequence[str] = (),
) -> None:
    """Prints the table of a benchmark, a section in Markdown, or nothing if it has no row.

    Args:
        table: Gives its lines, for so many rounds and these codecs.
        about: The docstring of its module.
        rounds: Unless --rounds says otherwise.
        codecs: Unless --codec says otherwise.
        others: What else --codec may name.
    """
    arguments = options(about, rounds).parse_args()
    wanted = [name for name in arguments.codec or codecs if name in {*codecs, *others}]
    if wanted:
        print("\n".join(table(arguments.rounds, wanted)))


def section(title: str, text: str, *columns: str) -> Lines:
    """A heading, a paragraph and the head of a table."""
    yield f"## {title}"
    yield ""
    yield from textwrap.wrap(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)
    yield ""
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"


def in_turns(sides: Sequence[T], rounds: int, seconds: Callable[[T], float] | None = None) -> list[list[float]]:
    """Seconds that each of `sides` took in each round; they take turns, and a first round warms up.

    `seconds` says how long a side takes; if left out, sides are functions and are timed.
    """
    clock = seconds or timed
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, record in zip(sides, times, strict=True):
            took = clock(side)
            if turn:
                record.append(took)
    return times


def timed(work: Work) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def loaded(name: str) -> Codec:
    """A codec with random weights, on one thread."""
    checkpoint = registry.checkpoint(name)
    with tempfile.TemporaryDirectory() as folder:
        return Codec(checkpoint, exact.weights(checkpoint.network(), Path(folder)), threads=1)


def clip(codec: Codec, seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """A signal for a codec."""
    return exact.clip(codec.spec, int(seconds * codec.spec.sample_rate), seed)


def fma_peak() -> float:
    """GFLOP/s of one core (bench/peak.cpp)."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        compiler = os.environ.get("CXX", "c++")
        native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
        source = ROOT / "bench" / "peak.cpp"
        subprocess.run([compiler, "-O3", native, "-o", program, source], check=True)
        return float(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def machine() -> str:
    """Processor, cores, kernels and date, in words."""
    return f"{processor()}, {os.cpu_count()} cores, kernels `{isa()}`, {time.strftime('%Y-%m-%d')}"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def progress(*words: object) -> None:
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)
