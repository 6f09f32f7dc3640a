"""Pieces joined to blocks that are long enough to keep several threads busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..audio import BLOCK_SECONDS
from ..codes import Codes
from ..errors import CodecError

Audio = NDArray[np.float32]
Piece = TypeVar("Piece", Audio, Codes)


def of_audio(pieces: Iterable[Audio], sample_rate: int) -> Iterator[Audio]:
    """Consecutive pieces `(channels, n)`, joined to `BLOCK_SECONDS` or a little more."""
    return _joined(pieces, lambda piece: piece.shape[1] / sample_rate, lambda block: np.concatenate(block, axis=1))


def of_codes(parts: Iterable[Codes]) -> Iterator[Codes]:
    """Consecutive parts of one clip, joined to `BLOCK_SECONDS` or a little more."""
    return _joined(parts, lambda part: part.extent / part.sample_rate, Codes.concat)


def _joined(
    pieces: Iterable[Piece], seconds: Callable[[Piece], float], join: Callable[[list[Piece]], Piece]
) -> Iterator[Piece]:
    waiting: list[Piece] = []
    try:
        for piece in pieces:
            waiting.append(piece)
            if sum(map(seconds, waiting)) >= BLOCK_SECONDS:
                yield join(waiting)
                waiting = []
    except CodecError:  # what lies before damage is sound
        if waiting:
            yield join(waiting)
        raise
    if waiting:
        yield join(waiting)
