"""Sound to `.dac` files and back as Descript's package has it: several channels, windows, loudness, any sample rate.

Deviations from descript-audio-codec 1.0.0: sample rates are converted by soxr; the sound is brought to its loudness
with all channels together, where Descript does it for each channel alone and so changes their balance; its 16 and
24 kHz models lack 8 samples at the end, which are zeros here. What is written is one padded window, coded at the level
that the audio has, where Descript first brings it to -16 LUFS.
"""

import os
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import registry
from .audio import loudness, resample
from .codec import Codec
from .codes import Codes
from .containers.dac_file import DacFile, check_codec
from .errors import InputError
from .graph import Network
from .models.dac import num_rows, without_padding

Audio = NDArray[np.float32]

_DECIMALS = 4  # of a loudness: more depend on the machine


class DacDecoder:
    """Makes sound of `.dac` files.

    Args:
        name: The model that made them: one of `list_codecs()`.
        weights: Where its weights are; see `wavcodes.load`.
        threads: See `wavcodes.load`.

    Raises:
        InputError: There is no codec of that name.
        UnsupportedError: It is none of Descript's models.
    """

    def __init__(self, name: str, weights: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        self._checkpoint = registry.checkpoint(name)
        self._framing = self._checkpoint.spec.framing()
        check_codec(self._framing)
        self._weights = weights
        self._threads = threads

    def decode(self, file: DacFile) -> tuple[Audio, int]:
        """The sound of a file at the rate of the original, and that rate.

        Returns:
            float32 `(channels, file.num_samples)`, and Hz. It has the loudness that the file states.

        Raises:
            InputError: Another codec made the file.
            ModelError: See `wavcodes.load`.
        """
        sound, rate = self.at_codec_rate(file), self._framing.sample_rate
        if file.loudness is not None:
            sound *= np.float32(10 ** ((file.loudness - loudness(sound, rate)) / 20))
        if rate != file.sample_rate:
            sound = resample(sound, rate, file.sample_rate)
        # Descript rounds the length at the codec's rate down, so that a sample can be missing at a higher one.
        missing = max(0, file.num_samples - sound.shape[1])
        return np.pad(sound[:, : file.num_samples], ((0, 0), (0, missing))), file.sample_rate

    def at_codec_rate(self, file: DacFile) -> Audio:
        """All that the codes stand for, at the rate and the level at which they were coded.

        Returns:
            float32 `(channels, samples)`, to the end of the last frame or window.

        Raises:
            InputError: Another codec made the file.
            ModelError: See `wavcodes.load`.
        """
        framing = file.resolve(self._framing)
        if file.padded:
            file.clips(framing)  # checks the length
            return self._sound(self._codec, file.windows(framing, file.window_frames * framing.hop_length))
        num_samples = num_rows(self._unpadded_network.decoder, file.window_frames)
        if not num_samples:
            raise InputError(
                f"windows of {file.window_frames} frames are too short for {framing.codec}; "
                "the file is of another codec: name the one that made it"
            )
        count = file.codes.shape[2] // file.window_frames
        file.check_length(framing, (count - 1) * num_samples, count * num_samples)
        return self._sound(self._unpadded_codec, file.windows(framing, num_samples))

    def _sound(self, codec: Codec, windows: tuple[tuple[Codes, ...], ...]) -> Audio:
        return np.stack([np.concatenate([sound[0] for sound in codec.decode(list(each))]) for each in windows])

    @cached_property
    def _codec(self) -> Codec:
        return Codec(self._checkpoint, self._weights, self._threads, "decode")

    @cached_property
    def _unpadded_codec(self) -> Codec:
        checkpoint = replace(self._checkpoint, network=lambda: self._unpadded_network)
        return Codec(checkpoint, self._weights, self._threads, "decode")

    @cached_property
    def _unpadded_network(self) -> Network:
        return without_padding(self._checkpoint.network())


def encode_dac(
    codec: Codec,
    audio: Audio,
    sample_rate: int,
    *,
    bandwidth: float | None = None,
    num_codebooks: int | None = None,
    threads: int | None = None,
) -> DacFile:
    """The `.dac` file of a clip, for `containers.dac.write`.

    Args:
        codec: One of Descript's models.
        audio: float32 `(channels, samples)`, or `(samples,)` for mono, in [-1, 1]; one to five channels.
        sample_rate: Hz of `audio`; it is converted to the codec's.
        bandwidth: kbps of each channel; see `Codec.encode`.
        num_codebooks: See `Codec.encode`.
        threads: See `Codec.encode`.

    Raises:
        InputError: The audio is not what `Codec.encode` takes, or there is no such bandwidth.
        UnsupportedError: `codec` is none of Descript's models.
    """
    rate = codec.spec.sample_rate
    check_codec(codec.spec.framing())
    rows = np.asarray(audio)[np.newaxis] if np.ndim(audio) == 1 else np.asarray(audio)
    sound = resample(rows, sample_rate, rate)
    level = round(loudness(sound, rate), _DECIMALS)
    channels = codec.encode(list(sound), rate, bandwidth=bandwidth, num_codebooks=num_codebooks, threads=threads)
    return DacFile.of(
        channels,
        sample_rate=sample_rate,
        num_samples=rows.shape[1],
        loudness=level,
        weights_digest=codec.weights_digest,
    )
