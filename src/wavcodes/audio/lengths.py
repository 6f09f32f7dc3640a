"""Whether a file holds the audio that its header announces; libsndfile reads a cut one as if it were whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, Literal

from ..errors import TruncatedError
from ..files import read_up_to

# A length that cannot be known, because the file is written into a pipe, is stated as 2^31 - 1 or 2^32 - 1, or a
# little less; sox takes 0x7F000000 for AIFF.
_OPEN_ENDED = 0x7EFF_0000
_OPEN_ENDED_64 = 1 << 63


@dataclass(frozen=True)
class _Chunks:
    """A file of chunks: name, length, contents."""

    order: Literal["little", "big"]
    audio: bytes  # name of the chunk that holds the samples
    first: int = 12  # where chunks begin
    width: int = 4  # bytes of a length
    multiple: int = 2  # chunks are padded to this many bytes
    inclusive: bool = False  # whether a length counts name and length too

    def find(self, file: BinaryIO, end: int) -> tuple[int, int] | None:
        """Where the samples begin, and their announced bytes, in a file of `end` bytes."""
        position, long_length = self.first, 0
        file.seek(position)
        size = len(self.audio) + self.width
        while len(head := read_up_to(file, size)) == size:
            name, length = head[: -self.width], int.from_bytes(head[-self.width :], self.order)
            position += size
            length -= size if self.inclusive else 0
            if name == self.audio:
                return position, long_length if long_length and length == 0xFFFF_FFFF else length
            if length < 0:
                return None
            if name == b"ds64":  # of RF64: lengths of the file and of the audio, in 64 bits
                long_length = int.from_bytes(read_up_to(file, 16)[8:], "little")
            position += length + -length % self.multiple
            if position >= end:
                return None
            file.seek(position)
        return None


_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

_CHUNKS = {
    b"RIFF": _Chunks("little", b"data"),
    b"RIFX": _Chunks("big", b"data"),
    b"RF64": _Chunks("little", b"data"),
    b"FORM": _Chunks("big", b"SSND"),
    b"riff": _Chunks("little", _W64_DATA, first=40, width=8, multiple=8, inclusive=True),
    b"caff": _Chunks("big", b"data", first=8, width=8, multiple=1),
}


def check_length(file: BinaryIO, name: str) -> None:
    """Compares announced and held bytes of WAV (RIFF, RIFX, RF64), W64, AIFF, CAF and AU; lets others pass.

    Args:
        file: Can seek; is left anywhere.
        name: What messages call it.

    Raises:
        TruncatedError: It holds fewer bytes of audio than it announces.
        ResourceError: The operating system cannot read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = read_up_to(file, 12)
    layout = _CHUNKS.get(start[:4])
    long = layout is not None and (layout.width == 8 or start[:4] == b"RF64")
    found = layout.find(file, size) if layout is not None else _au(start)
    if found is None:
        return
    position, announced = found
    held = max(0, size - position)
    if held < announced < (_OPEN_ENDED_64 if long and announced != 0xFFFF_FFFF else _OPEN_ENDED):
        raise TruncatedError(
            f"{name}: announces {announced} bytes of audio, but holds {held}; fetch or copy it again, "
            "or make a whole file of what is there, such as with: ffmpeg -i INPUT OUTPUT.wav"
        )


def _au(start: bytes) -> tuple[int, int] | None:
    """As `_Chunks.find`, for AU of either byte order, of which `start` is the beginning."""
    orders: dict[bytes, Literal["little", "big"]] = {b".snd": "big", b"dns.": "little"}
    order = orders.get(start[:4])
    if order is None or len(start) < 12:
        return None
    return int.from_bytes(start[4:8], order), int.from_bytes(start[8:], order)
