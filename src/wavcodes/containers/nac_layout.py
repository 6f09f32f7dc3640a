"""Records of the `.nac` container as docs/format-nac.md lays them out: to bytes, and from bytes with every check."""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from typing import BinaryIO

from ..bits import pack, packed_size, unpack
from ..codes import Codes
from ..crc32c import crc32c
from ..errors import FormatError, InputError, IntegrityError, UnsupportedError
from ..files import read_exactly
from .base import Header

MAGIC = b"\x89NAC\r\n\x1a\n"
BLOCK_MARK = b"\xf5NAB"
END_MARK = b"\xf5NAE"
LAST_MARK = b"\xf5NAZ"

ADVICE = "the file is damaged: fetch or copy it again, or take what is intact with wavcodes.containers.salvage"

_VERSION = 1
_UNKNOWN = (1 << 64) - 1
_MAX_BLOCK_FRAMES = (1 << 16) - 1
_MAX_BLOCK_CODES = 1 << 20

_HEADER = struct.Struct("<8sHHIIIHHHHQ32s")
_BLOCK = struct.Struct("<4sIIHBBI")
_END = struct.Struct("<4sIQQ32s")
_TAIL = struct.Struct("<I4s")

BLOCK_SIZE = _BLOCK.size
TAIL_SIZE = _TAIL.size


def sealed(record: bytes) -> bytes:
    """The record with its checksum behind it."""
    return record + crc32c(record).to_bytes(4, "little")


def unsealed(record: bytes, what: str) -> bytes:
    """The record without its checksum, which is verified."""
    stored, computed = int.from_bytes(record[-4:], "little"), crc32c(record[:-4])
    if stored != computed:
        raise IntegrityError(f"{what} has the checksum {computed:08x}, but {stored:08x} is stored; {ADVICE}")
    return record[:-4]


@dataclass(frozen=True)
class Layout:
    """A header and how many frames a block has."""

    header: Header
    block_frames: int

    @classmethod
    def of(cls, header: Header) -> Layout:
        """Blocks of the whole number of cycles nearest to one second, and at least one.

        Raises:
            UnsupportedError: The format cannot hold such codes.
        """
        second = round(header.sample_rate / (header.hop_length * header.cycle))
        cycles = min(second, _MAX_BLOCK_FRAMES // header.cycle, _MAX_BLOCK_CODES // header.cycle_codes)
        layout = cls(header, max(1, cycles) * header.cycle)
        if complaint := layout._complaint():
            raise UnsupportedError(f"version {_VERSION} of the .nac format cannot hold these codes: {complaint}")
        return layout

    def _complaint(self) -> str | None:
        header = self.header
        bounds = [
            ("codebooks", header.num_codebooks, 256),
            ("sample_rate", header.sample_rate, (1 << 32) - 1),
            ("hop_length", header.hop_length, (1 << 32) - 1),
            ("codebook_size", header.codebook_size, 1 << 20),
            ("channels", header.channels, (1 << 16) - 1),
            ("tail_frames", header.tail_frames, (1 << 16) - 1),
            ("frames in a block", self.block_frames, _MAX_BLOCK_FRAMES),
            ("samples", header.num_samples or 0, _UNKNOWN - 1),
            ("codes in a block", self.num_codes(self.block_frames), _MAX_BLOCK_CODES),
            ("samples in a block", self.block_frames * header.hop_length, (1 << 32) - 1),
        ]
        for what, value, most in bounds:
            if value > most:
                return f"expected at most {most} {what}, got {value}"
        if not 1 <= len(header.codec) <= 255 or not all(0x21 <= ord(letter) <= 0x7E for letter in header.codec):
            return f"expected a codec name of 1 to 255 visible ASCII characters, got {header.codec!r}"
        if self.block_frames == 0 or self.block_frames % header.cycle:
            return f"expected blocks of whole cycles of {header.cycle} frames, got {self.block_frames} frames"
        return None

    def num_codes(self, num_frames: int) -> int:
        """Codes in that many frames, all books together."""
        return num_frames // self.header.cycle * self.header.cycle_codes

    def header_record(self) -> bytes:
        """The header as bytes."""
        header = self.header
        name = header.codec.encode()
        fixed = _HEADER.pack(
            MAGIC,
            _VERSION,
            header.num_codebooks,
            header.sample_rate,
            header.hop_length,
            header.codebook_size,
            header.channels,
            header.tail_frames,
            self.block_frames,
            len(name),
            _UNKNOWN if header.num_samples is None else header.num_samples,
            header.weights_digest or bytes(32),
        )
        return sealed(fixed + struct.pack(f"<{header.num_codebooks}H", *header.strides) + name)

    @classmethod
    def from_header(cls, record: bytes) -> Layout:
        """The layout that a whole header record states."""
        record = unsealed(record, "the header")
        _, _, count, rate, hop, size, channels, tail, block_frames, _, samples, digest = _HEADER.unpack(
            record[: _HEADER.size]
        )
        name = record[_HEADER.size + 2 * count :]
        strides = struct.unpack(f"<{count}H", record[_HEADER.size : _HEADER.size + 2 * count])
        try:
            header = Header(
                codec=name.decode("latin-1"),
                sample_rate=rate,
                channels=channels,
                hop_length=hop,
                codebook_size=size,
                strides=strides,
                tail_frames=tail,
                num_samples=None if samples == _UNKNOWN else samples,
                weights_digest=digest if any(digest) else None,
            )
        except InputError as error:
            raise FormatError(f"the header is not valid: {error}") from error
        layout = cls(header, block_frames)
        if complaint := layout._complaint():
            raise FormatError(f"the header is not valid: {complaint}")
        return layout

    def block_record(self, number: int, codes: Codes) -> bytes:
        """Block `number` as bytes."""
        payload = pack(self.header.in_time_order(codes), self.header.bits)
        fields = _BLOCK.pack(BLOCK_MARK, number, codes.num_samples, codes.num_frames, 0, 0, len(payload))
        return sealed(fields + payload)

    def block(self, fields: bytes) -> Block:
        """What the first `BLOCK_SIZE` bytes of a block announce, bounded by the header."""
        _, number, num_samples, num_frames, coding, zero, length = _BLOCK.unpack(fields)
        most = packed_size(self.header.bits, self.num_codes(num_frames))
        if (
            zero
            or not 0 < num_frames <= self.block_frames
            or num_frames % self.header.cycle
            or num_samples > num_frames * self.header.hop_length
            or length > most
            or (coding == 0 and length != most)
        ):
            raise FormatError(
                f"a block announces {num_frames} frames, {num_samples} samples and {length} bytes in coding {coding}, "
                f"which does not fit blocks of {self.block_frames} frames; {ADVICE}"
            )
        return Block(fields, number, num_samples, num_frames, coding, length)

    def span(self, number: int) -> str:
        """Block `number` and its time, for messages."""
        start = self.header.time(number * self.block_frames)
        stop = self.header.time((number + 1) * self.block_frames)
        return f"block {number} ({start:.3f} to {stop:.3f} s)"

    def codes(self, block: Block, rest: bytes) -> Codes:
        """Codes of a block from what follows its fields: payload and checksum, which is verified."""
        what = self.span(block.number)
        payload = unsealed(block.fields + rest, what)[BLOCK_SIZE:]
        if block.coding != 0:
            raise UnsupportedError(
                f"{what} is in coding {block.coding}, which this version does not know; update wavcodes"
            )
        values = unpack(payload, self.header.bits, self.num_codes(block.num_frames))
        if int(values.max()) >= self.header.codebook_size:
            raise FormatError(f"{what} holds the code {values.max()}, expected codes below {self.header.codebook_size}")
        return self.header.from_time_order(values, block.num_samples)


def read_header(file: BinaryIO) -> Layout:
    """Reads the header record.

    Raises:
        TruncatedError: The file ends inside it.
        UnsupportedError: It is of a later version.
        FormatError: It is no `.nac` header, or a damaged one.
    """
    fixed = read_exactly(file, _HEADER.size, "the header")
    magic, version, num_codebooks, *_, name_length, _, _ = _HEADER.unpack(fixed)
    if magic != MAGIC:
        raise FormatError(f"expected a .nac file, which begins with {MAGIC!r}, got {magic!r}; check which file it is")
    if version != _VERSION:
        raise UnsupportedError(
            f"expected version {_VERSION} of the .nac format, got {version}; update wavcodes to read this file"
        )
    if not 1 <= num_codebooks <= 256 or not 1 <= name_length <= 255:
        raise FormatError(
            "expected 1 to 256 codebooks and a name of 1 to 255 bytes in the header, "
            f"got {num_codebooks} and {name_length}; {ADVICE}"
        )
    return Layout.from_header(fixed + read_exactly(file, 2 * num_codebooks + name_length + 4, "the header"))


@dataclass(frozen=True)
class Block:
    """Fields of one block."""

    fields: bytes
    number: int
    num_samples: int
    num_frames: int
    coding: int
    length: int

    @property
    def rest(self) -> int:
        """Bytes behind the fields: payload and checksum."""
        return self.length + 4


@dataclass(frozen=True)
class End:
    """The end record; `lengths` is the index: bytes of each block."""

    num_frames: int
    num_samples: int
    codes_digest: bytes
    lengths: array[int]

    def record(self) -> bytes:
        """The end record as bytes."""
        fields = _END.pack(END_MARK, len(self.lengths), self.num_frames, self.num_samples, self.codes_digest)
        index = struct.pack(f"<{len(self.lengths)}I", *self.lengths)
        return sealed(fields + index) + _TAIL.pack(self.size(len(self.lengths)), LAST_MARK)

    @staticmethod
    def size(num_blocks: int) -> int:
        """Bytes of the end record of that many blocks."""
        return _END.size + 4 * num_blocks + 4 + TAIL_SIZE

    @classmethod
    def from_record(cls, record: bytes) -> End:
        """From the bytes of a whole end record."""
        length, mark = _TAIL.unpack(record[-TAIL_SIZE:])
        if (length, mark) != (len(record), LAST_MARK):
            raise IntegrityError(f"the end record has not the length or the last mark that it should have; {ADVICE}")
        record = unsealed(record[:-TAIL_SIZE], "the end record")
        mark, num_blocks, num_frames, num_samples, digest = _END.unpack(record[: _END.size])
        if mark != END_MARK or len(record) != _END.size + 4 * num_blocks:
            raise FormatError(f"the end record has not the length that its number of blocks takes; {ADVICE}")
        lengths = array("I", struct.unpack(f"<{num_blocks}I", record[_END.size :]))
        return cls(num_frames, num_samples, digest, lengths)
