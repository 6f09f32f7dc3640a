"""A page of three sounds that are easy to tell apart, with codes and hostile names."""

import base64
import zlib

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


def unpacked(address: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices and palette of a PNG, by the words of its specification."""
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + size]
        assert zlib.crc32(body) == int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
        chunks[body[:4]] = body[4:]
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    width, height = (int.from_bytes(chunks[b"IHDR"][k : k + 4], "big") for k in (0, 4))
    assert chunks[b"IHDR"][8:] == bytes((8, 3, 0, 0, 0))
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:], np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(256, 3)
