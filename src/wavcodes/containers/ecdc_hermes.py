"""The `.ecdc` files of hermes-net: codes of EnCodec at 24 kHz behind six numbers, in a layout that is not Meta's.

Nothing in them tells the true length, so a clip comes back as long as its frames.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from ..bits import pack, packed_size, unpack
from ..codes import Codes
from ..errors import FormatError, UnsupportedError
from ..files import read_exactly
from .base import NO_HINTS, Format, Header, Hints, begins_with
from .ecdc_header import FRAMINGS
from .whole import WholeReader, WholeWriter

_FRAMING = FRAMINGS["encodec_24khz"]
_HEADER = struct.Struct("<6i")  # rate, channels, segments; then of the only segment: clips, codebooks, frames
_BEGINNING = struct.pack("<2i", _FRAMING.sample_rate, _FRAMING.channels)


class HermesReader(WholeReader):
    """Reads such a file; see `Reader`.

    Raises:
        FormatError: It is no such file, damaged or cut.
        InputError: The caller says that it is of another codec.
        UnsupportedError: It holds several segments or clips, which hermes-net itself never writes.
    """

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        rate, channels, segments, clips, books, frames = _HEADER.unpack(read_exactly(file, _HEADER.size, "the header"))
        if (rate, channels) != (_FRAMING.sample_rate, _FRAMING.channels):
            raise FormatError(f"expected one channel at {_FRAMING.sample_rate} Hz, got {channels} at {rate}")
        if (segments, clips) != (1, 1):
            raise UnsupportedError(f"expected one segment of one clip, got {segments} of {clips}")
        if not (1 <= books <= _FRAMING.num_codebooks and frames >= 1):
            raise FormatError(
                f"expected 1 to {_FRAMING.num_codebooks} codebooks and 1 frame or more, got {books} and {frames}; "
                "the file is damaged"
            )
        framing = _FRAMING.first(books)
        hints.check(framing)
        hints.limits.check_samples(frames * framing.hop_length)
        self.header = Header(framing, frames * framing.hop_length)
        self._num_codes = books * frames
        self._size = packed_size(framing.bits, self._num_codes)
        self._limits = hints.limits
        super().__init__(file)
        self._check_size(self._size)

    def _load(self) -> Codes:
        framing = self.header.framing
        self._limits.check_bytes(_HEADER.size + self._size)
        data = read_exactly(self._file, self._size, "the codes")
        self._check_end()
        books = unpack(data, framing.bits, self._num_codes).reshape(framing.num_codebooks, -1)
        return Codes(framing, tuple(books), books.shape[1] * framing.hop_length)


class HermesWriter(WholeWriter):
    """Writes such a file, which has no place for the length of the audio or the digest of the weights.

    Raises:
        UnsupportedError: The codes are not those of EnCodec at 24 kHz, or there are none.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        framing = header.framing
        if framing.num_codebooks > _FRAMING.num_codebooks or framing != _FRAMING.first(framing.num_codebooks):
            raise UnsupportedError(
                f"the .ecdc files of hermes-net hold codes of {_FRAMING.codec}, got {framing.codec}; write a .nac file"
            )
        super().__init__(file, header)

    def _record(self, codes: Codes) -> bytes:
        if not codes.num_frames:
            raise UnsupportedError("the .ecdc files of hermes-net hold at least one frame, got none")
        header = _HEADER.pack(codes.sample_rate, codes.channels, 1, 1, codes.num_codebooks, codes.num_frames)
        return header + pack(np.concatenate(codes.books), codes.framing.bits)


FORMAT = Format("ecdc-hermes", ".ecdc", begins_with(_BEGINNING), HermesReader, HermesWriter, lengths=False)
