"""The package's own container `.nac`; docs/format-nac.md specifies it."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ..codes import Codes
from ..errors import FormatError, InputError, IntegrityError, TruncatedError
from ..files import read_exactly, read_up_to, write_all
from .base import NO_HINTS, Course, Format, Header, Hints, Reader, Writer, begins_with, in_time_order
from .nac_layout import MAGIC, Layout, read_header
from .nac_records import ADVICE, BLOCK_MARK, BLOCK_SIZE, END_MARK, LAST_MARK, TAIL_SIZE, End, segment_records


class NacWriter(Writer):
    """Writes a `.nac` file front to back, without seeking; the parts may be of any size.

    Args:
        file: Open for writing; the caller closes it after `close`.
        header: Facts of the clip. Where `num_samples` is None, the length stands at the end of the file only.

    Raises:
        UnsupportedError: The format cannot hold such codes.
        ResourceError: The disk is full.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        super().__init__(file, header)
        self._layout = Layout.of(header)
        self._digest = hashlib.sha256()
        self._lengths = array("I")
        self._pending = [header.empty()]
        write_all(file, self._layout.header_record())

    def _take(self, part: Codes) -> None:
        if part.num_frames:
            self._pending.append(part)
        if self._pending_extent >= self._layout.block_extent:
            self._write_whole_blocks()

    def _end(self) -> None:
        """Writes the last block, the index and the digest. Without it the file is a cut one."""
        if self._pending_extent:
            self._write_block(Codes.concat(self._pending))
        end = End(self._course.extent, self._course.num_samples, self._digest.digest(), self._lengths)
        write_all(self._file, end.record())

    @property
    def _pending_extent(self) -> int:
        return self._course.extent - len(self._lengths) * self._layout.block_extent

    def _write_whole_blocks(self) -> None:
        pending, self._pending = Codes.concat(self._pending), [self._header.empty()]
        for part in pending.parts(self._layout.block_extent):
            if part.extent < self._layout.block_extent:
                self._pending.append(part)
            else:
                self._write_block(part)

    def _write_block(self, codes: Codes) -> None:
        record = self._layout.block_record(len(self._lengths), codes)
        write_all(self._file, record)
        self._lengths.append(len(record))
        _add_to_digest(self._digest, codes)


class NacReader(Reader):
    """Reads a `.nac` file: see `Reader`.

    Raises:
        FormatError: It is no `.nac` file or its header is damaged.
        InputError: The file is of another codec than the caller says.
    """

    checksums = "CRC-32C and SHA-256"

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        self._layout = read_header(file)
        self.header = self._layout.header
        hints.check(self.header.framing)
        self._limits = hints.limits
        super().__init__(file)

    def blocks(self, sample: int = 0) -> Iterator[tuple[int, Codes]]:
        """See `Reader.blocks`. Started at sample 0 it verifies the digest of the whole clip at the end."""
        layout, extent = self._layout, self._layout.block_extent
        self._rewind()
        lengths, digest, course = array("I"), hashlib.sha256(), Course(self.header.framing)
        skip = sample // extent if self.seekable else 0
        if skip:
            end = self._indexed_end()
            skip = max(0, min(skip, len(end.lengths) - 1))
            lengths = end.lengths[:skip]
            course = Course(self.header.framing, min(end.num_samples, skip * extent), skip * extent)
            self._file.seek(self._start + sum(lengths))
        while True:
            what = layout.span(len(lengths))
            mark = read_exactly(self._file, 4, what)
            if mark != BLOCK_MARK:
                break
            block = layout.block(mark + read_exactly(self._file, BLOCK_SIZE - 4, what))
            first = len(lengths) * extent
            if block.number != len(lengths) or course.extent != first:
                raise FormatError(
                    f"expected {what} to begin with sample {course.extent}, got block {block.number}; {ADVICE}"
                )
            self._limits.check_samples(first + self.header.framing.extent(block.num_frames, block.num_segments))
            codes = layout.codes(block, read_exactly(self._file, block.rest, what))
            try:
                course.add(codes)
            except InputError as error:
                raise FormatError(f"{what} cannot follow the one before: {error}; {ADVICE}") from error
            lengths.append(BLOCK_SIZE + block.rest)
            if not skip:
                _add_to_digest(digest, codes)
            if course.extent > sample:
                yield first, codes
        if mark != END_MARK:
            raise FormatError(f"expected {what} or the end record, got {mark!r}; {ADVICE}")
        rest = read_exactly(self._file, End.size(len(lengths)) - 4, "the end record")
        end = End.from_record(mark + rest)
        if (end.lengths, end.extent, end.num_samples) != (lengths, course.extent, course.num_samples):
            raise FormatError(
                f"the end record states {end.num_samples} samples in an extent of {end.extent}, the blocks hold "
                f"{course.num_samples} in {course.extent}; {ADVICE}"
            )
        stated = self.header.num_samples
        if stated not in (None, course.num_samples):
            raise FormatError(f"the header states {stated} samples, the blocks hold {course.num_samples}; {ADVICE}")
        if not skip and end.codes_digest != digest.digest():
            raise IntegrityError(f"the codes have not the digest that the file states; {ADVICE}")
        if read_up_to(self._file, 1):
            raise FormatError("the file goes on behind its end; cut off what follows, or get the original")

    def _indexed_end(self) -> End:
        """The end record, found from the end of the file."""
        file_end = self._file.seek(0, os.SEEK_END)
        missing = f"the file does not end with its index: it was cut; {ADVICE}"
        if file_end - self._start < End.size(0):
            raise TruncatedError(missing)
        self._file.seek(file_end - TAIL_SIZE)
        tail = read_exactly(self._file, TAIL_SIZE, "the end record")
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != LAST_MARK or not End.size(0) <= length <= file_end - self._start:
            raise TruncatedError(missing)
        self._file.seek(file_end - length)
        end = End.from_record(read_exactly(self._file, length, "the end record"))
        if self._start + sum(end.lengths) + length != file_end:
            raise FormatError(f"header, blocks and index do not fill the file; {ADVICE}")
        return end


def _add_to_digest(digest: hashlib._Hash, codes: Codes) -> None:
    values = in_time_order(codes).astype("<u4")
    if codes.segments:
        each = np.split(values, np.cumsum(codes.segments)[:-1] * codes.num_codebooks)
        for record, segment in zip(segment_records(codes), each, strict=True):
            digest.update(record + segment.tobytes())
    else:
        digest.update(values.tobytes())


FORMAT = Format("nac", ".nac", begins_with(MAGIC), NacReader, NacWriter, digests=True)
