"""`Stereo`: the two channels of a clip, each coded on its own by a mono codec, in one matrix of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..codes import Codes
from ..errors import InputError
from ..spec import CodecSpec
from .base import Extract
from .delayed import Delayed
from .stream import Rows, TokenStream

Books = tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class Stereo:
    """Rows in turns: row `2 * i` is row `i` of the left channel, row `2 * i + 1` that of the right one.

    The methods are those of any other layout, with two clips where it has one.

    Attributes:
        mono: The layout of one channel.
    """

    mono: Delayed

    @property
    def codec(self) -> str | None:
        """Name of the codec, or None for any that fits."""
        return self.mono.codec

    def encode(self, left: Codes | Sequence[ArrayLike], right: Codes | Sequence[ArrayLike]) -> NDArray[np.int64]:
        """Tokens `(rows, columns)` of two channels of equal duration: `Codes`, or plain books.

        Raises:
            InputError: As for one channel, or the durations differ.
        """
        both = [self.mono.encode(left), self.mono.encode(right)]
        if both[0].shape != both[1].shape:
            raise InputError(
                f"expected channels of equal duration, got tokens of {both[0].shape[1]} and {both[1].shape[1]} columns"
            )
        return np.stack(both, axis=1).reshape(-1, both[0].shape[1])

    def books(self, tokens: ArrayLike) -> tuple[Books, Books]:
        """The books of the left and of the right channel, from exactly what `encode` gives."""
        return self._apart(self._joint._read(tokens))

    def decode(self, tokens: ArrayLike, spec: CodecSpec, num_samples: int | None = None) -> tuple[Codes, Codes]:
        """The codes of the left and of the right channel, from exactly what `encode` gives; see `Layout.decode`."""
        self.mono._check(spec)
        rows = self._joint._read(tokens)
        return self._clips(rows, spec, self.mono._samples(rows, spec) if num_samples is None else num_samples)

    def extract(self, generated: ArrayLike) -> Extract:
        """The frames that both channels have whole in what a model generated; see `Layout.extract`."""
        return self._joint.extract(generated)

    def stream(self, spec: CodecSpec) -> TokenStream[tuple[Codes, Codes]]:
        """A session that gives the codes of the left and of the right channel; see `Layout.stream`."""
        self.mono._check(spec)
        return TokenStream(
            self._joint._reader(),
            spec,
            self.mono._cycle(spec),
            lambda rows, num_samples: self._clips(rows, spec, num_samples),
        )

    @cached_property
    def _joint(self) -> Delayed:
        """The layout of all rows, as of a codec with the books of both channels in turns."""
        mono = self.mono
        return replace(
            mono,
            order=tuple(2 * book + channel for book in mono.order for channel in (0, 1)),
            delays=tuple(np.repeat(mono.delays, 2).tolist()),
            offsets=tuple(np.repeat(mono.offsets, 2).tolist()),
            codec=None,
        )

    def _apart(self, rows: Rows) -> tuple[Books, Books]:
        books = self._joint._books(rows)
        return books[0::2], books[1::2]

    def _clips(self, rows: Rows, spec: CodecSpec, num_samples: int) -> tuple[Codes, Codes]:
        left, right = self._apart(rows)
        return Codes.of(spec, left, num_samples), Codes.of(spec, right, num_samples)
