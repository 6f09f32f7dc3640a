"""CRC-32C (Castagnoli), the checksum of the package's own container."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

_REFLECTED_POLYNOMIAL = 0x82F63B78  # RFC 3720, section 12.1
_STRETCH = 64  # bytes that are looked up together; their tables take 64 KiB


@cache
def _tables() -> tuple[NDArray[np.uint32], list[list[int]]]:
    """Row n: for each byte value, the register that it leaves when n bytes follow; all rows, and those of a register.

    The register counts as part of the first four bytes of a stretch: its low byte is the farthest from the end.
    """
    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = (row >> 1) ^ np.where(row & 1, np.uint32(_REFLECTED_POLYNOMIAL), np.uint32(0))
    rows = [row]
    for _ in range(_STRETCH - 1):
        rows.append((rows[-1] >> 8) ^ row[rows[-1] & 255])
    return np.stack(rows), [rows[0].tolist()] + [rows[_STRETCH - 1 - place].tolist() for place in range(4)]


def crc32c(data: bytes, before: int = 0) -> int:
    """Checksum of `data`, or of what has the checksum `before` and `data` behind it.

    The register is linear over exclusive-or: the share of each stretch is found for all of them at once, by looking
    up every byte in the table for its distance from the end, and only four look-ups a stretch remain in sequence.
    """
    tables, (byte_table, first, second, third, fourth) = _tables()
    crc = before ^ 0xFFFFFFFF
    head = len(data) % _STRETCH
    for byte in data[:head]:
        crc = byte_table[(crc ^ byte) & 255] ^ (crc >> 8)
    stretches = np.frombuffer(data, np.uint8)[head:].reshape(-1, _STRETCH)
    shares = np.bitwise_xor.reduce(tables[np.arange(_STRETCH - 1, -1, -1), stretches], axis=1)
    for share in shares.tolist():
        crc = share ^ first[crc & 255] ^ second[crc >> 8 & 255] ^ third[crc >> 16 & 255] ^ fourth[crc >> 24]
    return crc ^ 0xFFFFFFFF
