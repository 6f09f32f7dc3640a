"""`EnCodec`, `DAC`, `SNAC` and `Mimi`: codecs for batches of arrays, such as programs around a language model pass.

    codec = EnCodec.from_pretrained("encodec-24khz")
    tokens = codec.encode(audio, bandwidth=6.0)   # (B, K, T)
    audio = codec.decode(tokens)                  # (B, C, N)

Arrays say less than `Codes`: audio is taken to have the codec's rate, and how long it was before it was coded is for
the caller to remember.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import registry
from .codec import Codec, load
from .codes import Codes
from .errors import InputError
from .spec import CodecSpec
from .streaming import StreamEncoder
from .values import as_array

Tokens = TypeVar("Tokens")
Self = TypeVar("Self", bound="Pretrained")  # type: ignore[type-arg]  # any kind of tokens


class Pretrained(ABC, Generic[Tokens]):
    """What the families have in common; use one of them.

    Attributes:
        codec: The loaded `Codec`, for all that arrays cannot say.
        family: Name of the family.
    """

    family: ClassVar[str]

    def __init__(self, codec: Codec) -> None:
        if codec.spec not in _family(type(self)):
            raise InputError(f"expected a codec of {self.family}, got {codec.spec.name}; {_choices(type(self))}")
        self.codec = codec

    @classmethod
    def from_pretrained(
        cls: type[Self], name: str, weights: str | os.PathLike[str] | None = None, threads: int | None = None
    ) -> Self:
        """Loads a codec of the family; fetches its weights the first time.

        Args:
            name: Its name, such as `encodec-24khz`, or the hub repository that its weights are published in.
            weights: Where the weights are, if not there: a file, a folder, or another hub repository.
            threads: As for `load`.

        Raises:
            InputError: The family has no codec of that name.
            ModelError: The weights are missing, unreachable or not the right ones.
        """
        spec = registry.spec(name)
        if spec not in _family(cls):
            raise InputError(f"expected a codec of {cls.family}, got {name!r}; {_choices(cls)}")
        return cls(load(spec.name, weights, threads))

    @property
    def spec(self) -> CodecSpec:
        """Facts of the codec."""
        return self.codec.spec

    @property
    def sample_rate(self) -> int:
        """Hz that all audio has."""
        return self.codec.spec.sample_rate

    def encode(self, audio: ArrayLike, bandwidth: float | None = None, num_codebooks: int | None = None) -> Tokens:
        """Tokens of a batch of clips of equal length.

        Args:
            audio: Floats in [-1, 1] at `sample_rate`: `(B, C, N)`; for mono codecs `(B, N)` or `(N,)` as well, which
                is a batch of one.
            bandwidth: kbps, one of `spec.bandwidths`; the default if left out.
            num_codebooks: Instead of `bandwidth`: how many codebooks to use.

        Returns:
            int64 tokens of all clips; those of a clip do not depend on the others.

        Raises:
            InputError: The audio is not what the codec takes, or there is no such bandwidth.
        """
        return self.encode_scaled(audio, bandwidth, num_codebooks)[0]

    def encode_scaled(
        self, audio: ArrayLike, bandwidth: float | None = None, num_codebooks: int | None = None
    ) -> tuple[Tokens, NDArray[np.float32]]:
        """`encode`, and what decoding needs besides: the gain of each segment, `(B, segments)`.

        Codecs without segments have none: `(B, 0)`.
        """
        clips = self.codec.encode(
            list(self._batch(audio)), self.sample_rate, bandwidth=bandwidth, num_codebooks=num_codebooks
        )
        books = [np.stack(book).astype(np.int64) for book in zip(*(clip.books for clip in clips), strict=True)]
        return self._packed(books), np.stack([clip.scales for clip in clips])

    def decode(
        self, tokens: Tokens, num_samples: int | None = None, scales: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Audio of a batch of tokens, float32 `(B, C, N)`.

        Args:
            tokens: As `encode` gives them.
            num_samples: True length of the clips; all samples of the frames if left out.
            scales: As `encode_scaled` gives them, for a codec that codes in segments.

        Raises:
            InputError: Tokens of another shape, out of range, or too few for `num_samples`; scales that are missing or
                not those of these tokens.
        """
        books = self._unpacked(tokens)
        if self.spec.segment is not None and scales is None:
            raise InputError(
                f"{self.spec.name} takes a gain from each segment; pass scales, as encode_scaled gives them"
            )
        framing = self.spec.framing(len(books))
        frames = books[0].shape[1] * framing.strides[0]
        length = framing.longest(frames) if num_samples is None else num_samples
        segments = framing.segments_in(frames, length)
        gains = np.zeros((len(books[0]), 0)) if scales is None else as_array("scales", scales)
        if gains.ndim != 2 or len(gains) != len(books[0]):
            raise InputError(f"expected scales of shape (batch, segments) for {len(books[0])} clips, got {gains.shape}")
        clips = [
            Codes.of(self.spec, clip, length, segments=segments, scales=gain)
            for *clip, gain in zip(*books, gains, strict=True)
        ]
        return np.stack(self.codec.decode(clips))

    def encode_continuous(self, audio: ArrayLike) -> NDArray[np.float32]:
        """What the encoder gives before quantization, float32 `(B, D, T)`.

        Args:
            audio: As for `encode`.

        Raises:
            InputError: The audio is not what the codec takes.
        """
        return np.stack([self.codec.encode_latent(clip, self.sample_rate) for clip in self._batch(audio)])

    def stream_encoder(self, bandwidth: float | None = None, num_codebooks: int | None = None) -> StreamEncoder:
        """A session for one clip that comes in pieces: together they give the codes that `encode` gives for the whole.

        Args:
            bandwidth: As for `encode`.
            num_codebooks: As for `encode`.
        """
        return self.codec.stream_encoder(bandwidth=bandwidth, num_codebooks=num_codebooks)

    def _batch(self, audio: ArrayLike) -> NDArray[np.generic]:
        array = as_array("audio", audio)
        if self.spec.channels == 1 and array.ndim in (1, 2):
            array = np.atleast_2d(array)[:, np.newaxis]
        if array.ndim != 3 or not len(array):
            wanted = "(N,), (B, N) or (B, 1, N)" if self.spec.channels == 1 else f"(B, {self.spec.channels}, N)"
            raise InputError(f"{self.spec.name} takes a batch of clips of shape {wanted}, got {array.shape}")
        return array

    @abstractmethod
    def _packed(self, books: list[NDArray[np.int64]]) -> Tokens:
        """Tokens from one array `(B, T)` a book."""

    @abstractmethod
    def _unpacked(self, tokens: Tokens) -> Sequence[NDArray[np.int64]]:
        """One array `(B, T)` a book from tokens; the number of clips is the same in all."""


class _OneRate(Pretrained[NDArray[np.int64]]):
    """Codecs all of whose books have one code a frame: tokens are one array `(B, K, T)`."""

    def _packed(self, books: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.stack(books, axis=1)

    def _unpacked(self, tokens: NDArray[np.int64]) -> Sequence[NDArray[np.int64]]:
        array = as_array("tokens", tokens)
        if array.ndim != 3 or 0 in array.shape[:2]:
            raise InputError(f"expected tokens of shape (batch, codebooks, frames), got {array.shape}")
        return list(np.moveaxis(array, 1, 0))


class EnCodec(_OneRate):
    """EnCodec (Meta): `encodec-24khz` and its relatives; tokens are `(B, K, T)`."""

    family = "EnCodec"


class DAC(_OneRate):
    """Descript Audio Codec: `dac-44khz` and its relatives; tokens are `(B, K, T)`."""

    family = "DAC"


class Mimi(_OneRate):
    """Mimi (Kyutai): `mimi`; tokens are `(B, K, T)`."""

    family = "Mimi"


class SNAC(Pretrained[list[NDArray[np.int64]]]):
    """SNAC: `snac-24khz` and its relatives; tokens are a list of one array `(B, T / stride)` for each book."""

    family = "SNAC"

    def _packed(self, books: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        return books

    def _unpacked(self, tokens: list[NDArray[np.int64]]) -> Sequence[NDArray[np.int64]]:
        if not isinstance(tokens, list | tuple):
            raise InputError(f"expected a list of one array for each codebook, got {type(tokens).__name__}")
        books = [as_array("tokens", book) for book in tokens]
        if not books or any(book.ndim != 2 or not 0 < len(book) == len(books[0]) for book in books):
            shapes = [book.shape for book in books]
            raise InputError(f"expected one array (batch, codes) for each codebook, got arrays of shape {shapes}")
        return books


def _family(cls: type[Pretrained[Any]]) -> tuple[CodecSpec, ...]:
    return registry.family(cls.family)


def _choices(cls: type[Pretrained[Any]]) -> str:
    return f"there are: {', '.join(spec.name for spec in _family(cls))}"
