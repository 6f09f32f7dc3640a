"""Meta's `.ecdc` files, byte for byte as encodec writes them, and those of NeuralCodecs, which resemble them.

docs/formats.md describes the layout. A file holds exactly the frames that its length takes, one segment behind the
other; each segment ends with a whole byte. A checksum is an entry of the header that other readers ignore.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..bits import pack, unpack
from ..codes import Codes
from ..crc32c import crc32c
from ..errors import FormatError, InputError, IntegrityError, UnsupportedError
from ..files import read_exactly, write_all
from .base import NO_HINTS, Format, Header, Hints, Reader, Writer, begins_with, from_time_order, in_time_order, never
from .ecdc_header import FRAMINGS, MAGIC, EcdcHeader, read_header, scale_record
from .ecdc_lm import LanguageModel, read_segment, segment_bytes

_ADVICE = "fetch or copy it again"

# What is read at a time of a model without segments: about a second. Frames in multiples of 4 are whole bytes.
_BLOCK_FRAMES = 76
_WHOLE_FRAMES = 4


class EcdcReader(Reader):
    """Reads an `.ecdc` file; see `Reader`.

    Args:
        file: Open for reading.
        hints: With a `language_model` for files that are coded with one.

    Raises:
        FormatError: It is no such file, its header is damaged, or it is shorter than its header says.
        InputError: The file is of another codec than the caller says.
        UnsupportedError: It is of a dialect that cannot be read, or needs a language model.
    """

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        self._facts = facts = read_header(file)
        self._length = facts.num_samples
        self.header = Header(facts.framing, facts.num_samples)
        self.checksums = "CRC-32C" if facts.checksum is not None else "arithmetic coding" if facts.lm else ""
        hints.check(facts.framing)
        hints.limits.check_samples(facts.num_samples)
        self._load_language_model = hints.language_model
        self._language_model: LanguageModel | None = None
        segment = facts.framing.segment
        whole = facts.num_samples if facts.lm else _BLOCK_FRAMES * facts.framing.hop_length
        self._block_stride, self._block_length = (segment.stride, segment.length) if segment else (whole, whole)
        super().__init__(file)
        if not facts.lm:
            self._check_size(facts.body_size)

    def blocks(self, sample: int = 0) -> Iterator[tuple[int, Codes]]:
        """See `Reader.blocks`. Started at sample 0 it compares the checksum at the end, if the file has one."""
        if self._facts.lm and self._language_model is None:
            if self._load_language_model is None:
                raise UnsupportedError(
                    f"the codes are coded with the language model of {self._facts.framing.codec}; pass it as "
                    "language_model (--lm-weights)"
                )
            self._language_model = self._load_language_model(self._facts.framing.codec)
        self._rewind()
        skip = 0
        if self.seekable and not self._facts.lm:
            skip = min(sample, self._length - 1) // self._block_stride
            self._file.seek(self._start + skip * self._facts.segment_size(self._frames(self._block_length)))
        heard = _Heard(self._file)
        checksum = crc32c(replace(self._facts, checksum=None).record())
        for start in range(skip * self._block_stride, self._length, self._block_stride):
            codes = self._block(heard, start)
            checksum = crc32c(heard.taken(), checksum)
            if start + codes.extent > sample:
                yield start, codes
        self._check_end()
        if not skip and self._facts.checksum not in (None, checksum):
            raise IntegrityError(
                f"the file has the checksum {checksum:08x}, but {self._facts.checksum:08x} is stored; it is damaged, "
                f"{_ADVICE}"
            )

    def _frames(self, num_samples: int) -> int:
        return -(-num_samples // self._facts.framing.hop_length)

    def _block(self, heard: _Heard, start: int) -> Codes:
        """The segment, or the part of the only one, that begins with sample `start`."""
        facts, framing, file = self._facts, self._facts.framing, cast(BinaryIO, heard)
        num_frames = self._frames(min(self._block_length, self._length - start))
        what = f"the codes at {self.header.time(start):.3f} s"
        scales: list[float] = []
        if framing.segment:
            scales = [facts.scale(read_exactly(file, facts.scale_size, what))]
        if self._language_model is None:
            payload = read_exactly(file, facts.payload_size(num_frames), what)
            books = from_time_order(unpack(payload, framing.bits, num_frames * framing.num_codebooks, "lsb"), framing)
        else:
            books = tuple(read_segment(file, framing.num_codebooks, num_frames, self._language_model, what))
        try:
            return Codes(
                framing,
                books,
                min(self._block_stride, self._length - start),
                (num_frames,) if framing.segment else (),
                np.array(scales),
            )
        except InputError as error:
            raise FormatError(f"{what} are not valid: {error}; the file is damaged, {_ADVICE}") from error


class EcdcWriter(Writer):
    """Writes an `.ecdc` file front to back.

    Codes go out as they come where the length is known from the start and neither a checksum, which stands in front,
    nor, without segments, a language model needs them all.

    Args:
        file: Open for writing; the caller closes it after `close`.
        header: Facts of the clip; there is no place for a digest of the weights.
        checksum: Whether to add a checksum; without one the file is what encodec writes.
        language_model: To code with, in less space; readers need the same and a machine that computes alike.

    Raises:
        UnsupportedError: The codes are not those of EnCodec at 24 or 48 kHz.
        ResourceError: The disk is full.
    """

    def __init__(
        self, file: BinaryIO, header: Header, *, checksum: bool = False, language_model: LanguageModel | None = None
    ) -> None:
        framing = header.framing
        known = FRAMINGS.get(framing.codec)
        if known is None or framing.num_codebooks > known.num_codebooks or framing != known.first(len(framing.strides)):
            raise UnsupportedError(
                f"Meta's .ecdc files hold codes of {' and '.join(FRAMINGS)}, got {framing.codec} in "
                f"{framing.num_codebooks} codebooks; write a .nac file"
            )
        super().__init__(file, header)
        self._checksum = checksum
        self._language_model = language_model
        self._num_frames = 0
        self._segments: list[int] = []
        self._pending = np.zeros(0, np.uint32)
        self._held: list[bytes] | None = None
        if header.num_samples is None or checksum:
            self._held = []
        else:
            write_all(file, self._facts(header.num_samples).record())

    def _take(self, part: Codes) -> None:
        self._num_frames += part.num_frames
        values = in_time_order(part)
        if self._header.framing.segment is None:
            self._pending = np.concatenate([self._pending, values])
            if self._language_model is None:
                count = part.num_codebooks * _WHOLE_FRAMES
                whole = self._pending.size // count * count
                self._put(pack(self._pending[:whole], self._header.framing.bits, "lsb"))
                self._pending = self._pending[whole:]
            return
        self._segments += part.segments
        each = np.split(values, np.cumsum(part.segments)[:-1] * part.num_codebooks) if part.segments else []
        for scale, segment in zip(part.scales.tolist(), each, strict=True):
            self._put(scale_record(scale) + self._segment(segment))

    def _end(self) -> None:
        num_samples, framing = self._course.num_samples, self._header.framing
        expected = framing.num_frames(num_samples), framing.segments(num_samples)
        if not num_samples or expected != (self._num_frames, tuple(self._segments)):
            raise UnsupportedError(
                f"an .ecdc file of {num_samples} samples has {expected[0]} frames, and at least one, "
                f"got {self._num_frames}; write a .nac file"
            )
        if self._pending.size:
            self._put(self._segment(self._pending))
        if self._held is not None:
            facts, body = self._facts(num_samples), b"".join(self._held)
            if self._checksum:
                facts = replace(facts, checksum=crc32c(body, crc32c(facts.record())))
            write_all(self._file, facts.record() + body)

    def _facts(self, num_samples: int) -> EcdcHeader:
        return EcdcHeader(self._header.framing, max(1, num_samples), self._language_model is not None)

    def _segment(self, values: NDArray[np.uint32]) -> bytes:
        if self._language_model is None:
            return pack(values, self._header.framing.bits, "lsb")
        return segment_bytes(values.reshape(-1, self._header.framing.num_codebooks).T, self._language_model)

    def _put(self, data: bytes) -> None:
        if self._held is None:
            write_all(self._file, data)
        else:
            self._held.append(data)


class _Heard:
    """A file of which all that is read is kept until it is taken."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._read: list[bytes] = []

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._read.append(data)
        return data

    def taken(self) -> bytes:
        """What was read since the last call."""
        data = b"".join(self._read)
        self._read.clear()
        return data


FORMAT = Format("ecdc", ".ecdc", begins_with(MAGIC), EcdcReader, EcdcWriter)
CHECKED = replace(FORMAT, name="ecdc-crc32c", recognises=never, writer=partial(EcdcWriter, checksum=True))
"""As `FORMAT`, with a checksum in the header."""


def coded_with(language_model: LanguageModel) -> Format:
    """As `FORMAT`, coded with a language model."""
    return replace(FORMAT, name="ecdc-lm", recognises=never, writer=partial(EcdcWriter, language_model=language_model))
