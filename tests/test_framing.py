"""`Framing`: the rules by which codes stand for sound, against the same rules spelled out one sample at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wavcodes
from wavcodes import InputError
from wavcodes.framing import Framing, Segment

PLAIN = Framing("plain", 24_000, 1, 320, 1024, (1,) * 8)
SCALED = Framing("scaled", 32_000, 1, 384, 4096, (8, 4, 2, 1), frame_multiple=32)
SEGMENTED = Framing("segmented", 48_000, 2, 320, 1024, (1, 1), segment=Segment(48_000, 47_520))


@st.composite
def segmented_framings(draw: st.DrawFn) -> Framing:
    stride = draw(st.integers(1, 40))
    segment = Segment(draw(st.integers(stride, 2 * stride)), stride)
    return replace(SEGMENTED, hop_length=draw(st.integers(1, 9)), segment=segment)


def walked(framing: Framing, num_samples: int) -> tuple[int, ...]:
    """Frames of each segment, from the samples that lie in it."""
    segment = framing.segment
    assert segment is not None
    frames = []
    for start in range(0, num_samples, segment.stride):
        samples = range(start, num_samples)[: segment.length]
        frames.append(len({(sample - start) // framing.hop_length for sample in samples}))
    return tuple(frames)


# ---- frames


def test_derived_facts() -> None:
    assert (PLAIN.num_codebooks, PLAIN.frame_rate, PLAIN.bits, PLAIN.bandwidth) == (8, 75.0, 10, 6.0)
    assert (PLAIN.cycle, PLAIN.cycle_codes, PLAIN.step_frames, PLAIN.step_samples) == (1, 8, 1, 320)
    assert (SCALED.cycle, SCALED.cycle_codes, SCALED.step_frames, SCALED.step_samples) == (8, 15, 32, 12_288)
    assert SCALED.bandwidth == pytest.approx(1.875)
    assert (SEGMENTED.frame_rate, SEGMENTED.bandwidth) == (150.0, 3.0)
    assert (SEGMENTED.step_frames, SEGMENTED.step_samples) == (150, 47_520)
    assert replace(PLAIN, codebook_size=1025).bits == 11


@given(st.integers(0, 5000), st.integers(1, 400), st.integers(0, 2), st.sampled_from([1, 4, 8, 32]))
def test_frames_of_samples(num_samples: int, hop: int, tails: int, multiple: int) -> None:
    framing = replace(SCALED, strides=(1,), hop_length=hop, frame_multiple=multiple, tail_frames=tails * multiple)
    holding = len({sample // hop for sample in range(num_samples)})
    while holding % multiple:
        holding += 1
    expected = holding + tails * multiple if num_samples else 0
    assert framing.num_frames(num_samples) == expected
    assert framing.segments(num_samples) == ()
    assert framing.longest(expected) == holding * hop
    assert framing.num_frames(framing.longest(expected)) == expected


def test_the_facts_of_a_codec_follow_both_rules() -> None:
    spec = replace(wavcodes.spec("encodec_24khz"), frame_multiple=4)
    assert [spec.num_frames(n) for n in (0, 1, 1280, 1281)] == [0, 4, 4, 8]
    spec = replace(wavcodes.spec("encodec_24khz"), segment=Segment(48_000, 47_520))
    assert spec.framing(2).segment == Segment(48_000, 47_520)
    assert [spec.num_frames(n) for n in (0, 1, 47_521, 96_000)] == [0, 1, 150, 303]
    assert (spec.framing().num_codebooks, spec.framing(2).strides) == (32, (1, 1))
    with pytest.raises(InputError, match="1 to 32 codebooks"):
        spec.framing(33)


# ---- segments


@pytest.mark.parametrize(
    ("num_samples", "segments"),
    [
        (0, ()),
        (1, (1,)),
        (321, (2,)),
        (47_520, (149,)),
        (47_521, (149, 1)),
        (47_680, (149, 1)),
        (47_681, (150, 1)),
        (48_000, (150, 2)),
        (95_040, (150, 149)),
        (95_140, (150, 149, 1)),
        (95_520, (150, 150, 2)),
        (143_040, (150, 150, 150, 2)),
    ],
)
def test_segments_of_samples(num_samples: int, segments: tuple[int, ...]) -> None:
    assert SEGMENTED.segments(num_samples) == segments == walked(SEGMENTED, num_samples)
    assert SEGMENTED.num_frames(num_samples) == sum(segments)


@given(segmented_framings(), st.integers(0, 300))
def test_segments_of_any_kind(framing: Framing, num_samples: int) -> None:
    segments = walked(framing, num_samples)
    assert framing.segments(num_samples) == segments
    assert framing.num_frames(num_samples) == sum(segments)
    assert framing.segments_in(sum(segments), num_samples) == segments


@given(segmented_framings(), st.lists(st.integers(-1, 85), max_size=5))
@example(replace(SEGMENTED, hop_length=1, segment=Segment(5, 3)), [5, 1])  # the first would be cut, too
def test_capacity_is_that_of_the_longest_signal_with_such_segments(framing: Framing, frames: list[int]) -> None:
    """Every signal has a beginning of segments; those that none has are refused."""
    assert framing.segment is not None
    segments = tuple(min(count, framing.step_frames + 1) for count in frames)
    extent = len(segments) * framing.segment.stride
    longest = extent + 2 * framing.segment.length
    fitting = [n for n in range(longest) if walked(framing, n)[: len(segments)] == segments]
    if not fitting:
        with pytest.raises(InputError, match="no signal has segments"):
            framing.capacity(sum(segments), segments)
    else:
        assert framing.capacity(sum(segments), segments) == min(extent, max(fitting))


def test_frames_and_length_tell_the_segments() -> None:
    assert SEGMENTED.segments_in(150, 47_600) == (149, 1)
    assert SEGMENTED.segments_in(150, 47_520) == (150,)  # a full one, which more could follow
    assert SEGMENTED.segments_in(302, 95_400) == (150, 150, 2)
    assert [SEGMENTED.longest(frames) for frames in (0, 1, 149, 150, 151)] == [0, 320, 47_520, 47_520, 47_840]


# ---- time


@pytest.mark.parametrize(
    ("framing", "start", "stop", "covered"),
    [
        (PLAIN, 0.0, 0.0, (0, 0)),
        (PLAIN, 1 / 75, 2 / 75, (320, 640)),
        (PLAIN, 0.013, 0.014, (0, 640)),
        (SCALED, 0.3, 0.4, (0, 24_576)),
        (SCALED, 0.384, 0.768, (12_288, 24_576)),
        (SEGMENTED, 0.98, 0.991, (0, 95_040)),
        (SEGMENTED, 0.99, 1.98, (47_520, 95_040)),
        (SEGMENTED, 1.0, 1.0, (47_520, 95_040)),
    ],
)
def test_samples_that_cover_a_time(framing: Framing, start: float, stop: float, covered: tuple[int, int]) -> None:
    assert framing.cover(start, stop) == covered


@pytest.mark.parametrize("span", [(-1, 1), (1, 0.5), (math.nan, 1), (0, math.nan), (0, math.inf)])
def test_what_is_no_time(span: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="0 <= start <= stop"):
        PLAIN.cover(*span)


# ---- comparison, and what is refused


def test_the_first_difference_is_named() -> None:
    assert PLAIN.difference(replace(PLAIN)) is None
    for fact, value in {
        "codec": "x",
        "sample_rate": 8_000,
        "channels": 2,
        "hop_length": 1,
        "codebook_size": 5,
        "strides": (1,),
        "tail_frames": 1,
        "frame_multiple": 2,
        "segment": Segment(2, 1),
    }.items():
        assert PLAIN.difference(replace(PLAIN, **{fact: value})) == fact
    assert SCALED.first(2) == replace(SCALED, strides=(8, 4))


def test_whole_numbers_of_any_kind() -> None:
    assert replace(PLAIN, hop_length=np.int64(320), strides=[np.uint8(1)] * 8) == PLAIN
    assert Segment(np.int32(3), np.int16(2)) == Segment(3, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strides": ()}, "at least one stride"),
        ({"strides": (0,)}, "strides of 1 or more"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"channels": 0}, "channels"),
        ({"hop_length": -1}, "hop_length"),
        ({"codebook_size": 1}, "codebook_size of 2 or more"),
        ({"tail_frames": -1}, "no negative tail_frames"),
        ({"frame_multiple": 0}, "frame_multiple"),
        ({"hop_length": 1.5}, "expected an integer as hop_length"),
        ({"strides": (4, 2, 1)}, "frame_multiple that is a multiple of every stride"),
        ({"strides": (3, 2), "frame_multiple": 4}, "frame_multiple that is a multiple of every stride"),
        ({"frame_multiple": 4, "tail_frames": 6}, "tail_frames that are a multiple"),
        ({"segment": Segment(3, 2), "tail_frames": 1}, "no tail_frames with segments"),
        ({"segment": Segment(3, 2), "frame_multiple": 2}, "frame_multiple of 1"),
        ({"segment": Segment(3, 2), "strides": (2, 1), "frame_multiple": 2}, "strides and a frame_multiple of 1"),
    ],
)
def test_facts_that_contradict_each_other(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PLAIN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("length", "stride"), [(0, 0), (3, 0), (3, 4), (5, 2), (-2, -2), (1.0, 1)])
def test_segments_that_are_refused(length: int, stride: int) -> None:
    with pytest.raises(InputError, match="segment"):
        Segment(length, stride)
