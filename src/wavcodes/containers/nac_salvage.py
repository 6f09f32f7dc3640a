"""What is intact of a damaged or cut `.nac` file."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

from ..codes import Codes
from ..errors import FormatError
from ..files import open_input
from .base import Header
from .nac_layout import BLOCK_MARK, BLOCK_SIZE, LAST_MARK, TAIL_SIZE, End, Layout, read_header


@dataclass(frozen=True)
class Salvage:
    """Result of `salvage`.

    Attributes:
        header: Facts of the clip.
        blocks: (first frame, codes) of each intact block, in the order of time.
        lost: (first frame, frame behind the last) of each stretch that is missing; the last one ends in None
            where the end of the file is missing too and its header states no length.
    """

    header: Header
    blocks: tuple[tuple[int, Codes], ...]
    lost: tuple[tuple[int, int | None], ...]

    def report(self) -> str:
        """One line for each lost stretch, in seconds."""
        if not self.lost:
            return "nothing is lost"
        time = self.header.time
        return "\n".join(
            f"lost: {time(start):.3f} s to " + ("an unknown end" if stop is None else f"{time(stop):.3f} s")
            for start, stop in self.lost
        )


def salvage(
    source: str | os.PathLike[str] | BinaryIO, header_from: str | os.PathLike[str] | BinaryIO | None = None
) -> Salvage:
    """Every intact block of a `.nac` file, whatever happened to the rest. The file is read into memory.

    Args:
        source: Path or open file.
        header_from: Another `.nac` file written with the same settings, for where the header itself is damaged.

    Raises:
        FormatError: The header is damaged, and no `header_from` is given.
    """
    with open_input(source) as file:
        data = file.read()
    with open_input(io.BytesIO(data) if header_from is None else header_from) as file:
        layout = read_header(file)
    found: dict[int, Codes] = {}
    at = data.find(BLOCK_MARK)
    while 0 <= at <= len(data) - BLOCK_SIZE:
        try:
            block = layout.block(data[at : at + BLOCK_SIZE])
            codes = layout.codes(block, data[at + BLOCK_SIZE : at + BLOCK_SIZE + block.rest])
        except FormatError:
            at = data.find(BLOCK_MARK, at + 1)
            continue
        found.setdefault(block.number, codes)
        at = data.find(BLOCK_MARK, at + BLOCK_SIZE + block.rest)
    blocks = tuple((number * layout.block_frames, found[number]) for number in sorted(found))
    return Salvage(layout.header, blocks, _gaps(blocks, _end(data), layout))


def _end(data: bytes) -> End | None:
    at = data.rfind(LAST_MARK) + len(LAST_MARK)
    length = int.from_bytes(data[max(0, at - TAIL_SIZE) : at - len(LAST_MARK)], "little")
    try:
        return End.from_record(data[at - length : at]) if End.size(0) <= length <= at else None
    except FormatError:
        return None


def _gaps(blocks: tuple[tuple[int, Codes], ...], end: End | None, layout: Layout) -> tuple[tuple[int, int | None], ...]:
    header, gaps, reached = layout.header, list[tuple[int, int | None]](), 0
    for start, codes in blocks:
        if start > reached:
            gaps.append((reached, start))
        reached = start + codes.num_frames
    if end is not None:
        total: int | None = end.num_frames
    elif header.num_samples is not None:
        total = -(-header.num_samples // header.hop_length) + header.tail_frames
    else:
        total = None
    if total is None or total > reached:
        gaps.append((reached, total))
    return tuple(gaps)
