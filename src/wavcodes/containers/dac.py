"""Descript's `.dac` files as a container: one clip of one channel. `DacFile` says what else a file can hold."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from ..codes import Codes
from ..errors import UnsupportedError
from ..files import atomic_output, open_input, read_up_to, write_all
from .base import NO_HINTS, Format, Header, Hints, begins_with
from .dac_file import DacFile, check_codec
from .dac_layout import from_bytes, to_bytes
from .dac_pickle import MAGIC
from .limits import DEFAULTS, Limits
from .whole import WholeReader, WholeWriter


def read(source: str | os.PathLike[str] | BinaryIO, limits: Limits = DEFAULTS) -> DacFile:
    """What a file says, whatever its channels and windows.

    Args:
        source: Path or open file.
        limits: What the file may ask for.

    Raises:
        FormatError: It is no `.dac` file, or damaged (`IntegrityError`, `TruncatedError`).
        LimitError: It claims more than such files have, or than the limits allow.
        UnsupportedError: It is of another version, or holds several clips.
    """
    with open_input(source) as file:
        data = read_up_to(file, limits.max_bytes + 1)
    limits.check_bytes(len(data))
    content = from_bytes(data)
    limits.check_samples(content.num_samples)
    return content


def write(path: str | os.PathLike[str], content: DacFile) -> None:
    """Writes a file; an existing one is replaced when all is written.

    Raises:
        InputError: There can be no such file.
        UnsupportedError: It would be larger than the reader takes.
        ResourceError: No space or no permission. Nothing is left behind.
    """
    data = to_bytes(content)
    with atomic_output(path) as file:
        write_all(file, data)


class DacReader(WholeReader):
    """Reads one channel; see `Reader`.

    Args:
        file: Open for reading.
        hints: The framing of the codec, for files that do not state it.

    Raises:
        FormatError, LimitError: See `read`.
        InputError: The codec is not known, or cannot be the one that made the codes.
        UnsupportedError: The file holds several channels, or windows without padding.
    """

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        super().__init__(file)
        content = read(file, hints.limits)
        if content.channels != 1:
            raise UnsupportedError(
                f"this .dac file holds {content.channels} channels, each coded on its own: that is not one clip; "
                "decode it, or take the codes of each channel by itself"
            )
        (self._codes,) = content.clips(hints.framing)
        self.header = Header.of_codes(self._codes, weights_digest=content.weights_digest)
        self.checksums = content.checksums
        self.besides = content.besides(self.header.framing)

    def _load(self) -> Codes:
        return self._codes


class DacWriter(WholeWriter):
    """Writes one channel, when the clip is complete; see `Writer`.

    Args:
        file: Open for writing.
        header: Facts of the clip.
        loudness: LUFS of the original, if known.

    Raises:
        UnsupportedError: The codes are not those of one of Descript's models.
    """

    def __init__(self, file: BinaryIO, header: Header, loudness: float | None = None) -> None:
        check_codec(header.framing)
        super().__init__(file, header)
        self._loudness = loudness

    def _record(self, codes: Codes) -> bytes:
        return to_bytes(DacFile.of([codes], loudness=self._loudness, weights_digest=self._header.weights_digest))


FORMAT = Format("dac", ".dac", begins_with(MAGIC), DacReader, DacWriter, digests=True)
"""Writes no loudness: the sound is left at the level at which it was coded."""


def stating(loudness: float) -> Format:
    """The format for a clip of known loudness.

    Args:
        loudness: LUFS of the original, -100 to 100; see `wavcodes.audio.loudness`.
    """
    return replace(FORMAT, writer=partial(DacWriter, loudness=loudness))
