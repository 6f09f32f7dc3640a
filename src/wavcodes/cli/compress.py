"""`wavcodes compress` and `wavcodes decompress`: one file to another, whose names choose the codec.

Codecs of this package are served by `encode` and `decode`; what stands here is for those of other programs.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .. import registry
from ..audio import SUFFIXES, AudioReader, StreamResampler, to_channels, to_int16
from ..errors import FormatError, InputError
from ..files import write_all
from ..legacy import CODECS, LegacyCodec, Scratch
from . import exits, jobs, sounds, variables
from .exits import CommandError
from .jobs import Job
from .report import Report


def compress(arguments: Namespace, report: Report) -> int:
    """Compresses one audio file and gives the exit code."""
    suffix = _suffix(arguments.output, (*registry.FOR_SUFFIX, *CODECS))
    codec = CODECS.get(suffix) or variables.scripts(suffix, "ENCODEC_ENC", arguments)
    if codec is not None:
        _check_options(codec, arguments, variables.passed_on(suffix, arguments))
        return _run(arguments, report, lambda job: _compress(job, codec, suffix, arguments, report))
    variables.fill(suffix, arguments)

    from . import encode

    return _finish(encode.run(arguments, report), arguments, report)


def decompress(arguments: Namespace, report: Report) -> int:
    """Decompresses one file to audio and gives the exit code."""
    suffix = _suffix(arguments.output, SUFFIXES)
    kind = Path(arguments.inputs[0]).suffix.lower()
    codec = CODECS.get(kind) or variables.scripts(kind, "ENCODEC_DEC", arguments)
    if codec is not None:
        _check_options(codec, arguments)
        return _run(arguments, report, lambda job: _decompress(job, codec, suffix, arguments, report))
    variables.fill(kind, arguments)

    from . import decode

    return _finish(decode.run(arguments, report), arguments, report)


def _check_options(codec: LegacyCodec, arguments: Namespace, known: Container[str] = ()) -> None:
    """Refuses the options that only this package's codecs know; of `known` are those that the program does, too."""
    for name in ("lm", "lm_weights", "codec", "weights", "format", "bandwidth"):
        if getattr(arguments, name, None) and name not in known:
            option = name.replace("_", "-")
            raise CommandError(f"--{option}: expected wavcodes to do the work, but {codec.name} does it; leave it out")


def _suffix(name: str, suffixes: Sequence[str]) -> str:
    suffix = Path(name).suffix.lower()
    if suffix not in suffixes:
        raise CommandError(
            f"Unsupported extension: {suffix.removeprefix('.') or 'none'}. "
            f"Expected an output named {', '.join(suffixes)}, got {name}"
        )
    return suffix


def _run(arguments: Namespace, report: Report, work: Callable[[Job], None]) -> int:
    return _finish(jobs.run([Job(arguments.inputs[0], arguments.output)], work, report), arguments, report)


def _finish(code: int, arguments: Namespace, report: Report) -> int:
    if code == exits.OK and not report.as_json:
        report.result(f"Final file size: {os.path.getsize(arguments.output)}")
    return code


def _compress(job: Job, codec: LegacyCodec, suffix: str, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    jobs.check_target(job, (suffix,), arguments.force)
    with _scratch(arguments) as scratch:
        pcm = scratch.folder / "sound.pcm"
        with jobs.opened_source(job) as file, AudioReader(file, job.source_name) as reader:
            num_samples = _write_pcm(reader, pcm, codec, report)
        with jobs.opened_target(job) as out:
            codec.compress(pcm, num_samples, out, scratch)
    _tell(job, codec, num_samples / codec.sample_rate, time.monotonic() - began, report)


def _write_pcm(reader: AudioReader, pcm: Path, codec: LegacyCodec, report: Report) -> int:
    sounds.note_conversions(report, reader, codec.sample_rate, 1, codec.name)
    resampler = StreamResampler(reader.sample_rate, codec.sample_rate, 1)
    num_samples = 0
    with open(pcm, "xb", buffering=0) as file:
        for block in reader.blocks():
            num_samples += _write_16_bits(file, resampler.push(to_channels(block, 1)))
        num_samples += _write_16_bits(file, resampler.flush())
    if not num_samples:
        raise InputError(f"{reader.name}: expected at least one sample at {codec.sample_rate} Hz, got less")
    return num_samples


def _write_16_bits(file: BinaryIO, block: NDArray[np.float32]) -> int:
    write_all(file, to_int16(block[0]).tobytes())
    return len(block[0])


def _decompress(job: Job, codec: LegacyCodec, suffix: str, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    jobs.check_target(job, (suffix,), arguments.force)
    done = 0
    with _scratch(arguments) as scratch, jobs.opened_source(job) as file:
        sound = codec.decompress(file, job.source_name, scratch)
        with (
            jobs.opened_target(job) as out,
            sounds.SoundOutput(report, job, out, suffix, sound.sample_rate, sound.channels) as writer,
        ):
            for block in sound.blocks:
                writer.write(block)
                done += block.shape[1]
            if not done:
                raise FormatError(f"{job.source_name}: expected audio to decode, but there is none in it")
    _tell(job, codec, done / sound.sample_rate, time.monotonic() - began, report)


@contextmanager
def _scratch(arguments: Namespace) -> Iterator[Scratch]:
    import tempfile  # takes 10 ms

    with tempfile.TemporaryDirectory(prefix="wavcodes-") as folder:
        yield Scratch(Path(folder), arguments.timeout)


def _tell(job: Job, codec: LegacyCodec, duration: float, elapsed: float, report: Report) -> None:
    written = os.path.getsize(job.target)
    report.summary(f"{job.source_name} -> {job.target_name}: {codec.name}, {duration:.2f} s, in {elapsed:.2f} s")
    record = {"input": job.source, "output": job.target, "codec": codec.name, "sample_rate": codec.sample_rate}
    report.record({**record, "duration": duration, "bytes": written, "elapsed": elapsed})
