"""Files of codes as inputs: what a file does not state, the options `--codec` and `--bandwidth` say."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .. import registry
from ..containers import Format, Header, Hints, LanguageModel, Reader, dac, detect, nac, salvage
from ..containers.dac_file import DacFile
from ..errors import CodecError, FormatError, InputError
from ..framing import Framing
from ..spec import CodecSpec
from . import exits, jobs
from .jobs import Job


@contextmanager
def opened_codes(job: Job) -> Iterator[tuple[Format, BinaryIO]]:
    """The input of a job, open for reading, and its format; errors inside the block say how to save what is intact.

    Raises:
        FormatError: The file is of no known format.
    """
    with jobs.opened_source(job) as opened:
        start = opened.tell() if opened.seekable() else None
        try:
            format, file = detect(opened, job.source_name)
        except FormatError as error:
            raise FormatError(f"{error}{_other_program(job)}") from error
        try:
            yield format, file
        except FormatError as error:
            if format is not nac.FORMAT or start is None:
                raise
            raise type(error)(f"{error}{_salvageable(file, start)}") from error


def _other_program(job: Job) -> str:
    """Advice for a file of codes of another program's codec."""
    from ..legacy import CODECS  # here, because it loads what reads sound

    return "; wavcodes decompress takes it" if Path(job.source).suffix.lower() in CODECS else ""


def _salvageable(file: BinaryIO, start: int) -> str:
    """What of a damaged `.nac` file can be saved, for the message of the damage."""
    file.seek(start)
    try:
        found = salvage(file)
    except CodecError:
        return ""
    saved = sum(codes.num_samples for _, codes in found.blocks)
    if not saved or not found.lost:  # where nothing is, the error is of something else
        return ""
    lost = found.report().replace("\n", "; ")
    return f"; wavcodes decode --salvage saves {found.header.time(saved):.3f} s of it ({lost})"


def open_codes(format: Format, file: BinaryIO, arguments: Namespace, *, lm: bool = True) -> Reader:
    """A reader for a file of that format; both from `containers.detect`.

    Args:
        format: Of the file.
        file: At its start.
        arguments: With `codec`, `bandwidth` and, for language models, `lm_weights`.
        lm: False for a reader that loads no language model and so cannot read codes that are coded with one.

    Raises:
        FormatError: The file is damaged.
        InputError: It does not state its codec, and the options do not say it either, or another one than made it.
        CommandError: The options name no codec, or a bandwidth that it does not have.
    """

    def language_model(name: str) -> LanguageModel:
        from .. import lm

        return lm.language_model(name, arguments.lm_weights)

    hints = Hints(stated_framing(format, arguments), language_model if lm else None)
    if hints.framing is None or not file.seekable():
        return format.reader(file, hints)
    start = file.tell()
    try:
        reader = format.reader(file, replace(hints, framing=None))
    except InputError:
        file.seek(start)
        return format.reader(file, hints)
    check_codec(reader.header.framing, arguments)
    return reader


def check_codec(stated: Framing, arguments: Namespace) -> None:
    """Compares the codec that a file states with `--codec`.

    Raises:
        InputError: They differ.
        CommandError: There is no codec of that name.
    """
    wanted = None if arguments.codec is None else _spec(arguments.codec).name
    if wanted not in (None, stated.codec):
        raise InputError(f"expected codes of {wanted}, got a file that states {stated.codec}; leave --codec out")


def stated_framing(format: Format, arguments: Namespace) -> Framing | None:
    """What the options say of files of that format; None where they say nothing.

    Raises:
        CommandError: There is no such codec, or it has no such bandwidth.
    """
    name = arguments.codec or arguments.default_codec
    if format.counts:
        return None if name is None else _spec(name).framing()
    if arguments.bandwidth is None:
        return None
    spec = _spec(name or registry.FOR_SUFFIX[format.suffix])
    with exits.usage():
        return spec.framing(spec.resolve_codebooks(arguments.bandwidth))


def _spec(name: str) -> CodecSpec:
    with exits.usage():
        return registry.spec(name)


def dac_header(content: DacFile, arguments: Namespace) -> Header:
    """Facts of what a `.dac` file holds, whatever its channels and windows; its length at the rate of the codec.

    Raises:
        InputError: It does not state its codec, and the options do not say it either, or another one than made it.
        CommandError: The options name no codec.
    """
    if content.framing:
        check_codec(content.framing, arguments)
    framing = content.resolve(None if content.framing else stated_framing(dac.FORMAT, arguments))
    if content.padded:
        content.clips(framing)  # checks the length
    return Header(framing, content.samples_at(framing.sample_rate), content.weights_digest)
