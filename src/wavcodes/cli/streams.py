"""The standard streams, each of which may be closed, full, or left by who read it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO

from ..errors import ResourceError
from . import exits
from .exits import CommandError


def reserve() -> None:
    """Opens the numbers of closed standard streams. Without this, the next files would get them, and what a library
    prints would go into these files."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def standard_input() -> BinaryIO:
    """Standard input, for bytes."""
    if sys.stdin is None:
        raise CommandError("standard input (-) is closed; redirect it, or name a file", exits.NO_INPUT)
    return sys.stdin.buffer


def standard_output() -> TextIO:
    """Standard output; its `buffer` is for bytes."""
    if sys.stdout is None:
        raise CommandError("standard output, where the result goes, is closed; redirect it", exits.IO)
    return sys.stdout


@contextmanager
def output_errors() -> Iterator[None]:
    """Turns errors of the system about standard output into ResourceError."""
    try:
        yield
    except OSError as error:
        raise ResourceError(f"cannot write standard output: {error.strerror or error}; redirect it") from error


def finish(code: int) -> int:
    """The exit code after the last flush. What cannot be written is dropped; Python would complain about it later."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError as error:
            _drop(stream)
            if stream is sys.stdout and code == exits.OK:
                code = exits.exit_code(error)
    return code


def _drop(stream: TextIO) -> None:
    with suppress(OSError):  # a stream of a caller in Python need not have a descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
