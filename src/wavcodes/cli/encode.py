"""`wavcodes encode`: audio files to files of codes, in memory that does not grow with their length."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from .. import registry
from ..audio import AudioReader, StreamResampler, resampled_length, to_channels
from ..containers import FORMATS, SUFFIXES, Header, Writer, open_writer
from ..errors import InputError
from . import facts, jobs, sounds
from .exits import CommandError
from .jobs import Job
from .report import Report

if TYPE_CHECKING:
    from ..codec import Codec


def run(arguments: Namespace, report: Report) -> int:
    """Encodes all inputs and gives the exit code."""
    planned = jobs.plan(arguments, SUFFIXES)
    try:
        spec = registry.spec(registry.DEFAULT_CODEC if arguments.codec is None else arguments.codec)
        num_codebooks = spec.resolve_codebooks(arguments.bandwidth)
    except InputError as error:
        raise CommandError(str(error)) from error

    from ..codec import load

    codec = load(spec.name, weights=arguments.weights, threads=arguments.threads)
    return jobs.run(planned, lambda job: _encode(job, codec, num_codebooks, arguments, report), report)


def _encode(job: Job, codec: Codec, num_codebooks: int, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    spec = codec.spec
    suffix = jobs.check_target(job, SUFFIXES, arguments.force)
    format = _writer(suffix, arguments.format)
    with jobs.opened_source(job) as file, AudioReader(file, job.source_name) as reader:
        start, stop = _stretch(reader, arguments)
        num_samples = resampled_length(stop - start, reader.sample_rate, spec.sample_rate)
        if not num_samples:
            raise InputError(f"{reader.name}: expected at least one sample at {spec.sample_rate} Hz, got less")
        sounds.note_conversions(report, reader, spec.sample_rate, spec.channels, spec.name)
        header = Header(spec.framing(num_codebooks), num_samples, codec.weights_digest)
        encoder = codec.stream_encoder(num_codebooks=num_codebooks)
        resampler = StreamResampler(reader.sample_rate, spec.sample_rate, spec.channels)
        done = 0
        with (
            jobs.opened_target(job) as out,
            report.progress(job.source_name, (stop - start) / reader.sample_rate) as progress,
        ):
            writer = open_writer(out, f"codes{suffix}", header) if format is None else format(out, header)
            for block in reader.blocks(start, stop):
                writer.write(encoder.push(resampler.push(to_channels(block, spec.channels))))
                done += block.shape[1]
                progress.update(done / reader.sample_rate)
            writer.write(encoder.push(resampler.flush()))
            writer.write(encoder.flush())
            writer.close()
    facts.tell(report, arguments.command, job, facts.of_header(header, num_samples), time.monotonic() - began)


def _writer(suffix: str, name: str | None) -> Callable[[BinaryIO, Header], Writer] | None:
    """What starts a file of the format that `--format` names; None where the suffix alone decides."""
    if name is None:
        return None
    written = {each.name: each for each in FORMATS if each.writer and each.suffix == suffix}
    if name not in written:
        raise CommandError(f"--format: expected one of {', '.join(written)} for a {suffix} file, got {name}")
    return written[name].writer


def _stretch(reader: AudioReader, arguments: Namespace) -> tuple[int, int]:
    """The samples that `--from` and `--to` select."""
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
