"""Random weights to begin with, scaled by what the layers do with real sound."""

import math

import torch
from torch import Tensor

from .. import graph
from ..engines.torch import apply
from ..engines.torch_quantizers import quantize

_CONVOLUTIONS = graph.Conv1d, graph.ConvTranspose1d
_OF_THE_OUTPUT = 0.1  # level relative to the input's
_OF_A_BRANCH = 0.3  # level of a residual branch relative to what it is added to


def initial(network: graph.Network, rows: Tensor, seed: int) -> dict[str, Tensor]:
    """Tensors of `network`, float32, from which training starts well.

    Kernels are drawn so that rows of level 1 come out so, and then scaled, layer after layer, to make it true of this
    sound: speech is far below full scale. The sound that comes out is fainter than what goes in, so that it is silence
    that is learned from, and not a noise.

    Args:
        network: The graph.
        rows: Clips of real sound, `(B, N, channels)`.
        seed: Of the random numbers.
    """
    random = torch.Generator().manual_seed(seed)
    tensors = {name: _drawn(name, shape, random) for name, shape in graph.tensor_shapes(network).items()}
    for name in [name for name in tensors if name.endswith(".in_proj.weight")]:
        # What a book gives lies where it looked: no book leaves more than it was given.
        tensors[name.replace("in_proj", "out_proj")] = tensors[name].transpose(0, 1).contiguous()
    with torch.no_grad():
        latent = _scaled(network.encoder, tensors, rows, 1.0)
        quantized = quantize(network.quantizer, tensors, latent)
        _scaled(network.decoder, tensors, quantized.rows / quantized.rows.std(), _OF_THE_OUTPUT * float(rows.std()))
    return tensors


def _drawn(name: str, shape: graph.Shape, random: torch.Generator) -> Tensor:
    kind = name.rsplit(".", 1)[1]
    if kind == "codebook":
        return torch.randn(shape, generator=random)
    if "bias" in kind:
        return torch.zeros(shape)
    if kind == "alpha" or len(shape) == 1:
        return torch.full(shape, 0.1 if kind.startswith("scale") else 1.0)
    deviation = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.randn(shape, generator=random).clamp_(-2, 2) * deviation


def _scaled(layers: tuple[graph.Layer, ...], tensors: dict[str, Tensor], rows: Tensor, level: float) -> Tensor:
    """Scales convolutions in place so that each gives rows of level 1, and the last one `level`."""
    last = next((layer for layer in reversed(layers) if isinstance(layer, _CONVOLUTIONS)), None)
    for layer in layers:
        if isinstance(layer, graph.Residual):
            branch = _OF_A_BRANCH * float(rows.std())
            shortcut = rows if layer.shortcut is None else _scaled((layer.shortcut,), tensors, rows, float(rows.std()))
            rows = shortcut + _scaled(layer.body, tensors, rows, branch)
        elif isinstance(layer, graph.Sum):
            share = level / math.sqrt(len(layer.branches))
            rows = torch.stack([_scaled(each, tensors, rows, share) for each in layer.branches]).sum(0)
        else:
            made = apply((layer,), tensors, rows)
            if isinstance(layer, _CONVOLUTIONS):
                factor = (level if layer is last else 1.0) / (float(made.std()) + 1e-9)
                tensors[f"{layer.name}.weight"] *= factor
                made = made * factor  # biases are still zero
            rows = made
    return rows
