"""What the tests of tokens share: facts of codecs, random books, small layouts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import wavcodes
from wavcodes import CodecSpec
from wavcodes import tokens as tk
from wavcodes.tokens import Delayed, Flat, Stereo

PLAIN = wavcodes.spec("encodec_24khz")


def like(name: str, sample_rate: int, hop_length: int, codebook_size: int, strides: tuple[int, ...]) -> CodecSpec:
    """Facts of a codec, as far as tokens are concerned."""
    return replace(
        PLAIN,
        name=name,
        sample_rate=sample_rate,
        hop_length=hop_length,
        codebook_size=codebook_size,
        num_codebooks=len(strides),
        strides=strides,
        frame_multiple=max(strides),
    )


ALL = {name: tk.convention(name) for name in tk.conventions()}
MONO = {name: layout for name, layout in ALL.items() if not isinstance(layout, Stereo)}
SPECS = {layout.codec: wavcodes.spec(layout.codec) for layout in MONO.values() if layout.codec}


def spec_for(layout: Flat | Delayed) -> CodecSpec:
    """The codec of a convention, or one made up where its codec is none of ours."""
    if layout.codec:
        return SPECS[layout.codec]
    return like("another", 24_000, 320, layout.codebook_size, (1,) * layout.num_codebooks)


def random_books(layout: Flat | Delayed, cycles: int, seed: int = 0) -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    counts = [layout.order.count(k) for k in range(layout.num_codebooks)]
    return [generator.integers(0, layout.codebook_size, count * cycles) for count in counts]


def generated(layout: Flat | Delayed, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """What of the tokens of a clip a model generates: all but the columns that it starts from."""
    return tokens[:, layout.lead :] if isinstance(layout, Delayed) else tokens


def lists(books: Sequence[ArrayLike]) -> list[list[int]]:
    return [np.asarray(book).tolist() for book in books]


def parallel(num_codebooks: int, delays: Sequence[int] | None = None, **facts: Any) -> Delayed:
    """A small matrix for examples with codes below 90, the special id being S = 99 unless stated."""
    facts = {"codebook_size": 90, "left": 99, "right": 99, **facts}
    order = tuple(range(num_codebooks))
    return Delayed(order=order, delays=tuple(delays or (0,) * num_codebooks), **facts)


def check(layout: Flat | Delayed, books: Sequence[ArrayLike], tokens: ArrayLike) -> None:
    """`books` encode to `tokens`, and those decode to `books`."""
    assert layout.encode(books).tolist() == np.asarray(tokens).tolist()
    assert lists(layout.books(tokens)) == lists(books)


ORPHEUS_BOOKS = [[7, 8], [10, 11, 12, 13], list(range(20, 28))]
ORPHEUS_TOKENS = [
    *(128273, 132372, 136478, 140575, 144661, 148768, 152865),
    *(128274, 132374, 136482, 140579, 144663, 148772, 152869),
]
