"""Audio that libsndfile does not know, such as AAC: through PyAV (the extra `ffmpeg`), or else a program `ffmpeg`.

What a file is, its first bytes decide here, and only the demuxer for that is let at it: FFmpeg's own guess may turn a
text into a list of other files to open.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import programs
from ..errors import CodecError, FormatError, ResourceError, TruncatedError, UnsupportedError
from ..files import check_space, read_exactly, read_up_to, write_all

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # position, bytes, FFmpeg's demuxer
    (4, b"ftyp", "mov"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"#!AMR", "amr"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"FLV\x01", "flv"),
    (8, b"AVI ", "avi"),
)

FORMATS: dict[str, tuple[str, str]] = {
    ".m4a": ("ipod", "aac"),
    ".mp4": ("mp4", "aac"),
    ".aac": ("adts", "aac"),
    ".mka": ("matroska", "aac"),
}
"""Suffixes of what is written through FFmpeg: its muxer and encoder."""

# FFmpeg's own choice for three channels makes the last one a subwoofer, of which AAC keeps nothing above some 100 Hz.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0"}

_ADVICE = "install the extra: pip install 'wavcodes[ffmpeg]', or a program ffmpeg (Debian: apt-get install ffmpeg)"
_HOURS = 24 * 3600.0  # seconds that the program may take; long files are its daily work
_SLACK = 0.25  # seconds by which the audio may end before what the file announces: encoders pad, players trim


class Raw(NamedTuple):
    """Decoded samples: float32, interleaved, in `order` ("LITTLE" or "BIG" first), without a header."""

    sample_rate: int
    channels: int
    order: str


def recognise(start: bytes) -> str | None:
    """The demuxer for a file that begins with `start` (12 bytes), or None where libsndfile is to read it."""
    return next((demuxer for at, magic, demuxer in _SIGNATURES if start[at : at + len(magic)] == magic), None)


def decode(file: BinaryIO, name: str, demuxer: str, out: BinaryIO) -> Raw:
    """Decodes the first sound track of a file.

    Args:
        file: On disk.
        name: What messages call it.
        demuxer: FFmpeg's, such as `recognise` gives.
        out: Gets the samples.

    Raises:
        MissingProgram: Neither PyAV nor ffmpeg is installed.
        FormatError: The file is damaged, or holds no sound.
        TruncatedError: It ends before what it announces.
        ResourceError: The samples cannot be written.
    """
    file.seek(0)
    if (av := _pyav()) is not None:
        return _decode_pyav(av, file, name, demuxer, out)
    return _decode_program(file, name, demuxer, out)


def _decode_pyav(av: Any, file: BinaryIO, name: str, demuxer: str, out: BinaryIO) -> Raw:
    try:
        with av.open(file, format=demuxer, options={"protocol_whitelist": ""}) as container:
            if not container.streams.audio:
                raise FormatError(f"{name}: expected audio, but this file holds none; name another")
            stream = container.streams.audio[0]
            # That of an MP3 is FFmpeg's own guess.
            announced = float(stream.duration * stream.time_base) if stream.duration and demuxer != "mp3" else 0.0
            rate, channels, total = int(stream.rate), int(stream.codec_context.channels), 0
            to_float = av.AudioResampler(format="flt", layout=stream.codec_context.layout, rate=rate)
            for frame in container.decode(stream):
                if frame.sample_rate != rate or frame.layout.nb_channels != channels:
                    raise FormatError(f"{name}: expected one rate and layout, but they change within the file")
                for part in to_float.resample(frame):
                    write_all(out, part.to_ndarray().astype("<f4").tobytes(), "a temporary file")
                    total += part.samples
    except av.FFmpegError as error:
        raise _damaged(name, str(error)) from error
    if total < (announced - _SLACK) * rate:
        raise TruncatedError(
            f"{name}: announces {announced:.2f} s of audio, but holds {total / rate:.2f} s; fetch or copy it again"
        )
    if not total:
        raise FormatError(f"{name}: expected audio, but this file holds none; name another")
    return Raw(rate, channels, "LITTLE")


def _decode_program(file: BinaryIO, name: str, demuxer: str, out: BinaryIO) -> Raw:
    """The program writes AU into a pipe: six numbers, then samples."""
    source = ["-f", demuxer, "-protocol_whitelist", "file", "-i", "file:/dev/stdin"]
    command = [*_program(), *source, "-map", "0:a:0", "-vn", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    try:
        with programs.started(command, _HOURS, stdin=file, stdout=programs.PIPE, silent=True) as process:
            pipe: Any = process.stdout
            magic, offset, _, encoding, rate, channels = struct.unpack(">4s5I", read_exactly(pipe, 24, "its output"))
            if magic != b".snd" or encoding != 6:
                raise FormatError(f"expected floats in AU from ffmpeg, got {magic!r} with encoding {encoding}")
            read_exactly(pipe, offset - 24, "its output")
            while data := read_up_to(pipe, 1 << 16):
                write_all(out, data, "a temporary file")
    except (ResourceError, programs.MissingProgram):
        raise
    except CodecError as error:
        raise _damaged(name, str(error)) from error
    return Raw(rate, channels, "BIG")


def _damaged(name: str, why: str) -> FormatError:
    return FormatError(f"{name}: expected audio that FFmpeg can decode, but it says: {why}; fetch or copy it again")


def _pyav() -> Any:
    """The module, or None where it is not installed."""
    try:
        import av  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    av.logging.set_level(None)  # what matters comes as an exception
    return av


def _program() -> list[str]:
    return [programs.find("FFMPEG", "ffmpeg", _ADVICE), "-nostdin", "-y", "-v", "error", "-xerror"]


class Sink(Protocol):
    """What takes 16-bit samples `(n, channels)` and puts them into a file."""

    def write(self, samples: NDArray[np.int16]) -> None:
        """The next samples."""

    def close(self) -> None:
        """Completes the file."""

    def abandon(self) -> None:
        """Lets go of the file, whatever state it is in."""


def sink(file: BinaryIO, suffix: str, sample_rate: int, channels: int) -> Sink:
    """Writes one of `FORMATS` to a file on disk.

    Raises:
        MissingProgram: Neither PyAV nor ffmpeg is installed.
        UnsupportedError: The format cannot hold that.
    """
    muxer, encoder = FORMATS[suffix]
    if channels not in _LAYOUTS:
        raise UnsupportedError(
            f"{suffix} holds 1 to {len(_LAYOUTS)} channels here, got {channels}; write .wav or .flac"
        )
    bitrate = min(64_000, 4 * sample_rate) * channels  # b/s; transparent for speech, and allowed at every rate
    if (av := _pyav()) is not None:
        return _PyavSink(av, file, (muxer, encoder), bitrate, (sample_rate, channels))
    return _ProgramSink(file, (muxer, encoder), bitrate, (sample_rate, channels))


class _PyavSink:
    def __init__(self, av: Any, file: BinaryIO, format: tuple[str, str], bitrate: int, sound: tuple[int, int]) -> None:
        self._av = av
        self._file = file
        self._rate, channels = sound
        self._layout = _LAYOUTS[channels]
        self._container: Any = None
        self._position = 0

        def begin() -> None:
            self._container = av.open(file, "w", format=format[0])
            self._stream = self._container.add_stream(format[1], rate=self._rate)
            self._stream.layout = self._layout
            self._stream.bit_rate = bitrate

        self._guard(begin)

    def write(self, samples: NDArray[np.int16]) -> None:
        if not len(samples):
            return  # FFmpeg takes no empty frame
        frame = self._av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=self._layout
        )
        frame.sample_rate, frame.pts = self._rate, self._position
        frame.time_base = Fraction(1, self._rate)
        self._position += len(samples)
        self._guard(lambda: self._container.mux(self._stream.encode(frame)))

    def close(self) -> None:
        def end() -> None:
            self._container.mux(self._stream.encode(None))
            self._container.close()

        self._guard(end)
        check_space(self._file)

    def abandon(self) -> None:
        with suppress(OSError, ValueError):  # of PyAV's errors, some are one and some the other
            if self._container is not None:
                self._container.close()

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except self._av.FFmpegError as error:
            check_space(self._file)
            raise UnsupportedError(
                f"cannot write this format at {self._rate} Hz, {self._layout}: {error}; write .wav or .flac"
            ) from error
        except OSError as error:  # of the file, through PyAV
            raise ResourceError(f"cannot write audio: {error.strerror or error}; free some space") from error


class _ProgramSink:
    def __init__(self, file: BinaryIO, format: tuple[str, str], bitrate: int, sound: tuple[int, int]) -> None:
        self._file = file
        self._stack = ExitStack()
        rate, channels = (str(fact) for fact in sound)
        source = ["-f", "s16le", "-ar", rate, "-ac", channels, "-channel_layout", _LAYOUTS[sound[1]], "-i", "pipe:0"]
        target = ["-c:a", format[1], "-b:a", str(bitrate), "-f", format[0], "file:/dev/stdout"]
        self._process = self._stack.enter_context(
            programs.started([*_program(), *source, *target], _HOURS, stdin=programs.PIPE, stdout=file)
        )

    def write(self, samples: NDArray[np.int16]) -> None:
        pipe: Any = self._process.stdin
        try:
            write_all(pipe, samples.astype("<i2").tobytes())
        except CodecError as error:  # the program has ended, and knows better why
            if not self._stack.__exit__(type(error), error, error.__traceback__):
                raise

    def close(self) -> None:
        self._stack.close()
        check_space(self._file)

    def abandon(self) -> None:
        end = GeneratorExit()
        with suppress(CodecError, GeneratorExit):
            self._stack.__exit__(GeneratorExit, end, None)
