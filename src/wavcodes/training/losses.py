"""How far sound is from what it should be, in ways that gradients can follow. Sound is `(B, N)`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..audio import mel_filters

_FLOOR = (
    0.02  # added to the magnitude of mel bands, 75 dB below full scale: otherwise silence has the steepest gradients
)
_POWER = 0.3  # compresses magnitudes as hearing does
_BANDS = {128: 12, 256: 24, 512: 48, 1024: 80, 2048: 80}  # mel bands for each size of window
_PHASED = 512  # the window of complex spectra
_NEUROGRAM, _NEURONS = 1280, 24  # window and bands of the similarity: 80 ms at 16 kHz and about one per critical band
_REACH = 45.0  # dB between the loudest band of a clip and what counts as silence there
_C1, _C3 = 0.01, 0.045  # keep what hardly varies from counting: SSIM's (Wang et al. 2004) for a range of 10 dB


LONGEST_WINDOW = max(_BANDS)
"""Samples that sound has at least to have."""


class Spectra:
    """Spectra of sound and of what it became, at several resolutions."""

    def __init__(self, sample_rate: int, device: torch.device) -> None:
        bands = _BANDS | {_NEUROGRAM: _NEURONS}
        self._windows = {size: torch.hann_window(size, device=device) for size in bands}
        self._bands = {
            size: torch.from_numpy(mel_filters(size // 2 + 1, sample_rate, count)).float().to(device)
            for size, count in bands.items()
        }

    def some(self, count: int, random: np.random.Generator) -> list[int]:
        """`count` of the resolutions of `mel`, drawn at random."""
        return [int(size) for size in random.choice(list(_BANDS), count, replace=False)]

    def mel(self, sound: Tensor, target: Tensor, windows: Sequence[int] = tuple(_BANDS)) -> Tensor:
        """Mean absolute difference of logarithmic mel spectra, in factors of ten."""
        return torch.stack([(self._mel(sound, size) - self._mel(target, size)).abs().mean() for size in windows]).mean()

    def complex(self, sound: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference of complex spectra whose magnitudes are compressed."""
        a, b = (compressed(spectrum(each, self._windows[_PHASED]), _POWER) for each in (target, sound))
        return (a - b).abs().mean()

    def similarity(self, sound: Tensor, target: Tensor) -> Tensor:
        """How alike the local means and the local patterns of mel spectra in decibels are; 1 if they are equal.

        The neurogram similarity NSIM of Hines and Harte (2012), with windows of 3 x 3, which ViSQOL rests on.
        """
        a, b = (20 * self._mel(each, _NEUROGRAM).mT for each in (target, sound))  # (B, bands, frames)
        floor = a.amax((1, 2), keepdim=True) - _REACH
        a, b = (a - floor).clamp_min(0), (b - floor).clamp_min(0)
        mean_a, mean_b = _local_mean(a), _local_mean(b)
        variances = (_local_mean(a * a) - mean_a**2).clamp_min(0) * (_local_mean(b * b) - mean_b**2).clamp_min(0)
        covariance = _local_mean(a * b) - mean_a * mean_b
        intensity = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
        structure = (covariance + _C3) / ((variances + 1e-6).sqrt() + _C3)
        return (intensity * structure).mean()

    def _mel(self, sound: Tensor, size: int) -> Tensor:
        return (magnitude(spectrum(sound, self._windows[size])) @ self._bands[size] + _FLOOR).log10()


def spectrum(sound: Tensor, window: Tensor) -> Tensor:
    """Spectra, real and imaginary parts `(2, B, frames, bins)`; four windows overlap, and a tone has the same level in
    windows of all sizes."""
    parts: Tensor = _Spectrum.apply(sound, window * (256 / len(window)))  # type: ignore[no-untyped-call]
    return parts


def magnitude(spectrum: Tensor) -> Tensor:
    """Of each bin, `(B, frames, bins)`, with a gradient at zero."""
    return (spectrum[0].square() + spectrum[1].square() + 1e-10).sqrt()


def compressed(spectrum: Tensor, power: float) -> Tensor:
    """The spectrum with magnitudes to the `power`, and its phases."""
    return spectrum * (spectrum[0].square() + spectrum[1].square() + 1e-7) ** ((power - 1) / 2)


class _Spectrum(torch.autograd.Function):
    """`torch.stft` without padding. Its gradient is an inverse transform of real rows, where PyTorch's own is one of
    complex rows and takes several times as long."""

    @staticmethod
    def forward(context: Any, sound: Tensor, window: Tensor) -> Tensor:
        context.save_for_backward(window)
        context.length = sound.shape[1]
        bins = torch.fft.rfft(sound.unfold(1, len(window), len(window) // 4) * window)
        return torch.stack((bins.real, bins.imag))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (window,) = context.saved_tensors
        size, hop = len(window), len(window) // 4
        weighted = gradients[0] * (size / 2)  # the inverse transform counts all bins twice but the first and the last
        weighted[..., 0] *= 2
        weighted[..., -1] *= 2
        quarters = (torch.fft.irfft(torch.complex(*weighted), size) * window).unflatten(-1, (4, hop))
        frames = quarters.shape[1]
        sound = quarters.new_zeros(len(quarters), context.length)
        for quarter in range(4):
            sound[:, quarter * hop : (quarter + frames) * hop] += quarters[:, :, quarter].flatten(1)
        return sound, None


def waveform(sound: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference relative to the level of each clip."""
    return ((sound - target).abs().mean(1) / (target.abs().mean(1) + 2e-3)).mean()


def _local_mean(image: Tensor) -> Tensor:
    """Means of 3 x 3 cells, weighted by a Gaussian of standard deviation 0.5."""
    for axis in (1, 2):
        inner = image.shape[axis] - 2
        before, here, behind = (image.narrow(axis, k, inner) for k in range(3))
        image = 0.1065 * (before + behind) + 0.787 * here
    return image
