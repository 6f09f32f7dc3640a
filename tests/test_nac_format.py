"""The `.nac` container against bytes laid out by hand, and round trips of clips of every kind."""

import hashlib
import io
import itertools
import os
import struct
import threading
from pathlib import Path

import nac_case
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nac_case import Trickle, clip, read, sealed, written

from wavcodes.codes import Codes
from wavcodes.containers import Header
from wavcodes.containers.nac import NacReader, NacWriter
from wavcodes.errors import InputError
from wavcodes.framing import Framing, Segment
from wavcodes.registry import list_codecs, spec

# ---- the specification, by hand


def packed(codes, bits):
    text = "".join(f"{code:0{bits}b}" for code in codes)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def file_of(header, blocks, extent, samples, contents):
    digest = hashlib.sha256(contents).digest()
    end = sealed(b"\xf5NAE" + struct.pack("<IQQ", len(blocks), extent, samples) + digest + lengths(blocks))
    return header + b"".join(blocks) + end + struct.pack("<I", len(end) + 8) + b"\xf5NAZ"


def lengths(blocks):
    return struct.pack(f"<{len(blocks)}I", *map(len, blocks))


# Codes of 3 bits in cycles of 4 frames: a0, b0 b1, c0 c1 c2 c3. One block of 3 cycles, one of 1.
CYCLES = [[0, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 1], [2, 3, 4, 5, 0, 1, 2], [3, 4, 5, 0, 1, 2, 3]]


def golden_file():
    header = sealed(
        b"\x89NAC\r\n\x1a\n"
        + struct.pack("<HHIIIHHHHIIQ", 1, 3, 24, 2, 6, 1, 0, 4, 12, 0, 0, 27)
        + bytes(range(32))
        + struct.pack("<HHHH", 4, 4, 2, 1)
        + b"tiny"
    )
    blocks = []
    for number, samples, cycles in ((0, 24, CYCLES[:3]), (1, 3, CYCLES[3:])):
        payload = packed(itertools.chain(*cycles), 3)
        fields = struct.pack("<IIHBBI", number, samples, 4 * len(cycles), 0, 0, len(payload))
        blocks.append(sealed(b"\xf5NAB" + fields + payload))
    return file_of(header, blocks, 32, 27, struct.pack("<28I", *itertools.chain(*CYCLES)))


def golden_codes():
    books = (
        np.array([cycle[0] for cycle in CYCLES]),
        np.array([cycle[1:3] for cycle in CYCLES]).ravel(),
        np.array([cycle[3:] for cycle in CYCLES]).ravel(),
    )
    return Codes(Framing("tiny", 24, 1, 2, 6, (4, 2, 1), frame_multiple=4), books, 27)


# 17 samples in segments of 7, 7, 7, 5 and 1, of which blocks of a second hold two.
SEGMENTS = [(4, 0.5), (4, 1.5), (4, 2.0), (3, 1.0), (1, 0.25)]


def golden_segmented_file():
    header = sealed(
        b"\x89NAC\r\n\x1a\n"
        + struct.pack("<HHIIIHHHHIIQ", 1, 2, 8, 2, 1024, 2, 0, 1, 8, 7, 4, 2**64 - 1)
        + bytes(32)
        + struct.pack("<HHH", 4, 1, 1)
        + b"cuts"
    )
    blocks, contents, frame = [], b"", 0
    for number, samples in ((0, 8), (1, 8), (2, 1)):
        table, codes = b"", []
        for frames, scale in SEGMENTS[2 * number : 2 * number + 2]:
            # Frame f has the codes f and 1000 - f.
            segment = [code for f in range(frame, frame + frames) for code in (f, 1000 - f)]
            contents += struct.pack(f"<Hf{2 * frames}I", frames, scale, *segment)
            table, codes, frame = table + struct.pack("<Hf", frames, scale), codes + segment, frame + frames
        payload = packed(codes, 10)
        fields = struct.pack("<IIHBBI", number, samples, len(codes) // 2, 0, len(table) // 6, len(payload))
        blocks.append(sealed(b"\xf5NAB" + fields + table + payload))
    return file_of(header, blocks, 20, 17, contents)


def golden_segmented_codes():
    framing = Framing("cuts", 8, 2, 2, 1024, (1, 1), segment=Segment(7, 4))
    segments, scales = zip(*SEGMENTS, strict=True)
    return Codes(framing, (np.arange(16), 1000 - np.arange(16)), 17, segments, np.array(scales))


def test_written_bytes_are_those_of_the_specification():
    assert written(golden_codes(), digest=bytes(range(32))) == golden_file()
    assert written(golden_segmented_codes(), known=False) == golden_segmented_file()


def test_bytes_of_the_specification_are_read():
    reader = NacReader(io.BytesIO(golden_file()))
    assert reader.header == Header(golden_codes().framing, 27, bytes(range(32)))
    assert reader.read() == golden_codes()
    assert [part.num_samples for part in reader.parts()] == [24, 3]
    reader = NacReader(io.BytesIO(golden_segmented_file()))
    assert reader.header == Header(golden_segmented_codes().framing)
    assert reader.read() == golden_segmented_codes()
    assert [part.segments for part in reader.parts()] == [(4, 4), (4, 3), (1,)]


def test_the_examples_of_the_document_are_these_files():
    text = (Path(__file__).parents[1] / "docs" / "format-nac.md").read_text(encoding="utf-8")
    plain, segmented = text.split("## Examples")[1].split("```")[1::2]
    assert bytes.fromhex(plain) == golden_file()
    assert bytes.fromhex(segmented) == golden_segmented_file()


# ---- round trips


@given(nac_case.clips_in_parts(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_round_trip_in_parts_of_any_size(clip_and_parts, known):
    codes, parts = clip_and_parts
    file = written(codes, parts, known)
    assert file == written(codes, known=known)
    assert read(file) == codes
    reader = NacReader(Trickle(file))
    assert reader.header.num_samples == (codes.num_samples if known else None)
    assert reader.read() == codes


@given(nac_case.clips(), st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_random_access_equals_slicing_the_whole(codes, pipe, data):
    file = written(codes, known=False)
    time = st.one_of(st.floats(0, codes.duration * 1.2), st.integers(0, 20).map(float))
    start = data.draw(time)
    stop = data.draw(st.one_of(st.none(), time.map(lambda t: max(t, start))))
    reader = NacReader(Trickle(file) if pipe else io.BytesIO(file))
    try:
        expected = codes[start:stop]
    except InputError:
        with pytest.raises(InputError, match="before the start"):
            list(reader.between(start, stop))
        return
    assert Codes.concat([reader.header.empty(), *reader.between(start, stop)]) == expected


@pytest.mark.parametrize("name", list_codecs())
def test_clips_of_every_codec(name):
    framing = spec(name).framing(2)
    for num_samples in (1, framing.sample_rate, 3 * framing.sample_rate + 100):
        frames, segments = framing.num_frames(num_samples), framing.segments(num_samples)
        books = tuple(np.arange(frames // stride) % framing.codebook_size for stride in framing.strides)
        codes = Codes(framing, books, num_samples, segments, np.arange(1.0, len(segments) + 1))
        file = written(codes, list(codes.parts(2 * framing.step_samples)), known=False)
        assert read(file) == codes
        reader = NacReader(io.BytesIO(file))
        assert Codes.concat([reader.header.empty(), *reader.between(0.5, 2.5)]) == codes[0.5:2.5]


@given(nac_case.clips(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_piece_of_a_clip_is_a_clip(codes, data):
    start, stop = sorted(data.draw(st.lists(st.floats(0, codes.duration), min_size=2, max_size=2)))
    assert read(written(codes[start:stop])) == codes[start:stop]


@pytest.mark.parametrize("segment", [None, Segment(7, 4)])
def test_random_access_reads_little(segment):
    codes = clip(40_000, rate=8, hop=2, segment=segment)
    file = written(codes)

    class Counting(io.BytesIO):
        count = 0

        def read(self, size=-1):
            data = super().read(size)
            self.count += len(data)
            return data

    source = Counting(file)
    reader = NacReader(source)
    assert Codes.concat(reader.between(3000, 3002)) == codes[3000:3002]
    index = 4 * 5001
    assert source.count < index + 500 < len(file) / 5


def test_through_a_pipe():
    codes = clip(5000)
    out, into = os.pipe()
    with open(out, "rb", buffering=0) as reading:

        def produce():
            with open(into, "wb", buffering=0) as writing:
                writer = NacWriter(writing, Header(codes.framing))
                for start in range(0, codes.num_frames, 7):
                    writer.write(codes.only_frames(start, min(start + 7, codes.num_frames)))
                writer.close()

        thread = threading.Thread(target=produce)
        thread.start()
        reader = NacReader(reading)
        assert reader.read() == codes
        thread.join()
        with pytest.raises(InputError, match="pipe"):
            reader.read()


def test_a_raw_file_that_takes_a_few_bytes_a_call():
    class Sluggish(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data[:3])
            return min(3, len(data))

    file, codes = Sluggish(), clip(100)
    writer = NacWriter(file, Header.of_codes(codes))
    writer.write(codes)
    writer.close()
    assert file.data == written(codes)


def test_a_reader_starts_where_the_file_stands():
    codes = clip(100)
    file = io.BytesIO(b"before" + written(codes))
    file.seek(6)
    reader = NacReader(file)
    assert reader.read() == codes
    assert Codes.concat(reader.between(2, 3)) == codes[2:3]


@pytest.mark.parametrize(
    ("rate", "hop", "strides", "multiple", "segment", "block_frames"),
    [
        (24_000, 320, (1,) * 8, 1, None, 75),
        (44_100, 512, (1,) * 9, 1, None, 86),
        (24_000, 512, (4, 2, 1), 4, None, 48),
        (32_000, 384, (8, 4, 2, 1), 32, None, 96),
        (16_000, 32_000, (1,), 1, None, 1),
        (48_000, 320, (1, 1), 1, Segment(48_000, 47_520), 150),
    ],
)
def test_blocks_are_about_one_second(rate, hop, strides, multiple, segment, block_frames):
    samples = 3 * (segment.stride if segment else block_frames * hop) + 480 * bool(segment)
    codes = clip(samples, rate=rate, hop=hop, strides=strides, multiple=multiple, size=1024, tail=0, segment=segment)
    parts = [part.num_frames for part in NacReader(io.BytesIO(written(codes))).parts()]
    assert parts[:3] == [block_frames] * 3
    assert sum(parts[3:]) == (2 if segment else 0)
