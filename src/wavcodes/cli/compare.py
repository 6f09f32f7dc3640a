"""`wavcodes compare`: what codecs make of one clip, as a page of HTML to hear, to see and to count it."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioReader, to_channels
from ..files import write_all
from . import exits, jobs, sounds
from .jobs import Job
from .report import Report, size

_SUFFIXES = (".html",)


def run(arguments: Namespace, report: Report) -> int:
    """Compares, and gives the exit code."""
    return jobs.run(jobs.plan(arguments, _SUFFIXES), lambda job: _compare(job, arguments, report), report)


def _compare(job: Job, arguments: Namespace, report: Report) -> None:
    from ..judge import contenders, metrics
    from ..judge.report import Result, page

    began = time.monotonic()
    jobs.check_target(job, _SUFFIXES, arguments.force)
    with exits.usage():
        chosen = contenders.parse(" ".join(arguments.codecs), arguments.weights)
    metrics.require(arguments.mode)
    audio, rate = _clip(job, 1 + len(chosen), arguments, report)
    seconds = audio.shape[1] / rate
    results = []
    with report.progress(job.source_name, seconds * len(chosen)) as progress:
        for contender in chosen:
            coded = contender.run(audio, rate)
            results.append(Result(contender.label, coded, metrics.measure(audio, coded.audio, rate, arguments.mode)))
            progress.update(seconds * len(results))
    name = Path(job.source_name).name
    data = page(name, audio, rate, results).encode(errors="backslashreplace")  # names of files need not be valid text
    with jobs.opened_target(job) as file:
        write_all(file, data, job.target_name)
    elapsed = time.monotonic() - began
    report.summary(
        f"{job.source_name} -> {job.target_name}: {seconds:.2f} s in {1 + len(results)} versions, {size(len(data))}, "
        f"in {elapsed:.2f} s; open it in a browser"
    )
    told = [{"label": each.label, "bitrate": each.coded.bits / seconds, **each.metrics} for each in results]
    facts = {"sample_rate": rate, "channels": len(audio), "duration": seconds, "results": told, "bytes": len(data)}
    report.record({"input": job.source, "output": job.target, **facts, "elapsed": elapsed})


def _clip(job: Job, versions: int, arguments: Namespace, report: Report) -> tuple[NDArray[np.float32], int]:
    """The stretch that is asked for, float32 `(channels, samples)`, and its rate; speech in mono, as `eval` has it."""
    from ..judge.report import check_clip

    with jobs.opened_source(job) as file, AudioReader(file, job.source_name) as reader:
        start, stop = sounds.stretch(reader, arguments)
        channels = 1 if arguments.mode == "speech" else reader.channels
        check_clip(reader.name, stop - start, channels, reader.sample_rate, versions)
        if channels != reader.channels:
            report.note(f"{reader.name}: {reader.channels} channels mixed down to mono; --mode audio keeps them")
        blocks = [to_channels(block, channels) for block in reader.blocks(start, stop)]
        return np.concatenate(blocks, axis=1), reader.sample_rate
