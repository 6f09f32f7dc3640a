"""What the commands do to sound on its way in and out, and say that they did."""

from __future__ import annotations

from argparse import Namespace
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioReader, AudioWriter, StreamResampler, written_rate
from ..errors import InputError
from .jobs import Job
from .report import Report


def note_conversions(report: Report, reader: AudioReader, sample_rate: int, channels: int, codec: str) -> None:
    """Says what becomes of the sound of `reader` for a codec of that rate and so many channels."""
    if reader.channels != channels:
        how = "mixed down to mono" if channels == 1 else f"repeated as {channels} channels"
        report.note(f"{reader.name}: {reader.channels} channels {how} for {codec}")
    if reader.sample_rate != sample_rate:
        report.note(f"{reader.name}: resampled from {reader.sample_rate} to {sample_rate} Hz for {codec}")


def stretch(reader: AudioReader, arguments: Namespace) -> tuple[int, int]:
    """The samples that `--from` and `--to` select.

    Raises:
        InputError: There are none.
    """
    start = round((arguments.start or 0.0) * reader.sample_rate)
    stop = reader.num_samples
    if arguments.stop is not None:
        stop = min(stop, round(arguments.stop * reader.sample_rate))
    if not start < stop:
        raise InputError(
            f"{reader.name} lasts {reader.num_samples / reader.sample_rate:.3f} s; "
            f"--from {arguments.start or 0:g} selects nothing of it"
        )
    return start, stop


class SoundOutput:
    """An `AudioWriter` that resamples first where its format does not have the rate. A context manager.

    Args:
        report: Is told if it does.
        job: Whose output it is.
        file: See `AudioWriter`.
        suffix: Of the format.
        sample_rate: Hz of what is written.
        channels: Channels.
        num_samples: Length per channel, where it is known beforehand.

    Attributes:
        clipped: Samples clipped so far.
    """

    def __init__(
        self,
        report: Report,
        job: Job,
        file: BinaryIO,
        suffix: str,
        sample_rate: int,
        channels: int,
        num_samples: int | None = None,
    ) -> None:
        rate = written_rate(suffix, sample_rate)
        if rate != sample_rate:
            report.note(f"{job.target_name}: resampled from {sample_rate} to {rate} Hz, which {suffix} has")
            num_samples = None
        self._resampler = StreamResampler(sample_rate, rate, channels)
        self._writer = AudioWriter(file, suffix, rate, channels, num_samples)

    @property
    def clipped(self) -> int:
        """Samples clipped so far."""
        return self._writer.clipped

    def write(self, audio: NDArray[np.float32]) -> None:
        """The next samples, float32 `(channels, n)`."""
        self._writer.write(self._resampler.push(audio))

    def __enter__(self) -> SoundOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with self._writer:
                self._writer.write(self._resampler.flush())
        else:
            self._writer.__exit__(kind, error, trace)
