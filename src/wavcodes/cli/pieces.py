"""Audio of a file of codes in consecutive pieces, float32 `(channels, n)`: all of it, a stretch, or what is intact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..codes import Codes
from ..containers import Reader, Salvage
from ..errors import LimitError
from . import blocks

if TYPE_CHECKING:
    from ..codec import Codec

Pieces = Iterator[NDArray[np.float32]]

_LEAD = 1.0  # seconds decoded before and behind a stretch and dropped: what a decoder makes of a frame depends on them
_MOST_SILENCE = 24 * 3600  # seconds; a header may claim any length, and silence for it would fill the disk


def whole(reader: Reader, codec: Codec, num_codebooks: int) -> Pieces:
    """All audio, of the first `num_codebooks` books."""
    return _decoded(_paced(reader, reader.parts()), codec, num_codebooks)


def between(reader: Reader, codec: Codec, num_codebooks: int, start: int, stop: int | None) -> Pieces:
    """Samples `start` to `stop` (None: the end); only the blocks that are needed are read."""
    header, step = reader.header, reader.header.framing.step_samples
    lead = round(_LEAD * header.framing.sample_rate)
    first = max(0, start - lead) // step * step
    parts = reader.between(header.time(first), None if stop is None else header.time(stop + lead))
    return cut(
        _decoded(_paced(reader, parts), codec, num_codebooks, first),
        start - first,
        None if stop is None else stop - first,
    )


def intact(salvage: Salvage, codec: Codec, num_codebooks: int, stop: int | None) -> Pieces:
    """Audio of a damaged file up to sample `stop` (None: what there is), with silence for every stretch that is lost.

    Raises:
        LimitError: More than a day is lost in one stretch.
    """
    given = 0
    for first, run in _runs(salvage):
        if stop is not None and first >= stop:
            break
        yield from _silence(codec, first - given)
        given = first
        for piece in _decoded(blocks.of_codes(run), codec, num_codebooks, first):
            given += piece.shape[1]
            yield piece
    if stop is not None:
        yield from _silence(codec, stop - given)


def _decoded(parts: Iterable[Codes], codec: Codec, num_codebooks: int, first: int = 0) -> Pieces:
    """Audio of consecutive parts, the first of which begins at sample `first`."""
    decoder = codec.stream_decoder(first_sample=first)
    for part in parts:
        yield decoder.push(part.codebooks(num_codebooks))
    yield decoder.flush()


def _paced(reader: Reader, parts: Iterator[Codes]) -> Iterator[Codes]:
    """Parts that the reader gives: those of a pipe as they come, for the next one may be long in coming."""
    return blocks.of_codes(parts) if reader.seekable else parts


def _runs(salvage: Salvage) -> Iterator[tuple[int, list[Codes]]]:
    """(first sample, blocks) of each stretch without a gap."""
    first, run, behind = 0, list[Codes](), 0
    for begin, codes in salvage.blocks:
        if run and begin != behind:
            yield first, run
            run = []
        if not run:
            first = begin
        run.append(codes)
        behind = begin + codes.extent
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
