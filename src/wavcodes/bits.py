"""Packing of codes into bits.

Most significant bit first is the order of our own container and of speech packets: the payload, read as one
big-endian number, is then simply the codes one after another. Meta's `.ecdc` packs least significant bit first.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import FormatError, InputError

Order = Literal["msb", "lsb"]


def packed_size(bits: int, count: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-bits * count // 8)


def pack(codes: ArrayLike, bits: int, order: Order = "msb") -> bytes:
    """Codes as a stream of bits; the last byte is filled up with zero bits.

    Args:
        codes: Integers of any shape, taken in C order, each in `0 ..< 2**bits`.
        bits: Bits per code, 1 to 32.
        order: Which end of a code, and of each byte, comes first.

    Raises:
        InputError: A code does not fit into `bits` bits.
    """
    array = np.asarray(codes).ravel()
    _check_bits(bits)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or int(array.max()) >> bits):
        raise InputError(f"expected integers of {bits} bits, got {array.dtype} from {array.min()} to {array.max()}")
    # One row per code, one column per byte of it: 8 columns of bits each, of which the excess is cut off.
    if order == "msb":
        columns = array.astype(">u4").view(np.uint8).reshape(-1, 4)
        rows = np.unpackbits(columns, axis=1)[:, 32 - bits :]
        return np.packbits(rows).tobytes()
    columns = array.astype("<u4").view(np.uint8).reshape(-1, 4)
    rows = np.unpackbits(columns, axis=1, count=bits, bitorder="little")
    return np.packbits(rows, bitorder="little").tobytes()


def unpack(data: bytes, bits: int, count: int, order: Order = "msb") -> NDArray[np.uint32]:
    """The inverse of `pack`: `count` codes of `bits` bits, shape (count,).

    Raises:
        FormatError: `data` has not the length that the codes take, or the bits that fill its last byte are not zero.
    """
    _check_bits(bits)
    if len(data) != packed_size(bits, count):
        raise FormatError(
            f"{count} codes of {bits} bits take {packed_size(bits, count)} bytes, got {len(data)}; the file is damaged"
        )
    filling = 8 * len(data) - bits * count
    if filling and (data[-1] & (1 << filling) - 1 if order == "msb" else data[-1] >> 8 - filling):
        raise FormatError("the bits that fill the last byte are not zero; the file is damaged")
    # A code of 32 bits starts at bit 0 to 7 of some byte, so it lies within the 8 bytes from there.
    padded = data + bytes(8)
    windows: NDArray[np.uint64] = np.ndarray((len(data) + 1,), ">u8" if order == "msb" else "<u8", padded, strides=(1,))
    position = np.arange(count, dtype=np.uint64) * np.uint64(bits)
    shift = position & np.uint64(7)
    if order == "msb":
        shift = np.uint64(64 - bits) - shift
    window = windows[position >> np.uint64(3)].astype(np.uint64)
    codes: NDArray[np.uint32] = (window >> shift & np.uint64((1 << bits) - 1)).astype(np.uint32)
    return codes


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 32:
        raise InputError(f"expected 1 to 32 bits per code, got {bits = }")
