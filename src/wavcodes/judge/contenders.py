"""Who is compared: this package's codecs, and Opus, MP3 and LPCNet as anchors. Each turns a clip into what is left."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import registry
from ..audio import lossy, resample, to_channels, to_int16
from ..codec import Codec, load
from ..codes import Codes
from ..errors import InputError
from ..legacy import RATE, Scratch, codec2
from ..programs import MissingProgram

Audio = NDArray[np.float32]

_SCALE_BITS = 32  # of a segment's gain, as the containers store it
_LOSSY: dict[str, tuple[lossy.Format, float]] = {"opus": ("opus", 12.0), "mp3": ("mp3", 64.0)}
_LPCNET = "lpcnet"


@dataclass(frozen=True)
class Coded:
    """What a contender made of a clip.

    Attributes:
        audio: float32 `(channels, samples)` at the rate, of the length and in the place of the clip.
        bits: Of the payload: codes or packets, without the headers of a file.
        encode_seconds: Time that it took, on one thread; conversions of the rate do not count.
        decode_seconds: Time that it took, likewise.
        codes: Where the contender is a codec of this package.
    """

    audio: Audio
    bits: int
    encode_seconds: float
    decode_seconds: float
    codes: Codes | None = None


class Contender(Protocol):
    """A codec at a bandwidth."""

    @property
    def codec(self) -> str:
        """Name of the codec, the same at all bandwidths."""

    @property
    def label(self) -> str:
        """Name and bandwidth, for people: `wavcodes_16khz 3 kbps`."""

    def run(self, audio: Audio, sample_rate: int) -> Coded:
        """Encodes and decodes a clip.

        Args:
            audio: float32 `(channels, samples)` in [-1, 1].
            sample_rate: Hz of `audio`.

        Raises:
            CodecError: The codec cannot take it.
        """


def parse(text: str, weights: Mapping[str, str | os.PathLike[str]] | None = None) -> list[Contender]:
    """The contenders that a text names, loaded.

    Args:
        text: Names with bandwidths in kbps, such as `wavcodes_16khz@3,6 lyra_v2 opus@6,9`; of a codec without one, its
            default. Besides the codecs of the registry there are `opus`, `mp3` and `lpcnet`.
        weights: By the name of a codec, where its weights are, if not where the registry says.

    Raises:
        InputError: There is no such codec or bandwidth, one is named twice, or weights are for a codec that is not.
        ModelError: Weights are missing or wrong.
        MissingProgram: There is no libcodec2 for LPCNet.
    """
    sources = {_name(name): source for name, source in (weights or {}).items()}
    found: dict[str, Contender] = {}
    for item in text.split():
        name, at, numbers = item.partition("@")
        name = _name(name)
        bandwidths = [_kbps(number, item) for number in numbers.split(",")] if at else [None]
        for contender in _contenders(name, bandwidths, sources.get(name)):
            if contender.label in found:
                raise InputError(f"expected every codec and bandwidth once, got {contender.label} twice; leave one out")
            found[contender.label] = contender
    if not found:
        raise InputError("expected at least one codec to compare, got none; name some, such as wavcodes_16khz@3,6 opus")
    if unused := sources.keys() - {each.codec for each in found.values() if isinstance(each, _Neural)}:
        names = ", ".join(sorted(unused))
        raise InputError(
            f"expected weights of codecs that are compared and have some, got some for {names}; see --codecs"
        )
    return list(found.values())


def _name(text: str) -> str:
    key = text.lower()
    if key in _LOSSY or key == _LPCNET:
        return key
    try:
        return registry.spec(text).name
    except InputError as error:
        raise InputError(f"{error}; and besides: {', '.join(_LOSSY)}, {_LPCNET}") from error


def _kbps(text: str, item: str) -> float:
    try:
        kbps = float(text)
    except ValueError:
        kbps = math.nan
    if not 0 < kbps < math.inf:
        raise InputError(f"expected bandwidths in kbps, such as @3,6, got {text!r} in {item}")
    return kbps


def _contenders(
    name: str, bandwidths: list[float] | list[None], source: str | os.PathLike[str] | None
) -> list[Contender]:
    if name in _LOSSY:
        format, usual = _LOSSY[name]
        return [_Lossy(format, usual if kbps is None else kbps) for kbps in bandwidths]
    if name == _LPCNET:
        if bandwidths != [None]:
            raise InputError(f"{name} has one bandwidth only, got {bandwidths}; leave it out")
        if not codec2.is_there():
            raise MissingProgram(
                f"{name} needs the library libcodec2, which is not installed; install it "
                "(Debian: apt-get install libcodec2-1.0), or let WAVCODES_CODEC2 name it"
            )
        return [_Lpcnet()]
    spec = registry.spec(name)
    chosen = [spec.default_bandwidth if kbps is None else kbps for kbps in bandwidths]
    for kbps in chosen:
        spec.resolve_codebooks(kbps)  # before the weights are looked for
    codec = load(name, source, threads=1)
    return [_Neural(codec, kbps) for kbps in chosen]


@dataclass(frozen=True)
class _Neural:
    """A codec of this package."""

    model: Codec
    bandwidth: float

    @property
    def codec(self) -> str:
        return self.model.spec.name

    @property
    def label(self) -> str:
        return f"{self.codec} {self.bandwidth:g} kbps"

    def run(self, audio: Audio, sample_rate: int) -> Coded:
        spec = self.model.spec
        sound = resample(to_channels(audio, spec.channels), sample_rate, spec.sample_rate)
        began = time.perf_counter()
        codes = self.model.encode(sound, spec.sample_rate, bandwidth=self.bandwidth)
        encoded = time.perf_counter()
        decoded = self.model.decode(codes)
        done = time.perf_counter()
        bits = sum(map(len, codes.books)) * codes.framing.bits + _SCALE_BITS * len(codes.scales)
        back = _back(decoded, spec.sample_rate, audio, sample_rate)
        return Coded(back, bits, encoded - began, done - encoded, codes)


@dataclass(frozen=True)
class _Lossy:
    """Opus or MP3."""

    codec: lossy.Format
    kbps: float

    @property
    def label(self) -> str:
        return f"{self.codec} {self.kbps:g} kbps"

    def run(self, audio: Audio, sample_rate: int) -> Coded:
        made = lossy.round_trip(audio, sample_rate, self.codec, self.kbps)
        back = _back(made.audio, made.sample_rate, audio, sample_rate)
        return Coded(back, made.bits, made.encode_seconds, made.decode_seconds)


@dataclass(frozen=True)
class _Lpcnet:
    """The LPCNet of libcodec2, in a process of its own, whose start counts in its times."""

    codec: str = _LPCNET
    label: str = f"{_LPCNET} {codec2.KBPS:.3g} kbps"

    def run(self, audio: Audio, sample_rate: int) -> Coded:
        sound = resample(to_channels(audio, 1), sample_rate, RATE)
        file = BytesIO()
        with tempfile.TemporaryDirectory(prefix="wavcodes-") as name:
            scratch = Scratch(Path(name))
            pcm = scratch.folder / "sound.pcm"
            pcm.write_bytes(to_int16(sound).tobytes())
            began = time.perf_counter()
            codec2.compress(pcm, sound.shape[1], file, scratch)
            encoded = time.perf_counter()
            size = file.tell()
            file.seek(len(codec2.MAGIC))
            decoded = np.concatenate(list(codec2.decompress(file, self.label, scratch).blocks), axis=1)
            done = time.perf_counter()
        bits = 8 * (size - codec2.HEADER)
        return Coded(_back(decoded, RATE, audio, sample_rate), bits, encoded - began, done - encoded)


def _back(decoded: Audio, rate: int, clip: Audio, sample_rate: int) -> Audio:
    """Decoded sound at the rate of the clip, with its channels and its length."""
    sound = to_channels(resample(decoded, rate, sample_rate), len(clip))
    missing = clip.shape[1] - sound.shape[1]  # there and back, a length may be rounded
    return np.pad(sound[:, : clip.shape[1]], ((0, 0), (0, max(0, missing))))
