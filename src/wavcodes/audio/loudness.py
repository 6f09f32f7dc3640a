"""How loud a clip sounds, in LUFS: the integrated loudness of ITU-R BS.1770-4.

The weighting filters are the ones that pyloudnorm and descript-audiotools compute, which stand for the tabulated ones
of the standard at any sample rate; like audiotools, a last block that is not full counts as if silence followed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

SILENCE = -70.0
"""LUFS: the threshold of the standard, below which nothing is heard."""

_CHANNELS = np.array([1.0, 1.0, 1.0, 1.41, 1.41])  # weights: left, right, centre, left and right surround
_LOWEST_RATE = 8_000  # Hz: the filters are made for what lies above 1,500 Hz
_HIGHEST_RATE = 384_000  # Hz: the highest at which sound is recorded
_RESPONSE = 0.1  # seconds, in which the impulse response of the filters falls by 200 dB
_FFT = 1 << 16


def loudness(audio: NDArray[np.float32], sample_rate: int) -> float:
    """Loudness of a clip, all channels together.

    Args:
        audio: float32 `(channels, samples)`, one to five channels.
        sample_rate: Hz, 8,000 to 384,000.

    Returns:
        LUFS; `SILENCE` for silence.

    Raises:
        InputError: Another number of channels, or another rate.
    """
    if audio.ndim != 2:
        raise InputError(f"expected audio of shape (channels, samples), got shape {audio.shape}")
    meter = LoudnessMeter(sample_rate, len(audio))
    meter.push(audio)
    return meter.finish()


class LoudnessMeter:
    """`loudness` of a clip that comes in pieces, of any sizes: it keeps two numbers for each channel and 0.1 s.

    Args:
        sample_rate: Hz, 8,000 to 384,000.
        channels: Channels, one to five.

    Raises:
        InputError: Another number of channels, or another rate.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        if not _LOWEST_RATE <= sample_rate <= _HIGHEST_RATE:
            raise InputError(
                f"expected {_LOWEST_RATE} to {_HIGHEST_RATE} Hz, got {sample_rate = }; resample the audio first"
            )
        if not 1 <= channels <= len(_CHANNELS):
            raise InputError(f"expected audio of 1 to {len(_CHANNELS)} channels, got {channels}")
        self._size, self._step = sample_rate * 2 // 5, sample_rate // 10  # blocks of 0.4 s every 0.1 s
        self._shortest = sample_rate // 2  # audiotools fills up what is shorter
        response = _response(sample_rate)
        self._spectrum = np.fft.rfft(response, _FFT)
        self._stretch = _FFT - len(response) + 1  # filtered at a time, whatever the pieces
        self._pending = np.zeros((channels, 0), np.float32)
        self._ringing = np.zeros((channels, len(response) - 1))  # of the filters, after what they had so far
        self._num_samples = 0  # filtered so far
        self._energy = np.zeros((channels, 1))  # of all of them
        self._at_starts = [np.zeros((channels, 0))]  # the same before each block
        self._at_ends = [np.zeros((channels, 0))]  # ... and behind it

    def push(self, audio: NDArray[np.float32]) -> None:
        """The next samples, float32 `(channels, n)`."""
        self._pending = np.concatenate([self._pending, audio], axis=1)
        while self._pending.shape[1] >= self._stretch:
            self._filter(self._pending[:, : self._stretch])
            self._pending = self._pending[:, self._stretch :]

    def finish(self) -> float:
        """The loudness in LUFS; `SILENCE` for silence. Nothing can be pushed afterwards."""
        self._filter(self._pending)
        count = -(-(max(self._num_samples, self._shortest) - self._size) // self._step) + 1
        energies = self._edges(self._at_ends, count) - self._edges(self._at_starts, count)
        power = _CHANNELS[: len(energies)] @ energies / self._size  # of each block
        power = power[power > _power(SILENCE)]
        if power.size:
            power = power[power > power.mean() / 10]  # 10 LU below what is heard at all
        return max(SILENCE, -0.691 + 10 * math.log10(power.mean())) if power.size else SILENCE

    def _filter(self, piece: NDArray[np.float32]) -> None:
        """Both filters over the next samples, up to a stretch of them."""
        count, ringing = piece.shape[1], self._ringing.shape[1]
        filtered = np.fft.irfft(np.fft.rfft(piece.astype(np.float64), _FFT) * self._spectrum, _FFT)
        filtered[:, :ringing] += self._ringing
        self._ringing = filtered[:, count : count + ringing]
        energy = np.cumsum(np.concatenate([self._energy, np.square(filtered[:, :count])], axis=1), axis=1)
        for kept, offset in ((self._at_starts, 0), (self._at_ends, self._size)):
            first = offset + -(-max(0, self._num_samples - offset) // self._step) * self._step
            kept.append(energy[:, first - self._num_samples : count : self._step].copy())
        self._num_samples += count
        self._energy = energy[:, -1:]

    def _edges(self, kept: list[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
        """The energy before each of `count` edges, of which the last may lie behind the end."""
        known = np.concatenate(kept, axis=1)[:, :count]
        return np.concatenate([known, np.repeat(self._energy, count - known.shape[1], axis=1)], axis=1)


def _power(level: float) -> float:
    return float(10 ** ((level + 0.691) / 10))


def _response(sample_rate: int) -> NDArray[np.float64]:
    """Impulse response of both filters."""
    values = [1.0] + [0.0] * int(_RESPONSE * sample_rate)
    for b, a in (_high_shelf(sample_rate), _high_pass(sample_rate)):
        x1 = x2 = y1 = y2 = 0.0
        for i, x in enumerate(values):
            values[i] = (b[0] * x + b[1] * x1 + b[2] * x2 - a[1] * y1 - a[2] * y2) / a[0]
            x1, x2, y1, y2 = x, x1, values[i], y1
    return np.array(values)


# Second-order filters of R. Bristow-Johnson's "Audio EQ Cookbook", as coefficients (b, a).
Coefficients = tuple[tuple[float, float, float], tuple[float, float, float]]


def _high_shelf(sample_rate: int) -> Coefficients:
    """4 dB above 1,500 Hz: the head."""
    gain, angle = 10 ** (4 / 40), 2 * math.pi * 1500 / sample_rate
    cos, root = math.cos(angle), math.sqrt(2 * gain) * math.sin(angle)  # 2 sqrt(A) alpha with Q = 1 / sqrt(2)
    more, less = gain + 1, gain - 1
    return (
        (gain * (more + less * cos + root), -2 * gain * (less + more * cos), gain * (more + less * cos - root)),
        (more - less * cos + root, 2 * (less - more * cos), more - less * cos - root),
    )


def _high_pass(sample_rate: int) -> Coefficients:
    """38 Hz, Q = 0.5: low frequencies sound less loud."""
    angle = 2 * math.pi * 38 / sample_rate
    cos, alpha = math.cos(angle), math.sin(angle)
    return ((1 + cos) / 2, -(1 + cos), (1 + cos) / 2), (1 + alpha, -2 * cos, 1 - alpha)
