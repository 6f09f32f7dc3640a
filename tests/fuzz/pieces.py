"""Files in the pieces between which checksums stand.

A piece is what can be changed on its own; `join` of a `Seed` makes a file of changed pieces that still has the right
checksums, lengths and compression, so that what is behind them is reached.
"""

import itertools
import json
import pickletools
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import hostile_dac
import nac_case
import numpy as np
from container_case import written

from wavcodes.codes import Codes
from wavcodes.containers import Format, ecdc_header
from wavcodes.containers.dac_layout import _checksum
from wavcodes.containers.dac_pickle import load
from wavcodes.crc32c import crc32c

Pieces = Sequence[bytes]
Join = Callable[[Pieces], bytes]
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Seed:
    """One valid file.

    Attributes:
        pieces: What changes are made to.
        join: Makes the file of them.
        spans: For each piece, where its fields lie; empty where nothing is known of them.
    """

    pieces: tuple[bytes, ...]
    join: Join
    spans: tuple[Spans, ...]

    @property
    def data(self) -> bytes:
        return self.join(self.pieces)


def plain(*files: bytes) -> list[Seed]:
    return [Seed((data,), b"".join, ((),)) for data in files]


def sealed_records(pieces: Pieces) -> bytes:
    """A `.nac` file: each piece is a record without its checksum, the last one the end record without its tail."""
    records = [piece + crc32c(piece).to_bytes(4, "little") for piece in pieces]
    return b"".join(records) + (len(records[-1]) + 8).to_bytes(4, "little") + b"\xf5NAZ"


def nac(codes: Codes, *, known: bool = True) -> Seed:
    data = nac_case.written(codes, known=known)
    starts = [0, *(match.start() for match in re.finditer(rb"\xf5NA[BE]", data)), len(data) - 8]
    pieces = tuple(data[begin : end - 4] for begin, end in itertools.pairwise(starts))
    return Seed(pieces, sealed_records, ((),) * len(pieces))


_VALUES = re.compile(rb'"[^"]*"(?=[,}])|"[^"]*"(?=:)|(?<=: )[^",}]+')


def json_spans(text: bytes) -> Spans:
    return tuple(match.span() for match in _VALUES.finditer(text))


def with_json(pieces: Pieces) -> bytes:
    """An `.ecdc` file of the text of its header and what is behind."""
    return struct.pack(">4sBI", b"ECDC", 0, len(pieces[0])) + b"".join(pieces)


def with_checked_json(pieces: Pieces) -> bytes:
    """The same, with the right checksum, if the header has one where writers put it."""
    text, body = pieces[0], b"".join(pieces[1:])
    at = text.rfind(b', "crc32c": "')
    if at < 0:
        return with_json(pieces)
    try:
        facts = json.loads(text)
        framing = ecdc_header.FRAMINGS[facts["m"]].first(facts["nc"])
        record = ecdc_header.EcdcHeader(framing, facts["al"], facts["lm"]).record()
    except Exception:  # whatever is wrong with it, it is for the reader to find
        return with_json(pieces)
    return with_json([text[: at + 13] + b"%08x" % crc32c(body, crc32c(record)) + text[at + 21 :], body])


def meta(codes: Codes, format: Format) -> Seed:
    data = written(codes, format)
    end = 9 + int.from_bytes(data[5:9], "big")
    return Seed((data[9:end], data[end:]), with_checked_json, (json_spans(data[9:end]), ()))


def with_length(pieces: Pieces) -> bytes:
    """A `.snac` file with the checksum behind it."""
    data = b"".join(pieces)
    return data + crc32c(data).to_bytes(4, "little")


def opcodes(data: bytes) -> Spans:
    places = [place for _, _, place in pickletools.genops(data) if place is not None]
    return tuple(zip(places, [*places[1:], len(data)], strict=True))


def pickled(data: bytes, join: Join, *more: bytes) -> Seed:
    return Seed((data, *more), join, (opcodes(data), *((),) * len(more)))


def archived(pieces: Pieces) -> bytes:
    """What `torch.save` makes: a pickle, and storages."""
    return zipped([("data.pkl", pieces[0]), ("version", b"3\n"), *((f"data/{k}", s) for k, s in enumerate(pieces[1:]))])


def zipped(members: Sequence[tuple[str, bytes]]) -> bytes:
    data, directory = b"", b""
    for name, content in members:
        path, crc, size = f"a/{name}".encode(), zlib.crc32(content), len(content)
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, crc, size, size, len(path), *[0] * 5, len(data)
        )
        directory += path
        data += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, crc, size, size, len(path), 0) + path + content
    count = len(members)
    return data + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(data), 0)


def compressed(pieces: Pieces) -> bytes:
    return zlib.compress(pieces[0], 6)


def in_array(pieces: Pieces) -> bytes:
    """A `.dac` file around its pickle."""
    return hostile_dac.HEADER + pieces[0]


_STORED = re.compile(rb"crc32c(?:J.{4}|\x8a\x05.{5})", re.S)


def in_checked_array(pieces: Pieces) -> bytes:
    """The same, with the right checksum, if the pickle has one."""
    data = in_array(pieces)
    try:
        table = load(data)
        record, codes = dict(table["wavcodes"]), table["codes"].numbers  # type: ignore[call-overload, attr-defined]
        del record["crc32c"]
        checksum = _checksum(codes.astype(np.uint16), table["metadata"], record)  # type: ignore[arg-type]
    except Exception:  # whatever is wrong with it, it is for the reader to find
        return data
    return _STORED.sub(lambda _: b"crc32c\x8a\x05" + checksum.to_bytes(5, "little"), data, count=1)
