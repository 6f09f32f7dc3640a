"""What the tests of sound share."""

import os
import struct

import numpy as np


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * 0.1).astype(np.float32)


def wav_bytes(samples: np.ndarray, rate: int, channels: int, data_size: int | None = None) -> bytes:
    """A 16-bit WAV by hand, after the RIFF specification."""
    data = samples.astype("<i2").tobytes()
    size = len(data) if data_size is None else data_size
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    head = b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
    return head + b"data" + struct.pack("<I", size) + data


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
