"""What the legacy codecs have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioWriter
from ..errors import FormatError
from ..files import atomic_output, read_up_to, write_all

RATE = 16_000
"""Sample rate in Hz of the speech codecs, which are all mono."""

_START = 60.0  # seconds for a program to load what it needs
_SLOWEST = 20.0  # times the length of the audio


@dataclass(frozen=True)
class Scratch:
    """Where a codec works, and for how long.

    Attributes:
        folder: For its temporary files.
        timeout: Seconds that each program may take; None for a minute and twenty times the length of the audio.
    """

    folder: Path
    timeout: float | None = None

    def limit(self, seconds: float) -> float:
        """Seconds that a program may take for that much audio."""
        return _START + _SLOWEST * seconds if self.timeout is None else self.timeout


class Sound(NamedTuple):
    """Decoded audio.

    Attributes:
        sample_rate: Hz.
        channels: Channels.
        blocks: float32 `(channels, n)`, to be taken once while the scratch folder is there.
    """

    sample_rate: int
    channels: int
    blocks: Iterator[NDArray[np.float32]]


@dataclass(frozen=True)
class LegacyCodec:
    """One codec.

    Attributes:
        name: What messages call it.
        sample_rate: Hz of what it compresses.
        compress: `compress(pcm, num_samples, out, scratch)` writes the sound in the file `pcm`, mono 16-bit integers,
            little-endian, without a header, to `out`. It may change that file.
        decompress: `decompress(source, name, scratch)` gives the sound in the open file `source`, which messages call
            `name`.
    """

    name: str
    sample_rate: int
    compress: Callable[[Path, int, BinaryIO, Scratch], None]
    decompress: Callable[[BinaryIO, str, Scratch], Sound]


def samples(pcm: Path) -> Iterator[NDArray[np.float32]]:
    """The blocks of a file of mono 16-bit integers, float32 `(1, n)` in [-1, 1]."""
    with open(pcm, "rb") as file:
        while data := read_up_to(file, 1 << 16):
            yield (np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768))[np.newaxis]


def write_wav(pcm: Path, wav: Path, sample_rate: int, num_samples: int) -> None:
    """Puts such a file, of `num_samples` samples, into a WAV."""
    with atomic_output(wav) as file, AudioWriter(file, ".wav", sample_rate, 1, num_samples) as writer:
        for block in samples(pcm):
            writer.write(block)


def speech(pcm: Path) -> Sound:
    """The sound in such a file at `RATE`."""
    return Sound(RATE, 1, samples(pcm))


def copy(source: BinaryIO, out: BinaryIO) -> int:
    """Copies the rest of `source` and gives its length in bytes."""
    total = 0
    while data := read_up_to(source, 1 << 16):
        write_all(out, data)
        total += len(data)
    return total


def save(source: BinaryIO, name: str, path: Path) -> int:
    """Copies a file of codes to `path` and gives its length in bytes.

    Raises:
        FormatError: It is empty.
    """
    with open(path, "xb", buffering=0) as file:
        size = copy(source, file)
    if not size:
        raise FormatError(f"{name}: expected compressed speech, but the file is empty; fetch or copy it again")
    return size
