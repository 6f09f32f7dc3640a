"""The header of the `.nac` container as docs/format-nac.md lays it out, and the blocks that it allows."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from ..bits import pack, packed_size, unpack
from ..codes import Codes
from ..errors import FormatError, InputError, UnsupportedError
from ..files import read_exactly
from ..framing import Framing, Segment
from .base import Header, from_time_order, in_time_order
from .nac_records import ADVICE, BLOCK, BLOCK_MARK, SEGMENT, Block, sealed, segment_records, unsealed

MAGIC = b"\x89NAC\r\n\x1a\n"

_VERSION = 1
_UNKNOWN = (1 << 64) - 1
_MAX_BLOCK_FRAMES = (1 << 16) - 1
_MAX_BLOCK_CODES = 1 << 20
_MAX_BLOCK_SEGMENTS = (1 << 8) - 1

_HEADER = struct.Struct("<8sHHIIIHHHHIIQ32sH")


@dataclass(frozen=True)
class Layout:
    """A header and how many frames a full block has."""

    header: Header
    block_frames: int

    @classmethod
    def of(cls, header: Header) -> Layout:
        """Blocks of the whole number of steps nearest to one second, and at least one.

        Raises:
            UnsupportedError: The format cannot hold such codes.
        """
        framing = header.framing
        most = _MAX_BLOCK_CODES // framing.cycle_codes * framing.cycle
        steps = min(
            round(framing.sample_rate / framing.step_samples),
            min(_MAX_BLOCK_FRAMES, most) // framing.step_frames,
            _MAX_BLOCK_SEGMENTS if framing.segment else _MAX_BLOCK_FRAMES,
        )
        layout = cls(header, max(1, steps) * framing.step_frames)
        if complaint := layout._complaint():
            raise UnsupportedError(f"version {_VERSION} of the .nac format cannot hold these codes: {complaint}")
        return layout

    def _complaint(self) -> str | None:
        framing = self.header.framing
        bounds = [
            ("codebooks", framing.num_codebooks, 256),
            ("sample_rate", framing.sample_rate, (1 << 32) - 1),
            ("hop_length", framing.hop_length, (1 << 32) - 1),
            ("codebook_size", framing.codebook_size, 1 << 20),
            ("channels", framing.channels, (1 << 16) - 1),
            ("tail_frames", framing.tail_frames, (1 << 16) - 1),
            ("samples in a segment", framing.segment.length if framing.segment else 0, (1 << 32) - 1),
            ("frames in a block", self.block_frames, _MAX_BLOCK_FRAMES),
            ("samples", self.header.num_samples or 0, _UNKNOWN - 1),
            ("codes in a block", self.num_codes(self.block_frames), _MAX_BLOCK_CODES),
            ("segments in a block", self.block_segments, _MAX_BLOCK_SEGMENTS),
            ("samples in a block", self.block_extent, (1 << 32) - 1),
        ]
        for what, value, most in bounds:
            if value > most:
                return f"expected at most {most} {what}, got {value}"
        if not 1 <= len(framing.codec) <= 255 or not all(0x21 <= ord(letter) <= 0x7E for letter in framing.codec):
            return f"expected a codec name of 1 to 255 visible ASCII characters, got {framing.codec!r}"
        if self.block_frames == 0 or self.block_frames % framing.step_frames:
            return f"expected blocks of whole steps of {framing.step_frames} frames, got {self.block_frames} frames"
        return None

    @property
    def block_segments(self) -> int:
        """Segments of a full block; 0 where the codec has none."""
        return self.block_frames // self.header.framing.step_frames if self.header.framing.segment else 0

    @property
    def block_extent(self) -> int:
        """Samples from the beginning of one block to that of the next."""
        return self.header.framing.extent(self.block_frames, self.block_segments)

    def num_codes(self, num_frames: int) -> int:
        """Codes in that many frames, all books together."""
        return num_frames // self.header.framing.cycle * self.header.framing.cycle_codes

    def header_record(self) -> bytes:
        """The header as bytes."""
        header, framing = self.header, self.header.framing
        name = framing.codec.encode()
        fixed = _HEADER.pack(
            MAGIC,
            _VERSION,
            framing.num_codebooks,
            framing.sample_rate,
            framing.hop_length,
            framing.codebook_size,
            framing.channels,
            framing.tail_frames,
            framing.frame_multiple,
            self.block_frames,
            framing.segment.length if framing.segment else 0,
            framing.segment.stride if framing.segment else 0,
            _UNKNOWN if header.num_samples is None else header.num_samples,
            header.weights_digest or bytes(32),
            len(name),
        )
        return sealed(fixed + struct.pack(f"<{framing.num_codebooks}H", *framing.strides) + name)

    @classmethod
    def from_header(cls, record: bytes) -> Layout:
        """The layout that a whole header record states."""
        record = unsealed(record, "the header")
        _, _, count, rate, hop, size, channels, tail, multiple, block_frames, length, stride, samples, digest, _ = (
            _HEADER.unpack(record[: _HEADER.size])
        )
        name = record[_HEADER.size + 2 * count :]
        try:
            framing = Framing(
                codec=name.decode("latin-1"),
                sample_rate=rate,
                channels=channels,
                hop_length=hop,
                codebook_size=size,
                strides=struct.unpack(f"<{count}H", record[_HEADER.size : _HEADER.size + 2 * count]),
                tail_frames=tail,
                frame_multiple=multiple,
                segment=Segment(length, stride) if length or stride else None,
            )
        except InputError as error:
            # Shortened, since it states all strides, of which there may be 256.
            raise FormatError(f"the header is not valid: {error!s:.400}") from error
        header = Header(framing, None if samples == _UNKNOWN else samples, digest if any(digest) else None)
        layout = cls(header, block_frames)
        if complaint := layout._complaint():
            raise FormatError(f"the header is not valid: {complaint}")
        return layout

    def block_record(self, number: int, codes: Codes) -> bytes:
        """Block `number` as bytes."""
        payload = pack(in_time_order(codes), self.header.framing.bits)
        count = len(codes.segments)
        fields = BLOCK.pack(BLOCK_MARK, number, codes.num_samples, codes.num_frames, 0, count, len(payload))
        return sealed(fields + b"".join(segment_records(codes)) + payload)

    def block(self, fields: bytes) -> Block:
        """What the first `BLOCK_SIZE` bytes of a block announce, bounded by the header."""
        _, number, num_samples, num_frames, coding, num_segments, length = BLOCK.unpack(fields)
        framing = self.header.framing
        most = packed_size(framing.bits, self.num_codes(num_frames))
        segments_fit = 1 <= num_segments <= self.block_segments if framing.segment else num_segments == 0
        if (
            not segments_fit
            or not 0 < num_frames <= self.block_frames
            or num_frames % framing.cycle
            or num_samples > framing.extent(num_frames, num_segments)
            or length > most
            or (coding == 0 and length != most)
        ):
            raise FormatError(
                f"a block announces {num_frames} frames, {num_segments} segments, {num_samples} samples and {length} "
                f"bytes in coding {coding}, which does not fit blocks of {self.block_frames} frames; {ADVICE}"
            )
        return Block(fields, number, num_samples, num_frames, coding, num_segments, length)

    def span(self, number: int) -> str:
        """Block `number` and its time, for messages."""
        start = self.header.time(number * self.block_extent)
        stop = self.header.time((number + 1) * self.block_extent)
        return f"block {number} ({start:.3f} to {stop:.3f} s)"

    def codes(self, block: Block, rest: bytes) -> Codes:
        """Codes of a block from what follows its fields: segments, payload and checksum, which is verified.

        Raises:
            UnsupportedError: The block is right, but in a coding of a later version.
            FormatError: It is damaged, or what it holds is not valid.
        """
        framing, what = self.header.framing, self.span(block.number)
        unsealed(block.fields + rest, what)
        if block.coding != 0:
            raise UnsupportedError(
                f"{what} is in coding {block.coding}, which this version does not know; update wavcodes"
            )
        table, payload = rest[: block.table_size], rest[block.table_size : block.table_size + block.length]
        values = unpack(payload, framing.bits, self.num_codes(block.num_frames))
        segments, scales = zip(*SEGMENT.iter_unpack(table), strict=True) if table else ((), ())
        try:
            return Codes(framing, from_time_order(values, framing), block.num_samples, segments, np.array(scales))
        except InputError as error:
            raise FormatError(f"{what} is not valid: {error}") from error


def read_header(file: BinaryIO) -> Layout:
    """Reads the header record.

    Raises:
        TruncatedError: The file ends inside it.
        UnsupportedError: It is of a later version.
        FormatError: It is no `.nac` header, or a damaged one.
    """
    fixed = read_exactly(file, _HEADER.size, "the header")
    magic, version, num_codebooks, *_, name_length = _HEADER.unpack(fixed)
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
