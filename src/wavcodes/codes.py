"""`Codes`: the codes of one clip, with all that is needed to store them and to decode them to the exact length."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .framing import Framing
from .spec import CodecSpec
from .values import as_array, whole_number

Scales = Sequence[float] | NDArray[np.floating[Any]]


_LOUDEST = 1e6  # a scale is the root mean square of a segment, which is below one; what is decoded must stay finite


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of one clip.

    Attributes:
        framing: Which codec made them, and how they stand for its samples.
        books: One 1-D array per codebook, coarsest first; uint16, or uint32 for books of more than 65,536 entries.
        num_samples: True length of the audio, per channel.
        segments: Frames of each segment (segmented codecs only); empty otherwise.
        scales: Gains removed before coding, one float32 per segment.

    Raises:
        InputError: A code is out of range, the books disagree in length, there are too few frames for `num_samples`, or
            the segments are none that the codec makes.

    `np.asarray(codes)` is `(K, T)` where all strides are one.
    """

    framing: Framing
    books: tuple[NDArray[Any], ...]
    num_samples: int
    segments: tuple[int, ...] = ()
    scales: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_samples", whole_number("num_samples", self.num_samples))
        if len(self.strides) != len(self.books):
            raise InputError(f"expected one book per stride, got {len(self.books)} for {len(self.strides)} strides")
        object.__setattr__(self, "books", tuple(self._checked(k, book) for k, book in enumerate(self.books)))
        lengths = {len(book) * stride for book, stride in zip(self.books, self.strides, strict=True)}
        if len(lengths) != 1:
            raise InputError(
                f"expected books of equal duration, got {[len(b) for b in self.books]} codes at strides {self.strides}"
            )
        self._check_segments()
        if not 0 <= self.num_samples <= self.framing.capacity(self.num_frames, self.segments):
            raise InputError(
                f"{self.num_frames} frames of {self.hop_length} samples"
                + (f" in {len(self.segments)} segments" if self.segments else "")
                + f" cannot hold {self.num_samples = }; pass the length of the audio that these codes were made from"
            )

    def _checked(self, k: int, book: ArrayLike) -> NDArray[Any]:
        array = as_array("codes", book)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InputError(
                f"codebook {k}: expected a 1-D array of integers, got shape {array.shape} of {array.dtype}"
            )
        if array.size and (array.min() < 0 or array.max() >= self.codebook_size):
            at = int(np.flatnonzero((array < 0) | (array >= self.codebook_size))[0])
            raise InputError(
                f"codebook {k}, position {at}: code {array[at]} is out of range; "
                f"{self.codec} has codes 0 to {self.codebook_size - 1}"
            )
        array = array.astype(np.uint16 if self.codebook_size <= 1 << 16 else np.uint32)
        array.flags.writeable = False
        return array

    def _check_segments(self) -> None:
        object.__setattr__(self, "segments", tuple(whole_number("segment", frames) for frames in self.segments))
        try:
            with np.errstate(over="ignore"):  # what becomes infinite is refused below
                scales = np.array(self.scales, np.float64).astype(np.float32)
        except (TypeError, ValueError):
            raise InputError(f"expected scales as floats, got {self.scales!r}") from None
        within = scales.size == 0 or 0 < scales.min() <= scales.max() <= _LOUDEST  # not if one is NaN
        if scales.shape != (len(self.segments),) or not within:
            raise InputError(
                f"expected one scale for each of {len(self.segments)} segments, above 0 and at most {_LOUDEST:g}, "
                f"got {self.scales!r}"
            )
        scales.flags.writeable = False
        object.__setattr__(self, "scales", scales)
        if self.framing.segment is None and self.segments:
            raise InputError(f"expected no segments, for {self.codec} codes none, got {self.segments}")
        if self.framing.segment is not None and sum(self.segments) != self.num_frames:
            raise InputError(
                f"expected segments of {self.num_frames} frames in all, got {len(self.segments)} of "
                f"{sum(self.segments)}"
            )

    @classmethod
    def of(
        cls,
        spec: CodecSpec,
        books: Sequence[ArrayLike],
        num_samples: int,
        *,
        segments: Sequence[int] = (),
        scales: Scales = (),
    ) -> Codes:
        """Codes of a known codec: `books` are its first books, coarsest first; the rest as for `Codes`."""
        framing, arrays = spec.framing(len(books)), tuple(as_array("codes", book) for book in books)
        return cls(framing, arrays, num_samples, tuple(segments), cast(NDArray[np.float32], scales))

    @classmethod
    def from_flat(
        cls,
        flat: ArrayLike,
        spec: CodecSpec,
        num_codebooks: int | None = None,
        num_samples: int | None = None,
        *,
        scales: Scales = (),
    ) -> Codes:
        """Codes from one flat row-major sequence: all of book 0, then all of book 1, and so on.

        Args:
            flat: Integers, as `to_flat` gives them.
            spec: The codec they belong to.
            num_codebooks: K; all books of the codec if left out.
            num_samples: True length; the whole of the frames if left out.
            scales: One gain per segment, for a codec that codes in segments.
        """
        framing = spec.framing(num_codebooks)
        array = as_array("codes", flat)
        if array.ndim != 1:
            raise InputError(f"expected a flat sequence of codes, got shape {array.shape}")
        if array.size % framing.cycle_codes:
            raise InputError(
                f"{array.size} codes do not divide into {framing.num_codebooks} codebooks of {spec.name}, which have "
                f"{framing.cycle_codes} codes in {framing.cycle} frames"
            )
        frames = array.size // framing.cycle_codes * framing.cycle
        ends = np.cumsum([frames // stride for stride in framing.strides])
        length = framing.longest(frames) if num_samples is None else num_samples
        books = np.split(array, ends[:-1])
        return cls.of(spec, books, length, segments=framing.segments_in(frames, length), scales=scales)

    def to_flat(self) -> NDArray[np.uint32]:
        """All codes row-major: book 0 in time order, then book 1, and so on."""
        return np.concatenate([book.astype(np.uint32) for book in self.books])

    @classmethod
    def concat(cls, parts: Iterable[Codes]) -> Codes:
        """One clip from consecutive parts, such as the pieces that a stream encoder gave."""
        pieces = list(parts)
        if not pieces:
            raise InputError("expected at least one part, got none")
        first = pieces[0]
        for part in pieces[1:]:
            if fact := first.framing.difference(part.framing):
                raise InputError(f"the parts come from different codecs or numbers of codebooks: their {fact} differs")
        ended = False
        for part in pieces:
            if ended and part.num_samples:
                raise InputError(
                    "expected parts of one signal, but one that is not full, and so ends it, is followed by more; "
                    "keep separate clips apart"
                )
            ended |= part.ends_signal
        return replace(
            first,
            books=tuple(np.concatenate(books) for books in zip(*(part.books for part in pieces), strict=True)),
            num_samples=sum(part.num_samples for part in pieces),
            segments=tuple(chain.from_iterable(part.segments for part in pieces)),
            scales=np.concatenate([part.scales for part in pieces]),
        )

    @property
    def codec(self) -> str:
        """Name of the codec that made them."""
        return self.framing.codec

    @property
    def sample_rate(self) -> int:
        """Hz of the audio."""
        return self.framing.sample_rate

    @property
    def channels(self) -> int:
        """Channels of the audio."""
        return self.framing.channels

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.framing.hop_length

    @property
    def codebook_size(self) -> int:
        """Every code is in `0 ..< codebook_size`."""
        return self.framing.codebook_size

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames per code, for each book."""
        return self.framing.strides

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.framing.frame_rate

    @property
    def bandwidth(self) -> float:
        """Nominal payload in kbps."""
        return self.framing.bandwidth

    @property
    def num_codebooks(self) -> int:
        """K, the number of codebooks in use."""
        return len(self.books)

    @property
    def num_frames(self) -> int:
        """T, the number of frames."""
        return len(self.books[0]) * self.strides[0]

    @property
    def extent(self) -> int:
        """Samples from the beginning of this part to that of the part that follows it."""
        return self.framing.extent(self.num_frames, len(self.segments))

    @property
    def ends_signal(self) -> bool:
        """True if the last frame or segment holds fewer samples than it could: no samples can follow."""
        return self.num_samples < self.extent

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return self.num_samples / self.sample_rate

    def codebooks(self, count: int) -> Codes:
        """The same clip at a lower bandwidth: its first `count` codebooks."""
        framing = self.framing.first(count)
        return replace(self, framing=framing, books=self.books[: framing.num_codebooks])

    def frames(self, start: int, stop: int) -> Codes:
        """Frames `start` to `stop` with the samples that lie in them, as a clip of its own.

        The `tail_frames` frames that follow are taken along, so that the piece decodes to its full length.

        Raises:
            InputError: Not `0 <= start <= stop <= num_frames`, or not multiples of the codec's `frame_multiple` (the
                end of the clip is one, too); in a segmented codec, not where segments begin or end.
        """
        return self._cut(start, stop, self.framing.frame_multiple, self.framing.tail_frames)

    def only_frames(self, start: int, stop: int) -> Codes:
        """Frames `start` to `stop` as a part of this clip: all parts, one after the other, are the clip again.

        Raises:
            InputError: Not `0 <= start <= stop <= num_frames`, or not multiples of every stride; in a segmented codec,
                not where segments begin or end.
        """
        return self._cut(start, stop, self.framing.cycle, 0)

    def parts(self, extent: int) -> Iterator[Codes]:
        """This clip in consecutive parts that stand for `extent` samples each; the last may be shorter.

        Args:
            extent: A positive multiple of `framing.step_samples`.

        Raises:
            InputError: It is not such a multiple.
        """
        if whole_number("extent", extent) < 1 or extent % self.framing.step_samples:
            raise InputError(f"expected parts of a multiple of {self.framing.step_samples} samples, got {extent}")
        for first in range(0, self.extent, extent):
            yield self.only_frames(self.frame_at(first), self.frame_at(first + extent))

    def blocks(self, seconds: int) -> Iterator[Codes]:
        """This clip in consecutive parts of that many seconds, or a little less; of one step where that is longer."""
        step = self.framing.step_samples
        return self.parts(max(1, seconds * self.sample_rate // step) * step)

    def frame_at(self, sample: int) -> int:
        """The first frame of the step that begins with `sample`; `num_frames` from the end of the clip on."""
        if self.framing.segment is None:
            return min(sample // self.hop_length, self.num_frames)
        return self._edges[min(sample // self.framing.step_samples, len(self.segments))]

    @cached_property
    def _edges(self) -> list[int]:
        """The frames with which segments begin, and the end."""
        return list(accumulate(self.segments, initial=0))

    def _cut(self, start: int, stop: int, multiple: int, tail: int) -> Codes:
        start, stop, count = whole_number("start", start), whole_number("stop", stop), self.num_frames
        segmented = self.framing.segment is not None
        edges = self._edges if segmented else range(0, count + 1, multiple)
        if not (0 <= start <= stop <= count and start in edges and (stop in edges or stop == count)):
            where = "where segments begin or end" if segmented else f"in steps of {multiple}"
            raise InputError(f"expected frames within 0 to {count} {where}, got {start} to {stop}")
        if segmented:
            first, last = edges.index(start), edges.index(stop)
            begin, behind = first * self.framing.step_samples, last * self.framing.step_samples
        else:
            first, last = 0, 0
            begin, behind = start * self.hop_length, stop * self.hop_length
        end = min(stop + tail, count)
        return replace(
            self,
            books=tuple(book[start // s : end // s] for book, s in zip(self.books, self.strides, strict=True)),
            num_samples=max(0, min(behind, self.num_samples) - begin),
            segments=self.segments[first:last],
            scales=self.scales[first:last],
        )

    def __getitem__(self, seconds: slice) -> Codes:
        """`codes[1.5:3.0]`: the frames that cover that time, in seconds; the edges move out to whole frames, or to what
        the codec makes at a time: several frames or a segment.

        A decoder starts afresh at the first frame of a slice, so its first few frames differ from those of the
        whole clip.
        """
        if not isinstance(seconds, slice) or seconds.step is not None:
            raise InputError("expected a slice of seconds without a step, such as codes[1.5:3.0]")
        try:
            begin = 0.0 if seconds.start is None else float(seconds.start)
            end = self.duration if seconds.stop is None else float(seconds.stop)
        except (TypeError, ValueError):
            raise InputError(f"expected a slice of seconds such as codes[1.5:3.0], got {seconds}") from None
        first, last = self.framing.cover(begin, end)
        return self.frames(self.frame_at(first), self.frame_at(last))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise InputError("the codebooks lie apart: an array of all of them is always a copy")
        if set(self.strides) != {1}:
            raise InputError(
                f"books of strides {self.strides} form no (K, T) array; use codes.books or codes.to_flat()"
            )
        return np.stack(self.books).astype(dtype or self.books[0].dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, whose checks a copy or what was pickled must not get around.
        return type(self), (self.framing, self.books, self.num_samples, self.segments, self.scales)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codes):
            return NotImplemented
        return (
            self.framing == other.framing
            and (self.num_samples, self.segments) == (other.num_samples, other.segments)
            and all(np.array_equal(a, b) for a, b in zip(self.books, other.books, strict=True))
            and np.array_equal(self.scales, other.scales)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        segments = f" in {len(self.segments)} segments" if self.segments else ""
        return (
            f"Codes({self.codec}, {self.num_codebooks} codebooks, {self.num_frames} frames{segments}, "
            f"{self.duration:.3f} s, {self.bandwidth:g} kbps)"
        )

    def _repr_html_(self) -> str:
        """A line of facts and a picture of the codes: one row per book, one column per frame, colour by value."""
        columns = min(self.num_frames, 240)
        cells = []
        for k, book in enumerate(self.books):
            picked = book[np.linspace(0, len(book) - 1, columns).astype(int)] if columns else book
            hues = picked.astype(np.uint64) * 360 // self.codebook_size
            cells += [
                f'<rect x="{t}" y="{4 * k}" width="1" height="4" fill="hsl({hue},60%,55%)"/>'
                for t, hue in enumerate(hues)
            ]
        picture = f'<svg viewBox="0 0 {max(columns, 1)} {4 * self.num_codebooks}" width="480">{"".join(cells)}</svg>'
        return f"<div><code>{html.escape(repr(self))}</code><br>{picture}</div>"
