"""Header of Meta's `.ecdc` files, and of those of other programs that begin alike; docs/formats.md describes them."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NoReturn

from ..bits import packed_size
from ..errors import FormatError, LimitError, UnsupportedError
from ..files import read_exactly
from ..framing import Framing, Segment

MAGIC = b"ECDC"

_FIXED = struct.Struct(">4sBI")
_VERSION = 0
_JSON_LIMIT = 1 << 12  # bytes; Meta's headers have about 60, the longest known dialect some 300
_LENGTH_LIMIT = 1 << 53  # samples; beyond it other programs, which compute in float64, derive other numbers of frames

_SCALE = struct.Struct(">f")
_COUNTED_SCALE = struct.Struct(">If")

_framing = partial(Framing, hop_length=320, codebook_size=1024)
FRAMINGS = {
    "encodec_24khz": _framing("encodec_24khz", 24_000, 1, strides=(1,) * 32),
    "encodec_48khz": _framing(
        "encodec_48khz", 48_000, 2, strides=(1,) * 16, segment=Segment(length=48_000, stride=47_520)
    ),
}
"""Of the two models that such files are made with, in all their codebooks."""


@dataclass(frozen=True)
class EcdcHeader:
    """Facts of a file.

    Attributes:
        framing: Model and number of codebooks.
        num_samples: True length, 1 or more.
        lm: True if the codes are coded arithmetically with the probabilities of a language model.
        checksum: CRC-32C of the file as it would be without it, or None.
        counted: True if each scale has its number (one) in front of it, as NeuralCodecs writes it.
    """

    framing: Framing
    num_samples: int
    lm: bool = False
    checksum: int | None = None
    counted: bool = False

    def record(self) -> bytes:
        """The header as Meta's writer makes it, byte for byte; the checksum stands in a fifth entry."""
        facts: dict[str, Any] = {
            "m": self.framing.codec,
            "al": self.num_samples,
            "nc": self.framing.num_codebooks,
            "lm": self.lm,
        }
        if self.checksum is not None:
            facts["crc32c"] = f"{self.checksum:08x}"
        text = json.dumps(facts).encode()
        return _FIXED.pack(MAGIC, _VERSION, len(text)) + text

    @property
    def scale_size(self) -> int:
        """Bytes of what stands in front of the codes of a segment."""
        if self.framing.segment is None:
            return 0
        return _COUNTED_SCALE.size if self.counted else _SCALE.size

    def scale(self, record: bytes) -> float:
        """The scale in `scale_size` bytes.

        Raises:
            UnsupportedError: There is more than one.
        """
        if not self.counted:
            return float(_SCALE.unpack(record)[0])
        count, scale = _COUNTED_SCALE.unpack(record)
        if count != 1:
            raise UnsupportedError(f"expected one scale for each segment, got {count}; only single clips can be read")
        return float(scale)

    def payload_size(self, num_frames: int) -> int:
        """Bytes of the codes of that many frames of one segment, not coded arithmetically."""
        return packed_size(self.framing.bits, num_frames * self.framing.num_codebooks)

    def segment_size(self, num_frames: int) -> int:
        """Bytes of a segment of that many frames."""
        return self.scale_size + self.payload_size(num_frames)

    @property
    def body_size(self) -> int:
        """Bytes behind the header, if the codes are not coded arithmetically."""
        framing, segment = self.framing, self.framing.segment
        if segment is None:
            return self.segment_size(framing.num_frames(self.num_samples))
        full = max(0, (self.num_samples - segment.length) // segment.stride + 1)
        rest = framing.segments(self.num_samples - full * segment.stride)
        return full * self.segment_size(framing.step_frames) + sum(map(self.segment_size, rest))


def scale_record(scale: float) -> bytes:
    """A scale as bytes."""
    return _SCALE.pack(scale)


def read_header(file: BinaryIO) -> EcdcHeader:
    """Reads and checks a header.

    Raises:
        TruncatedError: The file ends inside it.
        UnsupportedError: It is one of a dialect or version that cannot be read.
        LimitError: It claims to be longer than any header is, or longer audio than any file holds.
        FormatError: It is not valid.
    """
    fixed = read_exactly(file, _FIXED.size, "the header")
    magic, version, size = _FIXED.unpack(fixed)
    if magic != MAGIC:
        raise FormatError(f"expected an .ecdc file, which begins with {MAGIC!r}, got {magic!r}; check which file it is")
    if version != _VERSION:
        raise UnsupportedError(f"expected version {_VERSION} of the .ecdc format, got {version}; it is not Meta's")
    if size > _JSON_LIMIT:
        raise LimitError(f"expected a header of at most {_JSON_LIMIT} bytes, got one that claims {size}")
    facts = _facts(read_exactly(file, size, "the header"))
    if "acv" in facts:
        raise UnsupportedError(
            "this .ecdc file is in the layout of encodec-rs, which no other program reads; decode it with encodec-rs"
        )
    framing = FRAMINGS.get(facts["m"]) if isinstance(facts["m"], str) else None
    if framing is None:
        raise UnsupportedError(f"expected one of the models {', '.join(FRAMINGS)}, got {str(facts['m'])[:100]!r}")
    length = _number(facts, "al")
    if length > _LENGTH_LIMIT:
        raise LimitError(f"expected audio of at most {_LENGTH_LIMIT} samples, got a header that claims more")
    count = _number(facts, "nc")
    if count > framing.num_codebooks:
        raise FormatError(f"expected at most {framing.num_codebooks} codebooks, got {str(count)[:20]}")
    if not isinstance(facts["lm"], bool):
        _refuse("lm", "true or false", facts["lm"])
    return EcdcHeader(
        framing=framing.first(count),
        num_samples=length,
        lm=facts["lm"],
        checksum=_checksum(facts),
        counted=framing.segment is not None and ("sr" in facts or "ch" in facts),
    )


def _facts(text: bytes) -> dict[str, Any]:
    try:
        # As UTF-8: from bytes, json would guess among other encodings and import what reads them.
        facts = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"expected a header in JSON, got {text[:40]!r}; it is damaged, or another program's of that suffix"
        ) from error
    if not isinstance(facts, dict):
        raise FormatError(f"expected a JSON object as header, got {text[:40]!r}")
    if missing := {"m", "al", "nc", "lm"} - facts.keys():
        raise FormatError(f"expected a header with m, al, nc and lm, got one without {', '.join(sorted(missing))}")
    return facts


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    facts = dict(pairs)
    if len(facts) != len(pairs):
        raise FormatError("expected each entry of the header once, got one twice; the file is damaged or forged")
    return facts


def _no_constant(name: str) -> NoReturn:
    raise FormatError(f"expected numbers in the header, got {name}")


def _number(facts: dict[str, Any], key: str) -> int:
    value = facts[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(key, "an integer of 1 or more", value)
    return value


def _checksum(facts: dict[str, Any]) -> int | None:
    text = facts.get("crc32c")
    if text is None:
        return None
    if not (isinstance(text, str) and len(text) == 8 and set(text) <= set("0123456789abcdef")):
        _refuse("crc32c", "8 hexadecimal digits", text)
    return int(text, 16)


def _refuse(key: str, expected: str, value: object) -> NoReturn:
    shown = "a number" if isinstance(value, int) and not isinstance(value, bool) else repr(value)[:40]
    raise FormatError(f"expected {expected} as {key} in the header, got {shown}; the file is damaged")
