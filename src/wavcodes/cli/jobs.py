"""Which input goes to which output, and what happens when one of several fails."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import CodecError
from ..files import atomic_output, open_input
from . import exits, streams
from .exits import CommandError
from .report import Report

STREAM = "-"
"""Stands for standard input or standard output."""


@dataclass(frozen=True)
class Job:
    """One input and its output: paths, or `-` for the standard streams."""

    source: str
    target: str

    @property
    def source_name(self) -> str:
        """What messages call the input."""
        return "standard input" if self.source == STREAM else self.source

    @property
    def target_name(self) -> str:
        """What messages call the output."""
        return "standard output" if self.target == STREAM else self.target


def plan(arguments: Namespace, suffixes: Sequence[str], *, as_inputs: bool = False) -> list[Job]:
    """The jobs of a command line.

    Of two names, without `-o` and `--output-dir`, the second is the output if it is `-`, a device, or has the suffix of
    one. If it exists and inputs have such suffixes too, it is uncertain, and so an error; so is a second name that
    neither exists nor can be an output. All errors of names come before any work.

    Args:
        arguments: With `inputs`, `output`, `output_dir` and `json`.
        suffixes: Suffixes of possible outputs; the first is for inputs without a named output.
        as_inputs: True if inputs have such suffixes, too.

    Raises:
        CommandError: The outputs are contradictory, or it is not certain which they are.
    """
    inputs, output = list(arguments.inputs), arguments.output
    if output is None and arguments.output_dir is None and len(inputs) == 2:
        if _is_output(inputs[1], suffixes):
            output = inputs.pop()
            if as_inputs and Path(output).is_file():
                raise CommandError(
                    f"{output} exists, so it may be an input or the output; name an output with -o, or a folder for "
                    "those of two inputs with --output-dir"
                )
        elif not os.path.exists(inputs[1]):
            expected = f"an input that exists, or an output named {', '.join(suffixes)}"
            raise CommandError(f"expected as the second name {expected}, got {inputs[1]}; check it")
    if output is not None and len(inputs) > 1:
        raise CommandError(f"-o names one output, got {len(inputs)} inputs; use --output-dir for several")
    if inputs.count(STREAM) > 1:
        raise CommandError("standard input (-) can be read only once")
    if output is not None:
        jobs = [Job(inputs[0], output)]
    else:
        jobs = [Job(source, _default_output(source, arguments.output_dir, suffixes[0])) for source in inputs]
    seen: dict[str, str] = {}
    for job in jobs:
        target = job.target if job.target == STREAM else os.path.realpath(job.target)
        if target in seen:
            raise CommandError(f"{seen[target]} and {job.source} would both become {job.target}; rename one")
        seen[target] = job.source
    if arguments.json and any(job.target == STREAM for job in jobs):
        raise CommandError("--json prints on standard output, where the result (-) goes too; name a file with -o")
    if arguments.output_dir is not None:
        _make_folder(arguments.output_dir)
    return jobs


def _is_output(name: str, suffixes: Sequence[str]) -> bool:
    path = Path(name)  # in /dev, a standard stream may be a file, too
    return name == STREAM or path.suffix.lower() in suffixes or _is_device(path) or path.parent == Path("/dev")


def _default_output(source: str, folder: str | None, suffix: str) -> str:
    if source == STREAM:
        if folder is not None:
            raise CommandError("standard input (-) has no name for a file in --output-dir; use -o")
        return STREAM
    path = Path(source).with_suffix(suffix) if Path(source).name else Path(source)
    return str(path if folder is None else Path(folder) / path.name)


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except PermissionError as error:
        raise CommandError(f"cannot make the folder {folder}: {error.strerror}", exits.NO_PERMISSION) from error
    except OSError as error:
        raise CommandError(f"cannot make the folder {folder}: {error.strerror}", exits.NO_OUTPUT) from error


def run(jobs: Sequence[Job], work: Callable[[Job], object], report: Report) -> int:
    """Does all jobs, whatever happens to single ones, and gives the exit code."""
    failed: list[tuple[Job, int]] = []
    for job in jobs:
        try:
            work(job)
        except (CodecError, OSError, MemoryError) as error:
            code = exits.exit_code(error)
            if code == exits.BROKEN_PIPE:
                raise
            text = exits.message(error)
            # A name such as `a` may stand in any message.
            named = isinstance(error, CommandError) or (job.source_name in text and not job.source_name.isalnum())
            report.failure(text if named else f"{job.source_name}: {text}", error, code, job.source)
            failed.append((job, code))
    if not failed:
        return exits.OK
    if len(jobs) == 1:
        return failed[0][1]
    report.error(f"{len(failed)} of {len(jobs)} inputs failed: {', '.join(job.source for job, _ in failed)}")
    return exits.SOME_FAILED


def check_target(job: Job, suffixes: Sequence[str], force: bool) -> str:
    """The suffix that chooses the format of a job's output; the first of `suffixes` where it has no name to choose by.

    Raises:
        CommandError: It has another suffix, is the input, exists already and `force` is False, has no folder to be in,
            is a terminal, or is closed.
        InputError: There is no such input.
    """
    if job.source != STREAM and (os.path.isdir(job.source) or not os.path.exists(job.source)):
        with opened_source(job):  # raises what is wrong with it, which explains what is wrong with the output
            pass
    if job.target == STREAM:
        if streams.standard_output().isatty() and not force:
            raise CommandError("standard output is a terminal, which the result would garble; redirect it, or use -f")
        return suffixes[0]
    target = Path(job.target)
    suffix = target.suffix.lower()
    if _is_device(target):
        return suffix if suffix in suffixes else suffixes[0]
    if target.is_dir():
        raise CommandError(f"cannot create {target}: it is a folder; name a file in it", exits.NO_OUTPUT)
    if suffix not in suffixes:
        raise CommandError(f"expected an output named {', '.join(suffixes)}, got {job.target}")
    if not target.exists():
        if not Path(os.path.realpath(target)).parent.is_dir():
            raise CommandError(f"cannot create {target}: there is no folder {target.parent}", exits.NO_OUTPUT)
    elif job.source != STREAM and Path(job.source).exists() and os.path.samefile(job.source, target):
        raise CommandError(f"input and output are the same file, {target}; name another output", exits.NO_OUTPUT)
    elif not force:
        raise CommandError(f"{target} exists already; use -f to replace it, or name another output", exits.NO_OUTPUT)
    return suffix


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def opened_source(job: Job) -> AbstractContextManager[BinaryIO]:
    """The input of a job, open for reading."""
    return open_input(streams.standard_input() if job.source == STREAM else job.source)


@contextmanager
def opened_target(job: Job) -> Iterator[BinaryIO]:
    """The output of a job, open for writing; a file appears when the block ends without an error."""
    if job.target == STREAM:
        out = streams.standard_output().buffer
        yield out
        with streams.output_errors():
            out.flush()
    else:
        with atomic_output(job.target) as file:
            yield file
