"""`wavcodes codecs` and `wavcodes download`: which codecs there are, and their weights."""

from argparse import Namespace
from typing import Any

from .. import registry
from ..spec import CodecSpec
from ..weights import locate
from . import exits, jobs
from .exits import OK, CommandError
from .jobs import STREAM, Job
from .report import Report, size


def codecs(arguments: Namespace, report: Report) -> int:
    """Prints the table of codecs and gives the exit code."""
    specs = [registry.spec(name) for name in registry.list_codecs()]
    if report.as_json:
        for spec in specs:
            report.record(_facts(spec))
        return OK
    rows: list[tuple[str, ...]] = [
        ("CODEC", "WHAT", "HZ", "CH", "FRAMES/S", "KBPS", "DOWNLOAD", "LICENCE OF THE WEIGHTS")
    ]
    rows += map(_row, specs)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        report.result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return OK


def _facts(spec: CodecSpec) -> dict[str, Any]:
    return {
        "codec": spec.name,
        "description": spec.description,
        "sample_rate": spec.sample_rate,
        "channels": spec.channels,
        "hop_length": spec.hop_length,
        "frame_rate": spec.frame_rate,
        "num_codebooks": spec.num_codebooks,
        "codebook_size": spec.codebook_size,
        "bandwidths": list(spec.bandwidths),
        "default_bandwidth": spec.default_bandwidth,
        "default": spec.name == registry.DEFAULT_CODEC,
        "packaged": spec.weights.packaged,
        "download_bytes": _download(spec),
        "licence": spec.weights.licence,
    }


def _download(spec: CodecSpec) -> int | None:
    """Bytes to fetch; None where a size is not known."""
    sizes = [file.size for file in spec.weights.files]
    return 0 if spec.weights.packaged else None if None in sizes else sum(count or 0 for count in sizes)


def _row(spec: CodecSpec) -> tuple[str, ...]:
    count = _download(spec)
    return (
        spec.name,
        spec.description + ("; the default" if spec.name == registry.DEFAULT_CODEC else ""),
        str(spec.sample_rate),
        str(spec.channels),
        f"{round(spec.frame_rate, 2):g}",
        " ".join(f"{bandwidth:g}" for bandwidth in spec.bandwidths),
        "none" if count == 0 else "unknown size" if count is None else size(count),
        spec.weights.licence,
    )


def download(arguments: Namespace, report: Report) -> int:
    """Fetches and verifies weights and gives the exit code."""
    if arguments.all == bool(arguments.names):
        raise CommandError("expected names of codecs, or --all; wavcodes codecs lists them")
    with exits.usage():
        specs = [registry.spec(name) for name in arguments.names or registry.list_codecs()]
    named = {spec.name: spec for spec in specs}
    return jobs.run([Job(name, STREAM) for name in named], lambda job: _fetch(named[job.source], report), report)


def _fetch(spec: CodecSpec, report: Report) -> None:
    files = locate(spec)
    if report.as_json:
        found = [{"path": str(file.path), "verified": file.verified} for file in files]
        report.record({"codec": spec.name, "licence": spec.weights.licence, "files": found})
        return
    for file in files:
        state = "verified" if file.verified else "unverified: its SHA-256 is not known"
        report.result(f"{spec.name}: {file.path} ({state})")
    report.result(f"{spec.name}: licence of the weights: {spec.weights.licence}")
