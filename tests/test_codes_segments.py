"""`Codes` of a codec that codes segments independently: parts, slices, scales, and what it refuses."""

import copy
import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wavcodes
from wavcodes import Codes, InputError

SPEC = wavcodes.spec("encodec_48khz")  # segments of a second that overlap by a hundredth


def clip(num_samples: int, num_codebooks: int = 2) -> Codes:
    """Codes that count, and scales 1, 2, 3, ..."""
    segments = SPEC.framing().segments(num_samples)
    books = [np.arange(sum(segments)) % 1000 + k for k in range(num_codebooks)]
    return Codes.of(SPEC, books, num_samples, segments=segments, scales=np.arange(len(segments), dtype=np.float32) + 1)


def streamed(codes: Codes) -> list[Codes]:
    """The parts that a stream encoder gives: each full segment as it is complete, and the rest at the end."""
    full = max(0, (codes.num_samples - 48_000) // 47_520 + 1)
    parts = [codes.only_frames(150 * k, 150 * k + 150) for k in range(full)]
    return [*parts, codes.only_frames(150 * full, codes.num_frames)]


LENGTHS = st.one_of(
    st.integers(0, 200_000),
    st.builds(lambda k, more: 47_520 * k + more, st.integers(0, 4), st.integers(0, 500)),
)


def test_facts() -> None:
    codes = clip(100_000)
    assert (codes.segments, codes.scales.tolist()) == ((150, 150, 16), [1.0, 2.0, 3.0])
    assert codes.scales.dtype == np.float32
    assert (codes.num_frames, codes.extent, codes.ends_signal) == (316, 3 * 47_520, True)
    assert repr(codes) == "Codes(encodec_48khz, 2 codebooks, 316 frames in 3 segments, 2.083 s, 3 kbps)"
    with pytest.raises(ValueError, match="read-only"):
        codes.scales[0] = 2


@given(LENGTHS)
def test_parts_of_a_stream_make_the_whole(num_samples: int) -> None:
    codes = clip(num_samples)
    *full, rest = streamed(codes)
    for part in full:
        assert (part.num_frames, part.segments, part.num_samples, part.ends_signal) == (150, (150,), 47_520, False)
    assert rest.num_samples == num_samples - 47_520 * len(full)
    assert rest.segments == SPEC.framing().segments(rest.num_samples)
    assert Codes.concat([*full, rest]) == codes
    assert Codes.concat(codes.parts(2 * 47_520)) == codes if num_samples else True


@given(LENGTHS, st.floats(0, 5), st.floats(0, 5))
def test_slices_of_time_widen_to_segments(num_samples: int, one: float, other: float) -> None:
    codes = clip(num_samples)
    start, stop = sorted((one, other))
    first, last = int(start * 48_000 / 47_520 + 1e-9), int(np.ceil(stop * 48_000 / 47_520 - 1e-9))
    piece = codes[start:stop]
    assert piece.segments == codes.segments[first:last]
    assert piece.scales.tolist() == codes.scales[first:last].tolist()
    assert piece.num_samples == max(0, min(last * 47_520, num_samples) - first * 47_520)
    begin = sum(codes.segments[:first])
    for book, whole in zip(piece.books, codes.books, strict=True):
        assert book.tolist() == whole[begin : begin + piece.num_frames].tolist()
    assert codes[:] == codes


def test_frames_are_cut_where_segments_begin_or_end() -> None:
    codes = clip(95_140)
    assert codes.segments == (150, 149, 1)
    edges = [0, 150, 299, 300]
    for start, stop in itertools.combinations_with_replacement(range(301), 2):
        if start in edges and stop in edges:
            assert codes.frames(start, stop) == codes.only_frames(start, stop)
            assert codes.frames(start, stop).num_frames == stop - start
        elif start % 7 == 0 or stop % 7 == 0:
            with pytest.raises(InputError, match="expected frames within 0 to 300 where segments begin or end"):
                codes.frames(start, stop)
    assert codes.only_frames(150, 299).num_samples == 47_520
    assert codes.only_frames(299, 300).num_samples == 100
    assert [codes.frame_at(sample) for sample in (0, 47_520, 95_040, 142_560, 10**9)] == [0, 150, 299, 300, 300]


@pytest.mark.parametrize("extent", [0, -47_520, 47_519, 1.5])
def test_parts_are_multiples_of_segments(extent: int) -> None:
    with pytest.raises(InputError, match=r"extent|multiple of 47520 samples"):
        list(clip(100_000).parts(extent))


def test_fewer_codebooks_keep_segments_and_scales() -> None:
    codes = clip(100_000, num_codebooks=4)
    assert codes.codebooks(2) == clip(100_000)


@given(LENGTHS)
def test_flat_and_back(num_samples: int) -> None:
    codes = clip(num_samples)
    assert Codes.from_flat(codes.to_flat(), SPEC, 2, num_samples, scales=codes.scales) == codes
    for part in streamed(codes):
        assert Codes.from_flat(part.to_flat(), SPEC, 2, part.num_samples, scales=part.scales.tolist()) == part


def test_flat_without_a_length_is_full_segments_and_a_rest() -> None:
    codes = Codes.from_flat([0] * 2 * 303, SPEC, 2, scales=[1, 2, 3])
    assert (codes.segments, codes.num_samples) == ((150, 150, 3), 2 * 47_520 + 3 * 320)
    codes = Codes.from_flat([0] * 2 * 300, SPEC, 2, scales=[1, 2])
    assert (codes.segments, codes.num_samples) == ((150, 150), 2 * 47_520)
    with pytest.raises(InputError, match="one scale for each of 2 segments"):
        Codes.from_flat([0] * 2 * 300, SPEC, 2)
    with pytest.raises(InputError, match="cannot hold"):
        Codes.from_flat([0] * 2 * 300, SPEC, 2, 10**18, scales=[1, 2])


def test_equality() -> None:
    codes = clip(100_000)
    assert codes == clip(100_000)
    assert codes != replace(codes, scales=codes.scales * 2)
    assert clip(47_600).segments == (149, 1)
    one = Codes.of(SPEC, [[0] * 150], 100, segments=(149, 1), scales=(1, 1))
    assert one != Codes.of(SPEC, [[0] * 150], 100, segments=(150,), scales=(1,))


# ---- refused


@pytest.mark.parametrize(
    ("frames", "segments", "message"),
    [
        (150, (), "segments of 150 frames in all"),
        (150, (149,), "segments of 150 frames in all"),
        (150, (100, 50), "no signal has segments"),
        (151, (1, 150), "no signal has segments"),
        (151, (151,), "no signal has segments"),
        (300, (150, 0, 150), "no signal has segments"),
        (150, (160, -10), "no signal has segments"),
        (150, (150.0,), "expected an integer as segment"),
    ],
)
def test_segments_that_are_refused(frames: int, segments: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Codes.of(SPEC, [[0] * frames], 10, segments=segments, scales=[1.0] * len(segments))


@pytest.mark.parametrize(
    "scales",
    [
        (),
        (1.0,),
        (1.0, 2.0, 3.0),
        ((1.0, 2.0),),
        *((1.0, scale) for scale in (0.0, -1.0, np.nan, np.inf, 1e39, 1e-60, None)),
        ("a", "b"),
        (1j, 1j),
        ((1.0,), (1.0, 2.0)),
    ],
)
def test_scales_that_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"expected (one scale for each of 2 segments|scales as floats)"):
        Codes.of(SPEC, [[0] * 152], 48_000, segments=(150, 2), scales=scales)


def test_codecs_without_segments_have_neither_segments_nor_scales() -> None:
    plain = wavcodes.spec("encodec_24khz")
    for segments, scales in (((), (1.0,)), ((8,), (1.0,)), ((0,), (1.0,)), ((4, 4), (1.0, 1.0))):
        with pytest.raises(InputError, match="segments"):
            Codes.of(plain, [[0] * 8], 10, segments=segments, scales=scales)


@pytest.mark.parametrize(
    ("segments", "most"),
    [
        ((150,), 47_520),
        ((149,), 47_520),
        ((148,), 47_360),
        ((149, 1), 47_680),
        ((150, 1), 47_840),
        ((150, 150), 95_040),
    ],
)
def test_lengths_that_the_segments_cannot_hold_are_refused(segments: tuple[int, ...], most: int) -> None:
    def make(num_samples: int) -> Codes:
        books = [[0] * sum(segments)]
        return Codes.of(SPEC, books, num_samples, segments=segments, scales=[1.0] * len(segments))

    assert make(most).num_samples == most
    for num_samples in (-1, most + 1, 10**18):
        with pytest.raises(InputError, match=f"in {len(segments)} segments cannot hold"):
            make(num_samples)


def test_parts_that_do_not_follow_one_another_are_refused() -> None:
    with pytest.raises(InputError, match="followed by more"):
        Codes.concat([clip(48_000), clip(48_000)])
    with pytest.raises(InputError, match="no signal has segments"):
        Codes.concat([clip(47_520), clip(48_000)])


def test_copies_and_pickles_are_checked_and_read_only() -> None:
    codes = clip(100_000)
    for twin in (copy.copy(codes), copy.deepcopy(codes), pickle.loads(pickle.dumps(codes))):
        assert twin == codes
        assert not any(array.flags.writeable for array in (*twin.books, twin.scales))
