"""`Codes`: the codes of one clip, with all that is needed to store them and to decode them to the exact length."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .spec import CodecSpec, whole_number


def integers(values: ArrayLike) -> NDArray[Any]:
    """`values` as an array; what is ragged is an InputError."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"expected an array of integers: {error}") from None


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of one clip.

    Attributes:
        codec: Name of the codec that made them.
        books: One 1-D array per codebook, coarsest first; uint16, or uint32 for books of more than 65,536 entries.
        num_samples: True length of the audio, per channel.
        sample_rate: Hz of that audio.
        channels: Its channels.
        hop_length: Samples per frame.
        codebook_size: Every code is in `0 ..< codebook_size`.
        strides: Frames per code, for each book.
        tail_frames: Frames after the last one that holds samples (see `CodecSpec`).
        scales: Gains removed before coding, one per segment (segmented codecs only); empty otherwise.

    Raises:
        InputError: A code is out of range, the books disagree in length, or there are too few frames for
            `num_samples`.

    `np.asarray(codes)` is `(K, T)` where all strides are one.
    """

    codec: str
    books: tuple[NDArray[Any], ...]
    num_samples: int
    sample_rate: int
    channels: int
    hop_length: int
    codebook_size: int
    strides: tuple[int, ...]
    tail_frames: int = 0
    scales: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        for fact in ("num_samples", "sample_rate", "channels", "hop_length", "codebook_size", "tail_frames"):
            object.__setattr__(self, fact, whole_number(fact, getattr(self, fact)))
        object.__setattr__(self, "strides", tuple(whole_number("stride", stride) for stride in self.strides))
        if min(self.sample_rate, self.channels, self.hop_length, self.codebook_size, *self.strides) < 1:
            raise InputError(f"expected positive rates, sizes and strides, got {self._format()}")
        if not self.books:
            raise InputError("expected at least one codebook, got none")
        if len(self.strides) != len(self.books):
            raise InputError(f"expected one stride per codebook, got {len(self.strides)} for {len(self.books)} books")
        object.__setattr__(self, "books", tuple(self._checked(k, book) for k, book in enumerate(self.books)))
        lengths = {len(book) * stride for book, stride in zip(self.books, self.strides, strict=True)}
        if len(lengths) != 1:
            raise InputError(
                f"expected books of equal duration, got {[len(b) for b in self.books]} codes at {self.strides = }"
            )
        if self.num_samples < 0 or self.num_samples > self.num_frames * self.hop_length:
            raise InputError(
                f"{self.num_frames} frames of {self.hop_length} samples cannot hold {self.num_samples = }; "
                "pass the length of the audio that these codes were made from"
            )

    def _checked(self, k: int, book: ArrayLike) -> NDArray[Any]:
        array = integers(book)
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

    @classmethod
    def of(cls, spec: CodecSpec, books: Sequence[ArrayLike], num_samples: int) -> Codes:
        """Codes of a known codec: `books` are its first books, coarsest first."""
        if len(books) > spec.num_codebooks:
            raise InputError(f"{spec.name} has {spec.num_codebooks} codebooks, got {len(books)}")
        return cls(
            codec=spec.name,
            books=tuple(np.asarray(book) for book in books),
            num_samples=num_samples,
            sample_rate=spec.sample_rate,
            channels=spec.channels,
            hop_length=spec.hop_length,
            codebook_size=spec.codebook_size,
            strides=spec.strides[: len(books)],
            tail_frames=spec.tail_frames,
        )

    @classmethod
    def from_flat(
        cls, flat: ArrayLike, spec: CodecSpec, num_codebooks: int | None = None, num_samples: int | None = None
    ) -> Codes:
        """Codes from one flat row-major sequence: all of book 0, then all of book 1, and so on.

        Args:
            flat: Integers, as `to_flat` gives them.
            spec: The codec they belong to.
            num_codebooks: K; all books of the codec if left out.
            num_samples: True length; the whole of the frames if left out.
        """
        count = spec.resolve_codebooks(num_codebooks=spec.num_codebooks if num_codebooks is None else num_codebooks)
        array = integers(flat)
        if array.ndim != 1:
            raise InputError(f"expected a flat sequence of codes, got shape {array.shape}")
        strides = spec.strides[:count]
        cycle = math.lcm(*strides)
        per_cycle = [cycle // stride for stride in strides]
        if array.size % sum(per_cycle):
            raise InputError(f"{array.size} codes do not divide into {count} codebooks of {spec.name}")
        cycles = array.size // sum(per_cycle)
        ends = np.cumsum([n * cycles for n in per_cycle])
        frames = cycles * cycle
        whole = max(0, frames - spec.tail_frames) * spec.hop_length
        return cls.of(spec, np.split(array, ends[:-1]), whole if num_samples is None else num_samples)

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
            if part._format() != first._format():
                raise InputError("the parts come from different codecs or numbers of codebooks")
        for part, after in pairwise(pieces):
            if part.ends_signal and after.num_samples:
                raise InputError(
                    f"expected parts of one signal, but one of {part.num_samples} samples in {part.num_frames} frames "
                    "is followed by more; keep separate clips apart"
                )
        return replace(
            first,
            books=tuple(np.concatenate(books) for books in zip(*(part.books for part in pieces), strict=True)),
            num_samples=sum(part.num_samples for part in pieces),
            scales=np.concatenate([part.scales for part in pieces]),
        )

    def _format(self) -> tuple[object, ...]:
        return (
            self.codec,
            self.sample_rate,
            self.channels,
            self.hop_length,
            self.codebook_size,
            self.strides,
            self.tail_frames,
        )

    @property
    def num_codebooks(self) -> int:
        """K, the number of codebooks in use."""
        return len(self.books)

    @property
    def num_frames(self) -> int:
        """T, the number of frames."""
        return len(self.books[0]) * self.strides[0]

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def ends_signal(self) -> bool:
        """True if the last frame holds fewer samples than it could: no samples can follow."""
        return self.num_samples < self.num_frames * self.hop_length

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return self.num_samples / self.sample_rate

    @property
    def bandwidth(self) -> float:
        """Nominal payload in kbps."""
        bits = (self.codebook_size - 1).bit_length()
        return sum(1 / stride for stride in self.strides) * bits * self.frame_rate / 1000

    def codebooks(self, count: int) -> Codes:
        """The same clip at a lower bandwidth: its first `count` codebooks."""
        count = whole_number("number of codebooks", count)
        if not 1 <= count <= self.num_codebooks:
            raise InputError(f"expected 1 to {self.num_codebooks} codebooks, got {count}")
        return replace(self, books=self.books[:count], strides=self.strides[:count])

    def frames(self, start: int, stop: int) -> Codes:
        """Frames `start` to `stop` with the samples that lie in them, as a clip of its own.

        The `tail_frames` frames that follow are taken along, so that the piece decodes to its full length.

        Raises:
            InputError: Not `0 <= start <= stop <= num_frames`, or not multiples of every stride.
        """
        return self._frames(start, stop, min(stop + self.tail_frames, self.num_frames))

    def only_frames(self, start: int, stop: int) -> Codes:
        """Frames `start` to `stop` as a part of this clip: all parts, one after the other, are the clip again."""
        return self._frames(start, stop, stop)

    def _frames(self, start: int, stop: int, end: int) -> Codes:
        cycle = math.lcm(*self.strides)
        if not 0 <= start <= stop <= end <= self.num_frames or start % cycle or end % cycle:
            raise InputError(
                f"expected frames within 0 to {self.num_frames} in steps of {cycle}, got {start} to {stop}"
            )
        last_sample = min(stop * self.hop_length, self.num_samples)
        return replace(
            self,
            books=tuple(book[start // s : end // s] for book, s in zip(self.books, self.strides, strict=True)),
            num_samples=max(0, last_sample - start * self.hop_length),
        )

    def __getitem__(self, seconds: slice) -> Codes:
        """`codes[1.5:3.0]`: the frames that cover that time, in seconds; the edges move out to whole frames.

        A decoder starts afresh at the first frame of a slice, so its first few frames differ from those of the
        whole clip.
        """
        if not isinstance(seconds, slice) or seconds.step is not None:
            raise InputError("expected a slice of seconds without a step, such as codes[1.5:3.0]")
        if self.scales.size:
            raise InputError("codes of a segmented codec cannot be sliced by time")
        try:
            begin = 0.0 if seconds.start is None else float(seconds.start)
            end = self.duration if seconds.stop is None else float(seconds.stop)
        except (TypeError, ValueError):
            raise InputError(f"expected a slice of seconds such as codes[1.5:3.0], got {seconds}") from None
        if not 0 <= begin <= end < math.inf:
            raise InputError(f"expected 0 <= start <= stop in seconds, got {begin} to {end}")
        cycle = math.lcm(*self.strides)
        seconds_per_cycle = cycle * self.hop_length / self.sample_rate
        start = min(math.floor(begin / seconds_per_cycle + 1e-9) * cycle, self.num_frames)
        stop = min(math.ceil(end / seconds_per_cycle - 1e-9) * cycle, self.num_frames)
        return self.frames(start, max(start, stop))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise InputError("the codebooks lie apart: an array of all of them is always a copy")
        if set(self.strides) != {1}:
            raise InputError(f"books of {self.strides = } form no (K, T) array; use codes.books or codes.to_flat()")
        return np.stack(self.books).astype(dtype or self.books[0].dtype, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codes):
            return NotImplemented
        return (
            self._format() == other._format()
            and self.num_samples == other.num_samples
            and all(np.array_equal(a, b) for a, b in zip(self.books, other.books, strict=True))
            and np.array_equal(self.scales, other.scales)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Codes({self.codec}, {self.num_codebooks} codebooks, {self.num_frames} frames, "
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
