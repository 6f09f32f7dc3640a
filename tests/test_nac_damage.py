"""Damaged and hostile `.nac` files: every flipped bit and every cut is noticed, and nothing claimed is believed."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nac_case import Trickle, block_record, clip, end_record, header_record, read, small, small_segmented, written

from wavcodes.containers import salvage
from wavcodes.containers.nac import NacReader
from wavcodes.errors import CodecError, FormatError, IntegrityError, TruncatedError, UnsupportedError

both = pytest.mark.parametrize("make", [small, small_segmented])

# ---- damage


@both
def test_every_truncation_is_noticed(make):
    _, data, _ = make()
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            read(data[:length])
        with pytest.raises(TruncatedError):
            NacReader(Trickle(data[:length])).read()


@both
def test_every_flipped_bit_is_noticed(make):
    _, data, _ = make()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodecError) as caught:
            read(bytes(damaged))
        assert isinstance(caught.value, FormatError | UnsupportedError)


@both
def test_random_access_notices_a_damaged_block_or_index(make):
    _, data, ends = make()
    for start, first_byte in ((1.0, 10), (2.1, ends[1])):
        for position in range(first_byte, len(data)):
            damaged = bytearray(data)
            damaged[position] ^= 0x10
            with pytest.raises(FormatError):
                list(NacReader(io.BytesIO(damaged)).between(start))


@both
def test_the_message_names_block_and_time(make):
    _, data, ends = make()
    damaged = bytearray(data)
    damaged[ends[0] + 21] ^= 1
    with pytest.raises(IntegrityError, match=r"block 1 \(1\.000 to 2\.000 s\).*salvage"):
        read(bytes(damaged))
    with pytest.raises(TruncatedError, match=r"block 1 \(1\.000 to 2\.000 s\)"):
        read(data[: ends[1] - 1])


@both
def test_random_access_notices_what_no_record_accounts_for(make):
    _, data, ends = make()
    with pytest.raises(FormatError, match="do not fill the file"):
        list(NacReader(io.BytesIO(data[: ends[2]] + bytes(8) + data[ends[2] :])).between(2.1, 2.1))


def test_blocks_of_another_file_are_noticed():
    """All checksums of a spliced file are right; the digest is not."""
    for scales in (False, True):
        one = clip(17, size=1000, segment=small_segmented()[0].framing.segment) if scales else small()[0]
        other = clip(17, size=1000, segment=one.framing.segment, seed=2) if scales else clip(19, size=1000, seed=2)
        data, foreign = written(one, known=False), written(other, known=False)
        second, third = (data.index(b"\xf5NAB" + struct.pack("<I", number)) for number in (1, 2))
        with pytest.raises(IntegrityError, match="digest"):
            read(data[:second] + foreign[second:third] + data[third:])


@pytest.mark.parametrize("extra", [b"\0", b"PK\x03\x04", written(clip())])
def test_what_follows_the_end_is_refused(extra):
    with pytest.raises(FormatError, match="goes on behind its end"):
        read(written(clip()) + extra)


@both
@given(noise=st.binary(max_size=200), at=st.integers(0, 400), removed=st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_any_bytes_anywhere_give_a_typed_error_or_the_same_codes(make, noise, at, removed):
    codes, data, _ = make()
    header_length = data.index(b"\xf5NAB")
    mutant = data[:at] + noise + data[at + removed :]
    try:
        assert read(mutant) == codes
    except (FormatError, UnsupportedError):
        assert mutant != data
    try:
        salvage(io.BytesIO(mutant))
    except (FormatError, UnsupportedError):
        assert mutant[:header_length] != data[:header_length]


# ---- hostile files: valid checksums, wrong contents


SEGMENTED = dict(segment_length=7, segment_stride=4, block_frames=8)


def refused(data: bytes, error: type[CodecError], match: str):
    """The file is refused in the same way as a file and as a pipe, and without taking memory."""
    for source in (io.BytesIO(data), Trickle(data)):
        tracemalloc.start()
        with pytest.raises(error, match=match):
            NacReader(source).read()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20


def test_the_parts_that_hostile_files_are_made_of_are_valid():
    good = block_record()
    assert read(header_record() + good + end_record([good], contents=bytes(32))).num_frames == 4
    assert read(header_record(num_samples=0) + end_record([], 0, 0, b"")).num_frames == 0
    cut = block_record(frames=8, segments=[(4, 1.0), (4, 2.0)], payload=bytes(6))
    contents = b"".join(struct.pack("<Hf", 4, scale) + bytes(32) for scale in (1.0, 2.0))
    assert read(header_record(**SEGMENTED) + cut + end_record([cut], contents=contents)).segments == (4, 4)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        (dict(version=2), UnsupportedError, "update wavcodes"),
        (dict(num_codebooks=0), FormatError, "1 to 256 codebooks"),
        (dict(num_codebooks=257), FormatError, "1 to 256 codebooks"),
        (dict(num_codebooks=65535), FormatError, "1 to 256 codebooks"),
        (dict(num_codebooks=256, strides=bytes([1, 0]) * 256, block_frames=4097), FormatError, "codes in a block"),
        (dict(name_length=0), FormatError, "name of 1 to 255"),
        (dict(name_length=256), FormatError, "name of 1 to 255"),
        (dict(name=b"\n"), FormatError, "visible ASCII"),
        (dict(name=b"\xe9"), FormatError, "visible ASCII"),
        (dict(sample_rate=0), FormatError, "sample_rate"),
        (dict(hop_length=0), FormatError, "hop_length"),
        (dict(hop_length=2**31), FormatError, "samples in a block"),
        (dict(codebook_size=0), FormatError, "codebook_size"),
        (dict(codebook_size=1), FormatError, "codebook_size"),
        (dict(codebook_size=2**20 + 1), FormatError, "codebook_size"),
        (dict(channels=0), FormatError, "channels"),
        (dict(block_frames=0), FormatError, "whole steps"),
        (dict(frame_multiple=0), FormatError, "frame_multiple"),
        (dict(frame_multiple=3), FormatError, "whole steps of 3 frames, got 4"),
        (dict(frame_multiple=2, tail_frames=3), FormatError, "tail_frames that are a multiple"),
        (dict(strides=struct.pack("<HH", 3, 1)), FormatError, "multiple of every stride"),
        (dict(strides=struct.pack("<HH", 65535, 65534)), FormatError, "multiple of every stride"),
        (dict(strides=struct.pack("<HH", 0, 1)), FormatError, "strides"),
        (dict(SEGMENTED, segment_stride=0), FormatError, "1 <= stride <= length"),
        (dict(SEGMENTED, segment_length=0), FormatError, "1 <= stride <= length"),
        (dict(SEGMENTED, segment_stride=8), FormatError, "1 <= stride <= length"),
        (dict(SEGMENTED, segment_stride=3), FormatError, "length <= 2"),
        (dict(SEGMENTED, tail_frames=1), FormatError, "no tail_frames with segments"),
        (dict(SEGMENTED, frame_multiple=2), FormatError, "frame_multiple of 1"),
        (dict(SEGMENTED, block_frames=6), FormatError, "whole steps of 4 frames, got 6"),
        (dict(SEGMENTED, block_frames=4 * 256), FormatError, "at most 255 segments in a block, got 256"),
        (dict(segment_length=2**32 - 1, segment_stride=2**31, block_frames=65535), FormatError, "whole steps"),
    ],
)
def test_hostile_headers(changes, error, match):
    refused(header_record(**changes) + bytes(100), error, match)


def test_a_header_of_256_large_prime_strides():
    primes = [n for n in range(60_000, 65_536) if all(n % d for d in range(2, 257))][:256]
    data = header_record(num_codebooks=256, strides=struct.pack("<256H", *primes))
    refused(data, FormatError, "multiple of every stride")


@pytest.mark.parametrize("num_samples", [2**31, 2**40, 2**63, 2**64 - 2])
@pytest.mark.parametrize("kind", [{}, dict(SEGMENTED, segment_length=1, segment_stride=1)])
def test_a_header_that_states_far_too_many_samples(num_samples, kind):
    segments = [(1, 1.0)] * 8 if kind else []
    good = block_record(frames=8 if kind else 4, segments=segments, payload=bytes(6 if kind else 3))
    header = header_record(**{**kind, "num_samples": num_samples})
    refused(header, TruncatedError, "block 0")
    refused(header + good, TruncatedError, "block 1")
    refused(header + good + end_record([good]), FormatError, "the blocks hold 8")
    for data in (header, header + good):
        assert salvage(io.BytesIO(data)).lost[-1][1] - num_samples in (0, 1)


def test_a_block_as_large_as_the_format_allows_takes_no_memory_before_it_is_there():
    strides = struct.pack("<256H", *[1] * 256)
    header = header_record(num_codebooks=256, strides=strides, codebook_size=2**20, block_frames=4096)
    refused(header + block_record(frames=4096, length=4096 * 256 * 20 // 8), TruncatedError, "block 0")


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        (dict(number=1), FormatError, "got block 1"),
        (dict(samples=9), FormatError, "does not fit"),
        (dict(samples=2**32 - 1), FormatError, "does not fit"),
        (dict(frames=0, samples=0, payload=b""), FormatError, "does not fit"),
        (dict(frames=5), FormatError, "does not fit"),
        (dict(frames=65535, length=2**31), FormatError, "does not fit"),
        (dict(count=1), FormatError, "does not fit"),
        (dict(segments=[(4, 1.0)]), FormatError, "does not fit"),
        (dict(length=2**32 - 1), FormatError, "does not fit"),
        (dict(payload=b"\0\0"), FormatError, "does not fit"),
        (dict(payload=b"\0\0\0\0"), FormatError, "does not fit"),
        (dict(coding=1), UnsupportedError, "coding 1"),
        (dict(coding=255, payload=b""), UnsupportedError, "coding 255"),
        (dict(coding=1, payload=b"\0\0\0\0"), FormatError, "does not fit"),
        (dict(frames=3, samples=6, payload=b"\0\0\1"), FormatError, "not zero"),
    ],
)
def test_hostile_blocks(changes, error, match):
    bad = block_record(**changes)
    refused(header_record() + bad + end_record([bad]), error, match)


FULL = [(4, 1.0), (4, 2.0)]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(segments=[]), "does not fit"),
        (dict(segments=[(2, 1.0)] * 4), "does not fit"),
        (dict(segments=FULL, count=255), "does not fit"),
        (dict(segments=FULL, samples=9), "does not fit"),
        (dict(segments=[(8, 1.0)], samples=4), "no signal has segments"),
        (dict(segments=[(4, 1.0), (3, 1.0)]), "segments of 8 frames in all"),
        (dict(segments=[(3, 1.0), (5, 1.0)]), "no signal has segments"),
        (dict(segments=[(8, 1.0), (0, 1.0)]), "no signal has segments"),
        (dict(segments=[(65535, 1.0), (4, 1.0)]), "segments of 8 frames in all"),
        (dict(segments=[(4, 1.0), (1, 1.0)], frames=5, samples=7, payload=bytes(4)), "no signal has segments"),
        (dict(segments=[(1, 1.0)], frames=1, samples=3, payload=bytes(1)), "cannot hold"),
        *((dict(segments=[(4, 1.0), (4, scale)]), "one scale") for scale in (0.0, -1.0, np.nan, np.inf)),
    ],
)
def test_hostile_segments(changes, match):
    bad = block_record(**{"frames": 8, "payload": bytes(6), **changes})
    refused(header_record(**SEGMENTED) + bad + end_record([bad]), FormatError, match)


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ([(4, 1.0)], FULL, "begin with sample 4"),
        ([(4, 1.0), (3, 1.0)], FULL, "no signal has segments"),
        ([(4, 1.0), (3, 1.0)], [(2, 1.0)], "no signal has segments"),
    ],
)
def test_blocks_whose_segments_do_not_follow_one_another(first, second, match):
    blocks = []
    for number, segments in enumerate((first, second)):
        frames = sum(frames for frames, _ in segments)
        payload = bytes(-(-6 * frames // 8))
        blocks.append(block_record(number, 4 * len(segments), frames, segments=segments, payload=payload))
    refused(header_record(**SEGMENTED) + b"".join(blocks) + end_record(blocks), FormatError, match)


def test_a_code_beyond_the_codebook():
    bad = block_record(payload=b"\xe0\0\0")
    refused(header_record(codebook_size=7) + bad + end_record([bad]), FormatError, "code 7 is out of range")


def test_a_block_behind_a_short_one_and_samples_behind_the_end():
    blocks = [block_record(frames=3, samples=6), block_record(number=1)]
    refused(header_record() + b"".join(blocks) + end_record(blocks), FormatError, "begin with sample 6")
    blocks = [block_record(samples=7), block_record(number=1)]
    refused(header_record() + b"".join(blocks) + end_record(blocks), FormatError, "no more samples")


def test_what_stands_between_blocks_is_refused():
    good = block_record()
    refused(header_record() + good + b"rubbish!" + end_record([good]), FormatError, "block 1 .* or the end record")


@pytest.mark.parametrize(
    "changes",
    [dict(extent=9), dict(extent=2**63), dict(samples=7), dict(contents=b""), dict(index=[26]), dict(index=[])],
)
def test_hostile_end_records(changes):
    good = block_record()
    data = header_record() + good + end_record([good], **changes)
    refused(data, FormatError, "end record|digest")


@pytest.mark.parametrize("index", [[2**32 - 1], [26], [26, 2], [0] * 1000])
def test_a_hostile_index_leads_nowhere(index):
    good = block_record()
    data = header_record() + good + end_record([good], index=index)
    with pytest.raises(FormatError):
        list(NacReader(io.BytesIO(data)).between(1.5, 1.6))
