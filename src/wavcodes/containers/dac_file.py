"""What a `.dac` file says: codes of every channel, each coded on its own, and facts of the original.

Descript cuts longer clips into windows that are coded without any padding. Their codes are not those of a clip, and
only a decoder without padding (`wavcodes.descript`) makes sound of them; what is written here is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..codes import Codes
from ..errors import InputError, UnsupportedError
from ..framing import Framing
from ..values import whole_number
from .base import Hints

_CODECS = "dac_"  # how the names of Descript's models begin
_MOST_CHANNELS = 5  # whose loudness Descript's tools can measure
_RATES = range(1, 1_000_001)
_MOST_SAMPLES = 1 << 40  # twelve days at the highest of these rates
_LOUDEST = 100.0  # LUFS, either way: what is beyond is none


@dataclass(frozen=True, eq=False)
class DacFile:
    """What a `.dac` file says.

    Attributes:
        codes: uint16 `(channels, K, T)`.
        num_samples: Length of the original, per channel.
        sample_rate: Hz of the original.
        loudness: LUFS of the original, all channels together; a player brings its sound to that. None where nobody
            measured it: then the sound is left as it is.
        window_frames: Frames of each window; T where the clip is not cut.
        padded: False for windows that were coded without padding.
        framing: Of the codec, in files that state it.
        weights_digest: SHA-256 of the weights that made the codes, in files that state it.

    Raises:
        InputError: The facts contradict each other, or Descript's package could not load them.
        UnsupportedError: The framing is of none of Descript's models.
    """

    codes: NDArray[np.uint16]
    num_samples: int
    sample_rate: int
    loudness: float | None
    window_frames: int
    padded: bool = True
    framing: Framing | None = None
    weights_digest: bytes | None = None

    def __post_init__(self) -> None:
        for fact in ("num_samples", "sample_rate", "window_frames"):
            object.__setattr__(self, fact, whole_number(fact, getattr(self, fact)))
        shape = self.codes.shape
        if self.codes.dtype != np.uint16 or len(shape) != 3 or 0 in shape or shape[0] > _MOST_CHANNELS:
            raise InputError(
                f"expected codes as uint16 of shape (channels, codebooks, frames), with 1 to {_MOST_CHANNELS} "
                f"channels, got {self.codes.dtype} of shape {shape}"
            )
        if not 1 <= self.num_samples <= _MOST_SAMPLES or self.sample_rate not in _RATES:
            raise InputError(
                f"expected 1 to {_MOST_SAMPLES:,} samples at {_RATES[0]} to {_RATES[-1]} Hz, got {self.num_samples} at "
                f"{self.sample_rate} Hz"
            )
        if self.loudness is not None and not -_LOUDEST <= self.loudness <= _LOUDEST:
            raise InputError(f"expected a loudness of -{_LOUDEST:g} to {_LOUDEST:g} LUFS, got {self.loudness}")
        frames = shape[2]
        if self.window_frames < 1 or frames % self.window_frames or (self.padded and frames != self.window_frames):
            raise InputError(
                f"expected whole windows of {self.window_frames} frames, only one of them where it is padded, "
                f"got {frames} frames{' in a padded file' if self.padded else ''}"
            )
        if self.framing is not None:
            check_codec(self.framing)
            if self.framing.num_codebooks != shape[1]:
                raise InputError(f"expected codes of {self.framing.num_codebooks} codebooks, got {shape[1]}")

    @classmethod
    def of(
        cls,
        channels: Sequence[Codes],
        *,
        sample_rate: int | None = None,
        num_samples: int | None = None,
        loudness: float | None = None,
        weights_digest: bytes | None = None,
    ) -> DacFile:
        """The file of a clip.

        Args:
            channels: The codes of each channel, as a codec's `encode` gives them for one channel at a time.
            sample_rate: Hz of the original, if not that of the codec.
            num_samples: Its length at that rate; needed with `sample_rate`.
            loudness: LUFS of the original, if known.
            weights_digest: SHA-256 of the weights that made the codes.

        Raises:
            UnsupportedError: The codes are not those of one of Descript's models.
            InputError: The channels differ in codec or length, or the rate comes without the length.
        """
        if not channels:
            raise InputError("expected the codes of at least one channel, got none")
        first = channels[0]
        check_codec(first.framing)
        if any((each.framing, each.num_samples) != (first.framing, first.num_samples) for each in channels):
            raise InputError("expected channels of one codec, number of codebooks and length, got different ones")
        if (sample_rate is None) != (num_samples is None):
            raise InputError("expected the rate and the length of the original together, or neither")
        if not first.num_frames:
            raise UnsupportedError("a .dac file cannot hold a clip of no frames; write a .nac file")
        return cls(
            np.stack([np.asarray(each) for each in channels]),
            first.num_samples if num_samples is None else num_samples,
            first.sample_rate if sample_rate is None else sample_rate,
            loudness,
            first.num_frames,
            framing=first.framing,
            weights_digest=weights_digest,
        )

    @property
    def checksums(self) -> str:
        """As `Reader.checksums`: files that state their codec have one."""
        return "" if self.framing is None else "CRC-32C"

    def besides(self, framing: Framing) -> tuple[str, ...]:
        """As `Reader.besides`, for codes of that framing."""
        loudness = () if self.loudness is None else (f"the loudness of {self.loudness:g} LUFS",)
        rate = () if self.sample_rate == framing.sample_rate else (f"the original's rate of {self.sample_rate} Hz",)
        return loudness + rate

    @property
    def channels(self) -> int:
        """Channels of the original."""
        return len(self.codes)

    def clips(self, framing: Framing | None = None) -> tuple[Codes, ...]:
        """The codes of each channel, as a clip of its own.

        Args:
            framing: Of the codec that made them, `spec(name).framing()`; needed unless the file states it.

        Raises:
            InputError: The codec is not stated, or cannot be the one that made them.
            UnsupportedError: The clip is cut into windows without padding, so that its codes are not those of a clip.
        """
        framing = self.resolve(framing)
        if not self.padded:
            raise UnsupportedError(
                f"this file holds windows of {self.window_frames} frames that were coded without padding, and their "
                "codes are not those of a clip; decode it, and encode the sound again"
            )
        frames = self.codes.shape[2]
        wanted = self.samples_at(framing.sample_rate)
        self.check_length(framing, (frames - 1) * framing.hop_length, frames * framing.hop_length)
        return tuple(Codes(framing, tuple(books), min(wanted, frames * framing.hop_length)) for books in self.codes)

    def windows(self, framing: Framing, num_samples: int) -> tuple[tuple[Codes, ...], ...]:
        """The codes of each window of each channel, as clips of `num_samples` samples."""
        starts = range(0, self.codes.shape[2], self.window_frames)
        return tuple(
            tuple(Codes(framing, tuple(books[:, i : i + self.window_frames]), num_samples) for i in starts)
            for books in self.codes
        )

    def samples_at(self, sample_rate: int) -> int:
        """How many samples the original has at another rate; a last one that is not whole counts."""
        return -(-self.num_samples * sample_rate // self.sample_rate)

    def check_length(self, framing: Framing, shortest: int, longest: int) -> None:
        """Checks that a codec can have made the codes: that these stand for more than `shortest` samples and up to
        `longest`.

        Raises:
            InputError: The original was longer or shorter.
        """
        wanted = self.samples_at(framing.sample_rate)
        slack = 2 + (wanted >> 22)  # Descript's package rounds lengths down, and as float32 where it changes the rate
        if not shortest - slack < wanted <= longest + slack:
            raise InputError(
                f"{self.codes.shape[2]} frames of {framing.codec} stand for {shortest} to {longest} samples, but the "
                f"original has {wanted} at {framing.sample_rate} Hz; the file is of another codec: name the right one"
            )

    def resolve(self, framing: Framing | None) -> Framing:
        """The framing that the file states, or else that of the caller; with as many codebooks as the file has.

        Raises:
            InputError: Neither does, or both do and differ, or the codec has fewer codebooks.
            UnsupportedError: It is none of Descript's models.
        """
        count = self.codes.shape[1]
        if self.framing is not None:
            Hints(framing).check(self.framing)
            return self.framing
        if framing is None:
            raise InputError(
                "a .dac file of Descript's package does not say which of its models made it; "
                "state it as a framing, such as that of the 44.1 kHz model (--codec)"
            )
        check_codec(framing)
        if count > framing.num_codebooks:
            raise InputError(
                f"the file has {count} codebooks, but {framing.codec} has {framing.num_codebooks}; "
                "name the codec that made it"
            )
        return framing.first(count)


def check_codec(framing: Framing) -> None:
    """Raises UnsupportedError for codes of another codec than Descript's."""
    if not framing.codec.startswith(_CODECS) or set(framing.strides) != {1} or framing.channels != 1:
        raise UnsupportedError(f"a .dac file holds codes of Descript's models, got {framing.codec}; write a .nac file")
