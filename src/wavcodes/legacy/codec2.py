"""Files of the LPCNet in libcodec2: a header of 22 bytes, and 52 bits for every 480 samples.

    0   8 bytes  magic
    8   1        version, 1
    9   1        0, for what may come
    10  8        number of samples, little-endian
    18  4        CRC-32C of the header before it and of all frames, little-endian
    22           frames, bits most significant first, one frame right behind the other; padded with 0 to a byte

The codec answers 920 samples late: so many more are encoded, and as many dropped from the decoder's beginning.
"""

from __future__ import annotations

import struct
import sys
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import programs
from ..crc32c import crc32c
from ..errors import EngineError, FormatError, IntegrityError, TruncatedError, UnsupportedError
from ..files import read_exactly, read_up_to, write_all
from .base import RATE, Scratch, Sound, speech
from .children import codec2_child
from .children.codec2_child import BITS, FRAME

MAGIC = b"\x89LPC2\r\n\x1a"
"""First bytes; an end of line of each kind shows that a file went through a conversion of text."""

KBPS = BITS * RATE / FRAME / 1000
"""Bandwidth."""

_VERSION = 1
_FIXED = struct.Struct("<8sBBQ")
HEADER = _FIXED.size + 4
"""Bytes before the frames."""
_DELAY = 920  # samples, measured as the lag of the best correlation of envelopes; 57.5 ms
_BATCH = 512  # frames at a time; even, so that they fill whole bytes


@cache
def is_there() -> bool:
    """Whether a libcodec2 with LPCNet is installed."""
    try:
        programs.run(_child("probe"), 60.0)
    except EngineError:
        return False
    return True


def compress(pcm: Path, num_samples: int, out: BinaryIO, scratch: Scratch) -> None:
    """Writes the samples of the file `pcm` to `out`; see `LegacyCodec`."""
    frames = _frames(num_samples)
    with open(pcm, "ab", buffering=0) as file:
        write_all(file, bytes(2 * (frames * FRAME - num_samples)))
    head = _FIXED.pack(MAGIC, _VERSION, 0, num_samples)
    packed = scratch.folder / "packed.bits"
    crc = crc32c(head)
    with (
        open(pcm, "rb") as samples,
        open(packed, "xb", buffering=0) as file,
        programs.started(
            _child("encode"), scratch.limit(num_samples / RATE), stdin=samples, stdout=programs.PIPE
        ) as process,
    ):
        left = frames
        while left:
            count = min(left, _BATCH)
            bits = read_exactly(_pipe(process.stdout), BITS * count, "the encoder's output")
            data = np.packbits(np.frombuffer(bits, np.uint8)).tobytes()
            crc = crc32c(data, crc)
            write_all(file, data)
            left -= count
    write_all(out, head + crc.to_bytes(4, "little"))
    with open(packed, "rb") as file:
        while data := read_up_to(file, 1 << 16):
            write_all(out, data)


def decompress(source: BinaryIO, name: str, scratch: Scratch) -> Sound:
    """The sound in `source`, which stands behind `MAGIC`; see `LegacyCodec`."""
    rest = read_exactly(source, HEADER - len(MAGIC), "the header")
    head, stated = MAGIC + rest[:-4], int.from_bytes(rest[-4:], "little")
    _, version, reserved, num_samples = _FIXED.unpack(head)
    if (version, reserved) != (_VERSION, 0):
        raise UnsupportedError(f"{name}: expected version {_VERSION}, got {version}.{reserved}; use a later wavcodes")
    frames = _frames(num_samples)
    size = -(-frames * BITS // 8)
    bits = scratch.folder / "unpacked.bits"
    crc, read = crc32c(head), 0
    with open(bits, "xb", buffering=0) as file:
        while data := read_up_to(source, min(size + 1 - read, BITS * _BATCH // 8)):
            crc = crc32c(data, crc)
            write_all(file, np.unpackbits(np.frombuffer(data, np.uint8))[: BITS * frames - 8 * read].tobytes())
            read += len(data)
    if read < size:
        raise TruncatedError(
            f"{name}: expected {size} bytes of frames for {num_samples} samples, got {read}; fetch or copy it again"
        )
    if read > size:
        raise FormatError(f"{name}: expected its end after {size} bytes of frames, but there is more; fetch it again")
    if crc != stated:
        raise IntegrityError(f"{name}: expected the checksum {stated:08x}, got {crc:08x}; fetch or copy it again")
    if not is_there():
        raise programs.MissingProgram(
            f"{name} was made with the LPCNet of libcodec2, which is not installed; install it "
            "(Debian: apt-get install libcodec2-1.0), or let WAVCODES_CODEC2 name the library"
        )
    pcm = scratch.folder / "decoded.pcm"
    limit = scratch.limit(num_samples / RATE)
    with (
        open(bits, "rb") as unpacked,
        open(pcm, "xb", buffering=0) as file,
        programs.started(_child("decode"), limit, stdin=unpacked, stdout=programs.PIPE) as process,
    ):
        read_exactly(_pipe(process.stdout), 2 * _DELAY, "the decoder's output")
        left = 2 * num_samples
        while left:
            data = read_exactly(_pipe(process.stdout), min(left, 1 << 16), "the decoder's output")
            write_all(file, data)
            left -= len(data)
        while read_up_to(_pipe(process.stdout), 1 << 16):
            pass  # what lies behind the end
    return speech(pcm)


def _frames(num_samples: int) -> int:
    return -(-(num_samples + _DELAY) // FRAME)


def _child(action: str) -> list[str]:
    # -I: neither the folder that it runs in nor variables decide what it imports.
    return [sys.executable, "-I", codec2_child.__file__, action]


def _pipe(pipe: object) -> BinaryIO:
    if pipe is None:
        raise EngineError("expected a pipe from the program, got none")
    return pipe  # type: ignore[return-value]
