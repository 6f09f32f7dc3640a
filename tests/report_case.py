"""A page of three sounds that are easy to tell apart, with codes and hostile names."""

import numpy as np

import wavcodes
from wavcodes.judge.contenders import Coded
from wavcodes.judge.report import Result, page

RATE = 16_000
SECONDS = 6.0
HOSTILE = """</script><img src=x onerror="alert(1)"> & 'ä'.wav"""


def sine(frequency: float, amplitude: float, rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    """float32 `(1, samples)`."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[np.newaxis]


def coded(audio: np.ndarray, bits: int = 18_000, codes: wavcodes.Codes | None = None) -> Coded:
    """Audio that took a twelfth and a 24th of `SECONDS` to make."""
    return Coded(audio, bits, SECONDS / 12, SECONDS / 24, codes)


def page_of_sines() -> str:
    """The original: 440 Hz. Then the same at a quarter of the amplitude, and 880 Hz, which has codes."""
    spec = wavcodes.spec("wavcodes_16khz")
    codes = wavcodes.Codes.from_flat(np.arange(6 * 300) * 7 % 1024, spec, 6, round(SECONDS * RATE))
    metrics = {"visqol": 3.21, "stoi": 0.9, "si_sdr": -1.5}
    results = [
        Result("softer 3 kbps", coded(sine(440, 0.1)), metrics),
        Result(HOSTILE, coded(sine(880, 0.2), codes=codes), metrics),
    ]
    return page(HOSTILE, sine(440, 0.4), RATE, results)
