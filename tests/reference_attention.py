"""A second opinion on the layers of `wavcodes.graph` in which rows see one another, and on the noise; used by
`reference`, float64 throughout."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from wavcodes.graph import LocalAttention, Noise, TransformerLayer

Array = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]
# Of a noise layer's number and a count: that many values of its noise, from the start of the signal.
NoiseSource = Callable[[int, int], NDArray]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def local_attention(layer: LocalAttention, tensors: Tensors, x: Array) -> Array:
    """Each window on its own, as a whole signal of which every row sees every row."""
    y = np.empty_like(x)
    for start in range(0, len(x), layer.window):
        window = x[start : start + layer.window]
        q, k, v = _heads(_normal(tensors, f"{layer.name}.norm", window), tensors, f"{layer.name}.to_qkv", layer.heads)
        everything = np.ones((len(window), len(window)), bool)
        seen = _attended(_rotated(q), _rotated(k), v, everything)
        y[start : start + layer.window] = window + seen @ _get(tensors, f"{layer.name}.to_out.weight").T
    return y


def transformer_layer(layer: TransformerLayer, tensors: Tensors, x: Array) -> Array:
    """Every query against every key, those that it does not see being left out of the sum."""
    name = layer.name
    q, k, v = _heads(_normal(tensors, f"{name}.norm1", x, layer.eps), tensors, f"{name}.qkv", layer.heads)
    before = np.subtract.outer(np.arange(len(x)), np.arange(len(x)))  # by how many rows a key lies before a query
    seen = _attended(_rotated(q), _rotated(k), v, (before >= 0) & (before < layer.context))
    x = x + _get(tensors, f"{name}.scale1") * (seen @ _get(tensors, f"{name}.out.weight").T)
    inner = gelu(_normal(tensors, f"{name}.norm2", x, layer.eps) @ _get(tensors, f"{name}.linear1.weight").T)
    return x + _get(tensors, f"{name}.scale2") * (inner @ _get(tensors, f"{name}.linear2.weight").T)


def noise(layer: Noise, tensors: Tensors, x: Array, source: NoiseSource | None) -> Array:
    """`x` as it is where there is no source."""
    if source is None:
        return x
    n = np.asarray(source(layer.number, len(x)), np.float64)[:, None]
    return x + n * (x @ _get(tensors, f"{layer.name}.weight")[:, :, 0].T)


def gelu(x: Array) -> Array:
    """Of any shape."""
    return x * (1 + _erf(x / math.sqrt(2))) / 2


def _heads(x: Array, tensors: Tensors, name: str, heads: int) -> Array:
    """Queries, keys and values of `x` (T, C): (3, heads, T, C / heads)."""
    qkv = x @ _get(tensors, f"{name}.weight").T
    return qkv.reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)


def _rotated(x: Array) -> Array:
    """`x` (heads, T, width): channels i and i + width / 2 as a complex number, turned by t * 10000^(-2 i / width)."""
    half = x.shape[2] // 2
    turn = np.exp(1j * np.outer(np.arange(x.shape[1]), 10000.0 ** (-np.arange(half) / half)))
    turned = (x[..., :half] + 1j * x[..., half:]) * turn
    return np.concatenate([turned.real, turned.imag], axis=2)


def _attended(q: Array, k: Array, v: Array, seen: NDArray[np.bool_]) -> Array:
    """What each query gets of the values, (T, heads * width); `seen` (T, T) says which keys a query sees."""
    logits = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    weights = np.exp(logits - logits.max(axis=2, keepdims=True)) * seen
    y = weights @ v / weights.sum(axis=2, keepdims=True)
    return y.transpose(1, 0, 2).reshape(len(seen), -1)


def _normal(tensors: Tensors, name: str, x: Array, eps: float = 1e-5) -> Array:
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)
    return normal * _get(tensors, f"{name}.weight") + _get(tensors, f"{name}.bias")


def _get(tensors: Tensors, name: str) -> Array:
    return tensors[name].astype(np.float64)
