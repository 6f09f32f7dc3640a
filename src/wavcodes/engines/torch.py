"""A second engine: interprets a graph with PyTorch's own operations, on whole signals, so that it can be trained.

It shares nothing with the native engine but the graph. Signals are rows `(B, T, C)`; tensors go by the graph's names.
"""

from collections.abc import Mapping
from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import graph
from ..errors import UnsupportedError

Tensors = Mapping[str, Tensor]


def apply(layers: tuple[graph.Layer, ...], tensors: Tensors, rows: Tensor, noise: bool = False) -> Tensor:
    """What `layers` make of rows `(B, T, C)`, floating point, on the device of `tensors`.

    With `noise`, noise layers draw from PyTorch's generator; without it they add nothing.
    """
    for layer in layers:
        if isinstance(layer, graph.Noise):
            rows = _noisy(layer, tensors, rows) if noise else rows
        elif isinstance(layer, graph.Residual):
            shortcut = rows if layer.shortcut is None else apply((layer.shortcut,), tensors, rows)
            rows = shortcut + apply(layer.body, tensors, rows, noise)
        elif isinstance(layer, graph.Sum):
            rows = torch.stack([apply(branch, tensors, rows, noise) for branch in layer.branches]).sum(0)
        else:
            rows = _rows(layer, tensors, rows)
    return rows


@singledispatch
def _rows(layer: graph.Layer, tensors: Tensors, x: Tensor) -> Tensor:
    raise UnsupportedError(f"PyTorch's engine has no layer {type(layer).__name__}")


# ---- convolutions


@_rows.register
def _(layer: graph.Conv1d, tensors: Tensors, x: Tensor) -> Tensor:
    weight, bias = tensors[f"{layer.name}.weight"], tensors.get(f"{layer.name}.bias")
    x = _padded(layer, x)
    if layer.kernel == 1 and layer.stride == 1 and layer.groups == 1:
        return F.linear(x, weight[..., 0], bias)
    if layer.kernel <= 2 * layer.stride and layer.dilation == layer.groups == 1:
        windows = x.unfold(1, layer.kernel, layer.stride)  # (B, T', C, kernel)
        return F.linear(windows.flatten(2), weight.flatten(1), bias)
    with torch.autocast(x.device.type, enabled=torch.is_autocast_enabled(x.device.type) and layer.groups == 1):
        # As an image of one line, whose channels lie side by side as they do here: nothing is copied.
        image = x.mT.unsqueeze(2).to(weight.dtype)
        y = F.conv2d(image, weight.unsqueeze(2), bias, (1, layer.stride), 0, (1, layer.dilation), layer.groups)
    return y[:, :, 0].mT


def _padded(layer: graph.Conv1d, x: Tensor) -> Tensor:
    left, right, short = layer.left, layer.right, 0
    if layer.complete:
        right += -(x.shape[1] + left + right - layer.span) % layer.stride
    if layer.padding == "reflect":
        short = max(0, max(left, right) + 1 - x.shape[1])
        x = F.pad(x, (0, 0, 0, short))
    if left or right:
        mode = "constant" if layer.padding == "zeros" else layer.padding
        x = F.pad(x, (0, 0, left, right)) if mode == "constant" else F.pad(x.mT, (left, right), mode).mT
    return x[:, : x.shape[1] - short]


@_rows.register
def _(layer: graph.ConvTranspose1d, tensors: Tensors, x: Tensor) -> Tensor:
    weight, bias = tensors[f"{layer.name}.weight"], tensors.get(f"{layer.name}.bias")
    batch, length, _ = x.shape
    if layer.groups == 1 and layer.kernel % layer.stride == 0:
        parts = F.linear(x, weight.permute(2, 1, 0).flatten(0, 1))
        parts = parts.view(batch, length, -1, layer.stride * weight.shape[1])
        y = _overlapping(parts).view(batch, -1, weight.shape[1])
        y = y if bias is None else y + bias
    else:
        y = F.conv_transpose1d(x.mT, weight, bias, layer.stride, groups=layer.groups).mT
    return y[:, layer.trim_left : y.shape[1] - layer.trim_right]


def _overlapping(parts: Tensor) -> Tensor:
    """The sum of parts `(B, T, K, n)`, where part k lies k steps later: `(B, T + K - 1, n)`."""
    later = parts.shape[2] - 1
    return torch.stack([F.pad(part, (0, 0, k, later - k)) for k, part in enumerate(parts.unbind(2))]).sum(0)


def _noisy(layer: graph.Noise, tensors: Tensors, x: Tensor) -> Tensor:
    noise = torch.randn_like(x[..., :1])
    return x + noise * F.linear(x, tensors[f"{layer.name}.weight"][..., 0])


# ---- one row at a time


@_rows.register
def _(layer: graph.Elu, tensors: Tensors, x: Tensor) -> Tensor:
    return F.elu(x)


@_rows.register
def _(layer: graph.LeakyRelu, tensors: Tensors, x: Tensor) -> Tensor:
    return F.leaky_relu(x, layer.slope)


@_rows.register
def _(layer: graph.Gelu, tensors: Tensors, x: Tensor) -> Tensor:
    return F.gelu(x)


@_rows.register
def _(layer: graph.Tanh, tensors: Tensors, x: Tensor) -> Tensor:
    return x.tanh()


@_rows.register
def _(layer: graph.Snake, tensors: Tensors, x: Tensor) -> Tensor:
    alpha = tensors[f"{layer.name}.alpha"]
    return x + (alpha * x).sin().square() / (alpha + 1e-9)


@_rows.register
def _(layer: graph.LayerNorm, tensors: Tensors, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *_weight_and_bias(layer.name, tensors), layer.eps)


@_rows.register
def _(layer: graph.GroupNorm, tensors: Tensors, x: Tensor) -> Tensor:
    return F.group_norm(x.mT, 1, *_weight_and_bias(layer.name, tensors), layer.eps).mT


def _weight_and_bias(name: str, tensors: Tensors) -> tuple[Tensor, Tensor]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


# ---- over time


@_rows.register
def _(layer: graph.Lstm, tensors: Tensors, x: Tensor) -> Tensor:
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [tensors[f"{layer.name}.{kind}_l{i}"] for i in range(layer.layers) for kind in kinds]
    state = x.new_zeros(layer.layers, x.shape[0], layer.channels)
    y = torch.lstm(x, (state, state), weights, True, layer.layers, 0.0, False, False, True)[0]
    return x + y


@_rows.register
def _(layer: graph.LocalAttention, tensors: Tensors, x: Tensor) -> Tensor:
    y = F.layer_norm(x, x.shape[-1:], *_weight_and_bias(f"{layer.name}.norm", tensors), 1e-5)
    pieces = []
    for window in y.split(layer.window, 1):  # the last one may be shorter, and knows nothing of what is not there
        q, k, v = _heads(F.linear(window, tensors[f"{layer.name}.to_qkv.weight"]), layer.heads)
        positions = torch.arange(window.shape[1], device=x.device)
        attended = F.scaled_dot_product_attention(_turned(q, positions), _turned(k, positions), v)
        pieces.append(attended.transpose(1, 2).flatten(2))
    return x + F.linear(torch.cat(pieces, 1), tensors[f"{layer.name}.to_out.weight"])


@_rows.register
def _(layer: graph.TransformerLayer, tensors: Tensors, x: Tensor) -> Tensor:
    def named(name: str) -> Tensor:
        return tensors[f"{layer.name}.{name}"]

    positions = torch.arange(x.shape[1], device=x.device)
    ago = positions[:, None] - positions
    seen = (ago >= 0) & (ago < layer.context)
    y = F.layer_norm(x, x.shape[-1:], *_weight_and_bias(f"{layer.name}.norm1", tensors), layer.eps)
    q, k, v = _heads(F.linear(y, named("qkv.weight")), layer.heads)
    attended = F.scaled_dot_product_attention(_turned(q, positions), _turned(k, positions), v, seen)
    x = x + named("scale1") * F.linear(attended.transpose(1, 2).flatten(2), named("out.weight"))
    y = F.layer_norm(x, x.shape[-1:], *_weight_and_bias(f"{layer.name}.norm2", tensors), layer.eps)
    return x + named("scale2") * F.linear(F.gelu(F.linear(y, named("linear1.weight"))), named("linear2.weight"))


def _heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, `(B, heads, T, width)` each."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def _turned(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions: the first half of the channels against the second."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * 10_000.0 ** (torch.arange(half, device=x.device) / -half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


# ---- length


@_rows.register
def _(layer: graph.PadEnd, tensors: Tensors, x: Tensor) -> Tensor:
    return F.pad(x, (0, 0, 0, -x.shape[1] % layer.multiple + layer.extra))


@_rows.register
def _(layer: graph.TrimStart, tensors: Tensors, x: Tensor) -> Tensor:
    return x[:, layer.rows :]


@_rows.register
def _(layer: graph.TrimEnd, tensors: Tensors, x: Tensor) -> Tensor:
    return x[:, : x.shape[1] - layer.rows]
