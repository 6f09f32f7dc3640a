"""How much of a clip is left after a codec: ViSQOL, STOI, SI-SDR, SNR, and distances of spectra.

Everything is measured on the mean of all channels, at 16 kHz for speech and at 48 kHz for any sound.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..audio import mel_filters, resample, to_mono
from ..errors import InputError
from ..programs import MissingProgram

Mode = Literal["speech", "audio"]
Signal = NDArray[np.float64]

RATES: dict[Mode, int] = {"speech": 16_000, "audio": 48_000}
"""Hz at which things are measured; those of ViSQOL's two modes."""

_ADVICE = "install the extra: pip install 'wavcodes[eval]'"
_LAG = 0.002  # seconds; less than the shortest period of a voice, which a search could take for a delay
_STEPS = 16  # per sample: resampling filters inside a codec delay by a part of one
_BEST = 1e10  # ratio of powers, 100 dB, about what float32 can tell apart
_QUIETEST = 1e-5  # of a full-scale sine: below -100 dB, spectra differ without anybody hearing it
_WINDOWS = (0.032, 0.064, 0.128)  # seconds, with a hop of a quarter
_MEL_BANDS = 80
_SILENCE = 0.25  # seconds, which ViSQOL wants around the sound


def require(mode: Mode) -> None:
    """Finds out whether `measure` can do its work, before others have done theirs.

    Raises:
        MissingProgram: A package of the extra `eval` is missing.
    """
    _visqol_api(mode)
    if mode == "speech":
        _pystoi()


def measure(
    reference: NDArray[np.float32], degraded: NDArray[np.float32], sample_rate: int, mode: Mode = "speech"
) -> dict[str, float]:
    """All metrics of a clip that went through a codec.

    A delay of up to 2 ms is removed first, to a sixteenth of a sample.

    Args:
        reference: The clip, float32 `(channels, samples)` or `(samples,)`.
        degraded: What came out, of the same shape.
        sample_rate: Hz of both.
        mode: "speech", or "audio" for any sound, which has no STOI.

    Returns:
        `visqol`, a mean opinion score of 1 to 5 (ViSQOL v3, Chinen et al. 2020; for speech by the lattice model, as
        Google's program does it, which gives no more than 4.5); `stoi` and `estoi`, 0 to 1 (Taal et
        al. 2011, Jensen and Taal 2016); `si_sdr` (Le Roux et al. 2019) and `snr` in dB, at most 100; `stft`, spectral
        convergence plus the mean difference of the logarithms of magnitudes, over three windows (Yamamoto et al.
        2020); `mel`, the mean difference of logarithmic mel spectra in dB. Of the last two, less is better.

    Raises:
        InputError: The shapes differ, the clip is too short for ViSQOL or STOI, or one of the two is silent.
        MissingProgram: A package of the extra `eval` is missing.
    """
    if reference.shape != degraded.shape:
        raise InputError(f"expected sound of the clip's shape {reference.shape}, got {degraded.shape}")
    rate = RATES[mode]
    clip, rest = (resample(to_mono(each), sample_rate, rate).astype(np.float64) for each in (reference, degraded))
    for each, what, advice in ((clip, "a clip with sound in it", "leave it out"), (rest, "sound", "see what made it")):
        if each.min() == each.max():  # a constant is not heard, either
            raise InputError(f"expected {what}, got silence; {advice}")
    rest = _aligned(clip, rest, round(_LAG * rate))
    spectra = [(_spectrum(clip, seconds, rate), _spectrum(rest, seconds, rate)) for seconds in _WINDOWS]
    found = {"visqol": _visqol(clip, rest, rate, mode)}
    if mode == "speech":
        found |= {"stoi": _stoi(clip, rest, rate, extended=False), "estoi": _stoi(clip, rest, rate, extended=True)}
    return {
        **found,
        "si_sdr": _si_sdr(clip, rest),
        "snr": _decibels(clip, clip - rest),
        "stft": float(np.mean([_stft(*pair) for pair in spectra])),
        "mel": _mel(*spectra[1], rate),
    }


def _aligned(clip: Signal, rest: Signal, lag: int) -> Signal:
    """`rest`, moved to where it correlates best with `clip`, by at most `lag` samples."""
    size = len(clip) + 2 * lag
    spectrum = np.fft.rfft(rest, size)
    cross = np.conj(np.fft.rfft(clip, size)) * spectrum
    turn = 2j * np.pi * np.arange(len(cross)) / size
    correlation = np.fft.irfft(cross, size)
    whole = max(range(-lag, lag + 1), key=lambda shift: correlation[shift])
    near = whole + np.arange(1 - _STEPS, _STEPS) / _STEPS
    delay = max(near, key=lambda shift: float(np.real(cross @ np.exp(turn * shift))))
    return np.fft.irfft(spectrum * np.exp(turn * delay), size)[: len(clip)]


def _decibels(signal: Signal, noise: Signal) -> float:
    """The ratio of their powers."""
    above, below = float(signal @ signal), float(noise @ noise)
    ratio = above / below if below else _BEST
    return float(10 * np.log10(np.clip(ratio, 1 / _BEST, _BEST)))


def _si_sdr(clip: Signal, rest: Signal) -> float:
    clip, rest = clip - clip.mean(), rest - rest.mean()
    target = (clip @ rest) / (clip @ clip) * clip
    return _decibels(target, rest - target)


def _spectrum(signal: Signal, seconds: float, rate: int) -> Signal:
    """Magnitudes `(frames, bins)`; 1 is a full-scale sine."""
    size = round(seconds * rate)
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(signal, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(signal) + 1 : size // 4]
    magnitudes: Signal = np.abs(np.fft.rfft(frames * window)) * 2 / window.sum()
    return magnitudes


def _stft(clip: Signal, rest: Signal) -> float:
    convergence = np.linalg.norm(clip - rest) / np.linalg.norm(clip)
    return float(convergence + np.abs(_logarithm(clip) - _logarithm(rest)).mean())


def _mel(clip: Signal, rest: Signal, rate: int) -> float:
    filters = mel_filters(clip.shape[1], rate, _MEL_BANDS)
    return float(20 / np.log(10) * np.abs(_logarithm(clip @ filters) - _logarithm(rest @ filters)).mean())


def _logarithm(magnitudes: Signal) -> Signal:
    return np.log(np.maximum(magnitudes, _QUIETEST))


def _stoi(clip: Signal, rest: Signal, rate: int, extended: bool) -> float:
    stoi = _pystoi()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # what it gives then is no measurement
        try:
            return float(stoi(clip, rest, rate, extended=extended))
        except RuntimeWarning as warning:
            raise InputError("expected at least 0.4 s of speech for STOI, got less; leave the clip out") from warning


def _pystoi() -> Any:
    try:
        from pystoi import stoi  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingProgram(f"STOI needs the package pystoi; {_ADVICE}") from error
    return stoi


def _visqol(clip: Signal, rest: Signal, rate: int, mode: Mode) -> float:
    silence = np.zeros(round(_SILENCE * rate))
    padded = (np.concatenate([silence, each, silence]) for each in (clip, rest))
    try:
        return float(_visqol_api(mode).measure_from_arrays(*padded, rate).moslqo)
    except (ValueError, IndexError) as error:  # so it says that a clip is too short
        seconds = len(clip) / rate
        raise InputError(
            f"expected a clip that ViSQOL can measure, 0.5 s or more, got {seconds:.3g} s ({error}); leave the clip out"
        ) from error


@cache
def _visqol_api(mode: Mode) -> Any:
    try:
        from visqol import VisqolApi  # type: ignore[import-not-found, import-untyped, unused-ignore]

        api = VisqolApi()
        # Asked for, because the package would go on without it, to scores that are up to two points higher.
        api.create(mode=mode, use_lattice_model=mode == "speech")
    except ImportError as error:
        raise MissingProgram(f"ViSQOL needs the packages visqol-python and ai-edge-litert; {_ADVICE}") from error
    return api
