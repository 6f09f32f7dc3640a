"""A whole codec as data, and what follows from its layers alone."""

from dataclasses import dataclass
from typing import Literal

from .layers import (
    Conv1d,
    ConvTranspose1d,
    Layer,
    LocalAttention,
    Residual,
    Shape,
    Sum,
    TrimEnd,
    TrimStart,
    tensors_of,
)
from .quantizers import Quantizer

Parts = Literal["both", "encode", "decode"]


@dataclass(frozen=True)
class Network:
    """A whole codec: audio rows `(N, channels)` to latent rows `(T, D)`, to codes `(T, K)`, and back."""

    encoder: tuple[Layer, ...]
    quantizer: Quantizer
    decoder: tuple[Layer, ...]


def tensor_shapes(network: Network, parts: Parts = "both") -> dict[str, Shape]:
    """Names and shapes of all float32 tensors that `network`, or one half of it, needs."""
    return dict(
        [
            *(() if parts == "decode" else tensors_of(network.encoder)),
            *network.quantizer.tensors(),
            *(() if parts == "encode" else tensors_of(network.decoder)),
        ]
    )


def rows_needed(layers: tuple[Layer, ...], rows: int) -> int:
    """Rows of a running signal that must have come before `layers` can give the first `rows` rows of their output."""
    for layer in reversed(layers):
        if isinstance(layer, Conv1d):
            rows = (rows - 1) * layer.stride + layer.span - layer.left
        elif isinstance(layer, ConvTranspose1d):
            rows = -(-(rows + layer.trim_left) // layer.stride)
        elif isinstance(layer, LocalAttention):
            rows = -(-rows // layer.window) * layer.window
        elif isinstance(layer, TrimStart | TrimEnd):
            rows += layer.rows
        elif isinstance(layer, Residual):
            rows = max(rows, rows_needed(layer.body, rows))
        elif isinstance(layer, Sum):
            rows = max(rows_needed(branch, rows) for branch in layer.branches)
    return rows
