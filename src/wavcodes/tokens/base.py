"""What all layouts share: between the books of a clip and rows of codes, and the methods that callers use."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..codes import Codes
from ..errors import InputError
from ..spec import CodecSpec
from .stream import Reader, Rows, TokenStream, integers


@dataclass(frozen=True, eq=False)
class Extract:
    """What a layout finds in the output of a model.

    Attributes:
        tokens: The whole frames before the end, as `encode` would give them.
        dropped: Codes left out: behind the end, out of order, or of frames that are not complete. Tokens that are no
            codes, such as text, do not count.
        ended: The model ended the clip itself; otherwise it was cut off.
    """

    tokens: NDArray[np.int64]
    dropped: int
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """Between the codes of a clip and tokens.

    A clip is seen as rows of codes, `rows[i][n]`, in which column `n` is one *cycle*: the shortest stretch in which
    every book has whole codes. That is a frame where all strides are one, and 4 frames for strides 4, 2, 1.

    Attributes:
        codebook_size: Every code is in `0 ..< codebook_size`.
        order: The book of each row. A book that has `r` codes in a cycle appears `r` times: its codes `n * r` to
            `n * r + r - 1` go into its rows of column `n`, in this order.
        codec: Name of the codec whose codes these must be, or None: of any codec that fits.
    """

    codebook_size: int
    order: tuple[int, ...]
    codec: str | None = None

    def __post_init__(self) -> None:
        if self.codebook_size < 1 or set(self.order) != set(range(self.num_codebooks)):
            raise InputError(
                f"expected a positive codebook_size and an order that has every book from 0 on, "
                f"got {self.codebook_size} and {self.order}"
            )

    @property
    def num_codebooks(self) -> int:
        """K, the number of codebooks."""
        return max(self.order, default=0) + 1

    # ---- data: the two directions are inverse to each other

    def encode(self, codes: Codes | Sequence[ArrayLike]) -> NDArray[np.int64]:
        """Tokens of a clip.

        Args:
            codes: `Codes`, or the plain books of a clip: one 1-D array per book, such as an array `(K, T)`.

        Returns:
            `(n,)` for a flat layout, `(rows, columns)` for a delayed one.

        Raises:
            InputError: Codes of another codec or another number of books, out of range, or of unequal duration.
        """
        return self._arrange(self._rows(self._checked_books(codes)))

    def books(self, tokens: ArrayLike) -> tuple[NDArray[np.int64], ...]:
        """The books of a clip, as plain arrays, from exactly what `encode` gives.

        Raises:
            InputError: Anything else; the message names the position, what came and what was expected.
        """
        return self._books(self._read(tokens))

    def decode(self, tokens: ArrayLike, spec: CodecSpec, num_samples: int | None = None) -> Codes:
        """The codes of a clip from exactly what `encode` gives; `extract` first what a model generated.

        Args:
            tokens: As `encode` gives them.
            spec: The codec that the codes belong to.
            num_samples: True length of the audio, which tokens do not tell; the whole of the frames if left out.

        Raises:
            InputError: Anything else than what `encode` gives, or the codec is another one.
        """
        self._check(spec)
        rows = self._read(tokens)
        return Codes.of(spec, self._books(rows), self._samples(rows, spec) if num_samples is None else num_samples)

    # ---- what a model generated

    def extract(self, generated: ArrayLike) -> Extract:
        """The whole frames in what a model generated, up to the end of the clip.

        Args:
            generated: The output of the model, without the prompt: `(n,)` for a flat layout; `(rows, columns)` for a
                delayed one, without the `lead` columns that the model starts from.
        """
        reader = self._reader()
        rows = reader.push(generated)
        reader.finish()
        return Extract(self._arrange(rows), reader.dropped, reader.ended)

    def stream(self, spec: CodecSpec) -> TokenStream[Codes]:
        """A session that finds what `extract` finds, in tokens that come in pieces of any size.

        Raises:
            InputError: The codec is another one.
        """
        self._check(spec)
        return TokenStream(
            self._reader(),
            spec,
            self._cycle(spec),
            lambda rows, num_samples: Codes.of(spec, self._books(rows), num_samples),
        )

    # ---- what a layout has to say

    @abstractmethod
    def _arrange(self, rows: Rows) -> NDArray[np.int64]:
        """Tokens of rows of codes."""

    @abstractmethod
    def _read(self, tokens: ArrayLike) -> Rows:
        """Rows of codes from what `_arrange` gives, and from nothing else."""

    @abstractmethod
    def _reader(self) -> Reader:
        """What finds rows of codes in the output of a model."""

    # ---- books and rows

    def _checked_books(self, codes: Codes | Sequence[ArrayLike]) -> list[NDArray[np.int64]]:
        books = codes.books if isinstance(codes, Codes) else codes
        if len(books) != self.num_codebooks:
            raise InputError(
                f"expected {self.num_codebooks} codebooks, got {len(books)}; codes.codebooks({self.num_codebooks}) "
                "takes the first ones of more"
            )
        if isinstance(codes, Codes):
            self._check_format(codes.codec, codes.codebook_size, codes.strides, segmented=bool(codes.scales.size))
        arrays = [integers(f"codebook {k}", book, "codes") for k, book in enumerate(books)]
        for k, array in enumerate(arrays):
            wrong = np.flatnonzero((array < 0) | (array >= self.codebook_size))
            if wrong.size:
                raise InputError(
                    f"codebook {k}, position {wrong[0]}: code {array[wrong[0]]} is out of range; "
                    f"expected 0 to {self.codebook_size - 1}"
                )
        return arrays

    def _rows(self, books: Sequence[NDArray[np.int64]]) -> Rows:
        order = np.array(self.order)
        counts = np.bincount(order)
        columns = len(books[0]) // int(counts[0])
        if [len(book) for book in books] != [int(count) * columns for count in counts]:
            raise InputError(
                f"expected books of {', '.join(map(str, counts))} codes or a multiple of that, "
                f"got {', '.join(str(len(book)) for book in books)}"
            )
        rows = np.empty((len(order), columns), np.int64)
        for k, book in enumerate(books):
            rows[order == k] = book.reshape(columns, counts[k]).T
        return rows

    def _books(self, rows: Rows) -> tuple[NDArray[np.int64], ...]:
        order = np.array(self.order)
        return tuple(rows[order == k].T.reshape(-1) for k in range(self.num_codebooks))

    # ---- the codec

    def _cycle(self, spec: CodecSpec) -> int:
        """Frames that one column of the rows stands for."""
        return self.order.count(0) * spec.strides[0]

    def _samples(self, rows: Rows, spec: CodecSpec) -> int:
        """Samples of a whole clip of these rows, if it fills its frames."""
        frames: int = max(0, rows.shape[1] * self._cycle(spec) - spec.tail_frames)
        return frames * spec.hop_length

    def _check(self, spec: CodecSpec) -> None:
        if spec.num_codebooks < self.num_codebooks:
            raise InputError(
                f"expected a codec of {self.num_codebooks} codebooks, but {spec.name} has {spec.num_codebooks}"
            )
        strides = spec.strides[: self.num_codebooks]
        self._check_format(spec.name, spec.codebook_size, strides, segmented=spec.segment is not None)

    def _check_format(self, codec: str, codebook_size: int, strides: tuple[int, ...], segmented: bool) -> None:
        if self.codec not in (None, codec):
            raise InputError(f"expected {self.codec}, which these tokens are made for, got {codec}")
        if codebook_size != self.codebook_size:
            raise InputError(
                f"expected books of {self.codebook_size} entries, but those of {codec} have {codebook_size}"
            )
        if len({self.order.count(k) * stride for k, stride in enumerate(strides)}) > 1:
            raise InputError(f"expected strides that fit the order {self.order}, but {codec} has {strides}")
        if segmented:
            raise InputError(f"expected codes without scales, which tokens cannot hold; {codec} has segments with them")
