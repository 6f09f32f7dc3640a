"""From the layers of a graph and their tensors to those of `wavcodes._core`."""

import itertools
import math
from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core, graph
from ..errors import UnsupportedError

Layers = tuple[graph.Layer, ...]
Tensors = Mapping[str, NDArray[np.float32]]

_ALL_AT_ONCE = 0  # rows that come together: however many the signal has


def encoder(isa: str, layers: Layers, tensors: Tensors) -> _core.Sequence:
    """The encoder: less than the samples of one row of its latent is worth nothing."""
    samples = math.prod(layer.stride for layer in layers if isinstance(layer, graph.Conv1d))
    return _sequence(isa, layers, tensors, samples)


def decoder(isa: str, layers: Layers, tensors: Tensors) -> _core.Sequence:
    """The decoder: rows may come one by one."""
    return _sequence(isa, layers, tensors, 1)


def _sequence(isa: str, layers: Layers, tensors: Tensors, together: int) -> _core.Sequence:
    """The layers; `together`: rows of the input that come at once, or are worth nothing before all are there."""
    if any(isinstance(layer, graph.GroupNorm) for layer in layers):  # which waits for the whole signal
        together = _ALL_AT_ONCE
    return _extended(_core.Sequence(isa, _in_channels(layers), together), layers, tensors)


def _branch(sequence: _core.Sequence, layers: Iterable[graph.Layer], tensors: Tensors) -> _core.Sequence:
    """The layers, for the rows that come out of the sequence."""
    return _extended(sequence.branch(), layers, tensors)


def _extended(sequence: _core.Sequence, layers: Iterable[graph.Layer], tensors: Tensors) -> _core.Sequence:
    for layer in layers:
        _add(layer, sequence, tensors)
    return sequence


def _in_channels(layers: Layers) -> int:
    for layer in layers:
        match layer:
            case graph.Conv1d() | graph.ConvTranspose1d():
                return layer.in_channels
            case graph.Residual():
                return _in_channels(layer.body)
            case graph.Sum():
                return _in_channels(tuple(itertools.chain.from_iterable(layer.branches)))
            case graph.Elu() | graph.LeakyRelu() | graph.Gelu() | graph.Tanh():
                continue
            case graph.PadEnd() | graph.TrimStart() | graph.TrimEnd():
                continue
            case _:
                return layer.channels
    raise UnsupportedError("a sequence needs at least one layer that states its channels")


@singledispatch
def _add(layer: graph.Layer, sequence: _core.Sequence, tensors: Tensors) -> None:
    raise UnsupportedError(f"the native engine has no layer {type(layer).__name__}")


def _conv_arguments(layer: graph.Conv1d, tensors: Tensors) -> dict[str, Any]:
    return {
        "weight": tensors[f"{layer.name}.weight"],
        "bias": tensors[f"{layer.name}.bias"] if layer.bias else None,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "left": layer.left,
        "right": layer.right,
        "padding": layer.padding,
        "complete": layer.complete,
    }


@_add.register
def _(layer: graph.Conv1d, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.conv1d(**_conv_arguments(layer, tensors))


@_add.register
def _(layer: graph.ConvTranspose1d, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.conv_transpose1d(
        tensors[f"{layer.name}.weight"],
        tensors[f"{layer.name}.bias"] if layer.bias else None,
        layer.stride,
        layer.groups,
        layer.trim_left,
        layer.trim_right,
    )


@_add.register
def _(layer: graph.Elu, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.activation("elu")


@_add.register
def _(layer: graph.Snake, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.snake(tensors[f"{layer.name}.alpha"])


@_add.register
def _(layer: graph.LeakyRelu, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.activation("leaky_relu", layer.slope)


@_add.register
def _(layer: graph.Gelu, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.activation("gelu")


@_add.register
def _(layer: graph.Tanh, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.activation("tanh")


@_add.register
def _(layer: graph.LayerNorm, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.layer_norm(tensors[f"{layer.name}.weight"], tensors[f"{layer.name}.bias"], layer.eps)


@_add.register
def _(layer: graph.GroupNorm, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.group_norm(tensors[f"{layer.name}.weight"], tensors[f"{layer.name}.bias"], layer.eps)


@_add.register
def _(layer: graph.Noise, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.noise(np.ascontiguousarray(tensors[f"{layer.name}.weight"][:, :, 0]), layer.number)


@_add.register
def _(layer: graph.LocalAttention, sequence: _core.Sequence, tensors: Tensors) -> None:
    names = ("norm.weight", "norm.bias", "to_qkv.weight", "to_out.weight")
    sequence.local_attention(layer.heads, layer.window, *(tensors[f"{layer.name}.{name}"] for name in names))


@_add.register
def _(layer: graph.TransformerLayer, sequence: _core.Sequence, tensors: Tensors) -> None:
    norms = ("norm1.weight", "norm1.bias", "scale1", "norm2.weight", "norm2.bias", "scale2")
    matrices = ("qkv.weight", "out.weight", "linear1.weight", "linear2.weight")
    sequence.transformer_layer(
        layer.heads,
        layer.context,
        layer.eps,
        [tensors[f"{layer.name}.{name}"] for name in norms],
        *(tensors[f"{layer.name}.{name}"] for name in matrices),
    )


@_add.register
def _(layer: graph.Lstm, sequence: _core.Sequence, tensors: Tensors) -> None:
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    sequence.lstm([[tensors[f"{layer.name}.{kind}_l{i}"] for kind in kinds] for i in range(layer.layers)])


@_add.register
def _(layer: graph.Residual, sequence: _core.Sequence, tensors: Tensors) -> None:
    *body, last = layer.body
    if not isinstance(last, graph.Conv1d) or last.stride != 1:
        raise UnsupportedError("the native engine needs the body of a residual to end in a convolution of stride 1")
    shortcut = shortcut_bias = None
    if layer.shortcut is not None:
        if layer.shortcut.kernel != 1 or layer.shortcut.stride != 1 or layer.shortcut.groups != 1:
            raise UnsupportedError("the native engine needs the shortcut of a residual to be a 1x1 convolution")
        shortcut = np.ascontiguousarray(tensors[f"{layer.shortcut.name}.weight"][:, :, 0])
        shortcut_bias = tensors[f"{layer.shortcut.name}.bias"] if layer.shortcut.bias else None
    sequence.residual(
        _branch(sequence, body, tensors),
        _core.LastConv(**_conv_arguments(last, tensors)),
        shortcut,
        shortcut_bias,
    )


@_add.register
def _(layer: graph.Sum, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.sum([_branch(sequence, branch, tensors) for branch in layer.branches])


@_add.register
def _(layer: graph.PadEnd, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.pad_end(layer.multiple, layer.extra)


@_add.register
def _(layer: graph.TrimStart, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.trim_start(layer.rows)


@_add.register
def _(layer: graph.TrimEnd, sequence: _core.Sequence, tensors: Tensors) -> None:
    sequence.trim_end(layer.rows)


def quantizer(isa: str, books: graph.Quantizer, tensors: Tensors) -> _core.Quantizer:
    """The codebooks."""
    native = _core.Quantizer(isa, books.dim, books.codebook_size)
    _add_books(books, native, tensors)
    return native


@singledispatch
def _add_books(quantizer: graph.Quantizer, native: _core.Quantizer, tensors: Tensors) -> None:
    raise UnsupportedError(f"the native engine has no quantizer {type(quantizer).__name__}")


@_add_books.register
def _(quantizer: graph.EuclideanRvq, native: _core.Quantizer, tensors: Tensors) -> None:
    if quantizer.codebook_dim is not None:
        native.add_group(tensors[f"{quantizer.name}.in_proj.weight"], tensors[f"{quantizer.name}.out_proj.weight"])
    for k in range(quantizer.num_codebooks):
        native.add_euclidean(tensors[f"{quantizer.name}.{k}.codebook"])


@_add_books.register
def _(quantizer: graph.CosineRvq, native: _core.Quantizer, tensors: Tensors) -> None:
    names = ("in_proj.weight", "in_proj.bias", "out_proj.weight", "out_proj.bias", "codebook")
    for k, stride in enumerate(quantizer.strides):
        native.add_cosine(stride, *(tensors[f"{quantizer.name}.{k}.{name}"] for name in names))


@_add_books.register
def _(quantizer: graph.SplitRvq, native: _core.Quantizer, tensors: Tensors) -> None:
    _add_books(quantizer.first, native, tensors)
    _add_books(quantizer.rest, native, tensors)
