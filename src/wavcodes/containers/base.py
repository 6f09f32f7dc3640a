"""What every container of codes has in common: a header of facts, a reader, a writer."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..codes import Codes
from ..errors import FormatError, InputError, TruncatedError
from ..files import read_up_to
from ..framing import Framing
from ..values import whole_number
from .limits import DEFAULTS, Limits

if TYPE_CHECKING:
    from .ecdc_lm import LanguageModel


@dataclass(frozen=True)
class Header:
    """Facts of a file of codes.

    Attributes:
        framing: Which codec made the codes, and how they stand for samples.
        num_samples: True length per channel, or None where it is not known before the end.
        weights_digest: SHA-256 (32 bytes) of the weights that made the codes, or None where it is not stated.
    """

    framing: Framing
    num_samples: int | None = None
    weights_digest: bytes | None = None

    def __post_init__(self) -> None:
        if self.num_samples is not None and whole_number("num_samples", self.num_samples) < 0:
            raise InputError(f"expected num_samples of 0 or more, or None, got {self.num_samples}")
        digest = self.weights_digest
        if digest is not None and not (isinstance(digest, bytes) and len(digest) == 32):
            raise InputError(f"expected a weights digest as bytes, 32 of them (no hexadecimal text), got {digest!r}")

    @classmethod
    def of_codes(cls, codes: Codes, *, weights_digest: bytes | None = None) -> Header:
        """Header for a whole clip.

        Raises:
            InputError: `codes` are no `Codes`, or the digest is not one.
        """
        _check_codes(codes)
        return cls(codes.framing, codes.num_samples, weights_digest)

    def empty(self) -> Codes:
        """Codes of no frames."""
        return Codes(self.framing, (np.zeros(0, np.uint16),) * self.framing.num_codebooks, 0)

    def check(self, part: Codes) -> None:
        """Checks that `part` is of this kind.

        Raises:
            InputError: It is not `Codes`, of another codec or of another number of codebooks.
        """
        _check_codes(part)
        if fact := self.framing.difference(part.framing):
            raise InputError(
                f"expected codes of {fact} = {getattr(self.framing, fact)!r}, as the header states, "
                f"got {getattr(part.framing, fact)!r}; write different codes to different files"
            )

    def time(self, sample: int) -> float:
        """Seconds at which `sample` stands."""
        return sample / self.framing.sample_rate


def _check_codes(codes: object) -> None:
    if not isinstance(codes, Codes):
        raise InputError(f"expected Codes, as a codec's encode returns them, got {type(codes).__name__}")


def in_time_order(codes: Codes) -> NDArray[np.uint32]:
    """All codes, cycle after cycle, in a cycle book after book: frame after frame where all strides are one."""
    cycle = codes.framing.cycle
    rows = [
        book.reshape(codes.num_frames // cycle, cycle // stride)
        for book, stride in zip(codes.books, codes.strides, strict=True)
    ]
    return np.concatenate(rows, axis=1).ravel().astype(np.uint32)


def from_time_order(values: NDArray[Any], framing: Framing) -> tuple[NDArray[Any], ...]:
    """The books of codes that `in_time_order` put into order; `values` has whole cycles."""
    rows = values.reshape(-1, framing.cycle_codes)
    ends = np.cumsum([framing.cycle // stride for stride in framing.strides])
    return tuple(book.ravel() for book in np.split(rows, ends[:-1], axis=1))


class Course:
    """Counts the parts of one clip as they come.

    Args:
        framing: Of all parts.
        num_samples: Samples before the first part.
        extent: `Codes.extent` of what is before the first part.

    Attributes:
        num_samples: True length so far.
        extent: Extent so far.
    """

    def __init__(self, framing: Framing, num_samples: int = 0, extent: int = 0) -> None:
        self._framing = framing
        self._last: tuple[int, ...] = ()  # a segment has samples in common with its neighbours only
        self.num_samples = num_samples
        self.extent = extent

    def add(self, part: Codes) -> None:
        """Counts the next part.

        Raises:
            InputError: It holds samples, or segments, although the parts before it ended the signal.
        """
        if part.num_samples and self.num_samples != self.extent:
            raise InputError(
                f"expected no more samples after a part with fewer samples than its frames hold, got {part.num_samples}"
            )
        segments = (*self._last, *part.segments)
        self._framing.capacity(sum(segments), segments)
        self._last = segments[-2:]
        self.num_samples += part.num_samples
        self.extent += part.extent


class Reader(ABC):
    """Reads one file of codes, front to back or by time.

    Pipes can be read once; files again and again, but not by two iterations at the same time.

    A subclass reads the header in its constructor and calls `super().__init__` when the file stands behind it.

    Attributes:
        header: Facts of the clip.
        checksums: Those that a reading from the beginning verifies, such as `CRC-32C`; empty where the file has none.
        besides: What the file states that a header has no place for, in words.
        seekable: False for a pipe.
    """

    header: Header
    checksums: str = ""
    besides: tuple[str, ...] = ()

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seekable = file.seekable()
        self._start = file.tell() if self.seekable else 0
        self._used = False

    @abstractmethod
    def blocks(self, sample: int = 0) -> Iterator[tuple[int, Codes]]:
        """(first sample, codes) of consecutive blocks, from the one that holds `sample` to the end."""

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
        """The codes that cover the time from `start` to `stop` (seconds), in consecutive parts.

        Together they equal `self.read()[start:stop]`; files that can seek are read only where needed.

        Raises:
            InputError: Not `0 <= start <= stop`, or without `stop`, the audio ends before `start`.
        """
        framing = self.header.framing
        step, tail = framing.step_samples, framing.tail_frames * framing.hop_length
        first, until = framing.cover(start, start if stop is None else stop)
        last = None if stop is None else until
        audio_end = 0
        # One sample earlier, so that the end of the audio is seen even where `first` begins a block behind it.
        for begin, codes in self.blocks(max(0, first - 1)):
            end, audio_end = begin + codes.extent, begin + codes.num_samples
            if stop is None and codes.ends_signal:
                if start > self.header.time(audio_end):
                    break
                last = max(first, -(-audio_end // step) * step) if last is None else last
            low, high = max(first, begin), end if last is None else min(end, last + tail)
            if low < high:
                piece = codes.only_frames(codes.frame_at(low - begin), codes.frame_at(high - begin))
                audible = piece.num_samples if last is None else min(piece.num_samples, max(0, last - low))
                yield replace(piece, num_samples=audible)
            if stop is not None and last is not None and end >= last + tail:
                return
        if stop is None and start > self.header.time(audio_end):
            raise InputError(
                f"the audio ends at {self.header.time(audio_end):.3f} s, before the start of {start} s; "
                "choose an earlier start"
            )

    def _check_size(self, size: int) -> None:
        """Raises TruncatedError where fewer bytes than that follow, if it can be seen."""
        if self.seekable:
            there = self._file.seek(0, os.SEEK_END) - self._start
            self._file.seek(self._start)
            if there < size:
                raise TruncatedError(
                    f"expected {size} bytes behind the header, got {there}; the file was cut, fetch or copy it again"
                )

    def _check_end(self) -> None:
        if read_up_to(self._file, 1):
            raise FormatError("the file goes on behind its codes; cut off what follows, or get the original")

    def _rewind(self) -> None:
        if self.seekable:
            self._file.seek(self._start)
        elif self._used:
            raise InputError("this input is a pipe and was read already; open a file, or read it once")
        self._used = True


class Writer(ABC):
    """Writes consecutive parts of one clip to a file that the caller opened and closes."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._header = header
        self._course = Course(header.framing)
        self._closed = False

    def write(self, part: Codes) -> None:
        """Takes the next frames, of any number.

        Raises:
            InputError: They are not of the kind that the header states, or hold samples or segments although an
                earlier part was not full and thereby ended the audio.
        """
        if self._closed:
            raise InputError("this file is complete; start another writer")
        self._header.check(part)
        self._course.add(part)
        self._take(part)

    def close(self) -> None:
        """Writes what is pending and the end of the file; the clip is complete.

        Raises:
            InputError: The header stated another length than the parts have.
            UnsupportedError: The format cannot hold such codes.
        """
        if self._closed:
            return
        stated, held = self._header.num_samples, self._course.num_samples
        if stated not in (None, held):
            raise InputError(f"the header states {stated} samples, the parts hold {held}")
        self._end()
        self._closed = True

    @abstractmethod
    def _take(self, part: Codes) -> None:
        """The next frames, which have been checked and counted."""

    @abstractmethod
    def _end(self) -> None:
        """The clip is complete, and as long as the header states."""


@dataclass(frozen=True)
class Hints:
    """What a caller knows of a file, for formats that do not state it themselves, and allows it.

    Attributes:
        framing: Of the codec that made the codes. Its number of codebooks counts only where the format states none;
            elsewhere it may be larger than that of the file.
        language_model: Gives the language model of a codec of that name; called for files that are coded with one.
        limits: What the file may ask for.
    """

    framing: Framing | None = None
    language_model: Callable[[str], LanguageModel] | None = None
    limits: Limits = DEFAULTS

    def check(self, stated: Framing) -> None:
        """Compares the hints with what the file states.

        Raises:
            InputError: The file is of another codec, or has more codebooks.
        """
        if self.framing is None:
            return
        count = min(stated.num_codebooks, self.framing.num_codebooks)
        if fact := self.framing.first(count).difference(stated):
            raise InputError(
                f"expected a file of {fact} = {getattr(self.framing, fact)!r}, as the caller says, but it states "
                f"{getattr(stated, fact)!r}; leave the framing out, or give the right one"
            )


NO_HINTS = Hints()


@dataclass(frozen=True)
class Format:
    """One container.

    Attributes:
        name: Unique among all formats.
        suffix: Of its file names. Where several formats share one, the first of them is the one that it means.
        recognises: True for the beginning of a file of this format: its first `HEAD` bytes, or all of a shorter one.
        reader: Opens a file for reading.
        writer: Starts a file for codes of that header; None for formats that are only read.
        counts: False if its files do not state the number of codebooks.
        lengths: False if its files have no place for the true length.
        digests: True if its files have a place for the digest of the weights.
    """

    name: str
    suffix: str
    recognises: Callable[[bytes], bool]
    reader: Callable[[BinaryIO, Hints], Reader]
    writer: Callable[[BinaryIO, Header], Writer] | None
    counts: bool = True
    lengths: bool = True
    digests: bool = False


HEAD = 64
"""How many bytes of a file its format is recognised by."""


def begins_with(magic: bytes) -> Callable[[bytes], bool]:
    """What recognises files that all begin with `magic`."""
    return lambda head: head.startswith(magic)


def never(head: bytes) -> bool:
    """Recognises nothing: for formats whose files only their names tell."""
    return False
