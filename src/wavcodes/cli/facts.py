"""Facts of a file of codes, for people and for programs."""

from __future__ import annotations

import os
from typing import Any

from ..containers import Header
from .jobs import STREAM, Job
from .report import Report, size


def of_header(header: Header, num_samples: int | None) -> dict[str, Any]:
    """What a record says about the codes of a clip of `num_samples` samples (None: unknown)."""
    framing = header.framing
    return {
        "codec": framing.codec,
        "sample_rate": framing.sample_rate,
        "channels": framing.channels,
        "hop_length": framing.hop_length,
        "frame_rate": framing.frame_rate,
        "num_codebooks": framing.num_codebooks,
        "codebook_size": framing.codebook_size,
        "strides": list(framing.strides),
        "bandwidth": framing.bandwidth,
        "num_samples": num_samples,
        "duration": None if num_samples is None else header.time(num_samples),
        "weights_digest": None if header.weights_digest is None else header.weights_digest.hex(),
    }


def kbps(bandwidth: float) -> str:
    """A bandwidth for people, who know 7.75195 as 7.75."""
    return f"{bandwidth:.3g} kbps"


def tell(report: Report, job: Job, facts: dict[str, Any], elapsed: float) -> None:
    """Says that a job is done; `elapsed` is in seconds."""
    written = None if job.target == STREAM else os.path.getsize(job.target)
    report.summary(
        f"{job.source_name} -> {job.target_name}: {facts['codec']}, {kbps(facts['bandwidth'])}, "
        f"{facts['duration']:.2f} s"
        + ("" if written is None else f", {size(written)}")
        + f", in {elapsed:.2f} s ({facts['duration'] / max(elapsed, 1e-9):.0f}x real time)"
    )
    report.record({"input": job.source, "output": job.target, **facts, "bytes": written, "elapsed": elapsed})
