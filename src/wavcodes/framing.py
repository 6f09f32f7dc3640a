"""How codes stand for sound: frames, codebooks and segments, and every rule that follows from them."""

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

from .errors import InputError
from .values import whole_number


@dataclass(frozen=True)
class Segment:
    """The windows of a codec that codes them independently, with a gain (scale) each.

    Segment `k` begins with sample `k * stride` and exists where the signal has that sample. It is `length` samples
    long, or less where the signal ends before.

    Attributes:
        length: Samples of a full segment.
        stride: Samples from the beginning of one segment to that of the next; what is left of `length` overlaps with
            that next one and no other.
    """

    length: int
    stride: int

    def __post_init__(self) -> None:
        for fact in ("length", "stride"):
            object.__setattr__(self, fact, whole_number(f"segment {fact}", getattr(self, fact)))
        if not 1 <= self.stride <= self.length <= 2 * self.stride:
            raise InputError(f"expected segments with 1 <= stride <= length <= 2 * stride, got {self}")


@dataclass(frozen=True)
class Framing:
    """What must be known of a codec to tell which codes stand for which samples. Equal framings, same kind of codes.

    Attributes:
        codec: Name of the codec.
        sample_rate: Hz.
        channels: Audio channels that are coded together.
        hop_length: Samples per frame.
        codebook_size: Entries per codebook; a code is in `0 ..< codebook_size`.
        strides: Frames per code for each codebook, coarsest first.
        tail_frames: Frames after those that hold samples; they flush a codec's own delay.
        frame_multiple: An encoder fills up the frames that hold samples to a multiple of this.
        segment: Windows that are coded independently, if the codec has such.

    Raises:
        InputError: The facts contradict each other.
    """

    codec: str
    sample_rate: int
    channels: int
    hop_length: int
    codebook_size: int
    strides: tuple[int, ...]
    tail_frames: int = 0
    frame_multiple: int = 1
    segment: Segment | None = None

    def __post_init__(self) -> None:
        for fact in ("sample_rate", "channels", "hop_length", "codebook_size", "tail_frames", "frame_multiple"):
            object.__setattr__(self, fact, whole_number(fact, getattr(self, fact)))
        object.__setattr__(self, "strides", tuple(whole_number("stride", stride) for stride in self.strides))
        positive = (self.sample_rate, self.channels, self.hop_length, self.frame_multiple, *self.strides)
        if not self.strides or min(positive) < 1 or self.codebook_size < 2 or self.tail_frames < 0:
            raise InputError(
                "expected at least one stride, a codebook_size of 2 or more, a sample_rate, channels, hop_length, "
                f"frame_multiple and strides of 1 or more, and no negative tail_frames, got {self}"
            )
        if self.frame_multiple % self.cycle or self.tail_frames % self.frame_multiple:
            raise InputError(
                f"expected a frame_multiple that is a multiple of every stride, and tail_frames that are a multiple of "
                f"it, got {self}"
            )
        if self.segment is not None and (self.tail_frames, self.frame_multiple) != (0, 1):
            raise InputError(f"expected strides and a frame_multiple of 1 and no tail_frames with segments, got {self}")

    @property
    def num_codebooks(self) -> int:
        """K, the number of codebooks."""
        return len(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second, exact: `sample_rate / hop_length`. What segments have in common is not counted twice."""
        return self.sample_rate / self.hop_length

    @property
    def bits(self) -> int:
        """Bits that one code needs."""
        return (self.codebook_size - 1).bit_length()

    @property
    def bandwidth(self) -> float:
        """Nominal payload in kbps."""
        return sum(1 / stride for stride in self.strides) * self.bits * self.frame_rate / 1000

    @cached_property
    def cycle(self) -> int:
        """Frames of the shortest stretch in which every book has whole codes."""
        return math.lcm(*self.strides)

    @cached_property
    def cycle_codes(self) -> int:
        """Codes in one cycle, of all books together."""
        return sum(self.cycle // stride for stride in self.strides)

    @property
    def step_frames(self) -> int:
        """Frames of one step, the shortest stretch that decodes on its own: `frame_multiple`, or a full segment's."""
        return self.frame_multiple if self.segment is None else -(-self.segment.length // self.hop_length)

    @property
    def step_samples(self) -> int:
        """Samples from the beginning of one step to that of the next."""
        return self.frame_multiple * self.hop_length if self.segment is None else self.segment.stride

    def num_frames(self, num_samples: int) -> int:
        """Frames that `num_samples` samples (per channel) are coded into; 0 for no samples."""
        if num_samples <= 0:
            return 0
        if self.segment is None:
            return -(-num_samples // self.step_samples) * self.step_frames + self.tail_frames
        full = max(0, (num_samples - self.segment.length) // self.segment.stride + 1)
        return full * self.step_frames + sum(self.segments(num_samples - full * self.segment.stride))

    def segments(self, num_samples: int) -> tuple[int, ...]:
        """Frames of each segment of a signal of `num_samples` samples; none where the codec has no segments."""
        if self.segment is None:
            return ()
        starts = range(0, num_samples, self.segment.stride)
        return tuple(-(-min(self.segment.length, num_samples - start) // self.hop_length) for start in starts)

    def segments_in(self, num_frames: int, num_samples: int) -> tuple[int, ...]:
        """Frames of each segment of a clip of `num_frames` frames: those of a signal of `num_samples` samples if they
        are so many, else full ones and what is left."""
        num_samples = whole_number("num_samples", num_samples)
        if self.segment is None or num_frames == self.num_frames(num_samples):
            return self.segments(num_samples)
        full, rest = divmod(num_frames, self.step_frames)
        return (self.step_frames,) * full + (rest,) * (rest > 0)

    def longest(self, num_frames: int) -> int:
        """Samples of the longest signal that a clip of `num_frames` frames stands for."""
        if self.segment is None:
            return max(0, num_frames - self.tail_frames) * self.hop_length
        full, rest = divmod(num_frames, self.step_frames)
        return full * self.step_samples + min(rest * self.hop_length, self.step_samples)

    def extent(self, num_frames: int, num_segments: int) -> int:
        """Samples from the beginning of a part to that of the part that follows it."""
        return num_frames * self.hop_length if self.segment is None else num_segments * self.segment.stride

    def capacity(self, num_frames: int, segments: tuple[int, ...]) -> int:
        """The most samples that a part of these frames can hold.

        Args:
            num_frames: Frames of the part.
            segments: Frames of each of its segments; none where the codec has no segments.

        Raises:
            InputError: No signal has such segments one after the other.
        """
        extent = self.extent(num_frames, len(segments))
        short = next((k for k, frames in enumerate(segments) if frames != self.step_frames), None)
        if self.segment is None or short is None:
            return extent
        # A segment that is not full ends with the signal, and so says how long that can be.
        first = max(0, short - 1)  # the one before reaches into it
        rest = segments[first:]
        signal = min(k * self.segment.stride + rest[k] * self.hop_length for k in range(short - first, len(rest)))
        if max(rest) > self.step_frames or self.segments(signal)[: len(rest)] != rest:
            raise InputError(
                f"no signal has segments of {rest[:3]} frames one after the other: each has {self.step_frames} "
                "unless the signal ends in it"
            )
        return min(extent, first * self.segment.stride + signal)

    def cover(self, start: float, stop: float) -> tuple[int, int]:
        """The samples with which the steps that cover the time from `start` to `stop` (seconds) begin and end.

        Raises:
            InputError: Not `0 <= start <= stop`, or no finite times.
        """
        if not 0 <= start <= stop < math.inf:
            raise InputError(f"expected 0 <= start <= stop in seconds, got {start} to {stop}")
        seconds = self.step_samples / self.sample_rate
        first, last = math.floor(start / seconds + 1e-9), math.ceil(stop / seconds - 1e-9)
        return first * self.step_samples, max(first, last) * self.step_samples

    def first(self, num_codebooks: int) -> "Framing":
        """The framing of the first `num_codebooks` codebooks alone."""
        count = whole_number("number of codebooks", num_codebooks)
        if not 1 <= count <= self.num_codebooks:
            raise InputError(f"expected 1 to {self.num_codebooks} codebooks, got {count}")
        return replace(self, strides=self.strides[:count])

    def difference(self, other: "Framing") -> str | None:
        """Name of the first fact that the two do not have in common, or None."""
        names = (fact.name for fact in fields(self))
        return next((name for name in names if getattr(self, name) != getattr(other, name)), None)
