"""Random checkpoints in the layouts in which the real ones are published: names, shapes, wrapping and file format.

The layouts themselves (a JSON file each, tensor name to dtype and shape) lie in the shared folder, so a test that
writes one also takes the fixture `shared`.
"""

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Published file of every layout.
PUBLISHED = {
    "encodec_24khz.th": "encodec_24khz-d7cc33bc.th",
    "encodec_48khz.th": "encodec_48khz-7e698e3e.th",
    "encodec_lm_24khz.th": "encodec_lm_24khz-1608e3c0.th",
    "encodec_lm_48khz.th": "encodec_lm_48khz-7add9fc3.th",
    "dac_16khz.pth": "weights_16khz.pth",
    "dac_24khz.pth": "weights_24khz.pth",
    "dac_44khz.pth": "weights.pth",
    "dac_44khz_16kbps.pth": "weights_44khz_16kbps.pth",
    "snac_24khz": "pytorch_model.bin",
    "snac_32khz": "pytorch_model.bin",
    "snac_44khz": "pytorch_model.bin",
    "hf_encodec_24khz.wg": "model.safetensors",
    "hf_encodec_24khz.param": "model.safetensors",
    "hf_encodec_32khz.wg": "model.safetensors",
    "hf_encodec_32khz.param": "model.safetensors",
    "hf_encodec_48khz.wg": "model.safetensors",
    "hf_encodec_48khz.param": "model.safetensors",
    "hf_dac_16khz": "model.safetensors",
    "hf_dac_24khz": "model.safetensors",
    "hf_dac_44khz": "model.safetensors",
    "hf_mimi": "model.safetensors",
    "hf_mimi_published": "model.safetensors",
    "moshi_mimi": "tokenizer-e351c8d8-checkpoint125.safetensors",
}

_LARGEST = 20_000_000  # values of one tensor
_PERIOD = 1_000_003  # prime, so that rows of no matrix repeat each other soon


def folder() -> Path:
    """Where the layouts lie."""
    return Path(os.environ.get("WAVCODES_SHARED", Path(__file__).parents[2] / "shared")) / "facts/weights/layouts"


def layout(name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of every tensor of a layout."""
    stored = json.loads((folder() / f"{name}.json").read_text())
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, shape) in stored.items()}


def draw(name: str, seed: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Names and random values of the tensors of a layout, in its order; the same for the same seed.

    The values are views of one pool, read-only, and take no memory of their own. Counts (how often a codebook entry
    was used) are positive; all else has a spread of 0.1.
    """
    rng, pool = np.random.default_rng(seed), _pool()
    for tensor, (dtype, shape) in layout(name).items():
        size = int(np.prod(shape, dtype=np.int64))
        begin = int(rng.integers(_PERIOD))
        values = pool[begin : begin + size].reshape(shape)
        if tensor.endswith(("cluster_usage", "cluster_size")):
            values = np.abs(values) + np.float32(0.5)
        yield tensor, values.astype(dtype, copy=False)


@lru_cache(1)
def _pool() -> NDArray[np.float32]:
    period = np.random.default_rng(0).standard_normal(_PERIOD, np.float32) * np.float32(0.1)
    pool = np.resize(period, _LARGEST + _PERIOD)
    pool.flags.writeable = False
    return pool


def write(name: str, folder: Path, seed: int) -> Path:
    """Writes a checkpoint of the layout `name` with the values of `draw` into `folder`, under the published name.

    Returns:
        Path of the file. A layout published as a PyTorch file needs PyTorch to be written.
    """
    path = folder / PUBLISHED[name]
    if path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file(dict(draw(name, seed)), path, None if name == "moshi_mimi" else {"format": "pt"})
        return path
    import torch

    # What a module gives as its state dict is an ordered dictionary with an attribute, which is pickled along.
    state = torch.nn.Module().state_dict()
    for tensor, values in draw(name, seed):
        state[tensor] = torch.tensor(values)
    if name.startswith("dac_"):
        state = {"state_dict": state, "metadata": {"kwargs": {"encoder_rates": [2, 4, 8, 8], "quantizer_dropout": 0.5}}}
    torch.save(state, path)
    return path
