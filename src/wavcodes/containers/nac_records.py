"""Records of the `.nac` container behind its header, as docs/format-nac.md lays them out."""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass

from ..codes import Codes
from ..crc32c import crc32c
from ..errors import FormatError, IntegrityError

BLOCK_MARK = b"\xf5NAB"
END_MARK = b"\xf5NAE"
LAST_MARK = b"\xf5NAZ"

ADVICE = "the file is damaged: fetch or copy it again, or salvage what is intact"

BLOCK = struct.Struct("<4sIIHBBI")
SEGMENT = struct.Struct("<Hf")
_END = struct.Struct("<4sIQQ32s")
_TAIL = struct.Struct("<I4s")

BLOCK_SIZE = BLOCK.size
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


def segment_records(codes: Codes) -> list[bytes]:
    """What a block says of each of its segments: frames and scale."""
    return [SEGMENT.pack(frames, float(scale)) for frames, scale in zip(codes.segments, codes.scales, strict=True)]


@dataclass(frozen=True)
class Block:
    """Fields of one block."""

    fields: bytes
    number: int
    num_samples: int
    num_frames: int
    coding: int
    num_segments: int
    length: int

    @property
    def table_size(self) -> int:
        """Bytes of what is said of the segments."""
        return SEGMENT.size * self.num_segments

    @property
    def rest(self) -> int:
        """Bytes behind the fields: segments, payload and checksum."""
        return self.table_size + self.length + 4


@dataclass(frozen=True)
class End:
    """The end record; `lengths` is the index: bytes of each block."""

    extent: int
    num_samples: int
    codes_digest: bytes
    lengths: array[int]

    def record(self) -> bytes:
        """The end record as bytes."""
        fields = _END.pack(END_MARK, len(self.lengths), self.extent, self.num_samples, self.codes_digest)
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
        mark, num_blocks, extent, num_samples, digest = _END.unpack(record[: _END.size])
        if mark != END_MARK or len(record) != _END.size + 4 * num_blocks:
            raise FormatError(f"the end record has not the length that its number of blocks takes; {ADVICE}")
        lengths = array("I", struct.unpack(f"<{num_blocks}I", record[_END.size :]))
        return cls(extent, num_samples, digest, lengths)
