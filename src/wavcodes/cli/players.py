"""What files of codes sound like: most like what a codec makes of their codes, Descript's like the original again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ..containers import Format, Header, Reader, Salvage, dac, nac, salvage
from ..errors import InputError
from . import pieces, sources
from .pieces import Pieces

if TYPE_CHECKING:
    from ..codec import Codec
    from ..containers.dac_file import DacFile
    from ..descript import DacDecoder


@dataclass(frozen=True)
class Models:
    """What plays the codes of a codec, by its name: for most files, and for Descript's."""

    codec: Callable[[str], Codec]
    descript: Callable[[str], DacDecoder]


class Player(ABC):
    """The sound of one file.

    Attributes:
        header: Facts of the codes.
        codec: What decodes them.
        sample_rate: Hz of the sound.
        channels: Channels of the sound.
        num_samples: Its length per channel, or None where it is not known before the end.
    """

    header: Header
    codec: Codec
    sample_rate: int
    channels: int
    num_samples: int | None

    @abstractmethod
    def play(self, num_codebooks: int, start: int, stop: int | None) -> Pieces:
        """Samples `start` to `stop` (None: the end) in consecutive pieces, from the first `num_codebooks` books."""


def open_player(format: Format, file: BinaryIO, arguments: Namespace, models: Models) -> Player:
    """The player for an open file of that format; the options say what it does not state.

    Raises:
        FormatError: The file is damaged.
        InputError: The codec is not stated and the options do not say it, or it cannot be the right one.
    """
    if arguments.salvage:
        if format is not nac.FORMAT:
            raise InputError(f"--salvage: expected a .nac file, got a {format.suffix}; no other can be salvaged")
        found = salvage(file)
        sources.check_codec(found.header.framing, arguments)
        return SalvagePlayer(found, models)
    if format is dac.FORMAT:
        return _DacPlayer(dac.read(file), arguments, models)
    return _ReaderPlayer(sources.open_codes(format, file, arguments), models)


class _CodecPlayer(Player):
    """The sound of the codec, for codes that stand behind `header`."""

    def __init__(self, header: Header, models: Models) -> None:
        self.header = header
        self.codec = models.codec(header.framing.codec)
        self.sample_rate = header.framing.sample_rate
        self.channels = header.framing.channels
        self.num_samples = header.num_samples


class _ReaderPlayer(_CodecPlayer):
    def __init__(self, reader: Reader, models: Models) -> None:
        super().__init__(reader.header, models)
        self._reader = reader

    def play(self, num_codebooks: int, start: int, stop: int | None) -> Pieces:
        if start or stop != self.num_samples:
            return pieces.between(self._reader, self.codec, num_codebooks, start, stop)
        return pieces.whole(self._reader, self.codec, num_codebooks)


class SalvagePlayer(_CodecPlayer):
    """What is intact of a damaged file, and silence between.

    Attributes:
        salvage: What was found.
    """

    def __init__(self, salvage: Salvage, models: Models) -> None:
        super().__init__(salvage.header, models)
        self.salvage = salvage

    def play(self, num_codebooks: int, start: int, stop: int | None) -> Pieces:
        """See `Player.play`."""
        return pieces.cut(pieces.intact(self.salvage, self.codec, num_codebooks, stop), start, stop)


class _DacPlayer(Player):
    """All channels at the rate, length and loudness of the original."""

    def __init__(self, file: DacFile, arguments: Namespace, models: Models) -> None:
        self.header = sources.dac_header(file, arguments)
        self._file = file
        self._decoder = models.descript(self.header.framing.codec)
        self.codec = self._decoder.codec(file)
        self.sample_rate = file.sample_rate
        self.channels = file.channels
        self.num_samples = file.num_samples

    def play(self, num_codebooks: int, start: int, stop: int | None) -> Pieces:
        return pieces.cut(self._decoder.blocks(self._file, num_codebooks), start, stop)
