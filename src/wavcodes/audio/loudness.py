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

_CHANNELS = (1.0, 1.0, 1.0, 1.41, 1.41)  # weights: left, right, centre, left and right surround
_LOWEST_RATE = 8_000  # Hz: the filters are made for what lies above 1,500 Hz
_RESPONSE = 0.1  # seconds, in which the impulse response of the filters falls by 200 dB
_FFT = 1 << 16


def loudness(audio: NDArray[np.float32], sample_rate: int) -> float:
    """Loudness of a clip, all channels together.

    Args:
        audio: float32 `(channels, samples)`, one to five channels.
        sample_rate: Hz, 8,000 or more.

    Returns:
        LUFS; `SILENCE` for silence.

    Raises:
        InputError: Another number of channels, or a lower rate.
    """
    if sample_rate < _LOWEST_RATE:
        raise InputError(f"expected at least {_LOWEST_RATE} Hz, got {sample_rate = }; the filters need what is above")
    if audio.ndim != 2 or not 1 <= len(audio) <= len(_CHANNELS):
        raise InputError(f"expected audio of shape (channels, samples) with 1 to 5 channels, got shape {audio.shape}")
    size, step = sample_rate * 2 // 5, sample_rate // 10  # blocks of 0.4 s every 0.1 s
    num_samples = max(audio.shape[1], sample_rate // 2)  # audiotools fills up what is shorter
    starts = np.arange(-(-(num_samples - size) // step) + 1) * step
    response = _response(sample_rate)
    power = np.zeros(len(starts))  # of each block
    for weight, channel in zip(_CHANNELS, audio, strict=False):
        energy = np.cumsum(np.square(_filtered(channel, response)))
        energy = np.pad(energy, (1, 0))
        ends = np.minimum([starts, starts + size], len(channel))
        power += weight * (energy[ends[1]] - energy[ends[0]]) / size
    power = power[power > _power(SILENCE)]
    if power.size:
        power = power[power > power.mean() / 10]  # 10 LU below what is heard at all
    return max(SILENCE, -0.691 + 10 * math.log10(power.mean())) if power.size else SILENCE


def _power(level: float) -> float:
    return float(10 ** ((level + 0.691) / 10))


def _filtered(channel: NDArray[np.float32], response: NDArray[np.float64]) -> NDArray[np.float64]:
    """The channel through both filters, one stretch after the other: memory for the spectra stays small."""
    stretch = _FFT - len(response) + 1
    spectrum = np.fft.rfft(response, _FFT)
    filtered = np.zeros(len(channel) + _FFT)
    for first in range(0, len(channel), stretch):
        piece = np.fft.rfft(channel[first : first + stretch].astype(np.float64), _FFT)
        filtered[first : first + _FFT] += np.fft.irfft(piece * spectrum, _FFT)
    return filtered[: len(channel)]


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
