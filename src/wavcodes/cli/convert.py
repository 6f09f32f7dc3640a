"""`wavcodes convert`: files of codes to other containers, or to fewer codebooks. No audio is decoded."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

from .. import registry
from ..containers import FORMATS, SUFFIXES, Format, Header, Reader, Writer, dac, format_of, start_writer
from ..containers.dac_layout import to_bytes
from ..errors import InputError, UnsupportedError
from ..files import write_all
from . import facts, jobs, sources
from .exits import CommandError
from .jobs import Job
from .report import Report


def run(arguments: Namespace, report: Report) -> int:
    """Converts all inputs and gives the exit code."""
    target = _named(arguments.format)
    suffixes = SUFFIXES if target is None else (target.suffix, *SUFFIXES)
    planned = jobs.plan(arguments, suffixes, as_inputs=True)
    return jobs.run(planned, lambda job: _convert(job, target, arguments, report), report)


def _named(name: str | None) -> Format | None:
    """The format that `--format` names; None where the suffix of the output decides."""
    written = {each.name: each for each in FORMATS if each.writer}
    if name is not None and name not in written:
        raise CommandError(f"--format: expected one of {', '.join(written)}, got {name}")
    return None if name is None else written[name]


def _convert(job: Job, target: Format | None, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    suffix = jobs.check_target(job, SUFFIXES if target is None else (target.suffix,), arguments.force)
    target = format_of(f"codes{suffix}") if target is None else target
    with sources.opened_codes(job) as (source, file):
        if source is target is dac.FORMAT:
            told = _copy_dac(job, file, arguments)
        else:
            told = _copy(job, sources.open_codes(source, file, arguments), target, arguments, report)
    if told["dropped"]:
        report.note(f"{job.source_name}: {job.target_name} has no place for {', '.join(told['dropped'])}")
    facts.tell(report, job, told, time.monotonic() - began)


def _copy(job: Job, reader: Reader, target: Format, arguments: Namespace, report: Report) -> dict[str, Any]:
    """Copies part by part; gives what is told of it."""
    header = _reduced(reader.header, arguments)
    framing = header.framing
    num_samples = num_frames = 0
    total = None if header.num_samples is None else header.time(header.num_samples)
    with jobs.opened_target(job) as out, report.progress(job.source_name, total) as progress:
        writer = _writer(target, out, header)
        for part in reader.parts():
            writer.write(part.codebooks(framing.num_codebooks))
            num_samples += part.num_samples
            num_frames += part.num_frames
            progress.update(header.time(num_samples))
        writer.close()
    dropped = [*reader.besides]
    if not target.lengths and num_samples != framing.longest(num_frames):
        dropped.append(f"the true length of {header.time(num_samples):.3f} s")
    if not target.digests and header.weights_digest is not None:
        dropped.append("the digest of the weights")
    return {**facts.of_header(header, num_samples), "dropped": dropped}


def _copy_dac(job: Job, file: BinaryIO, arguments: Namespace) -> dict[str, Any]:
    """Copies a `.dac` file to another with all that only such files hold: channels, windows, loudness, rate."""
    content = dac.read(file)
    header = _reduced(sources.dac_header(content, arguments), arguments)
    kept = content.codes[:, : header.framing.num_codebooks]
    with jobs.opened_target(job) as out:
        write_all(out, to_bytes(replace(content, codes=kept, framing=header.framing)))
    return {**facts.of_header(header, header.num_samples), "channels": content.channels, "dropped": []}


def _reduced(header: Header, arguments: Namespace) -> Header:
    """The header of as many codebooks as the options ask for."""
    framing, count = header.framing, arguments.num_codebooks
    if arguments.bandwidth is not None:
        count = registry.spec(framing.codec).resolve_codebooks(arguments.bandwidth)
    if count is None:
        return header
    if count > framing.num_codebooks:
        raise InputError(
            f"expected at most the {framing.num_codebooks} codebooks ({framing.bandwidth:g} kbps) that the file has, "
            f"got {count}; encode the audio again for more"
        )
    return replace(header, framing=framing.first(count))


def _writer(target: Format, out: BinaryIO, header: Header) -> Writer:
    try:
        return start_writer(target, out, header)
    except UnsupportedError as error:
        fitting = ", ".join(dict.fromkeys(each.suffix for each in FORMATS if _holds(each, header)))
        raise UnsupportedError(f"{error} (these codes go into {fitting or 'no file'})") from error


def _holds(format: Format, header: Header) -> bool:
    try:
        start_writer(format, BytesIO(), header)
    except UnsupportedError:
        return False
    return True
