"""Looks at all frames of an MP3 and all pages of an Ogg file, of which libsndfile believes the first.

The first frame of an MP3 may tell about the others; where it does not, libsndfile takes them all to be as long as that
one. Of several Ogg files in one, which the format allows, it may read only the first.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from ..files import read_up_to

_TAGS = (b"Xing", b"Info", b"VBRI")  # what a first frame has that tells about the others
_SLACK = 4 * 1152  # samples: that frame, and the silence that encoders put in front and behind and decoders leave out
_KBPS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bitrates of MPEG-1, layer III, and of MPEG-2 and 2.5."""


class Mp3(NamedTuple):
    """What all frames of a file hold.

    Attributes:
        num_samples: 0 if the file does not begin with a frame of layer III, or with an ID3 tag and then one.
        tagged: Whether the first frame tells about the others.
    """

    num_samples: int
    tagged: bool

    def bears_out(self, num_samples: int) -> bool:
        """Whether the file may be of that length. One that has fewer samples than its tag tells was cut, and is not
        of another length."""
        if not self.num_samples or (self.tagged and self.num_samples < num_samples):
            return True
        return 0 <= self.num_samples - num_samples <= _SLACK


def mp3(file: BinaryIO) -> Mp3:
    """Adds up the frames of a file that can seek; it is left anywhere.

    Raises:
        ResourceError: The operating system cannot read.
    """
    at = total = 0
    tagged = False
    file.seek(0)
    while len(head := read_up_to(file, 10)) == 10:
        if head[:3] == b"ID3":
            at += 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        elif (frame := _frame(head)) is not None:
            size, num_samples = frame
            if not total:
                start = read_up_to(file, 64)
                tagged = any(tag in start for tag in _TAGS)
            at, total = at + size, total + num_samples
        else:
            break
        file.seek(at)
    return Mp3(total, tagged)


def _frame(head: bytes) -> tuple[int, int] | None:
    """Bytes and samples of the frame of layer III that begins so, if one does (ISO/IEC 11172-3, 2.4.2.3)."""
    version, kbps, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or version == 1 or not 0 < kbps < 15 or rate == 3:
        return None
    first = version == 3
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    num_samples = 1152 if first else 576
    return num_samples // 8 * 1000 * _KBPS[first][kbps - 1] // hertz + (head[2] >> 1 & 1), num_samples


def is_chained_ogg(file: BinaryIO) -> bool:
    """Whether a file that can seek has a first page (RFC 3533, 6) behind others; it is left anywhere.

    Raises:
        ResourceError: The operating system cannot read.
    """
    at, begun = 0, False
    file.seek(0)
    while len(head := read_up_to(file, 27)) == 27 and head.startswith(b"OggS"):
        is_first = bool(head[5] & 2)
        if begun and is_first:
            return True
        begun = not is_first
        at += 27 + head[26] + sum(read_up_to(file, head[26]))
        file.seek(at)
    return False
