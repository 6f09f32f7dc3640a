"""A whole codec as data, and what follows from its layers alone."""

import math
from dataclasses import dataclass
from fractions import Fraction
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


def delay(layers: tuple[Layer, ...], rate: Fraction = Fraction(1)) -> int:
    """How far, in samples, the output of `layers` lags behind its input once a stream is running.

    For an encoder (`rate` 1 sample a row) it is how far beyond the end of its frame the encoder looks; for a
    decoder (`rate` hop_length samples a row) by how much the audio comes late.
    """
    return math.ceil(_delay(layers, rate))


def _delay(layers: tuple[Layer, ...], samples_per_row: Fraction) -> Fraction:
    late = Fraction(0)
    for layer in layers:
        if isinstance(layer, Conv1d):
            late += samples_per_row * max(0, layer.span - layer.stride - layer.left)
            samples_per_row *= layer.stride
        elif isinstance(layer, ConvTranspose1d):
            samples_per_row /= layer.stride
            late += samples_per_row * layer.trim_left
        elif isinstance(layer, LocalAttention):
            late += samples_per_row * (layer.window - 1)
        elif isinstance(layer, TrimStart | TrimEnd):
            late += samples_per_row * layer.rows
        elif isinstance(layer, Residual):
            late += _delay(layer.body, samples_per_row)
        elif isinstance(layer, Sum):
            late += max(_delay(branch, samples_per_row) for branch in layer.branches)
    return late
