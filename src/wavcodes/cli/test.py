"""`wavcodes test`: reads every byte of files of codes, with every check that their formats offer. Decodes nothing."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from typing import Any, BinaryIO

from ..containers import Format, dac
from . import facts, jobs, sources
from .jobs import STREAM, Job
from .report import Report


def run(arguments: Namespace, report: Report) -> int:
    """Tests all inputs and gives the exit code."""
    planned = [Job(source, STREAM) for source in arguments.inputs]
    return jobs.run(planned, lambda job: _test(job, arguments, report), report)


def _test(job: Job, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    with sources.opened_codes(job) as (format, file):
        found = _whole_dac(file, arguments) if format is dac.FORMAT else _whole(job, format, file, arguments, report)
    if report.as_json:
        length = None if job.source == STREAM else os.path.getsize(job.source)
        more = {"bytes": length, "elapsed": time.monotonic() - began}
        report.record({"input": job.source, **found, **more})
    else:
        report.result(f"{job.source_name}: {_text(found)}")


def _whole(job: Job, format: Format, file: BinaryIO, arguments: Namespace, report: Report) -> dict[str, Any]:
    reader = sources.open_codes(format, file, arguments, lm=arguments.lm_weights is not None)
    header, num_samples = reader.header, 0
    total = None if header.num_samples is None else header.time(header.num_samples)
    with report.progress(job.source_name, total) as progress:
        for part in reader.parts():
            num_samples += part.num_samples
            progress.update(header.time(num_samples))
    return {**facts.of_header(header, num_samples), "checksums": reader.checksums}


def _whole_dac(file: BinaryIO, arguments: Namespace) -> dict[str, Any]:
    """Descript's files may hold what no reader of one clip takes, and leave open which codec made them."""
    content = dac.read(file)
    if content.framing is None and arguments.codec is None:
        found: dict[str, Any] = dict.fromkeys(("codec", "bandwidth"))
        found |= {"sample_rate": content.sample_rate, "num_codebooks": content.codes.shape[1]}
        found |= {"num_samples": content.num_samples, "duration": content.num_samples / content.sample_rate}
    else:
        header = sources.dac_header(content, arguments)
        found = facts.of_header(header, header.num_samples)
    return {**found, "channels": content.channels, "checksums": content.checksums}


def _text(found: dict[str, Any]) -> str:
    bandwidth = "" if found["bandwidth"] is None else f", {facts.kbps(found['bandwidth'])}"
    checked = (
        f"{found['checksums']} verified" if found["checksums"] else "no checksum in it: only the layout is verified"
    )
    return (
        f"ok: {found['codec'] or 'codec not stated'}, {found['num_codebooks']} codebooks{bandwidth}, "
        f"{found['duration']:.3f} s; {checked}"
    )
