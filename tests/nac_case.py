"""What the tests of the `.nac` container share: random clips of tiny codecs, and records laid out by hand."""

import dataclasses
import hashlib
import io
import itertools
import math
import struct

import numpy as np
from hypothesis import strategies as st

from wavcodes.codes import Codes
from wavcodes.containers import Header
from wavcodes.containers.nac import NacReader, NacWriter
from wavcodes.framing import Framing, Segment

TINY = Segment(length=7, stride=4)
"""With 2 samples a frame, a full segment has 4 frames, and half a second at 8 Hz."""


def clip(
    num_samples: int = 10,
    *,
    strides: tuple[int, ...] = (1, 1),
    size: int = 8,
    rate: int = 8,
    hop: int = 2,
    tail: int | None = None,
    multiple: int | None = None,
    segment: Segment | None = None,
    channels: int = 1,
    extra: int = 0,
    seed: int = 0,
    codec: str = "x",
) -> Codes:
    """Random codes, with `extra` multiples of frames behind; by default of 4 frames a second."""
    multiple = math.lcm(*strides) if multiple is None else multiple
    if tail is None:
        tail = 0 if segment else multiple
    framing = Framing(codec, rate, channels, hop, size, tuple(strides), tail, multiple, segment)
    segments = framing.segments(num_samples)
    frames = framing.num_frames(num_samples) + (0 if segment else extra * multiple)
    rng = np.random.default_rng(seed)
    books = tuple(rng.integers(0, size, frames // s) for s in strides)
    return Codes(framing, books, num_samples, segments, rng.random(len(segments), np.float32) + np.float32(0.1))


sizes = st.one_of(st.sampled_from([2, 3, 1024, 4096, 65536, 65537, 2**20]), st.integers(2, 3000))
common = {
    "num_samples": st.one_of(st.integers(0, 3), st.integers(0, 400)),
    "size": sizes,
    "rate": st.sampled_from([7, 40, 100]),
    "hop": st.integers(1, 9),
    "channels": st.integers(1, 2),
    "seed": st.integers(0, 99),
}


@st.composite
def clips(draw: st.DrawFn) -> Codes:
    """Clips of codecs of all kinds: plain, multi-scale, segmented."""
    kind = {name: draw(strategy) for name, strategy in common.items()}
    if draw(st.booleans()):
        stride = draw(st.integers(1, 30))
        kind["segment"] = Segment(draw(st.integers(stride, 2 * stride)), stride)
        kind["strides"] = (1,) * draw(st.integers(1, 4))
        return clip(**kind)
    several = [(1,), (1, 1, 1), (1,) * 17, (2, 1), (4, 2, 1), (8, 4, 2, 1), (3, 2), (2,)]
    kind["strides"] = draw(st.sampled_from(several))
    kind["multiple"] = math.lcm(*kind["strides"]) * draw(st.sampled_from([1, 1, 4]))
    kind["tail"] = kind["multiple"] * draw(st.integers(0, 2))
    return clip(**kind, extra=draw(st.integers(0, 3)))


@st.composite
def clips_in_parts(draw: st.DrawFn) -> tuple[Codes, list[Codes]]:
    """A clip, and parts of any size that make it."""
    codes = draw(clips())
    edges = list(range(0, codes.num_frames + 1, codes.framing.cycle))
    if codes.framing.segment:
        edges = [0, *itertools.accumulate(codes.segments)]
    cuts = sorted(draw(st.lists(st.sampled_from(edges), max_size=8)))
    return codes, [codes.only_frames(a, b) for a, b in itertools.pairwise([0, *cuts, codes.num_frames])]


def written(codes: Codes, parts: list[Codes] | None = None, known: bool = True, digest: bytes | None = None) -> bytes:
    file = io.BytesIO()
    header = Header.of_codes(codes, weights_digest=digest)
    writer = NacWriter(file, header if known else dataclasses.replace(header, num_samples=None))
    for part in [codes] if parts is None else parts:
        writer.write(part)
    writer.close()
    return file.getvalue()


def read(data: bytes) -> Codes:
    return NacReader(io.BytesIO(data)).read()


class Trickle(io.RawIOBase):
    """A pipe that gives 1 to 7 bytes a call."""

    def __init__(self, data: bytes, seed: int = 0):
        self.data, self.rng = data, np.random.default_rng(seed)

    def readable(self):
        return True

    def read(self, size=-1):
        count = min(size, int(self.rng.integers(1, 8)))
        part, self.data = self.data[:count], self.data[count:]
        return part


# ---- records


def crc(data: bytes) -> bytes:
    """CRC-32C one bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return struct.pack("<I", register ^ 0xFFFFFFFF)


def sealed(data: bytes) -> bytes:
    return data + crc(data)


def header_record(**changes) -> bytes:
    """By default of blocks of 4 frames that hold 8 samples in 8 codes of 3 bits."""
    fields = dict(
        version=1,
        num_codebooks=2,
        sample_rate=8,
        hop_length=2,
        codebook_size=8,
        channels=1,
        tail_frames=0,
        frame_multiple=1,
        block_frames=4,
        segment_length=0,
        segment_stride=0,
        num_samples=8,
        digest=bytes(32),
        name_length=1,
        strides=struct.pack("<HH", 1, 1),
        name=b"x",
    )
    fields.update(changes)
    strides, name = fields.pop("strides"), fields.pop("name")
    return sealed(b"\x89NAC\r\n\x1a\n" + struct.pack("<HHIIIHHHHIIQ32sH", *fields.values()) + strides + name)


def block_record(number=0, samples=8, frames=4, coding=0, segments=(), count=None, length=None, payload=b"\0\0\0"):
    """`segments`: (frames, scale) of each."""
    size, count = len(payload) if length is None else length, len(segments) if count is None else count
    fields = struct.pack("<IIHBBI", number, samples, frames, coding, count, size)
    return sealed(b"\xf5NAB" + fields + b"".join(struct.pack("<Hf", *each) for each in segments) + payload)


def end_record(blocks, extent=8, samples=8, contents=bytes(32), index=None):
    digest = hashlib.sha256(contents).digest()
    lengths = [len(each) for each in blocks] if index is None else index
    end = sealed(b"\xf5NAE" + struct.pack(f"<IQQ32s{len(lengths)}I", len(lengths), extent, samples, digest, *lengths))
    return end + struct.pack("<I", len(end) + 8) + b"\xf5NAZ"


def small() -> tuple[Codes, bytes, list[int]]:
    """A file of three blocks of a second each, and where each of them ends."""
    codes = clip(19, size=1000)
    return codes, *_ends(codes)


def small_segmented() -> tuple[Codes, bytes, list[int]]:
    """As `small`, of two segments a block; the segments that are not full lie in two blocks."""
    codes = clip(17, size=1000, segment=TINY)
    assert codes.segments == (4, 4, 4, 3, 1)
    return codes, *_ends(codes)


def _ends(codes: Codes) -> tuple[bytes, list[int]]:
    data = written(codes, known=False)
    starts = [data.index(b"\xf5NAB" + struct.pack("<I", number)) for number in range(3)]
    return data, [*starts[1:], data.index(b"\xf5NAE")]


def block(codes: Codes, number: int) -> tuple[int, Codes]:
    """First sample and codes of one block of these."""
    start = 8 * number
    return start, codes.only_frames(codes.frame_at(start), codes.frame_at(start + 8))
