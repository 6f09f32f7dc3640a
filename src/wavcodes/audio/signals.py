"""Audio in memory: what a codec accepts, channels, sample rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..spec import CodecSpec
from ..values import as_array

BLOCK_SECONDS = 15
"""Of sound that go through a codec at a time where somebody waits for what a block gives: a reader of the output, a
progress bar, a caller who cancels. A long one, for threads wait for one another at its start and at its end."""

RATES = range(1_000, 1_000_001)
"""Sample rates in Hz that are read and converted: a header may claim any, and memory goes with their ratio."""

_LOUDEST = 64.0  # 36 dB above full scale is no longer audio; 16-bit integers passed as floats are


def check_audio(audio: ArrayLike, sample_rate: int, spec: CodecSpec) -> NDArray[np.float32]:
    """Audio as a codec takes it, or an error that says how to make it so.

    Args:
        audio: At least one sample, as for `check_chunk`.
        sample_rate: Hz of `audio`; must be that of the codec.
        spec: The codec.

    Returns:
        float32 `(channels, samples)`, C-contiguous.

    Raises:
        InputError: Wrong rate, channels, type or values, or no samples.
    """
    if sample_rate != spec.sample_rate:
        raise InputError(
            f"{spec.name} takes {spec.sample_rate} Hz, got {sample_rate = }; "
            f"convert first: wavcodes.resample(audio, {sample_rate}, {spec.sample_rate})"
        )
    checked = check_chunk(audio, spec)
    if not checked.shape[1]:
        raise InputError("expected at least one sample, got none")
    return checked


def check_chunk(audio: ArrayLike, spec: CodecSpec) -> NDArray[np.float32]:
    """A piece of audio, possibly of no samples, as a codec takes it.

    float16, float64 and non-contiguous arrays are converted: that changes no meaning. Integers are not, for their
    scale would be a guess.

    Args:
        audio: `(samples,)` for a mono codec, or `(channels, samples)`; floats in [-1, 1]. Somewhat louder audio is
            accepted as it is; beyond 64 it is taken for integers.
        spec: The codec.

    Returns:
        float32 `(channels, samples)`, C-contiguous; the array itself where it already is that.

    Raises:
        InputError: Not floats, not the codec's channels, not finite, or beyond 64.
    """
    array = as_array("audio", audio)
    if array.dtype.kind in "iu":
        raise InputError(
            f"expected floats in [-1, 1], got {array.dtype}; scale first, such as audio / 32768 for 16-bit integers"
        )
    if array.dtype.kind != "f":
        raise InputError(f"expected an array of floats in [-1, 1], got {array.dtype}")
    if array.ndim == 1 and spec.channels == 1:
        array = array[np.newaxis]
    if array.ndim != 2 or array.shape[0] != spec.channels:
        raise InputError(_shape_advice(array.shape, spec))
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is reported below
        array = np.ascontiguousarray(array, np.float32)
    check_values(array)
    return array


def _shape_advice(shape: tuple[int, ...], spec: CodecSpec) -> str:
    wanted = "(samples,) or (1, samples)" if spec.channels == 1 else f"({spec.channels}, samples)"
    message = f"{spec.name} takes audio of shape {wanted}, got {shape}"
    if len(shape) == 2 and shape[1] <= 8 < shape[0]:
        return f"{message}; channels come first here: pass audio.T" + (
            ", mixed down: wavcodes.to_mono(audio.T)" if shape[1] > spec.channels == 1 else ""
        )
    if len(shape) == 2 and spec.channels == 1:
        return f"{message}; mix down first: wavcodes.to_mono(audio)"
    if len(shape) == 3:
        return f"{message}; pass a batch as a list of clips"
    return message


def check_values(block: NDArray[np.float32], first: int = 0, clip: str = "") -> None:
    """Raises InputError for values that are no audio.

    Args:
        block: `(channels, samples)`.
        first: Position of the block in its clip, for the message.
        clip: What the message begins with.
    """
    if not block.size or (block.min() >= -_LOUDEST and block.max() <= _LOUDEST):
        return
    broken = ~np.isfinite(block)
    wrong = broken if broken.any() else np.abs(block) > _LOUDEST
    sample = int(np.flatnonzero(wrong.any(axis=0))[0])
    channel = int(np.flatnonzero(wrong[:, sample])[0])
    where = f"sample {first + sample} of channel {channel} is {block[channel, sample]:g}"
    if broken.any():
        raise InputError(f"{clip}expected finite samples, but {where}; repair or cut out that part")
    raise InputError(f"{clip}expected samples in [-1, 1], but {where}; if these were integers, divide them by 32768")


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples of 16 bits, little-endian, of the same shape: `round(32768 x)`, and what lies beyond them clipped."""
    samples: NDArray[np.int16] = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype("<i2")
    return samples


def to_mono(audio: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of all channels: `(channels, samples)` to `(samples,)`; mono comes back as it is.

    Raises:
        InputError: Not floats, wrong shape, or no channels.
    """
    array = as_array("audio", audio)
    return _floats(array if array.ndim == 1 else to_channels(array, 1)[0])


def to_channels(audio: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """`(any, samples)` to `(channels, samples)`: the mean of all for mono; mono is repeated for more.

    Raises:
        InputError: Not floats, wrong shape, no channels, or more are asked for and `audio` is neither mono nor
            has that many.
    """
    array = _floats(audio)
    if array.ndim != 2:
        raise InputError(f"expected audio of shape (channels, samples), got {array.shape}")
    if len(array) == channels:
        return array
    if channels == 1:
        return _floats(array.mean(axis=0, dtype=np.float64, keepdims=True))
    if len(array) == 1:
        return np.repeat(array, channels, axis=0)
    raise InputError(f"expected {channels} channels or one, got {len(array)}; mix them first")


def _floats(audio: NDArray[Any]) -> NDArray[np.float32]:
    array = as_array("audio", audio)
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise InputError(
            f"expected floats in [-1, 1], (samples,) or (channels, samples), got {array.dtype} of shape {array.shape}"
        )
    if array.ndim == 2 and not len(array):
        raise InputError(f"expected at least one channel, got audio of shape {array.shape}")
    with np.errstate(over="ignore"):  # what becomes infinite is for `check_values`
        floats: NDArray[np.float32] = array.astype(np.float32, copy=False)
    return floats


def resample(audio: NDArray[Any], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Audio at another sample rate, by soxr at its "very high quality" (aliases below -150 dB, no delay).

    Args:
        audio: Floats, `(samples,)` or `(channels, samples)`.
        from_rate: Its rate in Hz, 1,000 to 1,000,000.
        to_rate: The rate to convert to, in the same range.

    Returns:
        float32 of as many dimensions, `resampled_length(N, from_rate, to_rate)` samples long.

    Raises:
        InputError: Not floats, wrong shape, values that are no audio (see `check_chunk`), or a rate out of range.
    """
    array = _floats(audio)
    rows = array if array.ndim == 2 else array[np.newaxis]
    check_values(rows)
    stream = StreamResampler(from_rate, to_rate, len(rows))
    converted = np.concatenate([stream.push(rows), stream.flush()], axis=1)
    return converted if array.ndim == 2 else converted[0]


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """`num_samples * to_rate / from_rate`, rounded to the nearest integer, halves up."""
    return (2 * num_samples * to_rate + from_rate) // (2 * from_rate)


class StreamResampler:
    """`resample` for audio that comes in chunks; all chunks together give the same samples as one.

    Args:
        from_rate: Hz of what is pushed, 1,000 to 1,000,000.
        to_rate: Hz of what comes out, in the same range.
        channels: Channels of both.

    Raises:
        InputError: A rate is out of range, or there are no channels.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        for rate in (from_rate, to_rate):
            if rate not in RATES:
                raise InputError(f"expected sample rates of {RATES[0]} to {RATES[-1]} Hz, got {rate}")
        if channels < 1:
            raise InputError(f"expected at least one channel, got {channels}")
        self._channels = channels
        self._stream: Any = None
        if from_rate != to_rate:
            import soxr  # type: ignore[import-untyped]

            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="VHQ")

    def push(self, audio: NDArray[Any]) -> NDArray[np.float32]:
        """The next chunk, `(channels, n)`; gives what can be given so far, `(channels, m)`."""
        array = _floats(audio)
        if array.ndim != 2 or len(array) != self._channels:
            raise InputError(f"expected a chunk of shape ({self._channels}, samples), got {array.shape}")
        return self._run(array, last=False)

    def flush(self) -> NDArray[np.float32]:
        """The end of the audio; call it once, after the last chunk."""
        return self._run(np.zeros((self._channels, 0), np.float32), last=True)

    def _run(self, rows: NDArray[np.float32], last: bool) -> NDArray[np.float32]:
        if self._stream is None:
            return rows
        converted: NDArray[np.float32] = self._stream.resample_chunk(np.ascontiguousarray(rows.T), last=last)
        return np.ascontiguousarray(converted.T)
