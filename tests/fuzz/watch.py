"""Reads files under watch: what comes out, how long it takes, how much memory, and what else happens meanwhile."""

import io
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from seeds import Case

from wavcodes.codes import Codes
from wavcodes.containers import open_reader, salvage
from wavcodes.errors import CodecError

SECONDS = 0.05
BYTES = 16 << 20
_MESSAGE = 1000  # characters: no message repeats a file
_AGAIN = 5  # readings of a file that took long: on a busy machine, the fastest of them tells

# What the interpreter tells of although nothing outside is touched: an `array.array`, and dataclasses in messages.
_HARMLESS = {"array.__new__", "builtins.id"}
_PAGE = resource.getpagesize()


class Dribble(io.RawIOBase):
    """A pipe that gives few bytes a call: one, two and so on up to `most`, and again from one."""

    def __init__(self, data: bytes, most: int = 13) -> None:
        self._data, self._at, self._give, self._most = data, 0, 0, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._give = self._give % self._most + 1
        part = self._data[self._at : self._at + min(size, self._give)]
        self._at += len(part)
        return part


class Fault(Exception):
    """A file did what none may do."""


class Watch:
    """Reads files; no other thing may happen in this process while it does.

    Attributes:
        slowest: Seconds of this thread for one file.
    """

    def __init__(self) -> None:
        self.slowest = 0.0
        self._events: list[str] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._events is not None and event not in _HARMLESS:
            self._events.append(f"{event} {arguments!r:.200}")

    def warm_up(self, case: Case) -> None:
        """Reads the seeds, so that what is imported on first use is there, and the tables are made."""
        for seed in case.seeds:
            for hints in case.hints:
                for data in (seed.data, seed.data[:-1]):
                    with suppress(CodecError):
                        _read(io.BytesIO(data), case.name, hints)
                    with suppress(CodecError):
                        _read(Dribble(data), case.name, hints)

    def read(self, data: bytes, name: str, hints: dict[str, Any]) -> bool:
        """Reads a file part after part to its end.

        Returns:
            True if it was accepted, False if the reader refused it.

        Raises:
            Fault: Anything else.
        """
        accepted, seconds = self._timed(data, name, hints)
        if seconds > SECONDS / 10:
            seconds = min(seconds, *(self._timed(data, name, hints)[1] for _ in range(_AGAIN)))
        if seconds > SECONDS:
            raise Fault(f"took {1000 * seconds:.0f} ms")
        self.slowest = max(self.slowest, seconds)
        return accepted

    def compare(self, data: bytes, name: str, hints: dict[str, Any]) -> None:
        """Reads a file from a pipe, in one and from the middle.

        Raises:
            Fault: The pipe gives other codes than the file, or anything but codes and errors of the package comes out.
        """
        results = [
            _outcome(lambda kind=kind: _read(kind(data), name, hints))  # type: ignore[misc]
            for kind in (io.BytesIO, Dribble)
        ]
        if results[0] != results[1] and (hints or not name.endswith(".lyra")):  # whose size is not known in a pipe
            raise Fault(f"gives {results[0]!r} as a file and {results[1]!r} as a pipe")
        _outcome(lambda: list(open_reader(io.BytesIO(data), name, **hints).between(0.6, 1.7)))
        if name.endswith(".nac"):
            _outcome(lambda: salvage(io.BytesIO(data)))

    def _timed(self, data: bytes, name: str, hints: dict[str, Any]) -> tuple[bool, float]:
        file = io.BytesIO(data)
        self._events = events = []
        start = time.thread_time()
        try:
            for _ in open_reader(file, name, **hints).parts():
                pass
            accepted = True
        except CodecError as error:
            accepted = False
            if len(str(error)) > _MESSAGE:
                raise Fault(f"gives a message of {len(str(error))} characters") from error
        except Exception as error:
            raise Fault(f"raises {type(error).__name__}: {error!s:.200}") from error
        finally:
            seconds = time.thread_time() - start
            self._events = None
        if events:
            raise Fault(f"makes the interpreter tell of {', '.join(events)}")
        return accepted, seconds


def _read(file: BinaryIO, name: str, hints: dict[str, Any]) -> Codes:
    return open_reader(file, name, **hints).read()


def _outcome(read: Callable[[], Any]) -> Any:
    """What it gives, or None for an error of the package."""
    try:
        return read()
    except CodecError:
        return None
    except Exception as error:
        raise Fault(f"raises {type(error).__name__}: {error!s:.200}") from error


class Room:
    """Lets this process take so much more address space than it has now; the kernel refuses what is beyond."""

    def __init__(self) -> None:
        self._pages = os.open("/proc/self/statm", os.O_RDONLY)
        self._hard = resource.getrlimit(resource.RLIMIT_AS)[1]

    def limit(self, size: int = BYTES) -> None:
        used = int(os.pread(self._pages, 64, 0).split()[0]) * _PAGE
        resource.setrlimit(resource.RLIMIT_AS, (used + size, self._hard))

    def lift(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (self._hard, self._hard))


def most_memory() -> int:
    """The most bytes that this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def strict() -> None:
    """Makes errors of warnings, so that they count as faults."""
    warnings.simplefilter("error")
