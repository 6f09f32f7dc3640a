"""Measures wavcodes against the upstream packages, and prints Markdown.

    python bench/against.py [--rounds 7] [--codec NAME]...

Needs the extra `peers` and the packages of tools/peers.txt. All sides run in one process, one thread each, in turns,
with the memory allocator set so that it keeps what it was given: without that, PyTorch spends much of its time in page
faults.
"""

import os
import sys
from statistics import median

from harness import CODECS, Lines, in_turns, main, progress, section

ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "500000000",
    "RAYON_NUM_THREADS": "1",  # rustymimi's
}


def table(rounds: int, codecs: list[str]) -> Lines:
    import torch
    from sides import sides

    torch.set_num_threads(1)
    allocator = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items() if name.startswith("MALLOC"))
    text = f"""
    Random weights in the published layout; encoding includes the quantizer. One thread, 10 s of audio, {rounds}
    rounds in turns; speeds and ratios are the medians of the rounds. Where a codec has several
    packages, the fastest of them is its peer. All have the allocator set to `{allocator}`."""
    columns = ("package, x real time", "wavcodes, x real time", "ratio", "least to greatest")
    yield from section("Against the upstream packages", text, "codec", "package", "direction", *columns)
    with torch.inference_mode():
        for name in codecs:
            each = sides(name)
            for i, direction in enumerate(("encode", "decode")):
                works = [works[i] for works in (each.ours, *each.peers.values())]
                ours, *others = in_turns(works, rounds)
                for package, theirs in zip(each.peers, others, strict=True):
                    ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
                    yield (
                        f"| `{name}`, {each.bandwidth:.3g} kbps | {package} | {direction} "
                        f"| {each.seconds / median(theirs):.2f} | {each.seconds / median(ours):.2f} "
                        f"| **{median(ratios):.2f}** | {ratios[0]:.2f} to {ratios[-1]:.2f} |"
                    )
                    progress(name, package, direction, f"{median(ratios):.2f}")


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        # glibc reads these when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    from pairs import RANDOM

    main(table, __doc__, 7, CODECS, others=tuple(RANDOM))
