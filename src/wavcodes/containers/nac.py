"""The package's own container `.nac`; docs/format-nac.md specifies it."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator
from typing import BinaryIO

from ..codes import Codes
from ..errors import FormatError, InputError, IntegrityError, TruncatedError
from ..files import read_exactly, read_up_to, write_all
from .base import Format, Header, Reader
from .nac_layout import ADVICE, BLOCK_MARK, BLOCK_SIZE, END_MARK, LAST_MARK, MAGIC, TAIL_SIZE, End, Layout, read_header


class NacWriter:
    """Writes a `.nac` file front to back, without seeking; the parts may be of any size.

    Args:
        file: Open for writing; the caller closes it after `close`.
        header: Facts of the clip. Where `num_samples` is None, the length stands at the end of the file only.

    Raises:
        UnsupportedError: The format cannot hold such codes.
        ResourceError: The disk is full.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._layout = Layout.of(header)
        self._digest = hashlib.sha256()
        self._lengths = array("I")
        self._pending = [header.empty()]
        self._pending_frames = 0
        self._num_frames = 0
        self._num_samples = 0
        self._closed = False
        write_all(file, self._layout.header_record())

    def write(self, part: Codes) -> None:
        """Takes the next frames.

        Raises:
            InputError: They are not of the kind that the header states, or hold samples although an earlier part
                was not full and thereby ended the audio.
        """
        header = self._layout.header
        if self._closed:
            raise InputError("this file is complete; start another writer")
        header.check(part)
        if part.num_samples and self._num_samples != self._num_frames * header.hop_length:
            raise InputError(
                f"expected no more samples after a part with fewer samples than its frames hold, got {part.num_samples}"
            )
        if not part.num_frames:
            return
        self._num_frames += part.num_frames
        self._num_samples += part.num_samples
        self._pending.append(part)
        self._pending_frames += part.num_frames
        if self._pending_frames >= self._layout.block_frames:
            self._write_whole_blocks()

    def close(self) -> None:
        """Writes the last block, the index and the digest. Without it the file is a cut one.

        Raises:
            InputError: The header stated another length than the parts have.
        """
        if self._closed:
            return
        stated = self._layout.header.num_samples
        if stated is not None and stated != self._num_samples:
            raise InputError(f"the header states {stated} samples, the parts hold {self._num_samples}")
        if self._pending_frames:
            self._write_block(Codes.concat(self._pending))
        end = End(self._num_frames, self._num_samples, self._digest.digest(), self._lengths)
        write_all(self._file, end.record())
        self._closed = True

    def _write_whole_blocks(self) -> None:
        pending, size = Codes.concat(self._pending), self._layout.block_frames
        whole = pending.num_frames - pending.num_frames % size
        for start in range(0, whole, size):
            self._write_block(pending.only_frames(start, start + size))
        self._pending = [pending.only_frames(whole, pending.num_frames)]
        self._pending_frames = pending.num_frames - whole

    def _write_block(self, codes: Codes) -> None:
        record = self._layout.block_record(len(self._lengths), codes)
        write_all(self._file, record)
        self._lengths.append(len(record))
        _add_to_digest(self._digest, self._layout.header, codes)


class NacReader(Reader):
    """Reads a `.nac` file: see `Reader`.

    Raises:
        FormatError: It is no `.nac` file or its header is damaged.
        InputError: The file has another number of codebooks than the caller says.
    """

    def __init__(self, file: BinaryIO, num_codebooks: int | None = None) -> None:
        self._layout = read_header(file)
        self.header = self._layout.header
        if num_codebooks not in (None, self.header.num_codebooks):
            raise InputError(
                f"the file has {self.header.num_codebooks} codebooks, got {num_codebooks = }; leave it out"
            )
        super().__init__(file)

    def blocks(self, frame: int = 0) -> Iterator[tuple[int, Codes]]:
        """See `Reader.blocks`. Started at frame 0 it verifies the digest of the whole clip at the end."""
        layout, hop = self._layout, self.header.hop_length
        self._rewind()
        lengths, num_samples, digest = array("I"), 0, hashlib.sha256()
        skip = frame // layout.block_frames if self._seekable else 0
        if skip:
            end = self._indexed_end()
            skip = max(0, min(skip, len(end.lengths) - 1))
            lengths, num_samples = end.lengths[:skip], min(end.num_samples, skip * layout.block_frames * hop)
            self._file.seek(self._start + sum(lengths))
        num_frames = skip * layout.block_frames
        while True:
            what = layout.span(len(lengths))
            mark = read_exactly(self._file, 4, what)
            if mark != BLOCK_MARK:
                break
            block = layout.block(mark + read_exactly(self._file, BLOCK_SIZE - 4, what))
            first = len(lengths) * layout.block_frames
            if block.number != len(lengths) or num_frames != first:
                raise FormatError(
                    f"expected {what} to follow on frame {num_frames}, got block {block.number}; {ADVICE}"
                )
            if block.num_samples and num_samples != first * hop:
                raise FormatError(f"{what} holds samples although the audio has ended; {ADVICE}")
            codes = layout.codes(block, read_exactly(self._file, block.rest, what))
            num_frames += block.num_frames
            num_samples += block.num_samples
            lengths.append(BLOCK_SIZE + block.rest)
            if not skip:
                _add_to_digest(digest, self.header, codes)
            if num_frames > frame:
                yield first, codes
        if mark != END_MARK:
            raise FormatError(f"expected {what} or the end record, got {mark!r}; {ADVICE}")
        rest = read_exactly(self._file, End.size(len(lengths)) - 4, "the end record")
        end = End.from_record(mark + rest)
        if (end.lengths, end.num_frames, end.num_samples) != (lengths, num_frames, num_samples):
            raise FormatError(
                f"the end record states {end.num_frames} frames and {end.num_samples} samples, the blocks hold "
                f"{num_frames} and {num_samples}; {ADVICE}"
            )
        if self.header.num_samples not in (None, num_samples):
            raise FormatError(f"the header states {self.header.num_samples} samples, the blocks hold {num_samples}")
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


def _add_to_digest(digest: hashlib._Hash, header: Header, codes: Codes) -> None:
    digest.update(header.in_time_order(codes).astype("<u4").tobytes())


FORMAT = Format(".nac", MAGIC, NacReader, NacWriter)
