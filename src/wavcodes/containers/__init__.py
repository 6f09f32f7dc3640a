"""Files of codes. A container is one file in this folder and one entry in `FORMATS`."""

import io
import os
from collections.abc import Callable
from pathlib import PurePath
from typing import BinaryIO, cast

from ..codes import Codes
from ..errors import FormatError, InputError, UnsupportedError
from ..files import atomic_output, open_input, read_up_to
from ..framing import Framing
from . import dac, ecdc, ecdc_hermes, lyra, nac, snac, snac_legacy
from .base import HEAD, Format, Header, Hints, Reader, Writer
from .ecdc_lm import LanguageModel
from .limits import DEFAULTS, Limits
from .nac_salvage import Salvage, salvage

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Format",
    "Header",
    "Hints",
    "LanguageModel",
    "Limits",
    "Reader",
    "Salvage",
    "Writer",
    "detect",
    "format_of",
    "open_reader",
    "open_writer",
    "read",
    "salvage",
    "start_writer",
    "write",
]

FORMATS: tuple[Format, ...] = (
    nac.FORMAT,
    ecdc.FORMAT,
    ecdc.CHECKED,
    ecdc_hermes.FORMAT,
    snac.FORMAT,
    snac.WITHOUT_LENGTH,
    snac_legacy.TORCH,
    snac_legacy.ZLIB,
    dac.FORMAT,
    lyra.FORMAT,
)
"""In the order in which they are asked whether they recognise a file."""

SUFFIXES = tuple(dict.fromkeys(each.suffix for each in FORMATS if each.writer))
"""Of the files that can be written."""


def format_of(name: str | os.PathLike[str]) -> Format:
    """The format that the suffix of a file name means.

    Raises:
        InputError: There is none of that suffix.
    """
    suffix = PurePath(name).suffix.lower()
    for each in FORMATS:
        if each.suffix == suffix:
            return each
    raise InputError(f"expected a file name that ends in one of {', '.join(SUFFIXES)}, got {os.fspath(name)!r}")


def open_reader(
    file: BinaryIO,
    name: str | os.PathLike[str] = "",
    *,
    framing: Framing | None = None,
    language_model: Callable[[str], LanguageModel] | None = None,
    limits: Limits = DEFAULTS,
) -> Reader:
    """A reader for an open file, of the format that recognises its first bytes or else the suffix of `name`.

    Args:
        file: Open for reading at the start of the codes; it may be a pipe.
        name: File name, for formats that cannot be recognised.
        framing: Of the codec that made the codes, for formats that do not state it: `spec(name).framing()`.
        language_model: Gives the language model of a codec of that name, for files that are coded with one.
        limits: What the file may ask for.

    Raises:
        FormatError: The file is of no known format.
        InputError: The format does not state its codec and no `framing` is given, or it states another one.
        LimitError: The file asks for more than the limits allow; the reader raises it, too, once it comes to know.
    """
    format, file = detect(file, name)
    return format.reader(file, Hints(framing, language_model, limits))


def detect(file: BinaryIO, name: str | os.PathLike[str] = "") -> tuple[Format, BinaryIO]:
    """The format that recognises the first bytes of an open file, or else the suffix of `name`; and the file at its
    start, which for a pipe is another object.

    Raises:
        FormatError: The file is of no known format.
    """
    if file.seekable():
        start = file.tell()
        head = read_up_to(file, HEAD)
        file.seek(start)
    else:
        head = read_up_to(file, HEAD)
        file = cast(BinaryIO, _Rejoined(head, file))
    for each in FORMATS:
        if each.recognises(head):
            return each, file
    try:
        return format_of(name), file
    except InputError as error:
        what = f"that begins with {head[:8]!r}" if head else "that is empty"
        raise FormatError(
            f"expected a file of codes ({', '.join(SUFFIXES)}), got {name or 'an input'} {what}"
        ) from error


def open_writer(file: BinaryIO, name: str | os.PathLike[str], header: Header) -> Writer:
    """A writer into an open file, of the format that the suffix of `name` means; the caller closes both.

    Raises:
        InputError: No format has that suffix.
        UnsupportedError: The format cannot hold such codes, or is only read.
    """
    return start_writer(format_of(name), file, header)


def read(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    framing: Framing | None = None,
    language_model: Callable[[str], LanguageModel] | None = None,
    limits: Limits = DEFAULTS,
) -> Codes:
    """The codes in a file of any known format, verified as far as the format allows.

    Args:
        source: Path or open file.
        framing: Of the codec that made the codes, for formats that do not state it: `spec(name).framing()`.
        language_model: Gives the language model of a codec of that name, for files that are coded with one.
        limits: What the file may ask for.

    Raises:
        FormatError: The file is of no known format, damaged (`IntegrityError`) or cut (`TruncatedError`).
        InputError: There is no such file, or its format needs a `framing` or states another.
        LimitError: The file asks for more than the limits allow.
        ResourceError: The file cannot be opened.
    """
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", ""))
    with open_input(source) as file:
        return open_reader(file, name, framing=framing, language_model=language_model, limits=limits).read()


def write(
    path: str | os.PathLike[str], codes: Codes, *, format: Format | None = None, weights_digest: bytes | None = None
) -> None:
    """Writes codes to a file; an existing one is replaced when all is written.

    Args:
        path: Such as `speech.nac`.
        codes: One clip.
        format: One of `FORMATS`, or one that a container's module makes; by default what the suffix of `path` means.
        weights_digest: SHA-256 of the weights that made the codes, where the format has a place for it.

    Raises:
        InputError: The suffix is not known, `codes` are no `Codes`, `format` is none, or the digest is not 32 bytes.
        UnsupportedError: The format cannot hold such codes, or is only read.
        ResourceError: No space or no permission. Nothing is left behind.
    """
    format = format_of(path) if format is None else format
    header = Header.of_codes(codes, weights_digest=weights_digest)
    with atomic_output(path) as file:
        writer = start_writer(format, file, header)
        writer.write(codes)
        writer.close()


def start_writer(format: Format, file: BinaryIO, header: Header) -> Writer:
    """As `open_writer`, for any of `FORMATS`.

    Raises:
        InputError: It is no format.
        UnsupportedError: The format cannot hold such codes, or is only read.
    """
    if not isinstance(format, Format):
        raise InputError(f"expected a format, one of wavcodes.containers.FORMATS, got {format!r}")
    if format.writer is None:
        raise UnsupportedError(f"files of the format {format.name} are only read; write one of {', '.join(SUFFIXES)}")
    return format.writer(file, header)


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
