"""Audio of a file of codes in consecutive pieces, float32 `(channels, n)`: all of it, a stretch, or what is intact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..codes import Codes
from ..containers import Reader, Salvage
from ..errors import LimitError

if TYPE_CHECKING:
    from ..codec import Codec

Pieces = Iterator[NDArray[np.float32]]

_LEAD_IN = 1.0  # seconds decoded before a stretch and dropped, so that the decoder has settled when it begins
_MOST_SILENCE = 24 * 3600  # seconds; a header may claim any length, and silence for it would fill the disk


def whole(parts: Iterable[Codes], codec: Codec, num_codebooks: int) -> Pieces:
    """Audio of consecutive parts, decoded with their first `num_codebooks` books."""
    decoder = codec.stream_decoder()
    for part in parts:
        yield decoder.push(part.codebooks(num_codebooks))
    yield decoder.flush()


def between(reader: Reader, codec: Codec, num_codebooks: int, start: int, stop: int | None) -> Pieces:
    """Samples `start` to `stop` (None: the end); only the blocks that are needed are read."""
    header = reader.header
    cycle = header.cycle * header.hop_length
    first = max(0, start - round(_LEAD_IN * header.sample_rate)) // cycle * cycle
    until = None if stop is None else stop / header.sample_rate
    parts = reader.between(first / header.sample_rate, until)
    return cut(whole(parts, codec, num_codebooks), start - first, None if stop is None else stop - first)


def intact(salvage: Salvage, codec: Codec, num_codebooks: int, stop: int | None) -> Pieces:
    """Audio of a damaged file up to sample `stop` (None: what there is), with silence for every stretch that is lost.

    Raises:
        LimitError: More than a day is lost in one stretch.
    """
    hop, given = salvage.header.hop_length, 0
    for frame, run in _runs(salvage):
        if stop is not None and frame * hop >= stop:
            break
        yield from _silence(codec, frame * hop - given)
        given = frame * hop
        for piece in whole(run, codec, num_codebooks):
            given += piece.shape[1]
            yield piece
    if stop is not None:
        yield from _silence(codec, stop - given)


def _runs(salvage: Salvage) -> Iterator[tuple[int, list[Codes]]]:
    """(first frame, blocks) of each stretch without a gap."""
    first, run, behind = 0, list[Codes](), 0
    for frame, codes in salvage.blocks:
        if run and frame != behind:
            yield first, run
            run = []
        if not run:
            first = frame
        run.append(codes)
        behind = frame + codes.num_frames
    if run:
        yield first, run


def cut(pieces: Pieces, start: int, stop: int | None) -> Pieces:
    """Samples `start` to `stop` (None: the end) of consecutive pieces."""
    position = 0
    for piece in pieces:
        low, high = max(0, start - position), None if stop is None else stop - position
        position += piece.shape[1]
        yield piece[:, low:high]
        if stop is not None and position >= stop:
            return


def _silence(codec: Codec, num_samples: int) -> Pieces:
    spec = codec.spec
    if num_samples > _MOST_SILENCE * spec.sample_rate:
        raise LimitError(
            f"expected at most {_MOST_SILENCE // 3600} hours to be lost in one stretch, "
            f"got {num_samples / spec.sample_rate / 3600:.0f}; take what lies before it with --to"
        )
    for first in range(0, num_samples, spec.sample_rate):
        yield np.zeros((spec.channels, min(spec.sample_rate, num_samples - first)), np.float32)
