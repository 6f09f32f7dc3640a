"""Formats that lay a clip out codebook after codebook: nothing of them can be used before all is there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

from ..codes import Codes
from ..files import write_all
from .base import Header, Reader, Writer

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


class WholeWriter(Writer):
    """Keeps all parts and writes the file when the clip is complete; see `Writer`."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        super().__init__(file, header)
        self._parts = [header.empty()]

    @abstractmethod
    def _record(self, codes: Codes) -> bytes:
        """The whole file."""

    def _take(self, part: Codes) -> None:
        self._parts.append(part)

    def _end(self) -> None:
        write_all(self._file, self._record(Codes.concat(self._parts)))
