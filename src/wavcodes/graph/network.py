"""A whole codec as data, and the tensors that it needs."""

from dataclasses import dataclass
from typing import Literal

from .layers import Layer, Shape, tensors_of
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
