"""Audio files written front to back, in pieces."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ResourceError, UnsupportedError
from ..files import check_space, write_all
from . import ffmpeg
from .signals import to_int16

_FORMATS = {
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}

SUFFIXES = (".wav", *_FORMATS, *ffmpeg.FORMATS)
"""Suffixes of the audio files that `AudioWriter` writes."""


_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


def written_rate(suffix: str, sample_rate: int) -> int:
    """The rate in Hz at which audio of `sample_rate` is written: its own, but in Opus, which has five, the next."""
    if suffix.lower() != ".opus":
        return sample_rate
    return next((rate for rate in _OPUS_RATES if rate >= sample_rate), _OPUS_RATES[-1])


class AudioWriter:
    """Writes 16-bit WAV or FLAC, OGG (Vorbis), Opus or MP3, and by FFmpeg M4A, MP4, MKA and AAC. A context manager.

    A sample `x` becomes `round(32768 x)`, so 16-bit audio that was read as floats comes back bit for bit; what lies
    beyond [-1, 1] is clipped and counted. A WAV may go into a pipe: if its length is not given beforehand, it is marked
    as unknown there, and patched in at the end where the file can seek.

    Args:
        file: Binary file, which stays open; for other formats than WAV one on disk.
        suffix: One of `SUFFIXES`; chooses the format.
        sample_rate: Hz.
        channels: Channels.
        num_samples: Length per channel, where it is known beforehand.

    Attributes:
        clipped: Samples clipped so far, in all channels together.

    Raises:
        UnsupportedError: The format cannot hold that, or cannot be written to this kind of file, or needs FFmpeg, which
            is not there.
        ResourceError: The disk is full, or writing fails otherwise.
    """

    def __init__(
        self, file: BinaryIO, suffix: str, sample_rate: int, channels: int, num_samples: int | None = None
    ) -> None:
        self.clipped = 0
        self._channels = channels
        self._sink: ffmpeg.Sink
        if suffix.lower() == ".wav":
            self._sink = _Wav(file, sample_rate, channels, num_samples)
        elif suffix.lower() in _FORMATS:
            self._sink = _SoundFile(file, suffix.lower(), sample_rate, channels)
        elif suffix.lower() in ffmpeg.FORMATS:
            _check_on_disk(file, suffix)
            self._sink = ffmpeg.sink(file, suffix.lower(), sample_rate, channels)
        else:
            raise UnsupportedError(f"expected an audio file named {', '.join(SUFFIXES)}, got {suffix!r}")

    def write(self, audio: NDArray[np.float32]) -> None:
        """The next samples, float32 `(channels, n)`.

        Raises:
            InputError: Another shape.
            UnsupportedError: The format cannot hold that many samples.
            ResourceError: The disk is full, or writing fails otherwise.
        """
        if audio.ndim != 2 or len(audio) != self._channels:
            raise InputError(f"expected audio of shape ({self._channels}, samples), got {audio.shape}")
        self.clipped += int(np.count_nonzero(np.abs(audio) > 1))
        self._sink.write(to_int16(audio.T))

    def close(self) -> None:
        """Writes what is pending and the end of the file; the audio is complete."""
        self._sink.close()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._sink.abandon()


def _check_on_disk(file: BinaryIO, suffix: str) -> None:
    try:
        file.fileno()
        on_disk = file.seekable()
    except OSError:
        on_disk = False
    if not on_disk:
        raise UnsupportedError(f"{suffix} can only be written to a file on disk; write .wav, or to a file")


class _Wav:
    """RIFF/WAVE, which libsndfile cannot write into a pipe."""

    _LARGEST = 0xFFFF_FFFF - 36  # bytes of samples that the 32-bit sizes can state
    _UNKNOWN = 0xFFFF_FFFF  # what other programs, too, put for a length that they cannot know

    def __init__(self, file: BinaryIO, sample_rate: int, channels: int, num_samples: int | None) -> None:
        self._file = file
        self._rate = sample_rate
        self._frame = 2 * channels
        self._announced = None if num_samples is None else self._frame * num_samples
        self._written = 0
        self._start = file.tell() if file.seekable() else None
        self._check(self._announced or 0)
        write_all(file, self._header(self._announced))

    def _check(self, size: int) -> None:
        if size > self._LARGEST:
            raise UnsupportedError(f"a WAV holds less than 4 GiB, got {size} bytes or more; write a .flac instead")

    def _header(self, size: int | None) -> bytes:
        riff, data = (self._UNKNOWN, self._UNKNOWN) if size is None else (36 + size, size)
        fields = ((16, 4), (1, 2), (self._frame // 2, 2), (self._rate, 4), (self._frame * self._rate, 4))
        fmt = b"".join(value.to_bytes(width, "little") for value, width in (*fields, (self._frame, 2), (16, 2)))
        return b"RIFF" + riff.to_bytes(4, "little") + b"WAVEfmt " + fmt + b"data" + data.to_bytes(4, "little")

    def write(self, samples: NDArray[np.int16]) -> None:
        data = samples.astype("<i2").tobytes()
        self._check(self._written + len(data))
        write_all(self._file, data)
        self._written += len(data)

    def close(self) -> None:
        if self._start is not None and self._written != self._announced:
            self._file.seek(self._start)
            write_all(self._file, self._header(self._written))
            self._file.seek(0, os.SEEK_END)

    def abandon(self) -> None:
        pass


class _SoundFile:
    """What libsndfile writes. It gets a descriptor, for where it calls back into Python, a Ctrl-C is lost."""

    def __init__(self, file: BinaryIO, suffix: str, sample_rate: int, channels: int) -> None:
        import soundfile  # type: ignore[import-untyped]

        self._file = file
        self._rate = sample_rate
        _check_on_disk(file, suffix)
        descriptor = os.dup(file.fileno())
        container, subtype = _FORMATS[suffix]
        try:
            self._sound: Any = soundfile.SoundFile(descriptor, "w", sample_rate, channels, subtype, format=container)
        except soundfile.LibsndfileError as error:
            raise UnsupportedError(
                f"{suffix} cannot hold {channels} channels at {sample_rate} Hz ({error.error_string}); "
                "write .wav or .flac"
            ) from error

    def write(self, samples: NDArray[np.int16]) -> None:
        # One second at a time, because libvorbis puts a whole block on the stack; as floats, because libsndfile
        # mixes up the channels of integers in MP3.
        for first in range(0, len(samples), self._rate):
            part = samples[first : first + self._rate].astype(np.float32) / np.float32(32768)
            self._guard(lambda part=part: self._sound.write(part))  # type: ignore[misc]

    def close(self) -> None:
        self._guard(self._sound.close)
        check_space(self._file)

    def abandon(self) -> None:
        with suppress(RuntimeError):
            self._sound.close()

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (RuntimeError, AssertionError) as error:  # soundfile asserts that everything was written
            check_space(self._file)
            raise ResourceError(f"cannot write audio: {error}; check the disk and the path") from error
