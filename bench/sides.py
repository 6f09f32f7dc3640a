"""What `against.py` times: upstream's packages and ours, with random weights and the same signal."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import peers
import peers_dac
import peers_mimi
import torch
import upstream
from harness import Work
from numpy.typing import NDArray
from pairs import random_pair, sound

from wavcodes import Codec, CodecSpec, Codes

Works = tuple[Work, Work]
"""Encodes a signal, decodes what was encoded."""


@dataclass(frozen=True)
class Sides:
    """What all do with the same `seconds` of audio at `bandwidth` kbps on one thread; `peers` by their packages."""

    codec: str
    bandwidth: float
    seconds: float
    ours: Works
    peers: dict[str, Works]


def sides(name: str) -> Sides:
    """A codec with an upstream package that does not need the published weights."""
    with tempfile.TemporaryDirectory() as folder:
        pair = random_pair(name, 0, Path(folder))
    spec, family = pair.spec, name.partition("_")[0]
    audio = sound(pair, 1, int(_SECONDS * spec.sample_rate))
    count = spec.resolve_codebooks(_BANDWIDTHS.get(family, spec.bandwidths[-1]))
    models = {pair.package: pair.theirs, **dict(_others(name, pair.theirs))}
    batch = torch.from_numpy(audio)[None]
    works = {package: _PEERS[family, package](model, batch, spec, count) for package, model in models.items()}
    return Sides(name, spec.bandwidth(count), _SECONDS, _ours(pair.ours, audio, count), works)


_SECONDS = 10.0

_BANDWIDTHS = {"encodec": 6.0, "mimi": 1.1}
"""Those that are used most; of the other families, all codebooks."""


def _others(name: str, model: Any) -> Iterator[tuple[str, Any]]:
    """Models of further packages: of EnCodec and DAC with weights of their own, drawn in the same way."""
    if name in ("encodec_24khz", "encodec_48khz"):
        meta = getattr(upstream.meta_module("model").EncodecModel, f"encodec_model_{name[-5:]}")(pretrained=False)
        books = [layer._codebook.embed for layer in meta.quantizer.vq.layers]
        peers.randomize_encodec(meta.encoder, books, meta.decoder, meta.channels, seed=0)
        yield "encodec", meta
    if name in peers_dac.DAC:
        rates, dim, count = peers_dac.DAC[name]
        descript = upstream.descript_dac(
            encoder_rates=rates, latent_dim=dim, decoder_rates=rates[::-1], n_codebooks=count
        )
        peers_dac.randomize_dac(descript, seed=0)
        yield "dac", descript
    if name == "mimi":
        yield "transformers", peers_mimi.in_transformers(model)
        if find_spec("rustymimi"):
            yield "rustymimi", model


def _ours(codec: Codec, audio: NDArray, count: int) -> Works:
    def encode() -> Codes:
        return codec.encode(audio, codec.spec.sample_rate, num_codebooks=count, threads=1)

    codes = encode()
    return encode, lambda: codec.decode(codes, threads=1)


def _encodec(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    def encode() -> Any:
        return model.encode(audio, bandwidth=spec.bandwidth(count))

    codes = encode()
    pad = codes.last_frame_pad_length
    return encode, lambda: model.decode(codes.audio_codes, codes.audio_scales, last_frame_pad_length=pad)


def _meta_encodec(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    model.set_target_bandwidth(spec.bandwidth(count))
    frames = model.encode(audio)
    return lambda: model.encode(audio), lambda: model.decode(frames)


def _dac(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    whole = torch.nn.functional.pad(audio, (0, -audio.shape[2] % spec.hop_length))
    codes = model.encode(whole).audio_codes
    return lambda: model.encode(whole), lambda: model.decode(audio_codes=codes)


def _descript_dac(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    whole = model.preprocess(audio, None)
    codes = model.encode(whole)[1]
    return lambda: model.encode(whole), lambda: model.decode(model.quantizer.from_codes(codes)[0])


def _snac(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    codes = model.encode(audio)
    return lambda: model.encode(audio), lambda: model.decode(codes)


def _moshi(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    model.set_num_codebooks(count)
    codes = model.encode(audio)
    return lambda: model.encode(audio), lambda: model.decode(codes)


def _mimi(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    codes = model.encode(audio, num_quantizers=count).audio_codes
    return lambda: model.encode(audio, num_quantizers=count), lambda: model.decode(codes)


def _rustymimi(model: Any, audio: torch.Tensor, spec: CodecSpec, count: int) -> Works:
    import rustymimi
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file(peers_mimi.moshi_published(model), path)
        tokenizer = rustymimi.Tokenizer(str(path), num_codebooks=count)
    samples = audio.numpy()
    codes = tokenizer.encode(samples)
    return lambda: tokenizer.encode(samples), lambda: tokenizer.decode(codes)


_PEERS: dict[tuple[str, str], Callable[[Any, torch.Tensor, CodecSpec, int], Works]] = {
    ("encodec", "transformers"): _encodec,
    ("encodec", "encodec"): _meta_encodec,
    ("dac", "transformers"): _dac,
    ("dac", "dac"): _descript_dac,
    ("snac", "snac"): _snac,
    ("mimi", "moshi"): _moshi,
    ("mimi", "transformers"): _mimi,
    ("mimi", "rustymimi"): _rustymimi,
}
