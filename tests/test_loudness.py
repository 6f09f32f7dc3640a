"""Loudness against the signals of EBU Tech 3341, whose loudness is known, and against the standard's own filters."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wavcodes import InputError
from wavcodes.audio import loudness


def tone(rate: int, *parts: tuple[float, float]) -> NDArray[np.float32]:
    """A stereo tone of 1 kHz, in parts of (dBFS, seconds)."""
    level = np.concatenate([np.full(round(seconds * rate), 10 ** (decibels / 20)) for decibels, seconds in parts])
    signal = level * np.sin(2 * np.pi * 1000 * np.arange(len(level)) / rate)
    return np.stack([signal, signal]).astype(np.float32)


# Table 1 of EBU Tech 3341, numbers 1 to 5.
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_signals_of_known_loudness(parts: list[tuple[float, float]], wanted: float, rate: int) -> None:
    assert loudness(tone(rate, *parts), rate) == pytest.approx(wanted, abs=0.1)


def test_the_filters_are_those_of_the_standard() -> None:
    # ITU-R BS.1770-4, tables 1 and 2, for 48 kHz; sample after sample.
    stages = (
        ((1.53512485958697, -2.69169618940638, 1.19839281085285), (-1.69065929318241, 0.73248077421585)),
        ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
    )
    noise = np.random.default_rng(1).standard_normal(48_000) / 10
    filtered = noise.tolist()
    for b, a in stages:
        x1 = x2 = y1 = y2 = 0.0
        for i, x in enumerate(filtered):
            filtered[i] = b[0] * x + b[1] * x1 + b[2] * x2 - a[0] * y1 - a[1] * y2
            x1, x2, y1, y2 = x, x1, filtered[i], y1
    blocks = [np.mean(np.square(filtered[i : i + 19_200])) for i in range(0, 28_801, 4_800)]
    wanted = -0.691 + 10 * np.log10(np.mean(blocks))
    assert loudness(noise[np.newaxis].astype(np.float32), 48_000) == pytest.approx(wanted, abs=0.1)


def test_a_clip_of_any_length_has_a_loudness() -> None:
    noise = np.random.default_rng(2).standard_normal((1, 30_000)).astype(np.float32) / 10
    for num_samples in (0, 1, 100, 4_799, 7_999, 8_000, 8_001, 30_000):
        assert -70 <= loudness(noise[:, :num_samples], 16_000) < -10
    assert loudness(np.zeros((2, 20_000), np.float32), 16_000) == -70


def test_long_clips_are_measured_as_short_ones() -> None:
    # Filtered in stretches of some 60,000 samples: the seams must not be heard.
    noise = np.random.default_rng(3).standard_normal((1, 64_000)).astype(np.float32) / 10
    assert loudness(np.tile(noise, 8), 16_000) == pytest.approx(loudness(noise, 16_000), abs=0.02)


def test_twice_the_level_is_6_decibels_more() -> None:
    noise = np.random.default_rng(4).standard_normal((3, 40_000)).astype(np.float32) / 10
    assert loudness(2 * noise, 16_000) - loudness(noise, 16_000) == pytest.approx(20 * np.log10(2))


@pytest.mark.parametrize(("shape", "rate"), [((6, 100), 16_000), ((0, 100), 16_000), ((100,), 16_000), ((1, 9), 4_000)])
def test_what_cannot_be_measured(shape: tuple[int, ...], rate: int) -> None:
    with pytest.raises(InputError):
        loudness(np.zeros(shape, np.float32), rate)


@pytest.mark.parametrize("sample_rate", [0, 7_999, 384_001, 1_000_000])
def test_rates_that_the_filters_are_not_made_for(sample_rate: int) -> None:
    with pytest.raises(InputError, match=rf"expected 8000 to 384000 Hz, got sample_rate = {sample_rate}"):
        loudness(np.zeros((1, 10), np.float32), sample_rate)
