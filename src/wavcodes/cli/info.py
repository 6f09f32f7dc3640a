"""`wavcodes info`: what the header of a file of codes says. Loads no engine."""

import os
from argparse import Namespace
from typing import Any

from ..containers import dac
from . import facts, jobs, sources
from .jobs import STREAM, Job
from .report import Report


def run(arguments: Namespace, report: Report) -> int:
    """Describes all inputs and gives the exit code."""
    planned = [Job(source, STREAM) for source in arguments.inputs]
    return jobs.run(planned, lambda job: _info(job, arguments, report), report)


def _info(job: Job, arguments: Namespace, report: Report) -> None:
    with sources.opened_codes(job) as (format, file):
        if format is dac.FORMAT:
            content = dac.read(file)
            header, channels = sources.dac_header(content, arguments), content.channels
        else:
            header = sources.open_codes(format, file, arguments, lm=False).header
            channels = header.framing.channels
    found = {"format": format.name, **facts.of_header(header, header.num_samples), "channels": channels}
    length = None if job.source == STREAM else os.path.getsize(job.source)
    bitrate = 8 * length / found["duration"] if length is not None and found["duration"] else None
    if report.as_json:
        report.record({"input": job.source, **found, "bytes": length, "bitrate": bitrate})
    else:
        report.result(_text(job.source_name, found, length, bitrate))


def _text(name: str, found: dict[str, Any], length: int | None, bitrate: float | None) -> str:
    duration = "unknown length" if found["duration"] is None else f"{found['duration']:.3f} s"
    rate = round(found["frame_rate"], 2)
    each = "" if found["format"] != dac.FORMAT.name or found["channels"] == 1 else " per channel"
    lines = [
        ("file", name),
        ("format", found["format"]),
        ("codec", found["codec"]),
        ("audio", f"{duration}, {found['sample_rate']} Hz, {found['channels']} channel(s)"),
        ("codes", f"{found['num_codebooks']} codebooks of {found['codebook_size']}, {rate:g} frames/s"),
        ("bandwidth", facts.kbps(found["bandwidth"]) + each),
    ]
    if length is not None:
        lines.append(("size", f"{length} bytes" + (f", {bitrate / 1000:.3g} kbps" if bitrate else "")))
    lines.append(("weights", "not stated" if found["weights_digest"] is None else f"digest {found['weights_digest']}"))
    return "\n".join(f"{label:<11}{value}" for label, value in lines)
