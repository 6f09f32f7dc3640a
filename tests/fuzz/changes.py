"""Files with a few changes, drawn from the seeds of a case: the same ones for the same generator."""

import struct
from random import Random

from pieces import Seed
from seeds import Case

_NUMBERS = (0, 1, 2, 3, 7, 8, 31, 32, 127, 128, 255, 256, 1024, 4095, 4096, 0x7FFF, 0x8000, 0xFFFF, 1 << 16, 1 << 20)
_HUGE = (
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    1 << 53,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
_FIELDS = [
    struct.pack(f"{order}{kind}", number)
    for order in "<>"
    for kind, most in (("H", 1 << 16), ("I", 1 << 32), ("Q", 1 << 64))
    for number in _NUMBERS + _HUGE
    if number < most
]
_HEAD = 100  # bytes, in which most lies that can be understood wrongly
_MOST = 8192  # bytes of a piece, so that files do not grow with the number of changes


def changed(case: Case, random: Random) -> bytes:
    """A file of one of the seeds, changed a little: on the whole, or in the pieces between its checksums."""
    number = random.random
    seeds = case.seeds
    # The last seed is large and takes longer, so it has fewer turns.
    seed = seeds[-1] if number() < 1 / 24 else seeds[int(number() * len(seeds))]
    if number() < 0.25:
        return piece_changed(seed.data, case, seed, 0, random)
    pieces = list(seed.pieces)
    at = int(number() * len(pieces))
    pieces[at] = span_changed(at, case, seed, random) if seed.spans[at] and number() < 0.6 else pieces[at]
    if pieces[at] is seed.pieces[at] or number() < 0.2:
        pieces[at] = piece_changed(pieces[at], case, seed, at, random)
    if len(pieces) > 1 and number() < 0.1:
        other = int(number() * len(pieces))
        pieces[other] = piece_changed(pieces[other], case, seed, other, random)
    return seed.join(pieces)


def span_changed(at: int, case: Case, seed: Seed, random: Random) -> bytes:
    """The piece with one or two of its fields left out, given twice, or put in the place of others."""
    number, data, spans = random.random, seed.pieces[at], seed.spans[at]
    for _ in range(1 + (number() < 0.3)):
        begin, end = spans[int(number() * len(spans))]
        kind = number()
        if kind < 0.5 and case.tokens:
            field = case.tokens[int(number() * len(case.tokens))]
            if kind < 0.1:
                end = begin
        elif kind < 0.8:
            other = case.seeds[int(number() * len(case.seeds))]
            source = other if at < len(other.spans) and other.spans[at] else seed
            first, last = source.spans[at][int(number() * len(source.spans[at]))]
            field = source.pieces[at][first:last]
        elif kind < 0.9:
            field = b""
        else:
            field = data[begin:end] * 2
        if end <= len(data):  # the first change may have moved it away
            data = data[:begin] + field + data[end:]
    return data


def piece_changed(piece: bytes, case: Case, seed: Seed, at: int, random: Random) -> bytes:
    """The bytes after one to some changes of bits, bytes, numbers and stretches."""
    number, data = random.random, bytearray(piece)
    while True:
        size = len(data)
        near = min(size, _HEAD) if number() < 0.5 else size
        place = int(number() * near)
        kind = int(number() * 12)
        if kind < 3 and size:
            data[place] ^= 1 << int(number() * 8)
        elif kind == 3 and size:
            data[place] = (0, 1, 0x7F, 0x80, 0xFF)[int(number() * 5)]
        elif kind == 4 and size:
            data[place] = data[place] + int(number() * 33) - 16 & 0xFF
        elif kind < 7:
            field = _FIELDS[int(number() * len(_FIELDS))]
            data[place : place + len(field)] = field
        elif kind == 7:
            del data[place : place + 1 + int(number() * 8)]
        elif kind == 8:
            data[place:place] = random.randbytes(1 + int(number() * 8))
        elif kind == 9:
            other = place + int(number() * 64)
            data[place:place] = data[place:other]
        elif kind == 10:
            if number() < 0.5 and case.tokens:
                data[place:place] = case.tokens[int(number() * len(case.tokens))]
            else:
                other = case.seeds[int(number() * len(case.seeds))]
                source = other.pieces[min(at, len(other.pieces) - 1)]
                data[place:] = source[int(number() * len(source)) if number() < 0.5 else place :]
        elif number() < 0.3:
            del data[place:]
        if number() < 0.5:
            return bytes(data[:_MOST])
