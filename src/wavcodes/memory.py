"""Memory that is free, given back to the system. Of the C libraries, only glibc keeps much of it and can be asked."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def give_back() -> None:
    """Gives back what is free now, but for the end of the heaps of other threads than the first."""
    if glibc := _glibc():
        glibc.malloc_trim(0)


@contextmanager
def giving_back() -> Iterator[None]:
    """Gives back what is taken and freed within, in whatever thread, if it is large."""
    glibc = _glibc()
    if glibc is None:
        yield
        return
    glibc.mallopt(_MMAP_THRESHOLD, 256 << 10)
    try:
        yield
    finally:
        glibc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that glibc itself comes to, here and below
        glibc.mallopt(_TRIM_THRESHOLD, 64 << 20)
        glibc.malloc_trim(0)


def _glibc() -> Any:
    """The library, where nobody has told it already what to keep."""
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return None
    import ctypes

    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None
