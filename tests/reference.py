"""A second opinion on every layer of `wavcodes.graph`: whole signals, float64, numpy, written to be read and not to be
fast. It shares nothing with the engine but the descriptions of the layers."""

from collections.abc import Iterable, Mapping

import numpy as np
import reference_attention
from numpy.typing import NDArray
from reference_attention import NoiseSource
from reference_quantizers import dequantize, differences, margins, quantize

from wavcodes.graph import (
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
    PadEnd,
    Residual,
    Snake,
    Sum,
    Tanh,
    TransformerLayer,
    TrimEnd,
    TrimStart,
)

__all__ = ["dequantize", "differences", "margins", "quantize", "run"]

Array = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]


def run(layers: Iterable[Layer], tensors: Tensors, x: NDArray, noise: NoiseSource | None = None) -> Array:
    """`layers` applied in turn to the whole signal `x`, (T, C); without a source of noise there is none."""
    x = np.asarray(x, np.float64)
    for layer in layers:
        if isinstance(layer, Noise):
            x = reference_attention.noise(layer, tensors, x, noise)
        else:
            x = _apply(layer, tensors, x)
    return x


def _apply(layer: Layer, tensors: Tensors, x: Array) -> Array:
    match layer:
        case Conv1d():
            return _conv(layer, tensors, _padded(layer, x))
        case ConvTranspose1d():
            return _conv_transpose(layer, tensors, x)
        case Elu():
            return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
        case Snake():
            alpha = _get(tensors, f"{layer.name}.alpha")
            return x + np.sin(alpha * x) ** 2 / (alpha + 1e-9)
        case LeakyRelu():
            return np.where(x > 0, x, layer.slope * x)
        case Gelu():
            return reference_attention.gelu(x)
        case Tanh():
            return np.tanh(x)
        case LayerNorm():
            normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + layer.eps)
            return normal * _get(tensors, f"{layer.name}.weight") + _get(tensors, f"{layer.name}.bias")
        case GroupNorm():
            normal = (x - x.mean()) / np.sqrt(x.var() + layer.eps)
            return normal * _get(tensors, f"{layer.name}.weight") + _get(tensors, f"{layer.name}.bias")
        case Lstm():
            y = x
            for i in range(layer.layers):
                y = _lstm(tensors, layer.name, i, y)
            return x + y
        case Residual():
            shortcut = () if layer.shortcut is None else (layer.shortcut,)
            return run(layer.body, tensors, x) + run(shortcut, tensors, x)
        case Sum():
            return np.sum([run(branch, tensors, x) for branch in layer.branches], axis=0)
        case PadEnd():
            return np.pad(x, ((0, -len(x) % layer.multiple + layer.extra), (0, 0)))
        case LocalAttention():
            return reference_attention.local_attention(layer, tensors, x)
        case TransformerLayer():
            return reference_attention.transformer_layer(layer, tensors, x)
        case TrimStart():
            return x[layer.rows :]
        case TrimEnd():
            return x[: max(0, len(x) - layer.rows)]
        case _:
            raise NotImplementedError(f"the reference has no {type(layer).__name__}")


def _padded(conv: Conv1d, x: Array) -> Array:
    left, right = conv.left, conv.right
    if conv.complete:
        beyond = len(x) + left + right - conv.span  # rows after the first window
        right += max(0, -(-beyond // conv.stride)) * conv.stride - beyond
    if conv.padding == "zeros":
        return np.pad(x, ((left, right), (0, 0)))
    if conv.padding == "replicate":
        return np.pad(x, ((left, right), (0, 0)), mode="edge")
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


def _bias(conv: Conv1d | ConvTranspose1d, tensors: Tensors) -> Array | float:
    return _get(tensors, f"{conv.name}.bias") if conv.bias else 0.0


def _get(tensors: Tensors, name: str) -> Array:
    return tensors[name].astype(np.float64)
