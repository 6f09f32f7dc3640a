"""Files of codes. A container is one file in this folder and one entry in `FORMATS`."""

import io
import os
from pathlib import PurePath
from typing import BinaryIO, cast

from ..codes import Codes
from ..errors import FormatError, InputError
from ..files import atomic_output, open_input, read_up_to
from . import lyra, nac
from .base import Format, Header, Reader, Writer
from .nac_salvage import Salvage, salvage

__all__ = [
    "FORMATS",
    "Format",
    "Header",
    "Reader",
    "Salvage",
    "Writer",
    "format_of",
    "open_reader",
    "open_writer",
    "read",
    "salvage",
    "write",
]

FORMATS: tuple[Format, ...] = (nac.FORMAT, lyra.FORMAT)


def format_of(name: str | os.PathLike[str]) -> Format:
    """The format that the suffix of a file name means.

    Raises:
        InputError: There is none of that suffix.
    """
    suffix = PurePath(name).suffix.lower()
    for each in FORMATS:
        if each.suffix == suffix:
            return each
    known = ", ".join(each.suffix for each in FORMATS)
    raise InputError(f"expected a file name that ends in one of {known}, got {os.fspath(name)!r}")


def open_reader(file: BinaryIO, name: str | os.PathLike[str] = "", *, num_codebooks: int | None = None) -> Reader:
    """A reader for an open file, of the format that its first bytes show or else the suffix of `name`.

    Args:
        file: Open for reading at the start of the codes; it may be a pipe.
        name: File name, for formats that have no magic bytes.
        num_codebooks: For packet formats that do not state it.

    Raises:
        FormatError: The file is of no known format.
    """
    size = max(len(each.magic) for each in FORMATS)
    if file.seekable():
        start = file.tell()
        head = read_up_to(file, size)
        file.seek(start)
    else:
        head = read_up_to(file, size)
        file = cast(BinaryIO, _Rejoined(head, file))
    for each in FORMATS:
        if each.magic and head.startswith(each.magic):
            return each.reader(file, num_codebooks)
    try:
        by_name = format_of(name)
    except InputError as error:
        known = ", ".join(each.suffix for each in FORMATS)
        raise FormatError(
            f"expected a file of codes ({known}), got {name or 'an input'} that begins with {head!r}"
        ) from error
    return by_name.reader(file, num_codebooks)


def open_writer(file: BinaryIO, name: str | os.PathLike[str], header: Header) -> Writer:
    """A writer into an open file, of the format that the suffix of `name` means; the caller closes both.

    Raises:
        InputError: No format has that suffix.
        UnsupportedError: The format cannot hold such codes.
    """
    return format_of(name).writer(file, header)


def read(source: str | os.PathLike[str] | BinaryIO, *, num_codebooks: int | None = None) -> Codes:
    """The codes in a file of any known format, verified as far as the format allows.

    Args:
        source: Path or open file.
        num_codebooks: For packet formats that do not state it.

    Raises:
        FormatError: The file is of no known format, damaged (`IntegrityError`) or cut (`TruncatedError`).
        InputError: There is no such file, or the format needs `num_codebooks`.
        ResourceError: The file cannot be opened.
    """
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", ""))
    with open_input(source) as file:
        return open_reader(file, name, num_codebooks=num_codebooks).read()


def write(path: str | os.PathLike[str], codes: Codes, *, weights_digest: bytes | None = None) -> None:
    """Writes codes in the format that the suffix of `path` means; an existing file is replaced when all is written.

    Args:
        path: Such as `speech.nac`.
        codes: One clip.
        weights_digest: SHA-256 of the weights that made the codes, where the format has a place for it.

    Raises:
        InputError: The suffix is not known, `codes` are no `Codes`, or the digest is not 32 bytes.
        UnsupportedError: The format cannot hold such codes.
        ResourceError: No space or no permission. Nothing is left behind.
    """
    format_of(path)
    header = Header.of_codes(codes, weights_digest=weights_digest)
    with atomic_output(path) as file:
        writer = open_writer(file, path, header)
        writer.write(codes)
        writer.close()


class _Rejoined(io.RawIOBase):
    """A pipe with the bytes that were already taken from its start."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)
