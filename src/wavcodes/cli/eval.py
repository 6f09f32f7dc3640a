"""`wavcodes eval`: codecs over many clips, measured; a table, and if wanted all numbers and a picture."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..audio import SOUND_SUFFIXES
from ..files import atomic_output, write_all
from ..judge import metrics, picture
from ..judge.contenders import parse
from ..judge.evaluation import Failure, Measurement, Summary, evaluate, record, summarise, table
from . import exits, jobs, streams
from .exits import CommandError
from .jobs import STREAM, Job
from .report import SCHEMA, Report


def run(arguments: Namespace, report: Report) -> int:
    """Measures all contenders on all clips and gives the exit code."""
    streams.standard_output()
    numbers, plot = arguments.json_file, arguments.plot
    if STREAM in (numbers, plot):
        raise CommandError("the table goes to standard output (-); name a file for what else is wanted")
    if numbers is not None:
        jobs.check_target(Job(STREAM, numbers), (".json",), arguments.force)
    suffix = "" if plot is None else jobs.check_target(Job(STREAM, plot), picture.SUFFIXES, arguments.force)
    clips = list(_clips(arguments.inputs))
    with exits.usage():
        contenders = parse(" ".join(arguments.codecs), arguments.weights)
    metrics.require(arguments.mode)
    if plot is not None:
        picture.require()
    measurements: list[Measurement] = []
    failures: list[Failure] = []
    with report.progress("measurements", None) as progress:
        for found in evaluate(clips, contenders, arguments.mode):
            if isinstance(found, Measurement):
                measurements.append(found)
            else:
                failures.append(found)
                _tell(found, report)
            progress.update(sum(each.seconds for each in measurements))
    summaries = summarise(measurements)
    with ExitStack() as outputs:  # each is written, the last one first, though another cannot be
        if summaries and plot is not None:
            outputs.callback(_draw, summaries, plot, suffix)
        if summaries:
            outputs.callback(report.result, table(summaries))
        if numbers is not None:
            outputs.callback(_write, record(arguments.mode, summaries, measurements, failures), numbers)
    if not failures:
        return exits.OK
    report.error(f"{len(failures)} of {len(failures) + len(measurements)} measurements failed")
    return exits.SOME_FAILED if measurements else exits.exit_code(failures[0].error)


def _write(result: dict[str, Any], name: str) -> None:
    with atomic_output(name) as file:
        write_all(file, json.dumps({"schema": SCHEMA, "command": "eval", **result}, indent=1).encode(), name)


def _draw(summaries: Sequence[Summary], name: str, suffix: str) -> None:
    with atomic_output(name) as file:
        picture.draw(summaries, file, suffix)


def _clips(names: Sequence[str]) -> Iterator[Path]:
    seen: set[str] = set()
    for path in _found(names):
        real = os.path.realpath(path)
        if real in seen:
            raise CommandError(f"expected every clip once, got {path} twice, which would count more; leave one out")
        seen.add(real)
        yield path


def _found(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        if not os.path.isdir(path):
            if not os.path.exists(path):
                raise CommandError(f"cannot read {name}: no such file or folder; check the path", exits.NO_INPUT)
            yield path
            continue
        found = sorted(each for each in path.iterdir() if each.suffix.lower() in SOUND_SUFFIXES)
        if not found:
            raise CommandError(f"expected sound in {name} ({', '.join(SOUND_SUFFIXES)}), got none", exits.NO_INPUT)
        yield from found


def _tell(failure: Failure, report: Report) -> None:
    who = failure.clip if failure.label is None else f"{failure.clip}: {failure.label}"
    text = exits.message(failure.error)
    report.error(text if text.startswith(who) else f"{who}: {text}", failure.error)
