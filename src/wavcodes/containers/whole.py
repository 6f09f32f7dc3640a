"""Formats that lay a clip out codebook after codebook: nothing of them can be used before all is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

from ..codes import Codes
from ..errors import InputError
from ..files import write_all
from .base import Course, Header, Reader

_PART_CODES = 512


class WholeReader(Reader):
    """Reads the whole clip for any part of it; see `Reader`."""

    @abstractmethod
    def _load(self) -> Codes:
        """The clip; the file stands behind what the constructor read of it."""

    def blocks(self, sample: int = 0) -> Iterator[tuple[int, Codes]]:
        """See `Reader.blocks`."""
        self._rewind()
        codes = self._load()
        framing = codes.framing
        # A second of a low rate has few codes; time is to follow their number, not how long they last.
        frames = max(framing.frame_rate, _PART_CODES * framing.cycle / framing.cycle_codes)
        extent = max(1, int(frames) // framing.step_frames) * framing.step_samples
        for number, part in enumerate(codes.parts(extent)):
            if (number + 1) * extent > sample:
                yield number * extent, part


class WholeWriter(ABC):
    """Keeps all parts and writes the file when the clip is complete; see `Writer`."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._header = header
        self._course = Course(header.framing)
        self._parts = [header.empty()]
        self._closed = False

    @abstractmethod
    def _record(self, codes: Codes) -> bytes:
        """The whole file."""

    def write(self, part: Codes) -> None:
        """Takes the next frames.

        Raises:
            InputError: They are not of the kind that the header states, or hold samples although an earlier part was
                not full and thereby ended the audio.
        """
        if self._closed:
            raise InputError("this file is complete; start another writer")
        self._header.check(part)
        self._course.add(part)
        self._parts.append(part)

    def close(self) -> None:
        """Writes the file.

        Raises:
            InputError: The header stated another length than the parts have.
            UnsupportedError: The format cannot hold such codes.
        """
        if self._closed:
            return
        stated = self._header.num_samples
        if stated not in (None, self._course.num_samples):
            raise InputError(f"the header states {stated} samples, the parts hold {self._course.num_samples}")
        write_all(self._file, self._record(Codes.concat(self._parts)))
        self._closed = True
