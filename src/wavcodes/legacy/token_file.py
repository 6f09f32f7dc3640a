"""Files for codecs whose own programs keep their tokens as pickles or not at all: a header of 30 bytes, and numbers.

0   8 bytes  magic
8   1        version, 1
9   1        codec: 1 SemantiCodec, 2 SAC
10  2 x 2    settings of the codec, little-endian like all that follows
14  8        number of samples
22  4        number of tokens
26  4        CRC-32C of the header before it and of all tokens
30  2 each   tokens
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..crc32c import crc32c
from ..errors import EngineError, FormatError, IntegrityError, UnsupportedError
from ..files import read_exactly, read_up_to, write_all

_MAGIC = b"\x89TOK\r\n\x1a\n"
_VERSION = 1
_FIXED = struct.Struct("<8sBBHHQI")


class Tokens(NamedTuple):
    """Tokens of one clip.

    Attributes:
        settings: Two numbers of 0 to 65535 that the codec needs for decoding.
        num_samples: True length of the clip at its rate.
        values: uint16 `(tokens,)`.
    """

    settings: tuple[int, int]
    num_samples: int
    values: NDArray[np.uint16]


def write(out: BinaryIO, codec: int, tokens: Tokens) -> None:
    """Writes a file of tokens of a codec."""
    values = tokens.values.astype("<u2").tobytes()
    head = _FIXED.pack(_MAGIC, _VERSION, codec, *tokens.settings, tokens.num_samples, len(tokens.values))
    write_all(out, head + crc32c(values, crc32c(head)).to_bytes(4, "little") + values)


def read(source: BinaryIO, name: str, codec: int) -> Tokens:
    """The tokens in a file of a codec, which messages call `name`.

    Raises:
        FormatError: It is no such file, of another codec, damaged or cut.
        UnsupportedError: It is of a later version.
    """
    head = read_exactly(source, _FIXED.size, "the header")
    magic, version, stated, first, second, num_samples, count = _FIXED.unpack(head)
    if magic != _MAGIC or stated != codec:
        raise FormatError(f"{name}: expected tokens of codec {codec}, got {magic!r} and codec {stated}; check its name")
    if version != _VERSION:
        raise UnsupportedError(f"{name}: expected version {_VERSION}, got {version}; use a later wavcodes")
    checksum = int.from_bytes(read_exactly(source, 4, "the header"), "little")
    data = read_exactly(source, 2 * count, "the tokens")
    if read_up_to(source, 1):
        raise FormatError(f"{name}: expected its end after {count} tokens, but there is more; fetch it again")
    if (crc := crc32c(data, crc32c(head))) != checksum:
        raise IntegrityError(f"{name}: expected the checksum {checksum:08x}, got {crc:08x}; fetch or copy it again")
    return Tokens((first, second), num_samples, np.frombuffer(data, "<u2"))


def made(data: bytes, group: int, program: str) -> NDArray[np.uint16]:
    """The tokens that a program has written as 16-bit integers, in groups of so many.

    Raises:
        EngineError: There are none, or the last group is cut.
    """
    if not data or len(data) % (2 * group):
        raise EngineError(
            f"expected {program} to make groups of {group} tokens, got {len(data)} bytes; run it by itself to see why"
        )
    return np.frombuffer(data, "<u2")
