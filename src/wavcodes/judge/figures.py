"""Figures of the page as HTML: a plot between its axes, whose labels keep their size when the plot is stretched."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..audio import mel
from ..codes import Codes
from . import drawing
from .drawing import Levels, Shades

RANGE = 80.0
"""dB from the loudest point of the original down to what spectrograms show as silence."""

CHANGE = 20.0
"""dB of more or less than before that a picture of a difference still tells apart."""

_TIMES = 6  # labels of an axis of time, at most
_FREQUENCIES = (0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)  # Hz
_MOST_BOOKS = 12  # that have a label each


def waveform(title: str, audio: NDArray[np.float32], largest: float, seconds: float) -> str:
    """A waveform between -`largest` and `largest`; `audio` is float32 `(channels, samples)`."""
    picture = (
        f'<svg viewBox="0 0 {drawing.outline_columns(audio)} 2" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}"><path d="{drawing.outline(audio, largest)}"/></svg>'
    )
    labels = [(0.0, f"{largest:.2g}"), (0.5, "0"), (1.0, f"-{largest:.2g}")]
    return _figure(title, "full scale is 1", picture, labels, seconds, "wave")


def spectrogram(title: str, levels: Levels, loudest: float, sample_rate: int, seconds: float) -> str:
    """`levels` of `drawing.mel_levels`, `RANGE` dB down from `loudest`."""
    shades = drawing.shades(levels, loudest - RANGE, loudest)
    return _levels(title, drawing.png(shades, drawing.HEAT), sample_rate, seconds)


def difference(title: str, before: Levels, after: Levels, loudest: float, sample_rate: int, seconds: float) -> str:
    """What spectrogram `after` has more or less than `before`; what both do not show is no difference."""
    change = np.maximum(after, loudest - RANGE) - np.maximum(before, loudest - RANGE)
    shades = drawing.shades(change, -CHANGE, CHANGE)
    return _levels(title, drawing.png(shades, drawing.CHANGE), sample_rate, seconds)


def _levels(title: str, address: str, sample_rate: int, seconds: float) -> str:
    top = mel(sample_rate / 2)
    labels = [
        (1 - mel(frequency) / top, f"{frequency / 1000:g}")
        for frequency in _FREQUENCIES
        if mel(frequency) < 0.97 * top  # the label has to stay beside the plot
    ]
    return _figure(title, "kHz", _image(title, address), labels, seconds, "levels")


def heat_map(title: str, codes: Codes, seconds: float) -> str:
    """The codes, a row for each codebook."""
    labels = [((k + 0.5) / codes.num_codebooks, str(k + 1)) for k in _labelled(codes.num_codebooks)]
    # The frames of a codec without segments end behind the clip.
    width = 1.0 if codes.segments else codes.num_frames * codes.hop_length / codes.num_samples
    picture = _image(title, drawing.heat_map(codes), f' style="width:{100 * width:.3f}%"')
    return _figure(title, "book", picture, labels, seconds, "codes")


def _labelled(num_codebooks: int) -> range:
    """The books that have a label: all, or every so many."""
    return range(0, num_codebooks, math.ceil(num_codebooks / _MOST_BOOKS))


def bars(title: str, values: Iterable[float], most: float, unit: str) -> str:
    """A bar for each codebook, from 0 to `most`."""
    heights = list(values)
    told = ", ".join(f"{value:.3g}" for value in heights)
    picture = "".join(
        f'<div title="book {k + 1}: {value:.3g} {escape(unit)}"><i style="height:{100 * value / most:.2f}%"></i>'
        f"<b>{k + 1 if k in _labelled(len(heights)) else ''}</b></div>"
        for k, value in enumerate(heights)
    )
    labels = "".join(
        f'<span style="top:{100 * at:g}%">{text}</span>'
        for at, text in ((0, f"{most:g}"), (0.5, f"{most / 2:g}"), (1, "0"))
    )
    return _framed(
        title,
        unit,
        labels,
        f'<div class="bars" role="img" aria-label="{escape(title)}, book by book, in {escape(unit)}: {told}">'
        f"{picture}</div>",
        "",
    )


def legend(least: str, most: str, colours: Shades) -> str:
    """What the colours of a picture mean."""
    address = drawing.png(np.arange(256, dtype=np.uint8)[np.newaxis], colours)
    return f'<span class="legend">{escape(least)} <img src="{address}" alt="to"> {escape(most)}</span>'


def _image(title: str, address: str, style: str = "") -> str:
    return f'<img src="{address}" alt="{escape(title)}"{style}>'


def _figure(title: str, unit: str, picture: str, labels: Iterable[tuple[float, str]], seconds: float, kind: str) -> str:
    """A plot over time, and `labels` of its other axis: the distance from the top as a share, and a text."""
    left = "".join(f'<span style="top:{100 * at:.2f}%">{text}</span>' for at, text in labels)
    step = _step(seconds)
    below = "".join(
        f'<span style="left:{100 * k * step / seconds:.3f}%">{k * step:g}</span>'
        for k in range(int(0.93 * seconds / step) + 1)  # the last place is for the unit
    )
    return _framed(
        title, unit, left, f'<div class="plot {kind}">{picture}</div>', f'{below}<span class="name">s</span>'
    )


def _framed(title: str, unit: str, left: str, plot: str, below: str) -> str:
    return (
        f'<figure><figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption><div class="axes">'
        f'<div class="y" aria-hidden="true">{left}</div>{plot}<div class="x" aria-hidden="true">{below}</div>'
        "</div></figure>"
    )


def _step(seconds: float) -> float:
    """1, 2 or 5 times a power of ten, of which at most `_TIMES` fit into `seconds`."""
    power = 10.0 ** math.floor(math.log10(seconds / _TIMES))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * _TIMES >= seconds)
