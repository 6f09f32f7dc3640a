"""What `run.py` times: upstream's models and ours, with the same random weights and the same signal."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers_mimi
import torch
from numpy.typing import NDArray
from pairs import RANDOM, random_pair, sound

from wavcodes import Codec, CodecSpec, Codes

Work = Callable[[], object]


@dataclass(frozen=True)
class Sides:
    """One codec: what both do with `seconds` of audio at `bandwidth` kbps on one thread: (theirs, ours)."""

    codec: str
    bandwidth: float
    peer: str
    seconds: float
    encode: tuple[Work, Work]
    decode: tuple[Work, Work]


def sides(only: list[str] | None) -> Iterator[Sides]:
    """All codecs with an upstream package that does not need the published weights, or those of `only`."""
    for name in RANDOM:
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            pair = random_pair(name, 0, Path(folder))
        spec, family = pair.spec, name.partition("_")[0]
        seconds = 10.0 if family in ("encodec", "mimi") or name == "snac_24khz" else 4.0
        bandwidth = _BANDWIDTHS.get(family, spec.bandwidths[-1])
        audio = sound(pair, 1, int(seconds * spec.sample_rate))
        count = spec.resolve_codebooks(bandwidth)
        models = {pair.package: pair.theirs}
        if family == "mimi":
            models["transformers"] = peers_mimi.in_transformers(pair.theirs)
        for package, model in models.items():
            theirs = _PEERS[family, package](model, torch.from_numpy(audio)[None], spec, count)
            encode, decode = zip(theirs, _ours(pair.ours, audio, count), strict=True)
            yield Sides(name, spec.bandwidth(count), package, seconds, encode, decode)


_BANDWIDTHS = {"encodec": 6.0, "mimi": 1.1}
"""Those that are used most; of the other families, all codebooks."""


def _ours(codec: Codec, audio: NDArray, count: int) -> tuple[Work, Work]:
    def encode() -> Codes:
        return codec.encode(audio, codec.spec.sample_rate, num_codebooks=count, threads=1)

    codes = encode()
    return encode, lambda: codec.decode(codes, threads=1)


def _encodec(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> tuple[Work, Work]:
    def encode() -> Any:
        return model.encode(audio, bandwidth=spec.bandwidth(count))

    codes = encode()
    pad = codes.last_frame_pad_length
    return encode, lambda: model.decode(codes.audio_codes, codes.audio_scales, last_frame_pad_length=pad)


def _dac(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> tuple[Work, Work]:
    whole = torch.nn.functional.pad(audio, (0, -audio.shape[2] % spec.hop_length))
    codes = model.encode(whole).audio_codes
    return lambda: model.encode(whole), lambda: model.decode(audio_codes=codes)


def _snac(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> tuple[Work, Work]:
    codes = model.encode(audio)
    return lambda: model.encode(audio), lambda: model.decode(codes)


def _moshi(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> tuple[Work, Work]:
    model.set_num_codebooks(count)
    codes = model.encode(audio)
    return lambda: model.encode(audio), lambda: model.decode(codes)


def _mimi(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> tuple[Work, Work]:
    codes = model.encode(audio, num_quantizers=count).audio_codes
    return lambda: model.encode(audio, num_quantizers=count), lambda: model.decode(codes)


_PEERS = {
    ("encodec", "transformers"): _encodec,
    ("dac", "transformers"): _dac,
    ("snac", "snac"): _snac,
    ("mimi", "moshi"): _moshi,
    ("mimi", "transformers"): _mimi,
}
