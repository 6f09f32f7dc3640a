"""Packets of Lyra v2: `.lyra` files, or bytes from the network.

A packet is one frame of 20 ms: 16, 30 or 46 codes of 4 bits (3.2, 6.0 or 9.2 kbps), so 8, 15 or 23 bytes, book 0 in
the most significant bits. Packets follow one another without a header, so neither their size nor the true length of
the audio is stored: a file has whole frames.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from ..bits import pack, packed_size, unpack
from ..codes import Codes
from ..errors import InputError, TruncatedError, UnsupportedError
from ..files import read_up_to, write_all
from ..framing import Framing
from .base import NO_HINTS, Format, Header, Hints, Reader, Writer, from_time_order, in_time_order, never

_BOOKS = (16, 30, 46)
_BITS = 4
_BLOCK_FRAMES = 50  # one second


def _framing(num_codebooks: int) -> Framing:
    return Framing(
        codec="lyra_v2",
        sample_rate=16_000,
        channels=1,
        hop_length=320,
        codebook_size=1 << _BITS,
        strides=(1,) * num_codebooks,
    )


class LyraReader(Reader):
    """Reads packets; see `Reader`.

    Args:
        file: Open for reading.
        hints: The framing of Lyra v2 in 16, 30 or 46 codebooks. It may be left out for a file whose length is a
            multiple of one packet size only.

    Raises:
        InputError: The size of the packets is neither given nor certain.
        TruncatedError: The file ends inside a packet.
    """

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        super().__init__(file)
        stated = hints.framing
        if stated is not None and stated not in map(_framing, _BOOKS):
            raise InputError(
                "Lyra packets hold codes of lyra_v2 in 16, 30 or 46 codebooks (3.2, 6.0, 9.2 kbps), "
                f"got the framing of {stated.codec} in {stated.num_codebooks}"
            )
        size = None
        if self.seekable:
            size = file.seek(0, os.SEEK_END) - self._start
            file.seek(self._start)
        books = _books_of_size(size) if stated is None else stated.num_codebooks
        self._packet = packed_size(_BITS, books)
        self._limits = hints.limits
        framing = _framing(books)
        self.header = Header(framing, None if size is None else size // self._packet * framing.hop_length)

    def blocks(self, sample: int = 0) -> Iterator[tuple[int, Codes]]:
        """See `Reader.blocks`."""
        self._rewind()
        framing, hop = self.header.framing, self.header.framing.hop_length
        first = 0  # frame
        if self.seekable:
            first = sample // (_BLOCK_FRAMES * hop) * _BLOCK_FRAMES
            self._file.seek(self._start + first * self._packet)
        while data := read_up_to(self._file, _BLOCK_FRAMES * self._packet):
            frames, rest = divmod(len(data), self._packet)
            if rest:
                raise TruncatedError(
                    f"expected whole packets of {self._packet} bytes, got {rest} bytes in packet {first + frames}; "
                    "the file was cut, or it has another number of codebooks"
                )
            self._limits.check_samples((first + frames) * hop)
            values = unpack(data, _BITS, frames * framing.num_codebooks)
            if (first + frames) * hop > sample:
                yield first * hop, Codes(framing, from_time_order(values, framing), frames * hop)
            first += frames


class LyraWriter(Writer):
    """Writes packets, which have no place for the length of the audio or the digest of the weights.

    Raises:
        UnsupportedError: The codes are not those of Lyra v2 at one of its three bandwidths.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        framing = header.framing
        if framing not in map(_framing, _BOOKS):
            raise UnsupportedError(
                "Lyra packets hold codes of lyra_v2 in 16, 30 or 46 codebooks (3.2, 6.0, 9.2 kbps), "
                f"got {framing.codec} in {framing.num_codebooks}; write a .nac file"
            )
        super().__init__(file, header)

    def _take(self, part: Codes) -> None:
        write_all(self._file, pack(in_time_order(part), _BITS))

    def _end(self) -> None:
        """Nothing is pending: every frame is a whole number of bytes."""


def _books_of_size(size: int | None) -> int:
    fitting = [] if size is None else [books for books in _BOOKS if size % packed_size(_BITS, books) == 0]
    if size == 0 or (size is not None and not fitting):
        raise TruncatedError(f"expected whole Lyra packets of 8, 15 or 23 bytes, got a file of {size} bytes")
    if len(fitting) != 1:
        raise InputError(
            "the size of Lyra packets does not follow from the "
            + ("input, which is a pipe" if size is None else f"{size} bytes of this file")
            + "; state it as a framing of 16, 30 or 46 codebooks (--bandwidth 3.2, 6 or 9.2)"
        )
    return fitting[0]


FORMAT = Format("lyra", ".lyra", never, LyraReader, LyraWriter, counts=False, lengths=False)
