"""`wavcodes decode`: files of codes to audio files, in memory that does not grow with their length."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import registry
from ..audio import SUFFIXES
from ..containers import Header, Reader, Salvage, open_reader, salvage
from ..errors import FormatError, InputError, IntegrityError
from . import facts, jobs, pieces, sounds
from .jobs import Job
from .report import Report

if TYPE_CHECKING:
    from ..codec import Codec


def run(arguments: Namespace, report: Report) -> int:
    """Decodes all inputs and gives the exit code."""
    planned = jobs.plan(arguments, SUFFIXES)
    loaded: dict[str, Codec] = {}

    def load(name: str) -> Codec:
        from .. import codec

        if name not in loaded:
            loaded[name] = codec.load(name, weights=arguments.weights, threads=arguments.threads)
        return loaded[name]

    return jobs.run(planned, lambda job: _decode(job, load, arguments, report), report)


def _decode(job: Job, load: Callable[[str], Codec], arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    suffix = jobs.check_target(job, SUFFIXES, arguments.force)
    with jobs.opened_source(job) as file:
        source: Reader | Salvage = salvage(file) if arguments.salvage else _open(file, job.source, arguments)
        header = source.header
        codec = load(header.framing.codec)
        _check(header, codec, job, arguments.force, report)
        num_codebooks = _num_codebooks(header, codec, arguments.bandwidth)
        start, stop = _stretch(job, header, arguments)
        more: dict[str, Any] = {}
        if isinstance(source, Salvage):
            report.note(f"{job.source_name}: {source.report().replace(chr(10), '; ')}")
            more["lost"] = [[header.time(a), None if b is None else header.time(b)] for a, b in source.lost]
            audio = pieces.cut(pieces.intact(source, codec, num_codebooks, stop), start, stop)
        elif start or arguments.stop is not None:
            audio = pieces.between(source, codec, num_codebooks, start, stop)
        else:
            audio = pieces.whole(source.parts(), codec, num_codebooks)
        length = None if stop is None or header.num_samples is None else stop - start
        done = 0
        with (
            jobs.opened_target(job) as out,
            sounds.SoundOutput(
                report, job, out, suffix, header.framing.sample_rate, header.framing.channels, length
            ) as writer,
            report.progress(job.source_name, None if length is None else header.time(length)) as progress,
        ):
            for piece in audio:
                writer.write(piece)
                done += piece.shape[1]
                progress.update(header.time(done))
            if not done:
                raise InputError(
                    f"{job.source_name}: expected audio to decode, but there is none in what was asked for"
                )
    if writer.clipped:
        report.detail(f"{job.target_name}: {writer.clipped} samples beyond full scale were clipped")
    more["clipped"] = writer.clipped
    facts.tell(report, arguments.command, job, {**facts.of_header(header, done), **more}, time.monotonic() - began)


def _open(file: BinaryIO, name: str, arguments: Namespace) -> Reader:
    """A reader for `file`. One that does not state its codec is read as that of `--codec`, or else of the only codec
    that has the bandwidth and that its format takes."""
    codec, bandwidth = arguments.codec, arguments.bandwidth
    start = file.tell() if file.seekable() else None
    try:
        return open_reader(file, name)
    except InputError:
        if (codec is None and bandwidth is None) or start is None:
            raise
        fitting = []
        for spec in map(registry.spec, registry.list_codecs() if codec is None else [codec]):
            if bandwidth is None or bandwidth in spec.bandwidths:
                framing = spec.framing(None if bandwidth is None else spec.resolve_codebooks(bandwidth))
                file.seek(start)
                with suppress(InputError):
                    open_reader(file, name, framing=framing)
                    fitting.append(framing)
        if len(fitting) != 1:
            raise
        file.seek(start)
        return open_reader(file, name, framing=fitting[0])


def _check(header: Header, codec: Codec, job: Job, force: bool, report: Report) -> None:
    """Compares what the file says about its codec with the codec."""
    spec, stated = codec.spec, header.framing
    expected = spec.framing(min(stated.num_codebooks, spec.num_codebooks))
    if fact := expected.difference(stated):
        raise FormatError(
            f"{job.source_name}: expected {fact} = {getattr(expected, fact)} for {spec.name}, "
            f"got {getattr(stated, fact)}; it was written by another program or version"
        )
    if header.weights_digest not in (None, codec.weights_digest):
        other = f"{job.source_name}: was encoded with other weights of {spec.name} than those loaded here"
        if not force:
            raise IntegrityError(f"{other}; name the same with --weights, or use -f to decode it all the same")
        report.note(f"{other}; decoded all the same")


def _num_codebooks(header: Header, codec: Codec, bandwidth: float | None) -> int:
    framing = header.framing
    if bandwidth is None:
        return framing.num_codebooks
    wanted = codec.spec.resolve_codebooks(bandwidth)
    if wanted > framing.num_codebooks:
        raise InputError(
            f"expected a bandwidth of at most {framing.bandwidth:g} kbps, which this file has, got {bandwidth:g}"
        )
    return wanted


def _stretch(job: Job, header: Header, arguments: Namespace) -> tuple[int, int | None]:
    """The samples that `--from` and `--to` select; the end is None where it is not known yet."""
    rate = header.framing.sample_rate
    start = round((arguments.start or 0.0) * rate)
    ends = [header.num_samples, None if arguments.stop is None else round(arguments.stop * rate)]
    stop = min((end for end in ends if end is not None), default=None)
    if stop is not None and not start < stop:
        length = "" if header.num_samples is None else f" lasts {header.time(header.num_samples):.3f} s;"
        raise InputError(f"{job.source_name}:{length} --from {arguments.start or 0:g} selects nothing of it")
    return start, stop
