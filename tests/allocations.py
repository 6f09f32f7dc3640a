"""Counts how often the engine takes memory from the heap: builds allocations.c, and asks it. For the tests and for
bench/streams.py."""

import ctypes
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

SUPPORTED = platform.libc_ver()[0] == "glibc"
"""Where it can be built: it stands in front of glibc."""


def built(folder: Path) -> Path:
    """The library that a process has to be started with, in `LD_PRELOAD`."""
    library = folder / "allocations.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def counter() -> Callable[[], int]:
    """In a process that was started with the library: gives how often the engine has allocated since now."""
    from wavcodes import _core

    library = ctypes.CDLL(None)
    library.allocations.restype = ctypes.c_long
    lines = Path("/proc/self/maps").read_text().splitlines()
    edges = [line.split()[0].split("-") for line in lines if line.endswith(_core.__file__)]
    library.watch(ctypes.c_size_t(int(edges[0][0], 16)), ctypes.c_size_t(int(edges[-1][1], 16)))
    return lambda: int(library.allocations())
