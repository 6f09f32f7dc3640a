"""`wavcodes info`: what the header of a file of codes says. Loads no engine."""

import os
from argparse import Namespace
from typing import Any

from ..containers import dac, detect
from . import facts, jobs, sources
from .jobs import STREAM, Job
from .report import Report


def run(arguments: Namespace, report: Report) -> int:
    """Describes all inputs and gives the exit code."""
    planned = [Job(source, STREAM) for source in arguments.inputs]
    return jobs.run(planned, lambda job: _info(job, arguments, report), report)


def _info(job: Job, arguments: Namespace, report: Report) -> None:
    with jobs.opened_source(job) as file:
        format, file = detect(file, job.source)
        if format is dac.FORMAT:
            content = dac.read(file)
            header, channels = sources.dac_header(content, arguments), content.channels
        else:
            header = sources.open_codes(format, file, arguments, lm=False).header
            channels = header.framing.channels
    found = {**facts.of_header(header, header.num_samples), "channels": channels}
    length = None if job.source == STREAM else os.path.getsize(job.source)
    bitrate = 8 * length / found["duration"] if length is not None and found["duration"] else None
    if report.as_json:
        report.record({"command": "info", "input": job.source, **found, "bytes": length, "bitrate": bitrate})
    else:
        report.result(_text(job.source_name, found, length, bitrate))


def _text(name: str, found: dict[str, Any], length: int | None, bitrate: float | None) -> str:
    duration = "unknown length" if found["duration"] is None else f"{found['duration']:.3f} s"
    lines = [
        ("file", name),
        ("codec", found["codec"]),
        ("audio", f"{duration}, {found['sample_rate']} Hz, {found['channels']} channel(s)"),
        ("codes", f"{found['num_codebooks']} codebooks of {found['codebook_size']}, {found['frame_rate']:g} frames/s"),
        ("bandwidth", f"{found['bandwidth']:g} kbps"),
    ]
    if length is not None:
        lines.append(("size", f"{length} bytes" + (f", {bitrate / 1000:.3g} kbps" if bitrate else "")))
    lines.append(("weights", "not stated" if found["weights_digest"] is None else f"digest {found['weights_digest']}"))
    return "\n".join(f"{label:<11}{value}" for label, value in lines)
