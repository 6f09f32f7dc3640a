"""Numbers that are the same on every machine: integer arithmetic and correctly rounded operations only, so that what an
engine makes of them can be written down as a digest."""

import hashlib
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavcodes import registry
from wavcodes.graph import tensor_shapes
from wavcodes.models import encodec

SMALL = encodec.Config(num_filters=4, ratios=(5, 4, 2), dim=16, num_codebooks=6, codebook_size=32)
"""EnCodec with every kind of layer, and so small that plain C++ is quick too: 40 samples a frame."""


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


def digest(array: NDArray) -> str:
    """SHA-256 of the values in C order, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def encodec_checkpoint(config: encodec.Config, folder: Path) -> tuple[registry.Checkpoint, Path]:
    """An EnCodec of these widths, and a file of weights for it: the entry of the registry but for the widths."""
    from safetensors.numpy import save_file

    network = encodec.network(config)
    tensors = {}
    for seed, (name, shape) in enumerate(tensor_shapes(network).items()):
        values = numbers(seed, math.prod(shape)).reshape(shape)
        if name.endswith(".codebook"):
            scale = (40 - int(name.split(".")[-2])) / 32  # each book describes what the books before have left over
        elif len(shape) > 1:
            scale = math.sqrt(3 / math.prod(shape[1:]))  # rows with a spread of one in give about that out
        else:
            scale = 0.1
        values *= np.float32(scale)
        tensors[name] = values
    path = folder / "model.safetensors"
    save_file(tensors, path)
    entry = registry.checkpoint("encodec_24khz")
    books = config.num_codebooks
    spec = replace(
        entry.spec,
        hop_length=math.prod(config.ratios),
        num_codebooks=books,
        codebook_size=config.codebook_size,
        strides=(1,) * books,
    )
    bandwidths = tuple(spec.bandwidth(k) for k in range(1, books + 1))
    spec = replace(spec, bandwidths=bandwidths, default_bandwidth=bandwidths[-1])
    return registry.Checkpoint(spec, partial(encodec.network, config), entry.tensors), path
