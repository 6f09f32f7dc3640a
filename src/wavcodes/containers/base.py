"""What every container of codes has in common: a header of facts, a reader, a writer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..codes import Codes
from ..errors import InputError, UnsupportedError
from ..spec import CodecSpec

_OF_ALL_PARTS = ("codec", "sample_rate", "channels", "hop_length", "codebook_size", "strides", "tail_frames")


@dataclass(frozen=True)
class Header:
    """Facts of a file of codes; those that `Codes` has too mean the same there.

    Attributes:
        num_samples: True length per channel, or None where it is not known before the end.
        weights_digest: SHA-256 (32 bytes) of the weights that made the codes, or None where it is not stated.
    """

    codec: str
    sample_rate: int
    channels: int
    hop_length: int
    codebook_size: int
    strides: tuple[int, ...]
    tail_frames: int = 0
    num_samples: int | None = None
    weights_digest: bytes | None = None

    def __post_init__(self) -> None:
        smallest = min(self.sample_rate, self.channels, self.hop_length, self.codebook_size - 1, *self.strides, 1)
        if not self.strides or smallest < 1 or self.tail_frames < 0:
            raise InputError(
                "expected at least one stride, a codebook_size of 2 or more, and a sample_rate, channels, hop_length "
                f"and strides of 1 or more, got {self}"
            )
        digest = self.weights_digest
        if digest is not None and not (isinstance(digest, bytes) and len(digest) == 32):
            raise InputError(f"expected a weights digest as bytes, 32 of them (no hexadecimal text), got {digest!r}")

    @classmethod
    def of_spec(
        cls,
        spec: CodecSpec,
        num_codebooks: int,
        *,
        num_samples: int | None = None,
        weights_digest: bytes | None = None,
    ) -> Header:
        """Header for codes of the first `num_codebooks` books of a known codec."""
        return cls(
            codec=spec.name,
            sample_rate=spec.sample_rate,
            channels=spec.channels,
            hop_length=spec.hop_length,
            codebook_size=spec.codebook_size,
            strides=spec.strides[: spec.resolve_codebooks(num_codebooks=num_codebooks)],
            tail_frames=spec.tail_frames,
            num_samples=num_samples,
            weights_digest=weights_digest,
        )

    @classmethod
    def of_codes(cls, codes: Codes, *, weights_digest: bytes | None = None) -> Header:
        """Header for a whole clip.

        Raises:
            InputError: `codes` are no `Codes`, or the digest is not one.
        """
        _check_codes(codes)
        facts: dict[str, Any] = {name: getattr(codes, name) for name in _OF_ALL_PARTS}
        return cls(**facts, num_samples=codes.num_samples, weights_digest=weights_digest)

    @property
    def num_codebooks(self) -> int:
        """K."""
        return len(self.strides)

    @property
    def bits(self) -> int:
        """Bits that one code needs."""
        return (self.codebook_size - 1).bit_length()

    @property
    def cycle(self) -> int:
        """Frames of the shortest stretch in which every book has whole codes."""
        return math.lcm(*self.strides)

    @property
    def cycle_codes(self) -> int:
        """Codes in one cycle, of all books together."""
        return sum(self.cycle // stride for stride in self.strides)

    def codes(self, books: Sequence[ArrayLike], num_samples: int) -> Codes:
        """Codes with the facts of this header."""
        return Codes(
            self.codec,
            tuple(np.asarray(book) for book in books),
            num_samples,
            self.sample_rate,
            self.channels,
            self.hop_length,
            self.codebook_size,
            self.strides,
            self.tail_frames,
        )

    def empty(self) -> Codes:
        """Codes of no frames."""
        return self.codes([np.zeros(0, np.uint16)] * self.num_codebooks, 0)

    def check(self, part: Codes) -> None:
        """Checks that `part` is of this kind.

        Raises:
            InputError: It is not `Codes`, of another codec or of another number of codebooks.
            UnsupportedError: It has scales, which no container of this package can hold yet.
        """
        _check_codes(part)
        for name in _OF_ALL_PARTS:
            if getattr(part, name) != getattr(self, name):
                raise InputError(
                    f"expected codes of {name} = {getattr(self, name)!r}, as the header states, "
                    f"got {getattr(part, name)!r}; write different codes to different files"
                )
        if part.scales.size:
            raise UnsupportedError("this container has no place for the scales of a segmented codec")

    def time(self, frame: int) -> float:
        """Seconds at which `frame` begins."""
        return frame * self.hop_length / self.sample_rate

    def in_time_order(self, codes: Codes) -> NDArray[np.uint32]:
        """All codes, cycle after cycle, in a cycle book after book: frame after frame where all strides are one."""
        cycles = codes.num_frames // self.cycle
        rows = [book.reshape(cycles, self.cycle // s) for book, s in zip(codes.books, self.strides, strict=True)]
        return np.concatenate(rows, axis=1).ravel().astype(np.uint32)

    def from_time_order(self, values: NDArray[Any], num_samples: int) -> Codes:
        """The inverse of `in_time_order`; `values` has whole cycles."""
        rows = values.reshape(-1, self.cycle_codes)
        ends = np.cumsum([self.cycle // stride for stride in self.strides])
        return self.codes([book.ravel() for book in np.split(rows, ends[:-1], axis=1)], num_samples)


def _check_codes(codes: object) -> None:
    if not isinstance(codes, Codes):
        raise InputError(f"expected Codes, as a codec's encode returns them, got {type(codes).__name__}")


class Reader(ABC):
    """Reads one file of codes, front to back or by time.

    Pipes can be read once; files again and again, but not by two iterations at the same time.

    A subclass reads the header in its constructor and calls `super().__init__` when the file stands behind it.
    """

    header: Header

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seekable = file.seekable()
        self._start = file.tell() if self._seekable else 0
        self._used = False

    @abstractmethod
    def blocks(self, frame: int = 0) -> Iterator[tuple[int, Codes]]:
        """(first frame, codes) of consecutive blocks, from the one that holds `frame` to the end."""

    def parts(self) -> Iterator[Codes]:
        """The whole clip in consecutive parts of about one second, with every check that the format offers.

        Raises:
            FormatError: The file is damaged, cut (`TruncatedError`) or fails a checksum (`IntegrityError`).
            UnsupportedError: It needs a later version of this package.
        """
        return (codes for _, codes in self.blocks())

    def read(self) -> Codes:
        """The whole clip."""
        return Codes.concat([self.header.empty(), *self.parts()])

    def between(self, start: float = 0.0, stop: float | None = None) -> Iterator[Codes]:
        """The frames that cover the time from `start` to `stop` (seconds), in consecutive parts.

        Together they equal `self.read()[start:stop]`; files that can seek are read only where needed.

        Raises:
            InputError: Not `0 <= start <= stop`, or without `stop`, the audio ends before `start`.
        """
        if not 0 <= start < math.inf or not (stop is None or start <= stop < math.inf):
            raise InputError(f"expected 0 <= start <= stop in seconds, got {start} to {stop}")
        header, hop, cycle = self.header, self.header.hop_length, self.header.cycle
        first = math.floor(start / header.time(cycle) + 1e-9) * cycle
        last = None if stop is None else max(first, math.ceil(stop / header.time(cycle) - 1e-9) * cycle)
        audio_end = 0
        # One frame earlier, so that the end of the audio is seen even where `first` begins a block behind it.
        for begin, codes in self.blocks(max(0, first - 1)):
            end, audio_end = begin + codes.num_frames, begin * hop + codes.num_samples
            if stop is None and audio_end < end * hop:
                if start > audio_end / header.sample_rate:
                    break
                last = max(first, -(-audio_end // (hop * cycle)) * cycle) if last is None else last
            low, high = max(first, begin), end if last is None else min(end, last + header.tail_frames)
            if low < high:
                piece = codes.only_frames(low - begin, high - begin)
                audible = piece.num_samples if last is None else min(piece.num_samples, max(0, last - low) * hop)
                yield replace(piece, num_samples=audible)
            if stop is not None and last is not None and end >= last + header.tail_frames:
                return
        if stop is None and start > audio_end / header.sample_rate:
            raise InputError(
                f"the audio ends at {audio_end / header.sample_rate:.3f} s, before the start of {start} s; "
                "choose an earlier start"
            )

    def _rewind(self) -> None:
        if self._seekable:
            self._file.seek(self._start)
        elif self._used:
            raise InputError("this input is a pipe and was read already; open a file, or read it once")
        self._used = True


class Writer(Protocol):
    """Writes consecutive parts of one clip to a file that the caller opened and closes."""

    def write(self, part: Codes) -> None:
        """Takes the next frames, of any number."""

    def close(self) -> None:
        """Writes what is pending and the end of the file; the clip is complete."""


@dataclass(frozen=True)
class Format:
    """One container.

    Attributes:
        suffix: Of its file names.
        magic: First bytes of every such file; empty where the format has none.
        reader: Opens a file for reading; the second argument is the number of codebooks where the caller knows it.
        writer: Starts a file for codes of that header.
    """

    suffix: str
    magic: bytes
    reader: Callable[[BinaryIO, int | None], Reader]
    writer: Callable[[BinaryIO, Header], Writer]
