"""`.snac` files, version 1, as hermes-net writes them; docs/formats.md describes the layout.

The format has no place for the true length. Ours stands behind the codes of the last level, inside what that level
claims as its size: readers of version 1 unpack as many codes as the level has, and ignore it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..bits import pack, packed_size, unpack
from ..codes import Codes
from ..crc32c import crc32c
from ..errors import FormatError, InputError, IntegrityError, UnsupportedError
from ..files import read_exactly
from ..framing import Framing
from .base import NO_HINTS, Format, Header, Hints, begins_with, never
from .whole import WholeReader, WholeWriter

MAGIC = b"SNAC"

_VERSION = 1
_ADVICE = "the file is damaged: fetch or copy it again"
_FIXED = struct.Struct("<4sBIH")  # magic, version, rate, bytes of the model's name
_COUNT = struct.Struct("<I")
_LEVEL = struct.Struct("<IHI")  # codes, bits per code, bytes
_LENGTH = struct.Struct("<4sQ")
_LENGTH_MARK = b"\xf5NAL"
_LENGTH_SIZE = _LENGTH.size + 4  # with a CRC-32C of all that is before it

_PUBLISHER = "hubertsiuzdak/"
_framing = partial(Framing, channels=1, codebook_size=4096)
FRAMINGS = {
    "snac_24khz": _framing("snac_24khz", 24_000, hop_length=512, strides=(4, 2, 1), frame_multiple=4),
    "snac_32khz": _framing("snac_32khz", 32_000, hop_length=384, strides=(8, 4, 2, 1), frame_multiple=32),
    "snac_44khz": _framing("snac_44khz", 44_100, hop_length=384, strides=(8, 4, 2, 1), frame_multiple=32),
}
"""Of the models that were published, in all their codebooks."""


def framing_of(model: str | None, sample_rate: int | None, num_levels: int, hints: Hints) -> Framing:
    """The framing that a file means by what it states, or else by what the caller says.

    Args:
        model: Hub repository of the model, if the file states it.
        sample_rate: Hz, if the file states it.
        num_levels: Codebooks in the file.
        hints: Of the caller.

    Raises:
        InputError: The model is neither stated nor said, or not as it is said.
        UnsupportedError: The file states another rate than its model has.
        FormatError: The model has fewer codebooks.
    """
    known = FRAMINGS.get(model.removeprefix(_PUBLISHER)) if model and model.startswith(_PUBLISHER) else None
    if known is None and not model and hints.framing is None:
        known = next((each for each in FRAMINGS.values() if each.sample_rate == sample_rate), None)
    framing = known or hints.framing
    if framing is None:
        names = ", ".join(_PUBLISHER + name for name in FRAMINGS)
        raise InputError(
            f"expected a file of one of the models {names}, got {(model or 'no name')[:100]!r} at {sample_rate} Hz; "
            "pass the framing of the codec that it stands for (--codec)"
        )
    if not 1 <= num_levels <= framing.num_codebooks:
        raise FormatError(f"expected 1 to {framing.num_codebooks} levels for {framing.codec}, got {num_levels}")
    framing = framing.first(num_levels)
    hints.check(framing)
    if sample_rate not in (None, framing.sample_rate):
        raise UnsupportedError(
            f"expected {framing.sample_rate} Hz, which {framing.codec} has, got {sample_rate} Hz: the file was made "
            "from audio at a rate that its model does not have"
        )
    return framing


def num_frames_of(framing: Framing, counts: list[int]) -> int:
    """Frames of a clip whose levels have so many codes.

    Raises:
        FormatError: They do not belong together.
    """
    num_frames = counts[0] * framing.strides[0]
    lengths = {count * stride for count, stride in zip(counts, framing.strides, strict=True)}
    if lengths != {num_frames} or num_frames % framing.frame_multiple:
        raise FormatError(
            f"expected levels of one duration, of one code for {framing.strides} frames, got {counts} codes; {_ADVICE}"
        )
    return num_frames


@dataclass(frozen=True)
class _Level:
    count: int
    bits: int
    size: int

    @property
    def payload_size(self) -> int:
        return packed_size(self.bits, self.count)


class SnacReader(WholeReader):
    """Reads a `.snac` file of version 1; see `Reader`.

    Args:
        file: Open for reading.
        hints: With a framing where the file names no published model.

    Raises:
        FormatError: It is no such file, damaged or cut.
        InputError: Which model it is of is neither stated nor said, or not as it is said.
        UnsupportedError: It is of another version, or of audio at another rate than its model has.
    """

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        fixed = read_exactly(file, _FIXED.size, "the header")
        magic, version, sample_rate, name_size = _FIXED.unpack(fixed)
        if magic != MAGIC:
            raise FormatError(f"expected a .snac file, which begins with {MAGIC!r}, got {magic!r}; check which it is")
        if version != _VERSION:
            raise UnsupportedError(f"expected version {_VERSION} of the .snac format, got {version}; update wavcodes")
        rest = read_exactly(file, name_size + _COUNT.size, "the header")
        try:
            model = rest[:name_size].decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"expected the name of a model in UTF-8, got {rest[:40]!r}; {_ADVICE}") from error
        (num_levels,) = _COUNT.unpack(rest[name_size:])
        self._framing = framing = framing_of(model, sample_rate, num_levels, hints)
        table = read_exactly(file, num_levels * _LEVEL.size, "the header")
        self._levels = [_Level(*fields) for fields in _LEVEL.iter_unpack(table)]
        self._head = fixed + rest + table
        for level in self._levels:
            extra = level.size - level.payload_size if 1 <= level.bits <= framing.bits else -1
            if extra and (extra != _LENGTH_SIZE or level is not self._levels[-1]):
                raise FormatError(
                    f"expected levels of 1 to {framing.bits} bits per code and the bytes that these take, got "
                    f"{level.count} codes of {level.bits} bits in {level.size} bytes; {_ADVICE}"
                )
        self._has_length = self._levels[-1].size != self._levels[-1].payload_size
        self.checksums = "CRC-32C" if self._has_length else ""
        self._num_frames = num_frames_of(framing, [level.count for level in self._levels])
        self._limits = hints.limits
        self._limits.check_samples(framing.longest(self._num_frames))
        super().__init__(file)
        num_samples: int | None = framing.longest(self._num_frames)
        size = sum(level.size for level in self._levels)
        self._check_size(size)
        if self._has_length:
            num_samples = None
            if self.seekable:
                file.seek(self._start + size - _LENGTH_SIZE)
                num_samples = self._length(read_exactly(file, _LENGTH_SIZE, "the length"))
                file.seek(self._start)
        self.header = Header(framing, num_samples)

    def _length(self, record: bytes) -> int:
        mark, num_samples = _LENGTH.unpack_from(record)
        if mark != _LENGTH_MARK or self._framing.num_frames(num_samples) != self._num_frames:
            raise FormatError(
                f"expected {_LENGTH_MARK!r} and a length of {self._num_frames} frames behind the codes, got {mark!r} "
                f"and {num_samples} samples; {_ADVICE}"
            )
        return int(num_samples)

    def _load(self) -> Codes:
        framing, size, payloads = self._framing, len(self._head), []
        for k, level in enumerate(self._levels):
            size += level.size
            self._limits.check_bytes(size)
            payloads.append(read_exactly(self._file, level.size, f"the codes of level {k}"))
        self._check_end()
        num_samples = framing.longest(self._num_frames)
        if self._has_length:
            record = payloads[-1][-_LENGTH_SIZE:]
            payloads[-1] = payloads[-1][:-_LENGTH_SIZE]
            num_samples = self._length(record)
            stored, computed = _COUNT.unpack(record[-4:])[0], crc32c(b"".join([self._head, *payloads, record[:-4]]))
            if stored != computed:
                raise IntegrityError(f"the file has the checksum {computed:08x}, but {stored:08x} is stored; {_ADVICE}")
        books = [
            unpack(payload, level.bits, level.count) for payload, level in zip(payloads, self._levels, strict=True)
        ]
        return Codes(framing, tuple(books), num_samples)


class SnacWriter(WholeWriter):
    """Writes a `.snac` file of version 1; see `Writer`. There is no place for a digest of the weights.

    Args:
        file: Open for writing.
        header: Facts of the clip.
        length: Whether the true length and a checksum stand in the file; without, it is what hermes-net writes.

    Raises:
        UnsupportedError: The codes are not those of a published model of SNAC in all its codebooks.
    """

    def __init__(self, file: BinaryIO, header: Header, *, length: bool = True) -> None:
        if header.framing not in FRAMINGS.values():
            raise UnsupportedError(
                f".snac files hold codes of {', '.join(FRAMINGS)} in all their codebooks, got "
                f"{header.framing.codec} in {header.framing.num_codebooks}; write a .nac file"
            )
        super().__init__(file, header)
        self._with_length = length

    def _record(self, codes: Codes) -> bytes:
        framing = codes.framing
        if codes.num_frames != framing.num_frames(codes.num_samples):
            raise UnsupportedError(
                f"a .snac file of {codes.num_samples} samples has {framing.num_frames(codes.num_samples)} frames, "
                f"got {codes.num_frames}; write a .nac file"
            )
        name = (_PUBLISHER + framing.codec).encode()
        bits = [_bits(book) for book in codes.books]
        payloads = [pack(book, each) for book, each in zip(codes.books, bits, strict=True)]
        sizes = [len(payload) for payload in payloads]
        sizes[-1] += _LENGTH_SIZE if self._with_length else 0
        levels = zip(map(len, codes.books), bits, sizes, strict=True)
        record = b"".join(
            [
                _FIXED.pack(MAGIC, _VERSION, framing.sample_rate, len(name)) + name + _COUNT.pack(len(sizes)),
                *(_LEVEL.pack(*level) for level in levels),
                *payloads,
            ]
        )
        if not self._with_length:
            return record
        record += _LENGTH.pack(_LENGTH_MARK, codes.num_samples)
        return record + _COUNT.pack(crc32c(record))


def _bits(book: NDArray[np.unsignedinteger]) -> int:
    return max(1, int(book.max()).bit_length()) if book.size else 1


FORMAT = Format("snac", ".snac", begins_with(MAGIC), SnacReader, SnacWriter)
WITHOUT_LENGTH = replace(
    FORMAT, name="snac-v1", recognises=never, writer=partial(SnacWriter, length=False), lengths=False
)
"""As `FORMAT`, exactly as hermes-net writes it, so that clips come back as long as their frames."""
