"""Measures everything that takes less than an hour, and prints Markdown.

    python bench/run.py [-o docs/benchmarks.md] [--rounds N] [--codec NAME]...

Needs what its tables need, each of which is a command of its own, and about 25 minutes of a machine that does nothing
else. Where a table fails, the page says so, and the exit code is 1.
"""

import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import ROOT, Lines, fma_peak, machine, options, processor

import wavcodes

TABLES = ("against", "bound", "bf16", "threads", "start", "streams", "layers")
"""Each in a process of its own, whose allocator, kernels and libraries nothing else has touched."""
PACKAGES = ("transformers", "encodec", "descript-audio-codec", "snac", "moshi", "rustymimi", "torch", "numpy")


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file to write the page to")
    arguments = parser.parse_args()
    chosen = [] if arguments.rounds is None else ["--rounds", str(arguments.rounds)]
    for name in arguments.codec or []:
        chosen += ["--codec", name]
    began, before = time.monotonic(), fma_peak()
    runs = [
        subprocess.run([sys.executable, ROOT / "bench" / f"{name}.py", *chosen], stdout=subprocess.PIPE, text=True)
        for name in TABLES
    ]
    peaks = f"{before:.0f} GFLOP/s before, {fma_peak():.0f} after"
    lines = list(heading(arguments.output, peaks, time.monotonic() - began))
    for name, run in zip(TABLES, runs, strict=True):
        text = f"`bench/{name}.py` failed.\n" if run.returncode else run.stdout
        lines += ["", text.rstrip("\n")] if text else []
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return int(any(run.returncode for run in runs))


def heading(output: Path | None, peaks: str, seconds: float) -> Lines:
    yield f"# Benchmarks on {processor()}"
    yield ""
    yield f"Printed by `python bench/run.py{f' -o {output}' if output else ''}`. Each table is a command, too:"
    yield f"{', '.join(f'`bench/{name}.py`' for name in TABLES)}."
    yield ""
    yield f"- Machine: {machine()}, {seconds / 60:.0f} minutes"
    yield f"- Versions: wavcodes {wavcodes.__version__}, {', '.join(versions())}, Python {platform.python_version()}"
    yield f"- Peak of one core, fused multiply-adds of float32: {peaks}"
    yield "- One thread, where a table says nothing else"


def versions() -> Lines:
    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


if __name__ == "__main__":
    sys.exit(main())
