"""What the command says: messages and progress on stderr, records on stdout."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

from ..errors import CodecError
from . import streams

SCHEMA = 1
"""Version of the records that `--json` prints; rises when a field changes its meaning or goes away."""


class Report:
    """The one place that prints.

    Args:
        command: What runs; records name it.
        quiet: 1 leaves notes, summaries and progress out; 2 leaves errors out too.
        verbose: True adds details, and tracebacks to errors.
        as_json: True prints records, one JSON object a line.
    """

    def __init__(self, command: str, quiet: int = 0, verbose: bool = False, as_json: bool = False) -> None:
        self.command = command
        self.quiet = quiet
        self.verbose = verbose
        self.as_json = as_json

    def note(self, text: str) -> None:
        """Something that the user should know about the result."""
        if not self.quiet:
            _say(f"wavcodes: {text}")

    def summary(self, text: str) -> None:
        """What was done; for people who watch, not for logs."""
        if not self.quiet and (self.verbose or _watched()):
            _say(f"wavcodes: {text}")

    def detail(self, text: str) -> None:
        """What only `-v` shows."""
        if self.verbose and not self.quiet:
            _say(f"wavcodes: {text}")

    def error(self, text: str, error: BaseException | None = None) -> None:
        """A failure; with `-v`, where it came from."""
        if self.quiet < 2:
            if self.verbose and error is not None:
                import traceback

                _say("".join(traceback.format_exception(error)).rstrip())
            label = "\x1b[1;31merror:\x1b[0m" if _watched() and not os.environ.get("NO_COLOR") else "error:"
            _say(f"wavcodes: {label} {text}")

    def failure(self, text: str, error: BaseException, exit_code: int, source: str | None = None) -> None:
        """An error as a message and as a record; `source` is the input that it is about."""
        self.error(text, error)
        with suppress(CodecError):  # the failure itself, which is told already, matters more
            self.record({"input": source, "error": text, "kind": type(error).__name__, "exit_code": exit_code})

    def result(self, text: str) -> None:
        """What the command was asked for, on standard output; names of files need not be valid text.

        Raises:
            CommandError: Standard output is closed.
            ResourceError: It cannot be written.
        """
        out = streams.standard_output()
        with streams.output_errors():
            _print(text, out)

    def record(self, fields: Mapping[str, Any]) -> None:
        """One result for programs, if they asked for it."""
        if self.as_json:
            import json

            self.result(json.dumps({"schema": SCHEMA, "command": self.command, **fields}))

    def progress(self, name: str, total: float | None) -> "Progress":
        """A bar for work on `total` seconds of audio (None: unknown), if somebody watches."""
        return Progress(name, total, sys.stderr if not self.quiet and _watched() else None)


class Progress:
    """A line that is drawn over itself once the work has taken a second. A context manager."""

    _WIDTH = 24

    def __init__(self, name: str, total: float | None, stream: TextIO | None) -> None:
        self._name = name
        self._total = total
        self._stream = stream
        self._began = time.monotonic()
        self._next = self._began + 1.0
        self._drawn = False

    def update(self, done: float) -> None:
        """`done` seconds of audio are through."""
        now = time.monotonic()
        if self._stream is None or now < self._next:
            return
        self._next = now + 0.1
        speed = done / (now - self._began)
        if self._total:
            share = min(1.0, done / self._total)
            bar = "#" * round(share * self._WIDTH)
            left = (self._total - done) / speed if speed else 0.0
            text = f"{share:4.0%} [{bar:-<{self._WIDTH}}] {clock(done)} of {clock(self._total)}, {speed:.0f}x"
            text += f", {clock(max(0.0, left))} left"
        else:
            text = f"{clock(done)}, {speed:.0f}x"
        import shutil

        columns = shutil.get_terminal_size().columns - 1
        room = max(0, columns - len(text) - 1)
        self._stream.write(f"\r\x1b[K{self._name[-room:] if room else ''} {text}"[: columns + 4])
        self._stream.flush()
        self._drawn = True

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None and self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def clock(seconds: float) -> str:
    """`m:ss` or `h:mm:ss`."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def size(count: int) -> str:
    """Bytes for people: `812 B`, `9.4 kB`, `1.2 MB`."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"


def _watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _say(text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):  # there is no other place to say it
            _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    encoding = stream.encoding or "utf-8"  # a stream of text in memory has none
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
