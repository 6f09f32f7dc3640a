"""Runs one command and turns whatever happens into messages and an exit code."""

import signal
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import CodecError
from . import arguments, exits, streams
from .exits import CommandError
from .report import Report


class _Terminated(BaseException):
    """SIGTERM came; an exception, so that temporary files are removed on the way out."""


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
    except _Terminated:
        report.error(f"terminated; {left}")
        return exits.TERMINATED
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
    if parsed.command in ("encode", "decode", "compare"):
        if parsed.start is not None and parsed.stop is not None and parsed.start >= parsed.stop:
            raise CommandError(f"expected --from before --to, got {parsed.start:g} s and {parsed.stop:g} s")
        if parsed.command == "compare":
            from . import compare

            return compare.run(parsed, report)
        if parsed.command == "encode":
            from . import encode

            return encode.run(parsed, report)
        from . import decode

        return decode.run(parsed, report)
    if parsed.command in ("compress", "decompress"):
        from . import compress

        return (
            compress.compress(parsed, report) if parsed.command == "compress" else compress.decompress(parsed, report)
        )
    if parsed.command == "convert":
        from . import convert

        return convert.run(parsed, report)
    if parsed.command == "test":
        from . import test

        return test.run(parsed, report)
    if parsed.command == "eval":
        from . import eval

        return eval.run(parsed, report)
    if parsed.command == "info":
        from . import info

        return info.run(parsed, report)
    from . import models

    return models.codecs(parsed, report) if parsed.command == "codecs" else models.download(parsed, report)


@contextmanager
def _termination_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def terminate(number: int, frame: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
