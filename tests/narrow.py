"""The codecs of the registry with few channels: the same facts and the same kinds of layers, much faster.

For tests of what is done with a codec; what a codec computes is tested at full width.
"""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavcodes import registry
from wavcodes.graph import tensor_shapes

# Fields of the families' `Config`; 64 is the width of one head of SNAC's attention.
_WIDTHS: dict[str, dict[str, int]] = {
    "encodec": {"num_filters": 4, "dim": 16},
    "dac": {"encoder_width": 4, "decoder_width": 32, "dim": 16},
    "snac": {"encoder_dim": 4, "decoder_dim": 64},
    "mimi": {"num_filters": 2, "dim": 32, "heads": 2, "hidden": 64, "codebook_dim": 8, "transformer_layers": 2},
}


def narrow(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> dict[str, Path]:
    """Puts narrow codecs into the registry, under the names of the wide ones; the files of their random weights."""
    paths = {}
    for name in names:
        entry = registry.checkpoint(name)
        assert isinstance(entry.network, partial)
        build, config = entry.network.func, entry.network.args[0]
        thin = replace(entry, network=partial(build, replace(config, **_WIDTHS[name.partition("_")[0]])))
        monkeypatch.setitem(registry._BY_NAME, name, thin)
        if entry.spec.weights.repo:
            monkeypatch.setitem(registry._BY_REPO, entry.spec.weights.repo.lower(), thin)
        paths[name] = random_weights(name, folder / f"{name}.safetensors")
    return paths


def random_weights(name: str, path: Path) -> Path:
    """Random weights for a codec as the registry has it, such that signals neither die out nor explode."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    for tensor, shape in tensor_shapes(registry.checkpoint(name).network()).items():
        values = rng.standard_normal(shape, np.float32)
        if tensor.endswith((".alpha", "norm.weight", "norm1.weight", "norm2.weight")):
            values = 1 + values / 10
        elif len(shape) > 1 and not tensor.endswith(".codebook"):
            values /= np.float32(math.sqrt(math.prod(shape[1:])))
        else:
            values /= 10  # biases; and codebooks, so that more than a few entries are near what they describe
        tensors[tensor] = values
    save_file(tensors, path)
    return path
