"""Contenders over many clips: every measurement, means with confidence intervals over the clips, and the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioReader, to_channels
from ..errors import InputError
from .contenders import Contender
from .metrics import Mode, measure

_RESAMPLES = 10_000  # bootstrap samples; the ends of an interval then vary by less than is printed
_LEVEL = 0.95


class Metric(NamedTuple):
    """How a metric is printed.

    Attributes:
        title: With its unit.
        digits: Behind the point.
    """

    title: str
    digits: int


METRICS = {
    "visqol": Metric("ViSQOL", 2),
    "stoi": Metric("STOI", 3),
    "estoi": Metric("ESTOI", 3),
    "si_sdr": Metric("SI-SDR in dB", 1),
    "snr": Metric("SNR in dB", 1),
    "stft": Metric("STFT distance", 2),
    "mel": Metric("mel distance in dB", 2),
}
"""By their keys, in the order of tables and pictures. Of distances less is better, of the others more."""


@dataclass(frozen=True)
class Measurement:
    """One contender on one clip.

    Attributes:
        clip: Path.
        codec: Name of the contender's codec.
        label: Of the contender.
        seconds: Of the clip.
        bits: That its payload takes.
        encode_seconds: Time that encoding took.
        decode_seconds: Time that decoding took.
        metrics: By the keys of `METRICS`.
    """

    clip: str
    codec: str
    label: str
    seconds: float
    bits: int
    encode_seconds: float
    decode_seconds: float
    metrics: dict[str, float]

    @property
    def kbps(self) -> float:
        """Real bit rate."""
        return self.bits / self.seconds / 1000


@dataclass(frozen=True)
class Failure:
    """What went wrong with a contender on a clip, or (`label` is None) with a clip."""

    clip: str
    label: str | None
    seconds: float
    error: Exception


class Interval(NamedTuple):
    """A mean over clips and the ends of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """One contender over all clips.

    Attributes:
        codec: Name of its codec.
        label: Its own.
        clips: How many it was measured on.
        kbps: Real bit rate: all bits in all the time of the clips.
        encode_speed: Seconds of sound that are encoded in a second.
        decode_speed: Likewise.
        metrics: By the keys of `METRICS`.
    """

    codec: str
    label: str
    clips: int
    kbps: float
    encode_speed: float
    decode_speed: float
    metrics: dict[str, Interval]


def read_clip(path: Path) -> tuple[NDArray[np.float32], int]:
    """A whole clip, float32 `(channels, samples)`, and its sample rate; errors are those of `AudioReader`."""
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


def evaluate(
    clips: Iterable[Path], contenders: Sequence[Contender], mode: Mode = "speech"
) -> Iterator[Measurement | Failure]:
    """Every contender on every clip, clip by clip; whatever fails is given back as a `Failure`.

    Speech is mixed to mono before it is coded, for an anchor would spend bits on a second channel.
    """
    for clip in clips:
        try:
            audio, sample_rate = read_clip(clip)
            audio = to_channels(audio, 1) if mode == "speech" else audio
        except Exception as error:
            yield Failure(str(clip), None, 0.0, error)
            continue
        for contender in contenders:
            yield _measured(str(clip), audio, sample_rate, contender, mode)


def _measured(
    clip: str, audio: NDArray[np.float32], sample_rate: int, contender: Contender, mode: Mode
) -> Measurement | Failure:
    seconds = audio.shape[1] / sample_rate
    try:
        coded = contender.run(audio, sample_rate)
        metrics = measure(audio, coded.audio, sample_rate, mode)
    except Exception as error:  # the libraries of metrics raise what they like; the others go on
        return Failure(clip, contender.label, seconds, error)
    times = (coded.encode_seconds, coded.decode_seconds)
    return Measurement(clip, contender.codec, contender.label, seconds, coded.bits, *times, metrics)


def summarise(measurements: Sequence[Measurement]) -> list[Summary]:
    """One summary for each contender, in the order in which they come first."""
    labels = dict.fromkeys(each.label for each in measurements)
    return [_summary([each for each in measurements if each.label == label]) for label in labels]


def _summary(measurements: Sequence[Measurement]) -> Summary:
    first, seconds = measurements[0], sum(each.seconds for each in measurements)
    return Summary(
        codec=first.codec,
        label=first.label,
        clips=len(measurements),
        kbps=sum(each.bits for each in measurements) / seconds / 1000,
        encode_speed=seconds / sum(each.encode_seconds for each in measurements),
        decode_speed=seconds / sum(each.decode_seconds for each in measurements),
        metrics={key: interval([each.metrics[key] for each in measurements]) for key in first.metrics},
    )


def interval(values: Sequence[float]) -> Interval:
    """The mean of `values` and its percentile bootstrap interval (Efron 1979); the same values give the same one.

    Raises:
        InputError: There are none.
    """
    if not len(values):
        raise InputError("expected at least one value, got none")
    array = np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(len(array), size=(_RESAMPLES, len(array)))
    low, high = np.quantile(array[drawn].mean(axis=1), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def table(summaries: Sequence[Summary]) -> str:
    """A table in Markdown. A metric is followed by half the width of its interval."""
    keys = [key for key in METRICS if key in summaries[0].metrics]
    head = ["codec", "clips", "real kbps", *(METRICS[key].title for key in keys), "encodes", "decodes"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    for each in summaries:
        cells = [_cell(each.metrics[key], METRICS[key].digits) for key in keys]
        speeds = [f"{speed:.{0 if speed >= 10 else 1}f}x" for speed in (each.encode_speed, each.decode_speed)]
        rows.append([each.label, str(each.clips), f"{each.kbps:.2f}", *cells, *speeds])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: Interval, digits: int) -> str:
    return f"{value.mean:.{digits}f} ±{(value.high - value.low) / 2:.{digits}f}"


def record(
    mode: Mode, summaries: Sequence[Summary], measurements: Sequence[Measurement], failures: Sequence[Failure]
) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "mode": mode,
        "confidence": _LEVEL,
        "contenders": [
            {**asdict(each), "metrics": {key: value._asdict() for key, value in each.metrics.items()}}
            for each in summaries
        ],
        "measurements": [{**asdict(each), "kbps": each.kbps} for each in measurements],
        "failures": [{"clip": each.clip, "label": each.label, "error": str(each.error)} for each in failures],
    }
