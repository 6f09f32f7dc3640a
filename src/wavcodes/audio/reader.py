"""Audio files in blocks, so that a long one takes no more memory than a short one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, InputError, TruncatedError
from ..files import open_input, read_up_to, write_all
from . import ffmpeg, frames
from .lengths import check_length
from .signals import RATES, check_values

SOUND_SUFFIXES = (
    *(".aac", ".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv"),
    *(".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm", ".wma"),
)
"""Of the files in a folder or an archive that are taken for sound."""

_UNKNOWN = (1 << 63) - 1  # samples, if libsndfile does not know

BLOCK_SAMPLES = 1 << 16
"""Samples per channel that `AudioReader` reads at a time: 1.4 s at 48 kHz."""


class AudioReader:
    """An audio file in blocks: WAV, FLAC, OGG, Opus, MP3, AIFF and whatever else libsndfile reads; AAC, M4A, WMA and
    sound in MP4, MKV, WEBM, AVI or FLV through FFmpeg, which decodes them to a temporary file first. So it does with
    those of which libsndfile does not know the length: an MP3 whose first frame does not tell it, unless it guesses
    right, a FLAC out of a pipe and, through PyAV alone, several Ogg files in one.

    A pipe, or a file object in memory, is first copied to a temporary file: the formats need to seek, and libsndfile
    is given a descriptor, for where it calls back into Python, a Ctrl-C is lost. A context manager.

    Args:
        source: Path, or a binary file object, which is read from its start and stays open.
        name: What messages call it; its path or name by default.

    Attributes:
        sample_rate: Hz.
        channels: Channels.
        num_samples: Length per channel, as the file announces it; at least 1.

    Raises:
        InputError: There is no such file, or it holds no audio.
        FormatError: It is not audio in a format that can be read.
        TruncatedError: It is a WAV, W64, AIFF, CAF or AU that ends before the audio that it announces.
        UnsupportedError: It needs FFmpeg, which is not there.
        ResourceError: It cannot be read or copied.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, name: str | None = None) -> None:
        self.name = name or str(source if isinstance(source, str | os.PathLike) else getattr(source, "name", "audio"))
        with ExitStack() as stack:
            self._sound = _open(_on_disk(stack.enter_context(open_input(source)), stack), self.name, stack)
            stack.callback(self._sound.close)
            self.sample_rate = int(self._sound.samplerate)
            self.channels = int(self._sound.channels)
            self.num_samples = int(self._sound.frames)
            if self.num_samples < 1:
                raise InputError(f"{self.name}: expected at least one sample, but this file has a header and no audio")
            if self.sample_rate not in RATES:
                raise InputError(
                    f"{self.name}: expected a sample rate of {RATES[0]} to {RATES[-1]} Hz, got {self.sample_rate}"
                )
            self._stack = stack.pop_all()

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """Samples `start` to `stop` (default: the end), as float32 `(channels, n)`, n up to `BLOCK_SAMPLES`.

        Raises:
            InputError: No sample lies between them, or one is no audio (see `check_chunk`).
            TruncatedError: The file ends before the audio that it announces.
            FormatError: The file is damaged.
            ResourceError: The file cannot be read.
        """
        import soundfile  # type: ignore[import-untyped]

        end = self.num_samples if stop is None else min(stop, self.num_samples)
        if not 0 <= start < end:
            raise InputError(
                f"{self.name}: expected a stretch within its {self.num_samples / self.sample_rate:.3f} s, "
                f"got samples {start} to {end} of {self.num_samples}"
            )
        position = start
        try:
            self._sound.seek(start)
            while position < end:
                block = self._sound.read(min(BLOCK_SAMPLES, end - position), dtype="float32", always_2d=True).T
                if not block.shape[1]:
                    raise TruncatedError(
                        f"{self.name}: announces {self.num_samples} samples but ends after {position}; "
                        "fetch or copy it again"
                    )
                check_values(block, position, f"{self.name}: ")
                position += block.shape[1]
                yield np.ascontiguousarray(block)
        except soundfile.LibsndfileError as error:
            raise FormatError(
                f"{self.name}: expected {self.num_samples} samples, but it is damaged or cut after sample {position} "
                f"or soon behind it ({error.error_string}); fetch or copy it again"
            ) from error

    def close(self) -> None:
        """Closes what the reader opened."""
        self._stack.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _on_disk(file: BinaryIO, stack: ExitStack) -> BinaryIO:
    """A file with a descriptor that can seek."""
    with suppress(OSError):
        file.fileno()
        if file.seekable():
            return file
    if file.seekable():
        file.seek(0)
    spool, where = _spool(stack)
    while data := read_up_to(file, 1 << 20):
        write_all(spool, data, where)
    return spool


def _spool(stack: ExitStack) -> tuple[BinaryIO, str]:
    """A temporary file, and what messages call it."""
    import tempfile  # takes 10 ms, and is seldom needed

    # Without a buffer, so that a full disk is found here and not when it is flushed.
    spool = cast(BinaryIO, tempfile.TemporaryFile(prefix="wavcodes-", buffering=0))  # noqa: SIM115  (the stack closes it)
    return stack.enter_context(spool), f"a temporary file in {tempfile.gettempdir()}"


def _open(file: BinaryIO, name: str, stack: ExitStack) -> Any:
    import soundfile

    check_length(file, name)
    file.seek(0)
    start = read_up_to(file, 12)
    if (demuxer := ffmpeg.recognise(start)) is not None:
        return _decoded(file, name, demuxer, stack)
    if frames.is_chained_ogg(file):
        return _decoded(file, name, "ogg", stack)
    mp3 = frames.mp3(file)
    descriptor = os.dup(file.fileno())
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        sound = soundfile.SoundFile(descriptor)  # which owns it from here on
    except soundfile.LibsndfileError as error:
        found = f"begins with {start!r}" if start else "is empty"
        raise FormatError(
            f"{name}: expected audio (WAV, FLAC, OGG, Opus, MP3, AIFF ...), but this file {found} "
            f"({error.error_string.rstrip('.')}); convert other formats first, such as with: ffmpeg -i INPUT OUTPUT.wav"
        ) from error
    if sound.frames < _UNKNOWN and (sound.format != "MP3" or mp3.bears_out(sound.frames)):
        return sound
    sound.close()
    # Not `file`, whose buffer does not know that libsndfile has moved the position that they share.
    fresh = stack.enter_context(os.fdopen(os.dup(file.fileno()), "rb", buffering=0))
    return _decoded(fresh, name, sound.format.lower(), stack)


def _decoded(file: BinaryIO, name: str, demuxer: str, stack: ExitStack) -> Any:
    """What FFmpeg makes of it."""
    import soundfile

    spool, _ = _spool(stack)
    raw = ffmpeg.decode(file, name, demuxer, spool)
    descriptor = os.dup(spool.fileno())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return soundfile.SoundFile(descriptor, "r", raw.sample_rate, raw.channels, "FLOAT", endian=raw.order, format="RAW")
