"""What `salvage` finds in damaged and cut `.nac` files, and that it takes no time out of proportion."""

import io
import itertools
import struct
import time

import nac_case
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nac_case import block, block_record, clip, end_record, header_record, small, small_segmented, written

from wavcodes.codes import Codes
from wavcodes.containers import Header, salvage
from wavcodes.containers.nac import NacReader, NacWriter
from wavcodes.errors import LimitError, TruncatedError, UnsupportedError
from wavcodes.registry import spec

both = pytest.mark.parametrize("make", [small, small_segmented])


@both
def test_a_truncated_file_gives_its_whole_blocks(make):
    codes, data, ends = make()
    header_length = data.index(b"\xf5NAB")
    for length in range(len(data)):
        if length < header_length:
            with pytest.raises(TruncatedError):
                salvage(io.BytesIO(data[:length]))
            continue
        result = salvage(io.BytesIO(data[:length]))
        whole = sum(end <= length for end in ends)
        assert result.blocks == tuple(block(codes, number) for number in range(whole))
        assert result.lost == ((min(8 * whole, codes.extent), None),)


@both
def test_a_flipped_bit_loses_only_its_block(make):
    codes, data, ends = make()
    header_length = data.index(b"\xf5NAB")
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        whole_header = io.BytesIO(data) if bit < 8 * header_length else None
        result = salvage(io.BytesIO(damaged), header_from=whole_header)
        hit = sum(8 * end <= bit for end in ends) if bit >= 8 * header_length else None
        assert result.blocks == tuple(block(codes, number) for number in range(3) if number != hit)
        if hit in (0, 1, 2):
            assert result.lost == ((8 * hit, min(8 * hit + 8, codes.extent)),)
        elif hit is None:
            assert result.lost == ()
        else:
            assert result.lost == ((codes.extent, None),)


@given(nac_case.clips(), st.data())
@settings(max_examples=100, deadline=None)
def test_of_any_clip_only_the_blocks_that_are_hit_are_lost(codes, data):
    file = written(codes)
    parts = list(NacReader(io.BytesIO(file)).parts())
    begins = list(itertools.accumulate((part.extent for part in parts), initial=0))
    at = [m for m in range(len(file)) if file.startswith(b"\xf5NAB", m)]
    assume(len(at) == len(parts))  # no payload happens to look like a mark
    hit = data.draw(st.sets(st.sampled_from(range(len(parts))))) if parts else set()
    damaged = bytearray(file)
    for number in hit:
        damaged[data.draw(st.integers(at[number], [*at, file.rindex(b"\xf5NAE")][number + 1] - 1))] ^= 0x40
    result = salvage(io.BytesIO(damaged))
    assert result.blocks == tuple((begins[n], part) for n, part in enumerate(parts) if n not in hit)
    lost = {sample for start, stop in result.lost for sample in range(start, stop)}
    assert lost == {sample for n in hit for sample in range(begins[n], begins[n + 1])}
    assert len(result.lost) == sum(n - 1 not in hit for n in hit)


def test_blocks_between_rubbish_and_out_of_order():
    codes, data, ends = small()
    start = data.index(b"\xf5NAB")
    first, second, third = data[start : ends[0]], data[ends[0] : ends[1]], data[ends[1] : ends[2]]
    rubbish = np.random.default_rng(1).bytes(999) + b"\xf5NAB" * 3
    mixed = data[:start] + rubbish + third + rubbish + first[:-1] + b"?" + second + rubbish + second + data[ends[2] :]
    result = salvage(io.BytesIO(mixed))
    assert result.blocks == (block(codes, 1), block(codes, 2))
    assert result.lost == ((0, 8),)
    assert result.report() == "lost: 0.000 s to 1.000 s"
    assert salvage(io.BytesIO(data)).report() == "nothing is lost"


def test_of_two_blocks_of_one_number_the_first_counts():
    data, other = (written(clip(19, size=1000, seed=seed)) for seed in (1, 2))
    second, third = (data.index(b"\xf5NAB" + struct.pack("<I", number)) for number in (1, 2))
    doubled = data[:third] + other[second:third] + data[third:]
    assert salvage(io.BytesIO(doubled)).blocks == salvage(io.BytesIO(data)).blocks


@both
def test_the_end_is_known_from_the_header(make):
    codes, _, _ = make()
    data = written(codes, known=True)
    cut = data[: data.index(b"\xf5NAB" + struct.pack("<I", 1))]
    assert salvage(io.BytesIO(cut)).lost == ((8, codes.extent),)


def test_a_cut_empty_clip_has_lost_nothing():
    empty = Codes.of(spec("wavcodes_16khz"), [np.zeros(0, np.uint16)] * 3, 0)
    file = io.BytesIO()
    writer = NacWriter(file, Header.of_codes(empty))
    writer.write(empty)
    writer.close()
    found = salvage(io.BytesIO(file.getvalue()[:-5]))
    assert found.blocks == ()
    assert found.lost == ()


@pytest.mark.parametrize("segmented", [False, True])
def test_a_block_of_unknown_coding_is_lost_and_skipped(segmented):
    segments = [(4, 1.0)] if segmented else []
    header = header_record(**(dict(segment_length=8, segment_stride=8) if segmented else {}))
    good = [block_record(number, segments=segments) for number in range(3)]
    later = block_record(1, coding=7, segments=segments, payload=b"\1\2")
    whole = header + good[0] + later + good[2]
    result = salvage(io.BytesIO(whole + end_record([good[0], later, good[2]], 24, 24)))
    assert [first for first, _ in result.blocks] == [0, 16]
    assert result.lost == ((8, 16),)
    with pytest.raises(UnsupportedError, match=r"block 1 .* is in coding 7"):
        list(NacReader(io.BytesIO(whole)).parts())


def test_what_a_block_of_unknown_coding_holds_is_not_searched():
    header = header_record(codebook_size=1 << 20, block_frames=64)
    inner = block_record(5, samples=2, frames=1, payload=bytes(5))
    outer = block_record(0, samples=128, frames=64, coding=1, payload=bytes(9) + inner)
    assert salvage(io.BytesIO(header + inner)).blocks != ()
    assert salvage(io.BytesIO(header + outer)).blocks == ()
    assert salvage(io.BytesIO(header + outer[:-1] + b"?")).blocks != ()  # not sealed, so it is no block


# ---- time


def test_overlapping_candidates_take_no_time_out_of_proportion():
    """Each of 50,000 marks announces 240 kB, which would be 12 GB to check."""
    header = header_record(codebook_size=1 << 16, block_frames=60_000)
    fields = b"\xf5NAB" + struct.pack("<IIHBBI", 0, 0, 60_000, 0, 0, 240_000)
    start = time.process_time()
    with pytest.raises(LimitError, match="header_from"):
        salvage(io.BytesIO(header + fields * 50_000))
    assert time.process_time() - start < 1


def test_no_block_that_the_file_cannot_hold_is_checked():
    """Marks of blocks that end behind the file cost nothing, so they do not use up the limit either."""
    header = header_record(codebook_size=1 << 16, block_frames=60_000)
    fields = b"\xf5NAB" + struct.pack("<IIHBBI", 0, 0, 60_000, 0, 0, 240_000)
    good = block_record(number=7, frames=1, samples=2, payload=bytes(4))
    found = salvage(io.BytesIO(header + fields * 9_000 + good)).blocks
    assert [(first, codes.num_frames) for first, codes in found] == [(7 * 120_000, 1)]


def test_every_block_of_a_file_of_many_cut_ones_is_found():
    """Three of four blocks lose three quarters of their bytes: the candidates overlap, and the rest is found."""
    data = written(clip(4 * 64 * 2, rate=128, hop=2, size=1 << 16, strides=(1,) * 64, tail=0))
    marks = [at for at in range(len(data)) if data.startswith(b"\xf5NAB", at)]
    blocks = [data[at:stop] for at, stop in itertools.pairwise([*marks, data.index(b"\xf5NAE")])]
    cut = b"".join(each if n % 4 == 3 else each[: len(each) // 4] for n, each in enumerate(blocks * 200))
    result = salvage(io.BytesIO(data[: marks[0]] + cut))
    assert [first for first, _ in result.blocks] == [3 * 128]
