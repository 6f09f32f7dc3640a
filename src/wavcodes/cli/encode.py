"""`wavcodes encode`: audio files to files of codes, in memory that does not grow with their length."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import registry
from ..audio import AudioReader, resampled_length, to_channels
from ..containers import FORMATS, SUFFIXES, Format, Header, ecdc, format_of
from ..errors import InputError
from . import blocks, exits, facts, jobs, sounds
from .exits import CommandError
from .jobs import Job
from .recorders import open_recorder
from .report import Report

if TYPE_CHECKING:
    from ..codec import Codec


def run(arguments: Namespace, report: Report) -> int:
    """Encodes all inputs and gives the exit code."""
    planned = jobs.plan(arguments, SUFFIXES)
    with exits.usage():
        suffix = Path(planned[0].target).suffix.lower()
        default = arguments.default_codec or registry.FOR_SUFFIX.get(suffix, registry.DEFAULT_CODEC)
        spec = registry.spec(default if arguments.codec is None else arguments.codec)
        num_codebooks = spec.resolve_codebooks(arguments.bandwidth, arguments.num_codebooks)

    from ..codec import load
    from ..lm import language_model

    if arguments.lm_weights is not None and not arguments.lm:
        raise CommandError("--lm-weights names what --lm codes with; give both, or neither")

    def format_for(job: Job) -> Format:
        return _format(jobs.check_target(job, SUFFIXES, arguments.force), arguments.format, arguments.lm)

    if len(planned) == 1 and (code := jobs.run(planned, format_for, report)):
        return code  # before weights are fetched for nothing
    model = language_model(spec.name, arguments.lm_weights) if arguments.lm else None
    codec = load(spec.name, arguments.weights, arguments.threads, "encode", arguments.precision)

    def work(job: Job) -> None:
        format = format_for(job)
        _encode(job, codec, num_codebooks, ecdc.coded_with(model) if model else format, arguments, report)

    return jobs.run(planned, work, report)


def _encode(job: Job, codec: Codec, num_codebooks: int, format: Format, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    spec = codec.spec
    with jobs.opened_source(job) as file, AudioReader(file, job.source_name) as reader:
        start, stop = sounds.stretch(reader, arguments)
        num_samples = resampled_length(stop - start, reader.sample_rate, spec.sample_rate)
        if not num_samples:
            raise InputError(f"{reader.name}: expected at least one sample at {spec.sample_rate} Hz, got less")
        header = Header(spec.framing(num_codebooks), num_samples, codec.weights_digest)
        done = 0
        with (
            jobs.opened_target(job) as out,
            report.progress(job.source_name, (stop - start) / reader.sample_rate) as progress,
        ):
            recorder = open_recorder(format, out, header, codec, reader.sample_rate, reader.channels)
            sounds.note_conversions(report, reader, spec.sample_rate, recorder.channels, spec.name)
            sound = (to_channels(block, recorder.channels) for block in reader.blocks(start, stop))
            for block in blocks.of_audio(sound, reader.sample_rate):
                recorder.push(block)
                done += block.shape[1]
                progress.update(done / reader.sample_rate)
            recorder.close()
    told = facts.of_header(header, num_samples) | {"channels": recorder.channels}
    facts.tell(report, job, told, time.monotonic() - began)


def _format(suffix: str, name: str | None, lm: bool) -> Format:
    """The format of an output: the one that `--format` names, or else what the suffix or `--lm` means."""
    if lm:
        if suffix != ecdc.FORMAT.suffix or name is not None:
            raise CommandError(f"--lm: expected an {ecdc.FORMAT.suffix} file and no --format, got {name or suffix}")
        return ecdc.FORMAT
    if name is None:
        return format_of(f"codes{suffix}")
    written = {each.name: each for each in FORMATS if each.writer and each.suffix == suffix}
    if name not in written:
        raise CommandError(f"--format: expected one of {', '.join(written)} for a {suffix} file, got {name}")
    return written[name]
