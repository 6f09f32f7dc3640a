"""The layers of a network. Signals are channels-last rows, `(T, C)`.

A layer's semantics are those of the PyTorch layer of the same name, with the padding written out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Shape = tuple[int, ...]
Padding = Literal["zeros", "reflect", "replicate"]


@dataclass(frozen=True)
class Conv1d:
    """Convolution with its padding.

    Attributes:
        left, right: Rows of padding at the start and at the end of the signal.
        padding: What all padding holds, the rows that `complete` adds included: zeros, the mirror image of the
            signal, or copies of its outermost row. A signal too short to be mirrored is first extended with zeros, as
            EnCodec does.
        complete: True pads the end further until the last window is full, so that no input row is left out.
    Tensors: `weight` (out, in / groups, kernel), `bias` (out).
    """

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    left: int = 0
    right: int = 0
    padding: Padding = "zeros"
    complete: bool = False

    @property
    def span(self) -> int:
        """Input rows that one output row sees, holes of the dilation included."""
        return (self.kernel - 1) * self.dilation + 1

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.weight", (self.out_channels, self.in_channels // self.groups, self.kernel)
        if self.bias:
            yield f"{self.name}.bias", (self.out_channels,)


def causal(conv: Conv1d) -> Conv1d:
    """The same convolution with all its padding on the left, so that no output waits for later input."""
    return replace(conv, left=conv.span - conv.stride)


@dataclass(frozen=True)
class ConvTranspose1d:
    """Transposed convolution: `T` rows give `(T - 1) * stride + kernel - trim_left - trim_right`.

    `0 <= trim_right <= kernel - stride`. Tensors: `weight` (in, out / groups, kernel), `bias` (out).
    """

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int = 1
    bias: bool = True
    trim_left: int = 0
    trim_right: int = 0

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.weight", (self.in_channels, self.out_channels // self.groups, self.kernel)
        if self.bias:
            yield f"{self.name}.bias", (self.out_channels,)


@dataclass(frozen=True)
class Elu:
    """`x` above zero, `exp(x) - 1` below."""


@dataclass(frozen=True)
class Snake:
    """`x + sin(alpha x)^2 / (alpha + 1e-9)`. Tensor: `alpha` (channels)."""

    name: str
    channels: int

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.alpha", (self.channels,)


@dataclass(frozen=True)
class LeakyRelu:
    """`x` above zero, `slope * x` below."""

    slope: float


@dataclass(frozen=True)
class Gelu:
    """`x * (1 + erf(x / sqrt 2)) / 2`, the exact form."""


@dataclass(frozen=True)
class Tanh:
    """Hyperbolic tangent."""


@dataclass(frozen=True)
class LayerNorm:
    """Normalisation over the channels of each row. Tensors: `weight`, `bias` (channels)."""

    name: str
    channels: int
    eps: float = 1e-5

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.weight", (self.channels,)
        yield f"{self.name}.bias", (self.channels,)


@dataclass(frozen=True)
class GroupNorm:
    """Normalisation over all channels and all rows: one group. The signal is a segment, and comes out at its end.

    Tensors: `weight`, `bias` (channels).
    """

    name: str
    channels: int
    eps: float = 1e-5

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.weight", (self.channels,)
        yield f"{self.name}.bias", (self.channels,)


@dataclass(frozen=True)
class Noise:
    """`x + n(t) * W x`, where n is white Gaussian noise, one number a row (SNAC's NoiseBlock).

    The noise depends on a seed, on `number` and on the row's position alone; without a seed there is none.

    Attributes:
        number: Which of a network's noise layers this is; each has noise of its own.
    Tensor: `weight` (channels, channels, 1).
    """

    name: str
    channels: int
    number: int

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.weight", (self.channels, self.channels, 1)


@dataclass(frozen=True)
class LocalAttention:
    """`x + attention(LayerNorm(x))` within windows of `window` rows that do not overlap (SNAC's LocalMHA).

    All rows of a window see one another; the last window of a signal may be shorter. Heads are 64 channels wide, with
    rotary positions 0 ..< window: the first half of a head's channels is rotated against the second.

    Tensors: `norm.weight`, `norm.bias` (channels), `to_qkv.weight` (3 channels, channels), `to_out.weight` (channels,
    channels).
    """

    name: str
    channels: int
    window: int

    @property
    def heads(self) -> int:
        return self.channels // 64

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield f"{self.name}.norm.weight", (self.channels,)
        yield f"{self.name}.norm.bias", (self.channels,)
        yield f"{self.name}.to_qkv.weight", (3 * self.channels, self.channels)
        yield f"{self.name}.to_out.weight", (self.channels, self.channels)


@dataclass(frozen=True)
class TransformerLayer:
    """`x += s1 * attention(norm1(x)); x += s2 * linear2(gelu(linear1(norm2(x))))`, causal.

    A row sees itself and the `context - 1` rows before it. Rotary positions count from the start of the signal; the
    first half of a head's channels is rotated against the second, at 10000^(-2 i / width of a head).

    Tensors: `norm1.weight`, `norm1.bias`, `norm2.weight`, `norm2.bias`, `scale1`, `scale2` (channels); `qkv.weight`
    (3 channels, channels), `out.weight` (channels, channels), `linear1.weight` (hidden, channels), `linear2.weight`
    (channels, hidden).
    """

    name: str
    channels: int
    heads: int
    hidden: int
    context: int
    eps: float = 1e-5

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        for n in (1, 2):
            yield f"{self.name}.norm{n}.weight", (self.channels,)
            yield f"{self.name}.norm{n}.bias", (self.channels,)
            yield f"{self.name}.scale{n}", (self.channels,)
        yield f"{self.name}.qkv.weight", (3 * self.channels, self.channels)
        yield f"{self.name}.out.weight", (self.channels, self.channels)
        yield f"{self.name}.linear1.weight", (self.hidden, self.channels)
        yield f"{self.name}.linear2.weight", (self.channels, self.hidden)


@dataclass(frozen=True)
class Lstm:
    """Stacked LSTM over time plus its input: `y = x + lstm(x)`, input and hidden width equal.

    Tensors of layer i: `weight_ih_l{i}`, `weight_hh_l{i}` (4 C, C), `bias_ih_l{i}`, `bias_hh_l{i}` (4 C); gates in
    the order input, forget, cell, output.
    """

    name: str
    channels: int
    layers: int

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        for i in range(self.layers):
            yield f"{self.name}.weight_ih_l{i}", (4 * self.channels, self.channels)
            yield f"{self.name}.weight_hh_l{i}", (4 * self.channels, self.channels)
            yield f"{self.name}.bias_ih_l{i}", (4 * self.channels,)
            yield f"{self.name}.bias_hh_l{i}", (4 * self.channels,)


@dataclass(frozen=True)
class Residual:
    """`body(x) + shortcut(x)`; without a shortcut, `body(x) + x`.

    The body keeps the length of its input and ends in a convolution; the shortcut is a 1x1 convolution.
    """

    body: tuple["Layer", ...]
    shortcut: Conv1d | None = None

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield from tensors_of(self.body)
        if self.shortcut is not None:
            yield from self.shortcut.tensors()


@dataclass(frozen=True)
class Sum:
    """The sum of what each of two or more `branches` makes of the signal; no layers give the signal itself.

    `Residual` is the case that an engine can fuse. All branches give equally many rows.
    """

    branches: tuple[tuple["Layer", ...], ...]

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        for branch in self.branches:
            yield from tensors_of(branch)


@dataclass(frozen=True)
class PadEnd:
    """Zeros at the end of the signal: up to a multiple of `multiple` rows, then `extra` more."""

    multiple: int
    extra: int = 0


@dataclass(frozen=True)
class TrimStart:
    """Drops the first `rows` rows of the signal."""

    rows: int


@dataclass(frozen=True)
class TrimEnd:
    """Drops the last `rows` rows of the signal."""

    rows: int


Layer = (
    Conv1d
    | ConvTranspose1d
    | Elu
    | Snake
    | LeakyRelu
    | Gelu
    | Tanh
    | LayerNorm
    | GroupNorm
    | Noise
    | LocalAttention
    | TransformerLayer
    | Lstm
    | Residual
    | Sum
    | PadEnd
    | TrimStart
    | TrimEnd
)


def tensors_of(layers: tuple[Layer, ...]) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of the tensors of `layers`."""
    for layer in layers:
        if not isinstance(layer, Elu | LeakyRelu | Gelu | Tanh | PadEnd | TrimStart | TrimEnd):
            yield from layer.tensors()
