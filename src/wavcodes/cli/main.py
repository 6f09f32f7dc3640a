"""Runs one command and turns whatever happens into messages and an exit code."""

import signal
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ..errors import CodecError
from . import arguments, exits, streams
from .exits import CommandError
from .report import Report

# The module and function of a command that is no `run` in a module of its own name.
_ELSEWHERE = {
    "compress": ("compress", "compress"),
    "decompress": ("compress", "decompress"),
    "codecs": ("models", "codecs"),
    "download": ("models", "download"),
}


class _Terminated(BaseException):
    """SIGTERM came, or SIGHUP because the terminal is gone; an exception, so that temporary files are removed."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def main(argv: Sequence[str] | None = None) -> int:
    """The command `wavcodes`.

    Args:
        argv: Arguments without the name of the program; those of the process by default.

    Returns:
        The exit code: see `wavcodes --help`.
    """
    return guarded(arguments.parser, _run, argv, "no unfinished file is left")


def guarded(
    parser: Callable[[], ArgumentParser],
    work: Callable[[Namespace, Report], int],
    argv: Sequence[str] | None,
    left: str,
) -> int:
    """Runs a program, whatever happens.

    Args:
        parser: Makes its parser; see `arguments.program`.
        work: What it does; gives the exit code.
        argv: Arguments without the name of the program; those of the process if None.
        left: What an interruption leaves, for people.

    Returns:
        The exit code.
    """
    streams.reserve()
    try:
        parsed = parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed help or what is wrong
        code = end.code if isinstance(end.code, int) else exits.USAGE
    else:
        report = Report(parsed.command, parsed.quiet, parsed.verbose, parsed.json)
        code = _outcome(lambda: work(parsed, report), report, left)
    return streams.finish(code)


def _outcome(work: Callable[[], int], report: Report, left: str) -> int:
    try:
        with _termination_raises():
            return work()
    except KeyboardInterrupt:
        report.error(f"interrupted; {left}")
        return exits.INTERRUPTED
    except _Terminated as end:
        report.error(f"terminated; {left}")
        return end.exit_code
    except (CodecError, OSError, MemoryError) as error:
        code = exits.exit_code(error)
        if code != exits.BROKEN_PIPE:
            report.failure(exits.message(error), error, code)
        return code
    except Exception as error:
        text = f"{type(error).__name__}: {error}. This is a bug in wavcodes: please report it with what -v prints"
        report.failure(text, error, exits.BUG)
        return exits.BUG


def _run(parsed: Namespace, report: Report) -> int:
    start, stop = getattr(parsed, "start", None), getattr(parsed, "stop", None)
    if start is not None and stop is not None and start >= stop:
        raise CommandError(f"expected --from before --to, got {start:g} s and {stop:g} s")
    module, function = _ELSEWHERE.get(parsed.command, (parsed.command, "run"))
    # Imported here, for each command needs little.
    code: int = getattr(import_module(f".{module}", __package__), function)(parsed, report)
    return code


@contextmanager
def _termination_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def terminate(number: int, frame: Any) -> None:
        raise _Terminated(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as nohup has it
                signal.signal(number, terminate)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
