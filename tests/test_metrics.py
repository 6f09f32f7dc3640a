"""Metrics against formulas written out here, and against the packages that define them."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from judge_case import noise, sample, speech, with_snr

from wavcodes.audio import mel_filters
from wavcodes.errors import InputError, UnsupportedError
from wavcodes.judge import metrics
from wavcodes.judge.metrics import measure

pytestmark = pytest.mark.usefixtures("eval_extra")

RATE = 16_000


@pytest.fixture
def no_visqol(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a second, and other metrics do not depend on it."""
    monkeypatch.setattr(metrics, "_visqol", lambda *_: 0.0)


def shifted(signal: np.ndarray, samples: float) -> np.ndarray:
    """`signal` (which is quiet at both ends) later by that much, by the shift theorem."""
    size = signal.shape[-1]
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * samples)
    return np.fft.irfft(np.fft.rfft(signal) * turn, size).astype(np.float32)


def quiet_ends(signal: np.ndarray, margin: int = 800) -> np.ndarray:
    return np.pad(signal, ((0, 0), (margin, margin)))


def test_a_copy_is_perfect() -> None:
    clip = speech(1.5)
    found = measure(clip, clip.copy(), RATE)
    assert list(found) == ["visqol", "stoi", "estoi", "si_sdr", "snr", "stft", "mel"]
    assert found["visqol"] == pytest.approx(4.5, abs=0.1)
    assert (found["stoi"], found["estoi"]) == (pytest.approx(1), pytest.approx(1))
    assert (found["si_sdr"], found["snr"]) == (100, 100)
    assert (found["stft"], found["mel"]) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))


def test_more_noise_is_worse() -> None:
    clip = sample()
    found = [measure(clip, with_snr(clip, decibels), RATE) for decibels in (40, 20, 5)]
    for key in ("visqol", "stoi", "estoi", "si_sdr", "snr"):
        assert found[0][key] > found[1][key] > found[2][key], key
    for key in ("stft", "mel"):
        assert found[0][key] < found[1][key] < found[2][key], key
    assert 1 < found[2]["visqol"] < found[0]["visqol"] - 1


def test_visqol_is_that_of_its_package() -> None:
    from visqol import VisqolApi

    clip = sample()
    worse = with_snr(clip, 15)
    api = VisqolApi()
    api.create(mode="speech", use_lattice_model=True)
    padded = [np.pad(each[0].astype(np.float64), 4_000) for each in (clip, worse)]
    assert measure(clip, worse, RATE)["visqol"] == pytest.approx(
        api.measure_from_arrays(*padded, RATE).moslqo, abs=0.01
    )


@pytest.mark.usefixtures("no_visqol")
class TestFormulas:
    @pytest.mark.parametrize("decibels", [-10, 0, 7, 30])
    def test_si_sdr_and_snr(self, decibels: float) -> None:
        clip = speech(1)
        worse = 0.7 * with_snr(clip, decibels) + np.float32(0.01)
        x, y = (each[0].astype(np.float64) for each in (clip, worse))
        found = measure(clip, worse, RATE)
        assert found["snr"] == pytest.approx(10 * np.log10(np.sum(x**2) / np.sum((x - y) ** 2)), abs=1e-4)
        x, y = x - np.mean(x), y - np.mean(y)
        target = np.sum(x * y) / np.sum(x * x) * x
        assert found["si_sdr"] == pytest.approx(10 * np.log10(np.sum(target**2) / np.sum((y - target) ** 2)), abs=1e-4)

    def test_distances_of_spectra(self) -> None:
        x, y = (noise(4_321, seed) * 0.1 for seed in (3, 4))
        convergences, logarithms = [], []
        for size in (512, 1024, 2048):
            window = [0.5 - 0.5 * np.cos(2 * np.pi * n / size) for n in range(size)]
            spectra = []
            for signal in (x, y):
                padded = [0.0] * (size // 2) + list(signal) + [0.0] * size
                starts = range(0, len(signal) + 1, size // 4)
                frames = [np.multiply(window, padded[start : start + size]) for start in starts]
                spectra.append(np.abs([np.fft.fft(frame)[: size // 2 + 1] for frame in frames]) * 2 / sum(window))
            a, b = spectra
            convergences.append(np.sqrt(np.sum((a - b) ** 2) / np.sum(a**2)))
            logarithms.append(np.mean(np.abs(np.log(np.maximum(a, 1e-5)) - np.log(np.maximum(b, 1e-5)))))
        found = self.without_delay(x, y)
        assert found["stft"] == pytest.approx(np.mean(convergences) + np.mean(logarithms), rel=1e-4)

    @staticmethod
    def without_delay(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """Two unrelated signals have no delay to remove, but one that looks best."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "_aligned", lambda clip, rest, lag: rest)
            patch.setattr(metrics, "_stoi", lambda *_, extended: 0.0)
            return measure(x.astype(np.float32), y.astype(np.float32), RATE)

    @pytest.mark.parametrize("gain", [0.5, 0.1])
    def test_a_gain_is_what_it_is(self, gain: float) -> None:
        clip = (noise(RATE) * 0.2).astype(np.float32)
        found = measure(clip, clip * np.float32(gain), RATE)
        assert found["mel"] == pytest.approx(-20 * np.log10(gain), rel=1e-4)
        assert found["stft"] == pytest.approx(1 - gain - np.log(gain), rel=1e-3)
        assert found["snr"] == pytest.approx(-20 * np.log10(1 - gain), abs=1e-4)
        assert found["si_sdr"] > 90

    def test_mel_bands_share_every_bin_between_them(self) -> None:
        filters = mel_filters(1025, RATE, 80)
        hertz = np.linspace(0, 8_000, 1025)
        mel = 2595 * np.log10(1 + hertz / 700)
        inner = (mel >= mel[-1] / 81) & (mel <= mel[-1] * 80 / 81)
        np.testing.assert_allclose(filters.sum(axis=1)[inner], 1)
        # 1000 Hz is 1000 mel, of 2840 in all: between the centres of bands 27 and 28 (81 steps)
        assert set(np.flatnonzero(filters[128])) == {27, 28} == {int(999.99 / (mel[-1] / 81)) + k - 1 for k in (0, 1)}

    @pytest.mark.parametrize("delay", [0.25, -3.5, 12, -31.75])
    def test_a_delay_is_removed(self, delay: float) -> None:
        clip = quiet_ends(speech(1))
        found = measure(clip, shifted(clip, delay), RATE)
        assert found["snr"] > 60
        assert found["stoi"] > 0.999

    def test_a_longer_delay_is_not(self) -> None:
        clip = quiet_ends(speech(1))
        assert measure(clip, shifted(clip, 100), RATE)["snr"] < 10

    @pytest.mark.parametrize("extended", [False, True])
    def test_stoi_is_that_of_its_package_without_the_delay(self, extended: bool) -> None:
        from pystoi import stoi

        clip = quiet_ends(sample())
        worse = quiet_ends(with_snr(sample(), 10))
        late = shifted(worse, 30)
        wanted, unaligned = (
            stoi(clip[0].astype(np.float64), each[0].astype(np.float64), RATE, extended) for each in (worse, late)
        )
        assert unaligned < wanted - 0.005
        assert measure(clip, late, RATE)["estoi" if extended else "stoi"] == pytest.approx(wanted, abs=0.001)

    def test_the_mean_of_the_channels_is_measured(self) -> None:
        clip, worse = speech(1), with_snr(speech(1), 10)
        both = np.concatenate([clip + worse, clip - worse])
        silent = np.concatenate([clip, clip])
        assert measure(silent, both, RATE) == pytest.approx(measure(clip, clip, RATE), abs=1e-3)

    def test_sound_of_any_kind_is_measured_at_48_khz(self) -> None:
        # Above 8 kHz, which the mode for speech does not see.
        clip = speech(1, 48_000)
        time = np.arange(clip.shape[1]) / 48_000
        worse = clip + (0.05 * np.sin(2 * np.pi * 15_000 * time)).astype(np.float32)
        assert measure(clip, worse, 48_000)["snr"] > 60
        found = measure(clip, worse, 48_000, "audio")
        assert found["snr"] == pytest.approx(10 * np.log10(np.sum(clip**2) / np.sum((worse - clip) ** 2)), abs=0.01)
        assert list(found) == ["visqol", "si_sdr", "snr", "stft", "mel"]


@pytest.mark.slow
def test_visqol_of_sound_of_any_kind() -> None:
    clip = speech(2, 48_000)
    assert measure(clip, clip.copy(), 48_000, "audio")["visqol"] > 4.5


def test_what_is_too_short_for_visqol() -> None:
    clip = speech(0.1, 48_000)
    with pytest.raises(InputError, match="ViSQOL can measure"):
        measure(clip, clip.copy(), 48_000, "audio")


def test_a_click_is_too_short_for_visqol_of_speech() -> None:
    with pytest.raises(InputError, match=r"0.5 s or more, got 0.000125 s"):
        measure(speech(1)[:, :2], speech(1)[:, :2], RATE)


@pytest.mark.usefixtures("no_visqol")
class TestErrors:
    @pytest.mark.parametrize(
        ("make", "text"),
        [
            (lambda clip: (clip, clip[:, 1:]), r"\(1, 16000\), got \(1, 15999\)"),
            (lambda clip: (clip * 0, clip), "clip with sound in it, got silence"),
            (lambda clip: (clip, clip * 0), "expected sound, got silence"),
            (lambda clip: (clip * 0 + 0.25, clip), "clip with sound in it, got silence"),
            (lambda clip: (clip, clip * 0 + 0.25), "expected sound, got silence"),
            (lambda clip: (clip[:, :4_000], clip[:, :4_000]), "at least 0.4 s"),
        ],
    )
    def test_what_cannot_be_measured(self, make: Callable[[np.ndarray], tuple[np.ndarray, ...]], text: str) -> None:
        with pytest.raises(InputError, match=text):
            measure(*make(speech(1)), RATE)


@pytest.mark.parametrize("package", ["visqol", "pystoi"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    metrics._visqol_api.cache_clear()
    for work in (lambda: measure(speech(1), speech(1), RATE), lambda: metrics.require("speech")):
        with pytest.raises(UnsupportedError, match=rf"{package}.*wavcodes\[eval\]"):
            work()
