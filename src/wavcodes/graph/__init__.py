"""The network as data: a codec is a tuple of frozen layers, and engines interpret it.

A layer names its tensors relative to its own `name`; `tensor_shapes` lists all that a network needs, and a weights file
must supply exactly those.
"""

from .layers import (
    Conv1d,
    ConvTranspose1d,
    Elu,
    Gelu,
    GroupNorm,
    Layer,
    LayerNorm,
    LeakyRelu,
    LocalAttention,
    Lstm,
    Noise,
    Padding,
    PadEnd,
    Residual,
    Shape,
    Snake,
    Sum,
    Tanh,
    TransformerLayer,
    TrimEnd,
    TrimStart,
    causal,
)
from .network import Network, Parts, tensor_shapes
from .quantizers import CosineRvq, EuclideanRvq, Quantizer, SplitRvq

__all__ = [
    "Conv1d",
    "ConvTranspose1d",
    "CosineRvq",
    "Elu",
    "EuclideanRvq",
    "Gelu",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LeakyRelu",
    "LocalAttention",
    "Lstm",
    "Network",
    "Noise",
    "PadEnd",
    "Padding",
    "Parts",
    "Quantizer",
    "Residual",
    "Shape",
    "Snake",
    "SplitRvq",
    "Sum",
    "Tanh",
    "TransformerLayer",
    "TrimEnd",
    "TrimStart",
    "causal",
    "tensor_shapes",
]
