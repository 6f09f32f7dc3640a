"""`wavcodes eval`: codecs over many clips, measured; a table, and if wanted all numbers and a picture."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..audio import SOUND_SUFFIXES
from ..errors import InputError
from ..files import atomic_output, write_all
from ..judge import metrics, picture
from ..judge.contenders import parse
from ..judge.evaluation import Failure, Measurement, evaluate, record, summarise, table
from . import exits, jobs
from .exits import CommandError
from .jobs import STREAM, Job
from .report import SCHEMA, Report


def run(arguments: Namespace, report: Report) -> int:
    """Measures all contenders on all clips and gives the exit code."""
    numbers, plot = arguments.json_file, arguments.plot
    if numbers is not None:
        jobs.check_target(Job(STREAM, numbers), (".json",), arguments.force)
    if plot is not None:
        jobs.check_target(Job(STREAM, plot), picture.SUFFIXES, arguments.force)
    clips = list(_clips(arguments.inputs))
    try:
        contenders = parse(" ".join(arguments.codecs), dict(arguments.weights))
    except InputError as error:
        raise CommandError(str(error)) from error
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
    if numbers is not None:
        result = record(arguments.mode, summaries, measurements, failures)
        with atomic_output(numbers) as file:
            write_all(file, json.dumps({"schema": SCHEMA, "command": "eval", **result}, indent=1).encode())
    if summaries:
        report.result(table(summaries))
        if plot is not None:
            with atomic_output(plot) as file:
                picture.draw(summaries, file, Path(plot).suffix.lower())
    if not failures:
        return exits.OK
    report.error(f"{len(failures)} of {len(failures) + len(measurements)} measurements failed")
    return exits.SOME_FAILED if measurements else exits.exit_code(failures[0].error)


def _clips(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        if not path.is_dir():
            if not path.exists():
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
