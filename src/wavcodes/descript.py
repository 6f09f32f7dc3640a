"""Sound to `.dac` files and back as Descript's package has it: several channels, windows, loudness, any sample rate.

Deviations from descript-audio-codec 1.0.0: sample rates are converted by soxr; the sound is brought to its loudness
with all channels together, where Descript does it for each channel alone and so changes their balance; its 16 and
24 kHz models lack 8 samples at the end, which are zeros here. What is written is one padded window, coded at the level
that the audio has, where Descript first brings it to -16 LUFS.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from . import registry
from .audio import BLOCK_SAMPLES, BLOCK_SECONDS, LoudnessMeter, StreamResampler
from .codec import Codec
from .codes import Codes
from .containers.dac_file import DacFile, check_codec
from .engines.native import Precision
from .errors import InputError, ResourceError
from .files import read_up_to, write_all
from .graph import Network
from .models.dac import num_rows, without_padding
from .values import as_array, whole_number

Audio = NDArray[np.float32]

_DECIMALS = 4  # of a loudness: more depend on the machine
_IN_MEMORY = 1 << 26  # bytes of sound that wait there for their loudness; what is more goes to a temporary file


class DacDecoder:
    """Makes sound of `.dac` files.

    Args:
        name: The model that made them: one of `list_codecs()`.
        weights: Where its weights are; see `wavcodes.load`.
        threads: See `wavcodes.load`.
        precision: See `wavcodes.load`.

    Raises:
        InputError: There is no codec of that name.
        UnsupportedError: It is none of Descript's models.
    """

    def __init__(
        self,
        name: str,
        weights: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._checkpoint = registry.checkpoint(name)
        self._framing = self._checkpoint.spec.framing()
        check_codec(self._framing)
        self._weights = weights
        self._threads = threads
        self._precision = precision

    def decode(self, file: DacFile, num_codebooks: int | None = None) -> tuple[Audio, int]:
        """The sound of a file at the rate of the original, and that rate.

        Args:
            file: What `containers.dac.read` gives.
            num_codebooks: How many of its codebooks to use; all if left out.

        Returns:
            float32 `(channels, file.num_samples)`, and Hz. It has the loudness that the file states.

        Raises:
            InputError: Another codec made the file, or it has not so many codebooks.
            ModelError: See `wavcodes.load`.
            ResourceError: There is no space for a temporary file; see `blocks`.
        """
        return np.concatenate(list(self.blocks(file, num_codebooks)), axis=1), file.sample_rate

    def blocks(self, file: DacFile, num_codebooks: int | None = None) -> Iterator[Audio]:
        """What `decode` gives in consecutive blocks `(channels, n)`, in memory that does not grow with the length.

        Where the file states a loudness, all has to be decoded before the first block can be given: it waits in a
        temporary file, 4 bytes a sample.
        """
        rate = self._framing.sample_rate
        sound = self.at_codec_rate(file, num_codebooks)
        if file.loudness is not None:
            sound = _brought_to(sound, file.loudness, rate, file.channels)
        resampler = StreamResampler(rate, file.sample_rate, file.channels)
        missing = file.num_samples
        for block in sound:
            converted = resampler.push(block)[:, :missing]
            missing -= converted.shape[1]
            yield converted
        rest = resampler.flush()[:, :missing]
        # Descript rounds the length at the codec's rate down, so that a sample can be missing at a higher one.
        yield np.pad(rest, ((0, 0), (0, missing - rest.shape[1])))

    def at_codec_rate(self, file: DacFile, num_codebooks: int | None = None) -> Iterator[Audio]:
        """All that the codes stand for, at the rate and the level at which they were coded, to the end of the last
        frame or window: blocks `(channels, n)`; arguments and errors are those of `decode`."""
        framing = file.resolve(self._framing)
        if file.padded:
            file.clips(framing)  # checks the length
            num_samples = file.window_frames * framing.hop_length
        else:
            num_samples = num_rows(self._unpadded_network.decoder, file.window_frames)
            if not num_samples:
                raise InputError(
                    f"windows of {file.window_frames} frames are too short for {framing.codec}; "
                    "the file is of another codec: name the one that made it"
                )
            count = file.codes.shape[2] // file.window_frames
            file.check_length(framing, (count - 1) * num_samples, count * num_samples)
        count = framing.num_codebooks if num_codebooks is None else num_codebooks
        return self._windows(self.codec(file), file.windows(framing, num_samples), count)

    def codec(self, file: DacFile) -> Codec:
        """The codec that decodes a file: the model as it is, or without padding. Both have the same facts and digest.

        Raises:
            ModelError: See `wavcodes.load`.
        """
        return self._padded_codec if file.padded else self._unpadded_codec

    def _windows(self, codec: Codec, windows: tuple[tuple[Codes, ...], ...], num_codebooks: int) -> Iterator[Audio]:
        for channels in zip(*windows, strict=True):
            for rows in zip(*(_stream(codec, clip.codebooks(num_codebooks)) for clip in channels), strict=True):
                yield np.concatenate(rows)

    @cached_property
    def _padded_codec(self) -> Codec:
        return Codec(self._checkpoint, self._weights, self._threads, "decode", self._precision)

    @cached_property
    def _unpadded_codec(self) -> Codec:
        checkpoint = replace(self._checkpoint, network=lambda: self._unpadded_network)
        return Codec(checkpoint, self._weights, self._threads, "decode", self._precision)

    @cached_property
    def _unpadded_network(self) -> Network:
        return without_padding(self._checkpoint.network())


def _stream(codec: Codec, clip: Codes) -> Iterator[Audio]:
    """The sound of one channel in blocks."""
    decoder = codec.stream_decoder()
    for part in clip.blocks(BLOCK_SECONDS):
        yield decoder.push(part)
    yield decoder.flush()


def _brought_to(sound: Iterator[Audio], level: float, sample_rate: int, channels: int) -> Iterator[Audio]:
    """The same sound with the loudness `level`."""
    import tempfile  # takes 10 ms

    meter = LoudnessMeter(sample_rate, channels)
    try:
        where = f"a temporary file in {tempfile.gettempdir()}"
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="wavcodes-") as spooled:
            spool = cast(BinaryIO, spooled)
            for block in sound:
                meter.push(block)
                write_all(spool, block.T.tobytes(), where)
            gain = np.float32(10 ** ((level - meter.finish()) / 20))
            spool.seek(0)
            while data := read_up_to(spool, 4 * channels * BLOCK_SAMPLES):
                yield gain * np.frombuffer(data, np.float32).reshape(-1, channels).T
    except OSError as error:
        raise ResourceError(f"cannot keep the sound in a temporary file: {error}; set TMPDIR to a folder") from error


class DacEncoder:
    """Makes a `.dac` file of a clip that comes in pieces.

    Args:
        codec: One of Descript's models.
        sample_rate: Hz of the audio; it is converted to the codec's.
        channels: Channels of the audio, one to five; each is coded on its own.
        bandwidth: kbps of each channel; see `Codec.encode`.
        num_codebooks: See `Codec.encode`.
        threads: See `Codec.encode`.

    Raises:
        InputError: There are no such files, or there is no such bandwidth.
        UnsupportedError: `codec` is none of Descript's models.
    """

    def __init__(
        self,
        codec: Codec,
        sample_rate: int,
        channels: int,
        *,
        bandwidth: float | None = None,
        num_codebooks: int | None = None,
        threads: int | None = None,
    ) -> None:
        check_codec(codec.spec.framing())
        rate = codec.spec.sample_rate
        self._codec = codec
        self._sample_rate = whole_number("sample_rate", sample_rate)
        self._num_samples = 0
        self._resampler = StreamResampler(self._sample_rate, rate, channels)
        self._meter = LoudnessMeter(rate, channels)
        count = codec.spec.resolve_codebooks(bandwidth, num_codebooks)
        self._encoders = [codec.stream_encoder(num_codebooks=count, threads=threads) for _ in range(channels)]
        self._parts: list[list[Codes]] = [[] for _ in range(channels)]

    def push(self, audio: Audio) -> None:
        """The next piece of the clip, float32 `(channels, n)` in [-1, 1].

        Raises:
            InputError: The audio is not what `Codec.encode` takes.
        """
        self._code(self._resampler.push(audio))
        self._num_samples += audio.shape[1]

    def finish(self) -> DacFile:
        """Ends the clip: its file, for `containers.dac.write`.

        Raises:
            InputError: There was no audio.
        """
        self._code(self._resampler.flush())
        for encoder, parts in zip(self._encoders, self._parts, strict=True):
            parts.append(encoder.flush())
        return DacFile.of(
            [Codes.concat(parts) for parts in self._parts],
            sample_rate=self._sample_rate,
            num_samples=self._num_samples,
            loudness=round(self._meter.finish(), _DECIMALS),
            weights_digest=self._codec.weights_digest,
        )

    def _code(self, sound: Audio) -> None:
        self._meter.push(sound)
        for encoder, parts, channel in zip(self._encoders, self._parts, sound, strict=True):
            parts.append(encoder.push(channel))


def encode_dac(
    codec: Codec,
    audio: Audio,
    sample_rate: int,
    *,
    bandwidth: float | None = None,
    num_codebooks: int | None = None,
    threads: int | None = None,
) -> DacFile:
    """The `.dac` file of a clip: `DacEncoder` for one that is there as a whole.

    Args:
        codec: See `DacEncoder`.
        audio: float32 `(channels, samples)`, or `(samples,)` for mono, in [-1, 1]; one to five channels.
        sample_rate: See `DacEncoder`.
        bandwidth: See `DacEncoder`.
        num_codebooks: See `DacEncoder`.
        threads: See `DacEncoder`.

    Raises:
        InputError: The audio is not what `Codec.encode` takes, or there is no such bandwidth.
        UnsupportedError: `codec` is none of Descript's models.
    """
    rows = as_array("audio", audio)
    rows = rows[np.newaxis] if rows.ndim == 1 else rows
    if rows.ndim != 2:
        raise InputError(f"expected audio of shape (samples,) or (channels, samples), got {rows.shape}")
    encoder = DacEncoder(
        codec, sample_rate, len(rows), bandwidth=bandwidth, num_codebooks=num_codebooks, threads=threads
    )
    block = BLOCK_SECONDS * encoder._sample_rate
    for first in range(0, rows.shape[1], block):
        encoder.push(rows[:, first : first + block])
    return encoder.finish()
