"""Other programs that do a part of the work: where they are, and one run of them, with a limit of time and no shell."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from .errors import CodecError, EngineError, ResourceError, UnsupportedError
from .files import check_space

if TYPE_CHECKING:
    import subprocess

PIPE = -1
"""Stands for a pipe, as `subprocess.PIPE` does, whose module takes long to import."""

_FULL = ("No space left on device", "File too large", "Disk quota exceeded")  # as the C library says it


class MissingProgram(UnsupportedError):
    """A program or a Python package that a request needs is not on this machine."""


def find(variable: str, usual: str, advice: str) -> str:
    """Where a program is.

    Args:
        variable: Environment variable that may name it, by a path or a name on `PATH`.
        usual: Path or name where the variable is not set or empty.
        advice: How to get it, for the message.

    Raises:
        MissingProgram: It is not there, or is no program.
    """
    import shutil

    named = os.environ.get(variable)
    found = shutil.which(named or usual)
    if found is None:
        origin = f"{variable} names {named}" if named else f"{variable} is not set, and {usual} is not there"
        state = ", which is no program that can be run" if named and os.path.exists(named) else ""
        state = state or (", which is not there" if named else "")
        raise MissingProgram(f"{origin}{state}; {advice}, or let {variable} name your build")
    return found


@contextmanager
def started(
    argv: Sequence[str],
    timeout: float,
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    silent: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """A running program, which has ended well when the block has: without an error and within its time.

    Whatever ends the block, neither the program nor what it has started is left running.

    Args:
        argv: Program and arguments.
        timeout: Seconds that it may take.
        stdin: As for `subprocess`; nothing by default. A pipe is closed when the block ends.
        stdout: As for `subprocess`; dropped by default.
        folder: Where it runs.
        environment: Variables to add.
        silent: Whether it is a failure, too, if it says anything on standard error.

    Raises:
        MissingProgram: It cannot be started.
        EngineError: It fails, or takes too long.
        ResourceError: It finds no space.
    """
    import subprocess
    import tempfile
    import threading

    name = os.path.basename(argv[0])
    with tempfile.TemporaryFile(prefix="wavcodes-") as said:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.DEVNULL if stdout is None else stdout,
                stderr=said,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C", **(environment or {})},
                start_new_session=True,  # so that all that it starts can be ended with it
            )
        except OSError as error:
            raise MissingProgram(f"cannot start {argv[0]}: {error.strerror or error}; install it again") from error
        late = threading.Event()

        def stop() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(min(timeout, threading.TIMEOUT_MAX), stop)
        timer.daemon = True
        timer.start()
        try:
            try:
                yield process
                if process.stdin is not None:
                    process.stdin.close()
            except (OSError, CodecError):  # a pipe that breaks tells less than what the program says
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                if process.poll() in (None, 0):
                    raise
            code = process.wait()
        finally:
            timer.cancel()
            _end(process)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        if late.is_set():
            raise EngineError(
                f"expected {name} to be done within {timeout:g} s, but it is not; it was ended: "
                "see whether it runs by itself, or allow more with --timeout"
            )
        said.seek(0, os.SEEK_END)
        length = said.tell()
        if code or (silent and length):
            said.seek(max(0, length - 2000))
            raise _failure(name, code, said.read().decode(errors="replace"))


def run(
    argv: Sequence[str], timeout: float, *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Runs a program that reads and writes files; arguments and errors are those of `started`."""
    with started(argv, timeout, folder=folder, environment=environment):
        pass


def find_space(path: Path) -> None:
    """Looks whether there is space behind what a program has written: many of them do not notice a full disk.

    Raises:
        ResourceError: There is none.
    """
    with open(path, "ab", buffering=0) as file:
        check_space(file)


def opened(path: Path) -> BinaryIO:
    """What a program has written.

    Raises:
        EngineError: It has not, although it ended as if it had.
    """
    if not path.is_file():
        raise EngineError(f"expected the program to write {path.name}, but there is none; run it by itself to see why")
    return open(path, "rb")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _failure(name: str, code: int, said: str) -> CodecError:
    last = "; ".join(line.strip() for line in said.splitlines() if line.strip()) or "it says nothing"
    if any(text in said for text in _FULL) or code == -getattr(signal, "SIGXFSZ", 0):
        return ResourceError(f"cannot write what {name} makes: {last}; free some space, or write elsewhere")
    how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}" if code else "complains"
    return EngineError(f"expected {name} to do its work, but it {how}: {last}")
