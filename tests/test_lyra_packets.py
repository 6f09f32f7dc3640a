"""Packets of Lyra v2 against bits laid out by hand."""

import dataclasses
import io
import itertools

import numpy as np
import pytest

from wavcodes.codes import Codes
from wavcodes.containers import Header, Hints
from wavcodes.containers.lyra import LyraReader, LyraWriter
from wavcodes.errors import InputError, TruncatedError, UnsupportedError
from wavcodes.framing import Framing, Segment

SIZES = {16: 8, 30: 15, 46: 23}


def framing(num_codebooks):
    return Framing("lyra_v2", 16_000, 1, 320, 16, (1,) * num_codebooks)


def hint(num_codebooks):
    return Hints(framing(num_codebooks))


def clip(num_codebooks, frames, seed=0):
    books = np.random.default_rng(seed).integers(0, 16, (num_codebooks, frames))
    return Codes(framing(num_codebooks), tuple(books), 320 * frames)


def packets(codes):
    """Each packet is the codes of one frame as hexadecimal digits, book 0 first."""
    rows = zip(*(book.tolist() for book in codes.books), strict=True)
    return b"".join(bytes.fromhex("".join(f"{code:x}" for code in row)) for row in rows)


def written(codes, cuts=()):
    file = io.BytesIO()
    writer = LyraWriter(file, Header.of_codes(codes))
    edges = [0, *cuts, codes.num_frames]
    for start, stop in itertools.pairwise(edges):
        writer.write(codes.frames(start, stop))
    writer.close()
    return file.getvalue()


class Pipe(io.RawIOBase):
    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def read(self, size=-1):
        part, self.data = self.data[: min(size, 5)], self.data[min(size, 5) :]
        return part


@pytest.mark.parametrize("num_codebooks", SIZES)
@pytest.mark.parametrize("frames", [1, 7, 49, 50, 51, 131])
def test_packets_both_ways(num_codebooks, frames):
    codes = clip(num_codebooks, frames)
    data = packets(codes)
    assert len(data) == SIZES[num_codebooks] * frames
    assert written(codes) == written(codes, cuts=(0, frames // 2, frames)) == data
    assert LyraReader(io.BytesIO(data), hint(num_codebooks)).read() == codes
    assert LyraReader(io.BytesIO(data), hint(num_codebooks)).header.num_samples == 320 * frames
    piped = LyraReader(Pipe(data), hint(num_codebooks))
    assert piped.header.num_samples is None
    assert piped.read() == codes


@pytest.mark.parametrize("num_codebooks", SIZES)
def test_the_size_of_a_file_tells_its_packets(num_codebooks):
    for frames in (1, 2, 7, 101):
        codes = clip(num_codebooks, frames)
        assert LyraReader(io.BytesIO(packets(codes))).read() == codes


@pytest.mark.parametrize("size", [120, 8 * 23, 15 * 23, 8 * 15 * 23])
def test_a_size_of_several_meanings_needs_a_framing(size):
    with pytest.raises(InputError, match="a framing of 16, 30 or 46"):
        LyraReader(io.BytesIO(bytes(size)))


def test_a_pipe_needs_a_framing():
    with pytest.raises(InputError, match="pipe"):
        LyraReader(Pipe(bytes(8)))


@pytest.mark.parametrize("size", [0, 1, 7, 9, 31, 121])
def test_a_size_of_no_meaning_is_refused(size):
    with pytest.raises(TruncatedError, match="whole Lyra packets"):
        LyraReader(io.BytesIO(bytes(size)))


@pytest.mark.parametrize("source", [io.BytesIO, Pipe])
def test_a_cut_packet_is_noticed(source):
    reader = LyraReader(source(bytes(15 * 60 + 14)), hint(30))
    with pytest.raises(TruncatedError, match="14 bytes in packet 60"):
        reader.read()


@pytest.mark.parametrize(
    "span", [(0, None), (0.5, 0.51), (0.99, 1.01), (1.0, 2.0), (1.234, None), (2.6, None), (2.62, 9), (5.0, 9.0)]
)
@pytest.mark.parametrize("source", [io.BytesIO, Pipe])
def test_random_access_equals_slicing_the_whole(span, source):
    codes = clip(16, 131)
    reader = LyraReader(source(packets(codes)), hint(16))
    assert Codes.concat([reader.header.empty(), *reader.between(*span)]) == codes[span[0] : span[1]]


def test_a_start_behind_the_end_is_refused():
    with pytest.raises(InputError, match=r"ends at 0\.020 s"):
        list(LyraReader(io.BytesIO(bytes(8))).between(0.03))


@pytest.mark.parametrize(
    "change",
    [
        dict(codec="other"),
        dict(sample_rate=8000),
        dict(hop_length=640),
        dict(tail_frames=1),
        dict(segment=Segment(3, 2)),
    ],
)
def test_codes_of_other_codecs_are_refused(change):
    header = Header(dataclasses.replace(clip(16, 3).framing, **change))
    with pytest.raises(UnsupportedError, match=r"write a \.nac file"):
        LyraWriter(io.BytesIO(), header)


def test_other_numbers_of_codebooks_are_refused():
    with pytest.raises(UnsupportedError, match="in 17"):
        LyraWriter(io.BytesIO(), Header.of_codes(clip(17, 1)))
    with pytest.raises(InputError, match="16, 30 or 46"):
        LyraReader(io.BytesIO(bytes(8)), hint(17))
