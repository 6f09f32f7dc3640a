"""What the exit codes mean, and which error gives which: the BSD `sysexits` and the habits of shells."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import CodecError, DownloadError, EngineError, InputError, ModelError, ResourceError
from ..programs import MissingProgram

OK = 0
SOME_FAILED = 1  # of several inputs
USAGE = 2
BAD_DATA = 65
NO_INPUT = 66
NO_MODEL = 69  # weights that are not there, not reachable or not the right ones; or a program that is not there
BUG = 70  # here, in a program that does a part of the work, or in weights that hold no model
NO_MEMORY = 71
NO_OUTPUT = 73  # exists already, or cannot be created
IO = 74  # disk full, read or write error
NO_PERMISSION = 77
INTERRUPTED = 130  # 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE


class CommandError(InputError):
    """Something about the command itself; carries its exit code."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def usage() -> Iterator[None]:
    """What is wrong within is wrong with the command."""
    try:
        yield
    except InputError as error:
        raise CommandError(str(error)) from error


def message(error: BaseException) -> str:
    """What is said of an error: its text, which names nothing of Python, and the option that its advice means."""
    text = str(error) or "not enough memory"
    return f"{text}; --weights names such a folder" if isinstance(error, DownloadError) else text


def exit_code(error: BaseException) -> int:
    """The exit code that tells a script what kind of failure `error` is."""
    if isinstance(error, CommandError):
        return error.exit_code
    if isinstance(error, ModelError | MissingProgram):
        return NO_MODEL
    if isinstance(error, EngineError):
        return BUG
    system = _system_error(error)
    if system is not None:
        return _of_system(system)
    if isinstance(error, ResourceError):
        return IO
    if isinstance(error, MemoryError):
        return NO_MEMORY
    return BAD_DATA if isinstance(error, CodecError) else BUG


def _system_error(error: BaseException | None) -> OSError | None:
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error


def _of_system(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return NO_INPUT
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return NO_PERMISSION
    return NO_MEMORY if error.errno == errno.ENOMEM else IO
