"""`TokenStream`: tokens as a model generates them, in; parts of `Codes` as a stream decoder takes them, out."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..spec import CodecSpec
from ..values import as_array

Rows = NDArray[np.int64]
Out = TypeVar("Out")


def integers(what: str, values: ArrayLike, *shape: str) -> NDArray[np.int64]:
    """`values` as int64 with one axis for each name of `shape`; anything else is an InputError."""
    array = as_array(what, values)
    if array.ndim != len(shape) or (array.dtype.kind not in "iu" and array.size):
        raise InputError(
            f"expected {what} as integers of shape ({', '.join(shape)}), got shape {array.shape} of {array.dtype}"
        )
    return array.astype(np.int64)


class Reader(Protocol):
    """Finds the whole frames in what a model generates.

    Attributes:
        ended: The end of the clip has been seen.
        dropped: Codes left out so far.
    """

    ended: bool
    dropped: int

    def push(self, tokens: ArrayLike) -> Rows:
        """The rows of codes that are complete now."""

    def finish(self) -> None:
        """Counts what never became complete."""


class TokenStream(Generic[Out]):
    """Tokens in, codes out, for one clip. Made by the `stream` method of a layout.

    The parts go into a stream decoder, which needs no windows and no overlap to give the samples that the whole clip
    would give::

        tokens, decoder = ORPHEUS.stream(codec.spec), codec.stream_decoder()
        for token in model:
            play(decoder.push(tokens.push(token)))
        play(decoder.push(tokens.flush()))
        play(decoder.flush())
    """

    def __init__(self, reader: Reader, spec: CodecSpec, frames: int, clip: Callable[[Rows, int], Out]) -> None:
        self._reader = reader
        self._clip = clip
        self._frames = frames  # per column of the rows
        self._spec = spec
        # They hold no samples if they turn out to be the last ones, so they cannot go out before it is known.
        self._columns_kept = -(-spec.tail_frames // frames)
        self._kept = reader.push([])
        self._over = False

    @property
    def ended(self) -> bool:
        """True once the end of the clip has been seen; what follows is left out."""
        return self._reader.ended

    @property
    def dropped(self) -> int:
        """Codes left out so far: behind the end, out of order, or (after `flush`) of frames that are not complete."""
        return self._reader.dropped

    def push(self, tokens: ArrayLike) -> Out:
        """The next tokens of the model.

        Args:
            tokens: Any number of them: `(n,)` or a single one of a flat layout; `(rows, n)` or a single column
                `(rows,)` of a delayed one, without the start column.

        Returns:
            The codes that are complete now, possibly none: `Codes`, or a pair of them for two channels.

        Raises:
            InputError: They have another shape, or the stream has been flushed.
        """
        if self._over:
            raise InputError("expected no tokens after flush; start another stream for another clip")
        rows = np.concatenate([self._kept, self._reader.push(tokens)], axis=1)
        given = max(0, rows.shape[1] - self._columns_kept)
        self._kept = rows[:, given:].copy()
        return self._clip(rows[:, :given], given * self._frames * self._spec.hop_length)

    def flush(self) -> Out:
        """Ends the clip: the last codes, if some were kept back. A frame that is not complete is left out."""
        if self._over:
            raise InputError("expected one flush, got another; start another stream for another clip")
        self._over = True
        self._reader.finish()
        frames = max(0, self._kept.shape[1] * self._frames - self._spec.tail_frames)
        return self._clip(self._kept, frames * self._spec.hop_length)
