"""One page of HTML that lets people hear, see and count what codecs make of a clip; it needs no other file."""

from __future__ import annotations

import base64
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioWriter
from ..audio.loudness import SILENCE, LoudnessMeter, loudness
from ..errors import InputError
from . import drawing, figures
from .contenders import Coded
from .evaluation import METRICS

LARGEST = 64_000_000
"""Bytes of sound in a page, as 16 bits, all versions together; FLAC takes about half of that."""


@dataclass(frozen=True)
class Result:
    """What one codec made of the clip.

    Attributes:
        label: Name of the contender.
        coded: Its audio and its costs.
        metrics: Of `metrics.measure`, the same ones for all results.
    """

    label: str
    coded: Coded
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class _Version:
    """What a listener can switch to: float32 `(channels, samples)`, and its level."""

    label: str
    audio: NDArray[np.float32]
    lufs: float
    gain: float  # dB, with which all versions are equally loud


def check_clip(name: str, num_samples: int, channels: int, sample_rate: int, versions: int) -> None:
    """Whether so many versions of such a clip can be in a page, to be asked before any work.

    Raises:
        InputError: They do not fit, or the rate or the number of channels is none that loudness can be told of.
    """
    LoudnessMeter(sample_rate, channels)
    second = 2 * channels * versions * sample_rate
    if num_samples * second > LARGEST * sample_rate:
        raise InputError(
            f"{name}: expected at most {LARGEST // 1_000_000} MB of sound in a page, got {versions} versions of "
            f"{num_samples / sample_rate:.1f} s; take at most {math.floor(LARGEST / second)} s with --from and --to, "
            "or fewer codecs"
        )


def page(name: str, original: NDArray[np.float32], sample_rate: int, results: Sequence[Result]) -> str:
    """The page.

    Args:
        name: Of the clip; may be any text.
        original: float32 `(channels, samples)`, at least one sample.
        sample_rate: Hz of all audio, 8,000 to 384,000.
        results: Of each contender, with audio of the same shape.

    Raises:
        InputError: The rate or the number of channels is none that loudness can be told of.
    """
    versions = _levelled([("original", original), *((each.label, each.coded.audio) for each in results)], sample_rate)
    seconds = original.shape[1] / sample_rate
    channels = len(original)
    facts = f"{seconds:.2f} s, {sample_rate} Hz, {channels} channel{'s' * (channels > 1)}"
    sections = [_numbers(versions, results, seconds), *_pictures(versions, results, sample_rate)]
    sounds = "".join(
        f'<script type="text/plain" class="sound">{_flac(each.audio, sample_rate)}</script>' for each in versions
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        # What is in the page is all that it may load.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: codecs compared</title><style>{_resource('page.css')}</style></head>"
        f'<body data-rate="{sample_rate}" data-seconds="{seconds!r}">'
        f"<header><h1>{escape(name)}</h1><p>{facts}</p></header>{_player(versions, seconds)}"
        f"<main>{''.join(sections)}</main>{sounds}<script>{_resource('page.js')}</script></body></html>\n"
    )


def _levelled(sounds: Sequence[tuple[str, NDArray[np.float32]]], sample_rate: int) -> list[_Version]:
    """Versions as loud as the first one; all of them softer where one would go beyond full scale."""
    levels = [loudness(audio, sample_rate) for _, audio in sounds]
    gains = [0.0 if SILENCE in (level, levels[0]) else levels[0] - level for level in levels]
    peaks = [20 * math.log10(max(1e-5, float(np.abs(audio).max()))) for _, audio in sounds]
    excess = max(0.0, max(peak + gain for peak, gain in zip(peaks, gains, strict=True)))
    return [
        _Version(label, audio, level, gain - excess)
        for (label, audio), level, gain in zip(sounds, levels, gains, strict=True)
    ]


def _player(versions: Sequence[_Version], seconds: float) -> str:
    choices = "".join(
        f'<label><input type="radio" name="version" value="{k}" data-gain="{10 ** (each.gain / 20):.6f}"'
        f"{' checked' * (k == 0)}><span>{f'<kbd>{k + 1}</kbd> ' if k < 9 else ''}{escape(each.label)}</span></label>"
        for k, each in enumerate(versions)
    )
    return (
        '<section id="player" aria-label="Player"><div class="transport">'
        '<button id="play" type="button" disabled>Play</button>'
        f'<input id="position" type="range" min="0" max="{seconds!r}" step="any" value="0" aria-label="Position">'
        f'<output id="time">0.0 / {seconds:.1f} s</output></div>'
        f"<fieldset><legend>What you hear</legend>{choices}</fieldset>"
        '<div class="options"><label><input id="match" type="checkbox" checked> equally loud</label>'
        '<label><input id="loop" type="checkbox"> repeat</label>'
        '<span class="hint">Keys: <kbd>1</kbd> to <kbd>9</kbd> switch, <kbd>space</kbd> plays and pauses. '
        "A click into a picture goes there.</span></div>"
        '<p id="trouble" role="alert" hidden></p>'
        "<noscript><p>Listening needs JavaScript; the numbers and pictures do not.</p></noscript></section>"
    )


def _numbers(versions: Sequence[_Version], results: Sequence[Result], seconds: float) -> str:
    metrics = {name: metric for name, metric in METRICS.items() if any(name in each.metrics for each in results)}
    titles = ["bit rate in kbps", *(metric.title for metric in metrics.values())]
    titles += ["encodes in x real time", "decodes in x real time", "loudness in LUFS", "gain in dB"]
    head = ""
    for title in titles:
        name, _, unit = title.partition(" in ")
        head += f'<th scope="col">{escape(name[:1].upper() + name[1:])}<small>{escape(unit)}</small></th>'
    rows = []
    for version, result in zip(versions, [None, *results], strict=True):
        cells = [""] * (len(titles) - 2)
        if result is not None:
            coded, found = result.coded, result.metrics
            cells = [f"{coded.bits / seconds / 1000:.2f}"]
            cells += [f"{found[name]:.{metric.digits}f}" for name, metric in metrics.items()]
            cells += [f"{seconds / max(1e-9, taken):.1f}" for taken in (coded.encode_seconds, coded.decode_seconds)]
        cells += [f"{version.lufs:.1f}" if version.lufs > SILENCE else "silence", f"{version.gain:+.1f}"]
        data = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(version.label)}</th>{data}</tr>')
    return (
        '<section><h2 id="numbers">Numbers</h2>'
        '<div class="scroll" role="region" aria-labelledby="numbers" tabindex="0"><table>'
        f'<thead><tr><th scope="col">Version</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "<p>Of the bit rate and of distances less is better, of the other metrics more. The bit rate is that of the "
        "payload. With its gain, a version is played as loud as the original.</p></section>"
    )


def _pictures(versions: Sequence[_Version], results: Sequence[Result], sample_rate: int) -> list[str]:
    original = versions[0].audio
    seconds = original.shape[1] / sample_rate
    largest = max(1e-3, *(float(np.abs(each.audio).max()) for each in versions))
    before = drawing.mel_levels(original, sample_rate)
    loudest = float(before.max())
    sections = []
    for k, (version, result) in enumerate(zip(versions, [None, *results], strict=True)):
        levels = before if result is None else drawing.mel_levels(version.audio, sample_rate)
        shown = [
            figures.waveform("Waveform", version.audio, largest, seconds),
            figures.spectrogram("Mel spectrogram", levels, loudest, sample_rate, seconds),
        ]
        if result is not None:
            error = version.audio - original
            shown[1:1] = [figures.waveform("Waveform, minus the original's", error, largest, seconds)]
            title = "Mel spectrogram, minus the original's"
            shown += [figures.difference(title, before, levels, loudest, sample_rate, seconds)]
            shown += _codes(result.coded, seconds)
        heading = f"picture-{k}"
        sections.append(
            f'<section class="version" data-version="{k}" aria-labelledby="{heading}">'
            f'<h2 id="{heading}">{escape(version.label)}</h2><div class="figures">{"".join(shown)}</div></section>'
        )
    return [_legends(), *sections]


def _codes(coded: Coded, seconds: float) -> list[str]:
    codes = coded.codes
    if codes is None:
        return []
    size, used = codes.codebook_size, drawing.usage(codes)
    bits = math.log2(size)
    return [
        figures.heat_map(f"Codes, {codes.num_codebooks} books of {size} entries", codes, seconds),
        '<div class="pair">'
        + figures.bars("Entropy by book", (entropy for _, entropy in used), bits, "bits")
        + figures.bars("Entries used by book", (100 * count / size for count, _ in used), 100, "%")
        + "</div>",
    ]


def _legends() -> str:
    return (
        '<section><h2>Pictures</h2><p class="legends">'
        f"Spectrograms: {figures.legend(f'-{figures.RANGE:g} dB', '0 dB', drawing.HEAT)}, where 0 dB is the loudest "
        "point of the original. "
        f"Differences: {figures.legend(f'{-figures.CHANGE:g} dB', f'+{figures.CHANGE:g} dB', drawing.CHANGE)}, blue "
        f"for less than in the original and red for more. "
        f"Codes: {figures.legend('entry 0', 'the last entry', drawing.HEAT)}. "
        "A clip of n frames cannot have more than log<sub>2</sub> n bits of entropy, nor use more than n entries. "
        "Pictures show the sound as it was decoded, before it is made equally loud.</p></section>"
    )


def _flac(audio: NDArray[np.float32], sample_rate: int) -> str:
    """16 bits, base64."""
    with tempfile.TemporaryFile() as file:
        with AudioWriter(file, ".flac", sample_rate, len(audio), audio.shape[1]) as writer:
            writer.write(audio)
        file.seek(0)
        return base64.b64encode(file.read()).decode()


def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
