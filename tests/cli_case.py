"""What the tests of the command line share: a folder with a sound in it, and the command."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavcodes import cli

RATE = 16_000


def vowel(seconds: float, rate: int = RATE) -> np.ndarray:
    """A hummed "ah" in three pulses a second, louder and louder, int16."""
    time = np.arange(round(seconds * rate)) / rate
    gains = (1, 0.8, 0.6, 0.5, 0.5, 0.4, 0.2, 0.1)
    hum = sum(gain * np.sin(2 * np.pi * 110 * k * time) for k, gain in enumerate(gains, start=1))
    return (4_000 * (0.5 + time / seconds) * np.sin(np.pi * 3 * time) ** 2 * hum).astype(np.int16)


def run(*argv: object) -> int:
    return cli.main([str(each) for each in argv])


def floats(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def enter_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `path` the working folder, with `a.wav` in it: 3.21 s of a vowel at the codec's rate."""
    monkeypatch.chdir(path)
    soundfile.write("a.wav", vowel(3.21), RATE)
    return path


def pcm16(audio: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
