"""What is intact of a damaged or cut `.nac` file."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from ..codes import Codes
from ..errors import FormatError, LimitError, UnsupportedError
from ..files import open_input
from .base import Header
from .nac_layout import read_header
from .nac_records import BLOCK_MARK, BLOCK_SIZE, LAST_MARK, TAIL_SIZE, End

# A candidate that fails costs all bytes that it announces and moves the search on by one: without a bound, time would
# grow with the square of the size. Blocks as written do not overlap at all, and damaged ones only where bytes between
# their marks are missing, so no file with much left to salvage comes near these.
_MOST_CHECKED = 8  # times the size of the file
_ALWAYS_CHECKED = 1 << 20  # bytes


@dataclass(frozen=True)
class Salvage:
    """Result of `salvage`.

    Attributes:
        header: Facts of the clip.
        blocks: (first sample, codes) of each intact block, in the order of time.
        lost: (first sample, sample behind the last) of each stretch that is missing, as far as its frames or segments
            extend; the last one ends in None where the end of the file is missing too and its header states no length.
    """

    header: Header
    blocks: tuple[tuple[int, Codes], ...]
    lost: tuple[tuple[int, int | None], ...]

    def report(self) -> str:
        """One line for each lost stretch, in seconds."""
        if not self.lost:
            return "nothing is lost"

        def time(sample: int) -> str:  # frames extend beyond the clip, but nobody hears these samples
            return f"{self.header.time(min(sample, self.header.num_samples or sample)):.3f} s"

        return "\n".join(
            f"lost: {time(start)} to {'an unknown end' if stop is None else time(stop)}" for start, stop in self.lost
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
        LimitError: What looks like blocks overlaps so much that the search would take time out of all proportion.
    """
    with open_input(source) as file:
        data = file.read()
    with open_input(io.BytesIO(data) if header_from is None else header_from) as file:
        layout = read_header(file)
    found: dict[int, Codes] = {}
    at, checked, most = data.find(BLOCK_MARK), 0, _ALWAYS_CHECKED + _MOST_CHECKED * len(data)
    while 0 <= at <= len(data) - BLOCK_SIZE:
        behind = at + 1
        with suppress(FormatError):
            block = layout.block(data[at : at + BLOCK_SIZE])
            end = at + BLOCK_SIZE + block.rest
            if end <= len(data):
                checked += end - at
                if checked > most:
                    raise LimitError(
                        f"expected blocks that hardly overlap, got candidates of more than {most} bytes in a file of "
                        f"{len(data)}, at byte {at}; mere damage does not do this: get the file from where you trust "
                        "it, or cut out the part that you need and salvage it with header_from"
                    )
                with suppress(UnsupportedError):  # intact, but only a later version can read it
                    found.setdefault(block.number, layout.codes(block, data[at + BLOCK_SIZE : end]))
                behind = end
        at = data.find(BLOCK_MARK, behind)
    blocks = tuple((number * layout.block_extent, found[number]) for number in sorted(found))
    return Salvage(layout.header, blocks, _gaps(blocks, _end(data), layout.header))


def _end(data: bytes) -> End | None:
    at = data.rfind(LAST_MARK) + len(LAST_MARK)
    length = int.from_bytes(data[max(0, at - TAIL_SIZE) : at - len(LAST_MARK)], "little")
    try:
        return End.from_record(data[at - length : at]) if End.size(0) <= length <= at else None
    except FormatError:
        return None


def _gaps(blocks: tuple[tuple[int, Codes], ...], end: End | None, header: Header) -> tuple[tuple[int, int | None], ...]:
    gaps, reached = list[tuple[int, int | None]](), 0
    for start, codes in blocks:
        if start > reached:
            gaps.append((reached, start))
        reached = start + codes.extent
    total = end.extent if end is not None else _extent(header)
    if total is None or total > reached:
        gaps.append((reached, total))
    return tuple(gaps)


def _extent(header: Header) -> int | None:
    """Extent of a clip as long as its header says."""
    if not header.num_samples:
        return header.num_samples
    framing, step = header.framing, header.framing.step_samples
    return -(-header.num_samples // step) * step + framing.tail_frames * framing.hop_length
