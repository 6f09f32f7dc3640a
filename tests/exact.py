"""Numbers that are the same on every machine: integer arithmetic and correctly rounded operations only, so that what an
engine makes of them can be written down as a digest."""

import hashlib
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavcodes import registry
from wavcodes.checkpoint import Checkpoint
from wavcodes.framing import Segment
from wavcodes.graph import Network, tensor_shapes
from wavcodes.models import dac, encodec, mimi, snac
from wavcodes.spec import CodecSpec


def numbers(seed: int, count: int) -> NDArray[np.float32]:
    """Uniform in [-1, 1), float32 (count,): SplitMix64, whose upper 24 bits a float32 holds exactly."""
    state = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 40)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    state ^= state >> np.uint64(31)
    return ((state >> np.uint64(40)).astype(np.int64) - (1 << 23)).astype(np.float32) / np.float32(1 << 23)


def signal(num_samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Two gliding triangle waves and noise that come and go, float32 (N,), within [-0.75, 0.75]."""
    n = np.arange(num_samples, dtype=np.int64)
    low, high = (np.abs((n * (step + n // 40) >> 3) % 512 - 256) - 128 for step in (29, 211))
    swell = np.abs(n % 6000 - 3000)
    tones = ((2 * low + high) * swell).astype(np.float32) / np.float32(3 * 128 * 3000 * 2)
    return tones + numbers(seed, num_samples) * (3000 - swell).astype(np.float32) / np.float32(12000)


def clip(spec: CodecSpec, num_samples: int, seed: int = 0) -> NDArray[np.float32]:
    """`signal` for a codec, float32 (channels, N)."""
    return np.stack([signal(num_samples, seed + channel) for channel in range(spec.channels)])


def digest(array: NDArray) -> str:
    """SHA-256 of the values in C order, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


SMALL: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "encodec": (
        "encodec_24khz",
        encodec,
        encodec.Config(num_filters=4, ratios=(5, 4, 2), dim=16, num_codebooks=6, codebook_size=32),
        {"hop_length": 40},
    ),
    "encodec_centred": (
        "encodec_32khz",
        encodec,
        encodec.Config(
            num_filters=4,
            ratios=(5, 4, 2),
            dim=16,
            num_codebooks=6,
            codebook_size=32,
            causal=False,
            conv_shortcut=False,
        ),
        {"hop_length": 40},
    ),
    "encodec_segments": (
        "encodec_48khz",
        encodec,
        encodec.Config(
            channels=2,
            num_filters=4,
            ratios=(5, 4, 2),
            dim=16,
            num_codebooks=4,
            codebook_size=32,
            causal=False,
            group_norm=True,
        ),
        {"hop_length": 40, "segment": Segment(400, 390)},
    ),
    "dac": (
        "dac_16khz",
        dac,
        dac.Config(
            encoder_dim=4,
            decoder_dim=128,
            rates=(2, 5, 4),
            dim=16,
            num_codebooks=4,
            codebook_size=32,
            codebook_dim=4,
        ),
        {"hop_length": 40},
    ),
    "snac": (
        "snac_24khz",
        snac,
        snac.Config(
            encoder_dim=4,
            decoder_dim=32,
            rates=(2, 3, 4),
            window=None,
            strides=(4, 2, 1),
            codebook_size=32,
            codebook_dim=4,
        ),
        {"hop_length": 24, "strides": (4, 2, 1)},
    ),
    "snac_attention": (
        "snac_44khz",
        snac,
        snac.Config(
            encoder_dim=16,
            decoder_dim=64,
            rates=(2, 3),
            window=16,
            strides=(8, 4, 2, 1),
            codebook_size=32,
            codebook_dim=4,
        ),
        {"hop_length": 6, "strides": (8, 4, 2, 1), "frame_multiple": 16},
    ),
    "mimi": (
        "mimi",
        mimi,
        mimi.Config(
            num_filters=4,
            ratios=(4, 2),
            dim=32,
            transformer_layers=2,
            heads=2,
            hidden=40,
            context=10,
            num_codebooks=5,
            codebook_size=32,
            codebook_dim=8,
        ),
        {"hop_length": 16},
    ),
}
"""Each family with every kind of its layers, so narrow that plain C++ is quick too: the entry of the registry that it
follows, the module of the family, its widths, and the facts of its spec that follow from them."""


def small(name: str, folder: Path) -> tuple[Checkpoint, Path]:
    """One of `SMALL`, and a file of weights for it."""
    entry_name, module, config, facts = SMALL[name]
    entry = registry.checkpoint(entry_name)
    network = module.network(config)
    books = network.quantizer.num_codebooks
    spec = replace(
        entry.spec,
        num_codebooks=books,
        codebook_size=network.quantizer.codebook_size,
        **{"strides": (1,) * books, **facts},
    )
    bandwidths = tuple(spec.bandwidth(k) for k in range(1, books + 1))
    spec = replace(spec, bandwidths=bandwidths, default_bandwidth=bandwidths[-1])
    path = weights(network, folder)
    return Checkpoint(spec, lambda: network, entry.tensors), path


def weights(network: Network, folder: Path) -> Path:
    """A safetensors file of weights for `network`, with the names of its graph."""
    from safetensors.numpy import save_file

    shapes = tensor_shapes(network)
    last = [name for name in shapes if name.endswith(".weight")][-1]
    tensors = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        values = numbers(seed, math.prod(shape)).reshape(shape)
        offset = 0.0
        if name.endswith(".codebook"):
            # Each book describes what the books before have left over.
            scale = max(0.2, (40 - int(name.split(".")[-2])) / 32)
        elif len(shape) > 1:
            # Rows with a spread of one in give about that out, and the last layer gives audio that is not clipped.
            scale = math.sqrt(3 / math.prod(shape[1:])) * (0.02 if name == last else 1)
        elif re.search(r"alpha|scale.|norm\d?\.weight", name):
            scale, offset = 0.2, 0.8
        else:
            scale = 0.1
        tensors[name] = values * np.float32(scale) + np.float32(offset)
    path = folder / "model.safetensors"
    save_file(tensors, path)
    return path
