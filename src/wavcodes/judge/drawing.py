"""What a page shows of sound and codes: arrays become PNGs, waveforms become paths of SVG."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

from ..audio import mel_filters
from ..codes import Codes

_COLUMNS = 1000  # of a picture, at most: more than that no screen shows side by side
_BANDS = 128  # mel bands, which are the rows of a spectrogram
_WINDOW, _HOP = 0.032, 0.01  # seconds
_FRAMES_AT_ONCE = 256
_FAINTEST = 1e-10  # power: -100 dB, below the last bit of 16

Levels = NDArray[np.float64]
Shades = NDArray[np.uint8]


def _ramp(*stops: tuple[int, int, int, int]) -> Shades:
    """256 RGBA colours with the `stops` at equal distances."""
    at, every = np.linspace(0, 255, len(stops)), np.arange(256)
    channels = [np.rint(np.interp(every, at, channel)) for channel in zip(*stops, strict=True)]
    return np.stack(channels, axis=1, dtype=np.uint8, casting="unsafe")


HEAT = _ramp((6, 8, 28, 255), (73, 20, 104, 255), (170, 45, 100, 255), (240, 115, 50, 255), (255, 245, 180, 255))
"""For what has a least value: ever lighter, also for eyes that see no colours."""

CHANGE = _ramp((37, 99, 235, 255), (59, 130, 246, 0), (239, 68, 68, 0), (220, 38, 38, 255))
"""For what is more (red) or less (blue) than before; transparent where nothing has changed, so the page shows."""


def png(shades: Shades, colours: Shades) -> str:
    """A picture as a `data:` address.

    Args:
        shades: `(rows, columns)`, the first row at the top; indices of `colours`.
        colours: RGBA, `(256, 4)`.
    """
    rows, columns = shades.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), shades], axis=1)  # each begins with its filter: none
    header = columns.to_bytes(4, "big") + rows.to_bytes(4, "big") + bytes((8, 3, 0, 0, 0))  # 8 bits, with a palette
    chunks = {
        b"IHDR": header,
        b"PLTE": colours[:, :3].tobytes(),
        b"tRNS": colours[:, 3].tobytes(),
        b"IDAT": zlib.compress(lines.tobytes(), 9),
        b"IEND": b"",
    }
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in chunks.items()
    )
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def shades(values: Levels, least: float, most: float) -> Shades:
    """Indices of colours for values from `least` to `most`; what lies beyond gets the last colour."""
    indices: Shades = np.clip(np.rint((values - least) / (most - least) * 255), 0, 255).astype(np.uint8)
    return indices


def mel_levels(audio: NDArray[np.float32], sample_rate: int) -> Levels:
    """Log-mel spectrogram, all channels together.

    Args:
        audio: float32 `(channels, samples)`, at least one sample.
        sample_rate: Hz.

    Returns:
        dB, `(bands, columns)`, the highest band first; the columns divide the clip evenly.
    """
    count = audio.shape[1]
    size = round(_WINDOW * sample_rate)
    columns = min(_COLUMNS, -(-count // round(_HOP * sample_rate)))
    each = -(-count // (columns * round(_HOP * sample_rate)))  # frames whose mean is a column
    centres = ((np.arange(columns * each) + 0.5) * count / (columns * each)).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, ((0, 0), (size // 2, size))), size, axis=1)
    window = np.hanning(size)
    length = 4 << (size - 1).bit_length()  # longer than the window, for the lowest bands are narrow
    filters = mel_filters(length // 2 + 1, sample_rate, _BANDS)
    weights = (filters / filters.sum(axis=0)).T[::-1]
    parts = []
    for first in range(0, len(centres), _FRAMES_AT_ONCE):
        spectra = np.fft.rfft(frames[:, centres[first : first + _FRAMES_AT_ONCE]] * window, length)
        parts.append(weights @ np.square(np.abs(spectra) / window.sum() * 2).mean(axis=0).T)
    power = np.concatenate(parts, axis=1).reshape(_BANDS, columns, each).mean(axis=2)
    levels: Levels = 10 * np.log10(np.maximum(power, _FAINTEST))
    return levels


def outline(audio: NDArray[np.float32], largest: float) -> str:
    """A waveform as an SVG path in a box of `outline_columns` by 2, all channels over one another.

    Args:
        audio: float32 `(channels, samples)`, at least one sample.
        largest: What reaches the edges of the box.
    """
    starts = np.arange(outline_columns(audio)) * audio.shape[1] // outline_columns(audio)
    upper = 1 - np.maximum.reduceat(audio.max(axis=0), starts) / largest
    lower = 1 - np.minimum.reduceat(audio.min(axis=0), starts) / largest
    there = [f"{k + 0.5:g},{y:.3f}" for k, y in enumerate(upper)]
    back = [f"{k + 0.5:g},{y:.3f}" for k, y in reversed(list(enumerate(lower)))]
    return f"M{' '.join(there + back)}z"


def outline_columns(audio: NDArray[np.float32]) -> int:
    """Width of the box of `outline`."""
    return min(_COLUMNS, int(audio.shape[1]))


def heat_map(codes: Codes) -> str:
    """The codes as a PNG: a row for each codebook, the first one at the top, and a column for each frame."""
    rows = np.stack([np.repeat(book, stride) for book, stride in zip(codes.books, codes.strides, strict=True)])
    return png(shades(rows.astype(np.float64), 0, codes.codebook_size - 1), HEAT)


def usage(codes: Codes) -> list[tuple[int, float]]:
    """For each codebook, how many of its entries the clip uses, and the entropy of their frequencies in bits."""
    found = []
    for book in codes.books:
        counts = np.unique(book, return_counts=True)[1]
        share = counts / max(1, counts.sum())
        found.append((len(counts), float(np.sum(share * -np.log2(share)))))
    return found
