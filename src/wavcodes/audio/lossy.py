"""Opus and MP3 at a bit rate, through libsndfile: what they make of a clip, and the bits that the sound takes."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UnsupportedError
from .signals import resample, to_channels
from .writer import written_rate

Format = Literal["opus", "mp3"]

_OPUS = (6.0, 256.0)  # kbps per channel, as libsndfile maps its compression level of 1 to 0
_MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbps, at 32 kHz and more
_MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # below
_MPEG1_RATES = (44_100, 48_000, 32_000)  # Hz, in the order of a header's two bits
_MPEG2_RATES = (22_050, 24_000, 16_000)
_MP3_DELAY = 1105  # samples of LAME (576) and a decoder (529); libsndfile removes them where frames have room for a tag
_NARROW = 48  # kbps per channel from which on MP3 gets more than 24 kHz; LAME itself chooses about so


class Lossy(NamedTuple):
    """A clip that went through a codec.

    Attributes:
        audio: float32 `(channels, samples)`, in its place.
        sample_rate: Hz of `audio`.
        bits: Of the sound; headers, and what Ogg adds, are left out.
        encode_seconds: Time that it took.
        decode_seconds: Time that it took.
    """

    audio: NDArray[np.float32]
    sample_rate: int
    bits: int
    encode_seconds: float
    decode_seconds: float


def round_trip(audio: NDArray[np.float32], sample_rate: int, format: Format, kbps: float) -> Lossy:
    """Encodes and decodes a clip, at the rate nearest to its own that the codec has.

    Args:
        audio: float32 `(channels, samples)`, one channel or two.
        sample_rate: Hz of `audio`.
        format: "opus", which varies its rate about `kbps`, or "mp3", which keeps it.
        kbps: Of all channels together.

    Raises:
        InputError: The codec has no such rate, or takes not so many channels.
        UnsupportedError: This libsndfile does not write the format.
    """
    import soundfile  # type: ignore[import-untyped]

    sound = to_channels(audio, min(len(audio), 2))
    rate, level = _opus(sample_rate, kbps / len(sound)) if format == "opus" else _mp3(sample_rate, kbps, len(sound))
    rows = np.ascontiguousarray(resample(sound, sample_rate, rate).T)
    container, subtype = ("OGG", "OPUS") if format == "opus" else ("MP3", "MPEG_LAYER_III")
    options: dict[str, Any] = {} if format == "opus" else {"bitrate_mode": "CONSTANT"}
    with tempfile.TemporaryFile(prefix="wavcodes-") as file:
        began = time.perf_counter()
        try:
            with soundfile.SoundFile(
                _descriptor(file), "w", rate, len(sound), subtype, format=container, compression_level=level, **options
            ) as writer:
                writer.write(rows)
        except (soundfile.LibsndfileError, ValueError, TypeError) as error:
            raise UnsupportedError(
                f"expected a libsndfile that writes {format}, but it says: {error}; pip install -U soundfile"
            ) from error
        encoded = time.perf_counter()
        with soundfile.SoundFile(_descriptor(file)) as reader:
            decoded = reader.read(dtype="float32", always_2d=True).T
        done = time.perf_counter()
        late = _MP3_DELAY if decoded.shape[1] > len(rows) else 0
        bits = 8 * (_opus_bytes(file) if format == "opus" else _mp3_bytes(file))
    return Lossy(np.ascontiguousarray(decoded[:, late : late + len(rows)]), rate, bits, encoded - began, done - encoded)


def _descriptor(file: BinaryIO) -> int:
    """For libsndfile, which closes it; where it calls back into Python instead, a Ctrl-C is lost."""
    file.seek(0)
    return os.dup(file.fileno())


def _opus(sample_rate: int, kbps: float) -> tuple[int, float]:
    lowest, highest = _OPUS
    if not lowest <= kbps <= highest:
        raise InputError(f"opus has {lowest:g} to {highest:g} kbps a channel here, got {kbps:g}; choose one of these")
    return written_rate(".opus", sample_rate), (highest - kbps) / (highest - lowest)


def _mp3(sample_rate: int, kbps: float, channels: int) -> tuple[int, float]:
    wide = sample_rate >= _MPEG1_RATES[-1] and kbps >= _NARROW * channels
    choices, rates = (_MPEG1, _MPEG1_RATES) if wide else (_MPEG2, _MPEG2_RATES)
    if kbps not in choices:
        raise InputError(
            f"mp3 has {', '.join(map(str, choices))} kbps for {channels} channels at {sample_rate} Hz, got {kbps:g}; "
            "choose one of these"
        )
    # libsndfile cuts the rate that it computes from the level off to an integer.
    level = (choices[-1] - kbps - 0.5) / (choices[-1] - choices[0])
    return max((rate for rate in rates if rate <= sample_rate), default=min(rates)), max(0.0, level)


def _opus_bytes(file: BinaryIO) -> int:
    """Of all packets but the first two, which hold no sound; RFC 3533 describes the pages, RFC 7845 the packets."""
    file.seek(0)
    sizes = [0]
    while head := file.read(27):
        lacing = file.read(head[26])
        for value in lacing:
            sizes[-1] += value
            if value < 255:
                sizes.append(0)
        file.seek(sum(lacing), 1)
    return sum(sizes[2:])


def _mp3_bytes(file: BinaryIO) -> int:
    """Of all frames but the first, which tells players about the others and holds no sound."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(4)
    wide = head[1] >> 3 & 3 == 3
    kbps = (_MPEG1 if wide else _MPEG2)[(head[2] >> 4) - 1]
    rate = (_MPEG1_RATES if wide else _MPEG2_RATES)[head[2] >> 2 & 3]
    first = (144_000 if wide else 72_000) * kbps // rate + (head[2] >> 1 & 1)
    frame = head + file.read(first - 4)
    return size - first if b"Info" in frame or b"Xing" in frame else size
