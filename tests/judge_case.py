"""What the tests of metrics and contenders share."""

from pathlib import Path

import numpy as np
import soundfile
from cli_case import vowel


def speech(seconds: float, rate: int = 16_000) -> np.ndarray:
    """A hummed vowel with some breath, float32 `(1, N)`."""
    breath = np.random.default_rng(1).standard_normal(round(seconds * rate)) * 1e-3
    return (vowel(seconds, rate) / 32768 + breath).astype(np.float32)[np.newaxis]


def sample() -> np.ndarray:
    """Two seconds of the examples' speech at 16 kHz, float32 `(1, N)`."""
    path = Path(__file__).parents[1] / "examples" / "sample.flac"
    return soundfile.read(path, dtype="float32", stop=32_000)[0][np.newaxis]


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    """White, float64 `(N,)`, of power one."""
    return np.random.default_rng(seed).standard_normal(num_samples)


def with_snr(clip: np.ndarray, decibels: float) -> np.ndarray:
    """`clip` with white noise that much below it."""
    added = noise(clip.shape[-1], 2)
    power = np.mean(clip.astype(np.float64) ** 2) / 10 ** (decibels / 10)
    return (clip + np.sqrt(power) * added / np.sqrt(np.mean(added**2))).astype(np.float32)
