"""A file as libsndfile may see it."""

from __future__ import annotations

from typing import BinaryIO

from ..errors import CodecError
from ..files import read_up_to, write_all


class Handle:
    """Without a name, by which soundfile would choose a format; keeps errors, for a callback cannot raise through C.

    Attributes:
        error: What the last failed read or write raised.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: CodecError | None = None
        self.seek = file.seek
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none after an error."""
        try:
            return read_up_to(self._file, count)
        except CodecError as error:
            self.error = error
            return b""

    def write(self, data: bytes) -> int:
        """Bytes written: all or, from the first error on, none."""
        if self.error is not None:
            return 0
        try:
            write_all(self._file, data)
        except CodecError as error:
            self.error = error
            return 0
        return len(data)

    def raise_kept(self) -> None:
        """Raises the error that was kept, if there is one."""
        if self.error is not None:
            raise self.error
