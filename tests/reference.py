"""A second opinion on every layer of `wavcodes.graph`: whole signals, float64, numpy, written to be read and not to be
fast. It shares nothing with the engine but the descriptions of the layers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from wavcodes.graph import (
    Conv1d,
    ConvTranspose1d,
    Elu,
    EuclideanRvq,
    Gelu,
    Layer,
    LayerNorm,
    LeakyRelu,
    Lstm,
    PadEnd,
    Quantizer,
    Residual,
    Tanh,
    TrimStart,
)

Array = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def run(layers: Iterable[Layer], tensors: Tensors, x: NDArray) -> Array:
    """`layers` applied in turn to the whole signal `x`, (T, C)."""
    x = np.asarray(x, np.float64)
    for layer in layers:
        x = _apply(layer, tensors, x)
    return x


def quantize(quantizer: Quantizer, tensors: Tensors, latent: NDArray, num_codebooks: int) -> NDArray[np.int64]:
    """Codes (T, K) of `latent` (T, D)."""
    residual = np.array(latent, np.float64)
    codes = np.empty((len(residual), num_codebooks), np.int64)
    for k in range(num_codebooks):
        codes[:, k] = _scores(quantizer, tensors, k, residual).argmin(1)
        residual -= _entries(quantizer, tensors, k, codes[:, k])
    return codes


def dequantize(quantizer: Quantizer, tensors: Tensors, codes: NDArray) -> Array:
    """Latent (T, D) of `codes` (T, K)."""
    latent = np.zeros((len(codes), quantizer.dim))
    for k in range(codes.shape[1]):
        latent += _entries(quantizer, tensors, k, codes[:, k])
    return latent


def margins(quantizer: Quantizer, tensors: Tensors, latent: NDArray, codes: NDArray) -> Array:
    """By how much each code (T, K) is better than the best other entry, given the codes in front of it.

    In squared distance or, for `CosineRvq`, in cosine; negative where another entry would have been better.
    """
    residual = np.array(latent, np.float64)
    margin = np.empty(codes.shape)
    for k in range(codes.shape[1]):
        scores = _scores(quantizer, tensors, k, residual)
        chosen = np.take_along_axis(scores, codes[:, k : k + 1], 1)
        np.put_along_axis(scores, codes[:, k : k + 1], np.inf, 1)
        margin[:, k] = scores.min(1) - chosen[:, 0]
        residual -= _entries(quantizer, tensors, k, codes[:, k])
    return margin


def _scores(quantizer: Quantizer, tensors: Tensors, k: int, residual: Array) -> Array:
    """Of each row, for each entry of book `k`: lower is better."""
    book = _get(tensors, f"{quantizer.name}.{k}.codebook")
    if isinstance(quantizer, EuclideanRvq):
        return (residual**2).sum(1, keepdims=True) - 2 * residual @ book.T + (book**2).sum(1)
    return -_unit(_linear(tensors, f"{quantizer.name}.{k}.in_proj", residual)) @ _unit(book).T


def _entries(quantizer: Quantizer, tensors: Tensors, k: int, codes: NDArray) -> Array:
    """What codes of book `k` stand for, (T, D)."""
    entries = _get(tensors, f"{quantizer.name}.{k}.codebook")[codes]
    return (
        entries if isinstance(quantizer, EuclideanRvq) else _linear(tensors, f"{quantizer.name}.{k}.out_proj", entries)
    )


def _apply(layer: Layer, tensors: Tensors, x: Array) -> Array:
    match layer:
        case Conv1d():
            return _conv(layer, tensors, _padded(layer, x))
        case ConvTranspose1d():
            return _conv_transpose(layer, tensors, x)
        case Elu():
            return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
        case LeakyRelu():
            return np.where(x > 0, x, layer.slope * x)
        case Gelu():
            return x * (1 + _erf(x / math.sqrt(2))) / 2
        case Tanh():
            return np.tanh(x)
        case LayerNorm():
            normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + layer.eps)
            return normal * _get(tensors, f"{layer.name}.weight") + _get(tensors, f"{layer.name}.bias")
        case Lstm():
            y = x
            for i in range(layer.layers):
                y = _lstm(tensors, layer.name, i, y)
            return x + y
        case Residual():
            shortcut = () if layer.shortcut is None else (layer.shortcut,)
            return run(layer.body, tensors, x) + run(shortcut, tensors, x)
        case PadEnd():
            return np.pad(x, ((0, -len(x) % layer.multiple + layer.extra), (0, 0)))
        case TrimStart():
            return x[layer.rows :]
        case _:
            raise NotImplementedError(f"the reference has no {type(layer).__name__}")


def _padded(conv: Conv1d, x: Array) -> Array:
    left, right = conv.left, conv.right
    if conv.complete:
        beyond = len(x) + left + right - conv.span  # rows after the first window
        right += max(0, -(-beyond // conv.stride)) * conv.stride - beyond
    if not conv.reflect:
        return np.pad(x, ((left, right), (0, 0)))
    short = max(0, max(left, right) + 1 - len(x))
    mirrored = np.pad(np.pad(x, ((0, short), (0, 0))), ((left, right), (0, 0)), mode="reflect")
    return mirrored[: len(mirrored) - short]


def _conv(conv: Conv1d, tensors: Tensors, x: Array) -> Array:
    rows = max(0, (len(x) - conv.span) // conv.stride + 1)
    inputs, outputs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    weight = _get(tensors, f"{conv.name}.weight").reshape(conv.groups, outputs, inputs, conv.kernel)
    x = x.reshape(len(x), conv.groups, inputs).transpose(1, 0, 2)
    y = np.zeros((conv.groups, rows, outputs))
    for tap in range(conv.kernel):
        seen = x[:, tap * conv.dilation :: conv.stride][:, :rows]
        y += seen @ weight[..., tap].transpose(0, 2, 1)
    return y.transpose(1, 0, 2).reshape(rows, conv.out_channels) + _bias(conv, tensors)


def _conv_transpose(conv: ConvTranspose1d, tensors: Tensors, x: Array) -> Array:
    inputs, outputs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    weight = _get(tensors, f"{conv.name}.weight").reshape(conv.groups, inputs, outputs, conv.kernel)
    rows = (len(x) - 1) * conv.stride + conv.kernel
    x = x.reshape(len(x), conv.groups, inputs).transpose(1, 0, 2)
    y = np.zeros((conv.groups, rows, outputs))
    for tap in range(conv.kernel):
        y[:, tap : rows - conv.kernel + tap + 1 : conv.stride] += x @ weight[..., tap]
    y = y.transpose(1, 0, 2).reshape(rows, conv.out_channels) + _bias(conv, tensors)
    return y[conv.trim_left : rows - conv.trim_right]


def _lstm(tensors: Tensors, name: str, layer: int, x: Array) -> Array:
    weight, recurrent = _get(tensors, f"{name}.weight_ih_l{layer}"), _get(tensors, f"{name}.weight_hh_l{layer}")
    drive = x @ weight.T + _get(tensors, f"{name}.bias_ih_l{layer}") + _get(tensors, f"{name}.bias_hh_l{layer}")
    hidden, cell = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    y = np.empty_like(x)
    for t, row in enumerate(drive):
        into, forget, candidate, out = np.split(row + recurrent @ hidden, 4)
        cell = _sigmoid(forget) * cell + _sigmoid(into) * np.tanh(candidate)
        y[t] = hidden = _sigmoid(out) * np.tanh(cell)
    return y


def _sigmoid(x: Array) -> Array:
    return (1 + np.tanh(x / 2)) / 2


def _linear(tensors: Tensors, name: str, x: Array) -> Array:
    return x @ _get(tensors, f"{name}.weight").T + _get(tensors, f"{name}.bias")


def _unit(rows: Array) -> Array:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _bias(conv: Conv1d | ConvTranspose1d, tensors: Tensors) -> Array | float:
    return _get(tensors, f"{conv.name}.bias") if conv.bias else 0.0


def _get(tensors: Tensors, name: str) -> Array:
    return tensors[name].astype(np.float64)
