"""Measures wavcodes against its peers and against the machine, and prints Markdown.

    python bench/run.py [-o docs/benchmarks.md] [--rounds 15] [--codec NAME]...

Needs the extra `peers` and a C++ compiler. Both sides run in one process, one thread each, in turns, with the memory
allocator set so that it keeps what it was given: without that the peer spends much of its time in page faults.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "500000000"}
HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="file to write the tables to")
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each side (default 15)")
    parser.add_argument("--codec", action="append", help="only this one; may be given several times")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        # glibc reads these when a process starts
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    text = "\n".join(report(arguments.rounds, arguments.codec))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return 0


def report(rounds: int, only: list[str] | None) -> Iterator[str]:
    import torch

    import wavcodes
    from wavcodes.engines.native import isa

    sys.path.insert(0, str(HERE.parent / "tests"))
    torch.set_num_threads(1)
    before = fma_peak()
    rows = list(peers(rounds, only))
    layers = list(layer_rates())
    after = fma_peak()
    peak = max(before, after)
    yield "# Benchmarks"
    yield ""
    yield "Printed by `make bench` (`python bench/run.py -o docs/benchmarks.md`)."
    yield ""
    yield f"- Machine: {processor()}, {os.cpu_count()} cores, kernels `{isa()}`, {time.strftime('%Y-%m-%d')}"
    yield (
        f"- Versions: wavcodes {wavcodes.__version__}, "
        + ", ".join(f"{name} {version(name)}" for name in ("transformers", "snac", "moshi", "torch", "numpy"))
        + f", Python {platform.python_version()}"
    )
    yield f"- Peak of one core, fused multiply-adds of float32: {before:.0f} GFLOP/s before, {after:.0f} after"
    yield (
        f"- One thread, 10 s of audio (4 s where a round of that would take long), {rounds} rounds in turns, medians; "
        "the ratio is that of each round, too"
    )
    yield f"- Allocator of both sides: {' '.join(f'{name}={value}' for name, value in ALLOCATOR.items())}"
    yield ""
    yield "## Against the reference implementations"
    yield ""
    yield "Random weights in the published layout. Encoding includes the quantizer."
    yield ""
    yield "| codec | peer | direction | peer, x real time | wavcodes, x real time | ratio | least to greatest |"
    yield "|---|---|---|---|---|---|---|"
    yield from rows
    yield ""
    yield "## Layers of encodec_24khz"
    yield ""
    yield "Each by itself, and so not filtered in tiles, as some are within the codec; the LSTM is bound by reading"
    yield "its weights at every step (see [engine.md](engine.md))."
    yield ""
    yield "| layer | GFLOP per second of audio | ms per second of audio | GFLOP/s | of the peak |"
    yield "|---|---|---|---|---|"
    for name, flops, seconds in layers:
        rate = flops / seconds / 1e9
        yield f"| {name} | {flops / 1e9:.3f} | {seconds * 1e3:.2f} | {rate:.0f} | {100 * rate / peak:.0f} % |"


def peers(rounds: int, only: list[str] | None) -> Iterator[str]:
    """Rows of a table: both sides in turns."""
    import torch
    from sides import sides

    with torch.inference_mode():
        for each in sides(only):
            for direction, (peer, own) in (("encode", each.encode), ("decode", each.decode)):
                theirs, ours = in_turns(peer, own, rounds)
                ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
                yield (
                    f"| `{each.codec}`, {each.bandwidth:.3g} kbps | {each.peer} | {direction} "
                    f"| {each.seconds / median(theirs):.2f} | {each.seconds / median(ours):.2f} "
                    f"| **{median(ratios):.2f}** | {ratios[0]:.2f} to {ratios[-1]:.2f} |"
                )
                print(
                    f"{time.strftime('%H:%M:%S')} {each.codec}, {each.peer}, {direction}", file=sys.stderr, flush=True
                )


def in_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for work, record in zip((first, second), times, strict=True):
            start = time.perf_counter()
            work()
            if turn:  # the first turn warms up
                record.append(time.perf_counter() - start)
    return times


def layer_rates() -> Iterator[tuple[str, float, float]]:
    """Each layer of encodec_24khz by itself: name, operations and seconds for one second of audio."""
    from wavcodes.graph import Conv1d, ConvTranspose1d, Elu, Layer, Lstm, Residual, causal

    def residual(width: int) -> tuple[Layer, ...]:
        body = (
            Elu(),
            causal(Conv1d("a", width, width // 2, kernel=3)),
            Elu(),
            Conv1d("b", width // 2, width, kernel=1),
        )
        return Residual(body, Conv1d("s", width, width, kernel=1)), Elu()

    yield "conv 1 to 32, k7", *timed((causal(Conv1d("c", 1, 32, kernel=7)),), 1, 24_000, 2 * 7 * 32)
    rates = ((32, 2, 24_000), (64, 4, 12_000), (128, 5, 3_000), (256, 8, 600))
    for width, stride, rate in rates:
        yield f"residual unit {width}", *timed(residual(width), width, rate, 6 * width * width)
        down = causal(Conv1d("c", width, 2 * width, kernel=2 * stride, stride=stride))
        yield f"down {width} to {2 * width}, k{2 * stride} s{stride}", *timed((down,), width, rate, 8 * width * width)
    yield "LSTM 512, 2 layers", *timed((Lstm("l", 512, 2),), 512, 75, 2 * 2 * 2 * 4 * 512 * 512)
    yield "conv 512 to 128, k7", *timed((causal(Conv1d("c", 512, 128, kernel=7)),), 512, 75, 2 * 7 * 512 * 128)
    yield "conv 128 to 512, k7", *timed((causal(Conv1d("c", 128, 512, kernel=7)),), 128, 75, 2 * 7 * 512 * 128)
    for width, stride, rate in reversed(rates):
        up = ConvTranspose1d("c", 2 * width, width, kernel=2 * stride, stride=stride, trim_right=stride)
        flops = 8 * width * width * stride
        yield f"up {2 * width} to {width}, k{2 * stride} s{stride}", *timed((up,), 2 * width, rate // stride, flops)
    yield "conv 32 to 1, k7", *timed((causal(Conv1d("c", 32, 1, kernel=7)),), 32, 24_000, 2 * 7 * 32)


def timed(layers: tuple, channels: int, rate: int, flops_per_row: float) -> tuple[float, float]:
    """Operations and seconds for `rate` rows, which are one second of audio, pushed as a stream."""
    import numpy as np

    from wavcodes import graph
    from wavcodes.engines.native import Engine

    rng = np.random.default_rng(0)
    network = graph.Network(layers, graph.EuclideanRvq("q", 0, 1, 1), (graph.Conv1d("unused", 1, 1, kernel=1),))
    tensors = {
        name: (rng.standard_normal(shape) / max(1, np.prod(shape[1:])) ** 0.5).astype(np.float32)
        for name, shape in graph.tensor_shapes(network).items()
    }
    stream = Engine(network, tensors).encoder()
    rows = rng.standard_normal((rate, channels)).astype(np.float32)
    seconds = []
    for _ in range(12):
        start = time.perf_counter()
        stream.push(rows, 1)
        seconds.append(time.perf_counter() - start)
    return flops_per_row * rate, median(seconds[2:])


def fma_peak() -> float:
    """GFLOP/s of one core (bench/peak.cpp)."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        compiler = os.environ.get("CXX", "c++")
        native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
        subprocess.run([compiler, "-O3", native, "-o", program, HERE / "peak.cpp"], check=True)
        return float(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
