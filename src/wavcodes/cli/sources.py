"""Files of codes as inputs: what a file does not state, the options `--codec` and `--bandwidth` say."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import BinaryIO

from .. import registry
from ..containers import Format, Header, Hints, LanguageModel, Reader, dac
from ..containers.dac_file import DacFile
from ..errors import InputError
from ..framing import Framing
from .exits import CommandError


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
        return format.reader(file, replace(hints, framing=None))
    except InputError:
        file.seek(start)
        return format.reader(file, hints)


def stated_framing(format: Format, arguments: Namespace) -> Framing | None:
    """What the options say of files of that format; None where they say nothing.

    Raises:
        CommandError: There is no such codec, or it has no such bandwidth.
    """
    try:
        if format.counts:
            return None if arguments.codec is None else registry.spec(arguments.codec).framing()
        if arguments.bandwidth is None:
            return None
        spec = registry.spec(arguments.codec or registry.FOR_SUFFIX[format.suffix])
        return spec.framing(spec.resolve_codebooks(arguments.bandwidth))
    except InputError as error:
        raise CommandError(str(error)) from error


def dac_header(content: DacFile, arguments: Namespace) -> Header:
    """Facts of what a `.dac` file holds, whatever its channels and windows; its length at the rate of the codec.

    Raises:
        InputError: It does not state its codec, and the options do not say it either, or another one than made it.
        CommandError: The options name no codec.
    """
    framing = content.resolve(None if content.framing else stated_framing(dac.FORMAT, arguments))
    if content.padded:
        content.clips(framing)  # checks the length
    return Header(framing, content.samples_at(framing.sample_rate), content.weights_digest)
