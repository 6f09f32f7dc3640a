"""What sound becomes in files of codes: in most the codes of a codec, in Descript's those of each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ..audio import StreamResampler, to_channels
from ..containers import Format, Header, Writer, dac, start_writer
from ..containers.dac_layout import to_bytes
from ..files import write_all

if TYPE_CHECKING:
    from ..codec import Codec

Audio = NDArray[np.float32]


class Recorder(Protocol):
    """Writes one file of codes.

    Attributes:
        channels: Channels of the sound that the file stands for.
    """

    channels: int

    def push(self, audio: Audio) -> None:
        """The next samples of the sound, float32 `(channels, n)`, at its rate."""

    def close(self) -> None:
        """Writes the end of the file; the sound is complete."""


def open_recorder(
    format: Format, out: BinaryIO, header: Header, codec: Codec, sample_rate: int, channels: int
) -> Recorder:
    """The recorder for a file.

    Args:
        format: Of the file.
        out: The file, open for writing.
        header: Facts of the codes.
        codec: What makes them.
        sample_rate: Hz of the sound.
        channels: Channels of the sound.

    Raises:
        InputError: The codec, or the format, cannot take so many channels.
        UnsupportedError: The format cannot hold such codes.
    """
    if format is dac.FORMAT:
        return _DacRecorder(out, header, codec, sample_rate, channels)
    return _CodecRecorder(start_writer(format, out, header), header, codec, sample_rate, channels)


class _CodecRecorder:
    def __init__(self, writer: Writer, header: Header, codec: Codec, sample_rate: int, channels: int) -> None:
        framing = header.framing
        to_channels(np.zeros((channels, 0), np.float32), framing.channels)  # raises where that cannot be done
        self.channels = framing.channels
        self._writer = writer
        self._resampler = StreamResampler(sample_rate, framing.sample_rate, framing.channels)
        self._encoder = codec.stream_encoder(num_codebooks=framing.num_codebooks)

    def push(self, audio: Audio) -> None:
        self._writer.write(self._encoder.push(self._resampler.push(audio)))

    def close(self) -> None:
        self._writer.write(self._encoder.push(self._resampler.flush()))
        self._writer.write(self._encoder.flush())
        self._writer.close()


class _DacRecorder:
    def __init__(self, out: BinaryIO, header: Header, codec: Codec, sample_rate: int, channels: int) -> None:
        from ..descript import DacEncoder

        self.channels = channels
        self._out = out
        self._encoder = DacEncoder(codec, sample_rate, channels, num_codebooks=header.framing.num_codebooks)

    def push(self, audio: Audio) -> None:
        self._encoder.push(audio)

    def close(self) -> None:
        write_all(self._out, to_bytes(self._encoder.finish()))
