"""The network as data: a codec is a tuple of the frozen layers below, and engines interpret it.

Signals are channels-last rows: `(T, C)`. A layer names its tensors relative to its own `name`; `tensor_shapes`
lists all that a network needs, and a weights file must supply exactly those. A layer's semantics are those of the
PyTorch layer of the same name, with the padding written out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Conv1d:
    """Convolution with its padding.

    Attributes:
        left, right: Rows of padding at the start and at the end of the signal.
        reflect: True mirrors the signal into all padding, the rows that `complete` adds included; False pads zeros.
            A signal too short to be mirrored is first extended with zeros, as EnCodec does.
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
    reflect: bool = False
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
        yield from _tensors(self.body)
        if self.shortcut is not None:
            yield from self.shortcut.tensors()


@dataclass(frozen=True)
class PadEnd:
    """Zeros at the end of the signal: up to a multiple of `multiple` rows, then `extra` more."""

    multiple: int
    extra: int = 0


@dataclass(frozen=True)
class TrimStart:
    """Drops the first `rows` rows of the signal."""

    rows: int


Layer = Conv1d | ConvTranspose1d | Elu | LeakyRelu | Gelu | Tanh | LayerNorm | Lstm | Residual | PadEnd | TrimStart


@dataclass(frozen=True)
class EuclideanRvq:
    """Residual quantizer: each book takes the nearest of its entries away from what the books before left over.

    Ties go to the lower index. Tensors of book k: `{name}.{k}.codebook` (codebook_size, dim).
    """

    name: str
    num_codebooks: int
    codebook_size: int
    dim: int

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        for k in range(self.num_codebooks):
            yield f"{self.name}.{k}.codebook", (self.codebook_size, self.dim)


@dataclass(frozen=True)
class CosineRvq:
    """Residual quantizer that searches by angle in a projection of few dimensions (the improved VQ of DAC).

    Each book projects the residual to `codebook_dim`, takes the entry of greatest cosine, and takes the projection
    back of that entry (not normalised) away from the residual. Tensors of book k: `{name}.{k}.in_proj.weight`
    (codebook_dim, dim), `.in_proj.bias`, `.out_proj.weight` (dim, codebook_dim), `.out_proj.bias`,
    `.codebook` (codebook_size, codebook_dim).
    """

    name: str
    num_codebooks: int
    codebook_size: int
    dim: int
    codebook_dim: int

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        for k in range(self.num_codebooks):
            book = f"{self.name}.{k}"
            yield f"{book}.in_proj.weight", (self.codebook_dim, self.dim)
            yield f"{book}.in_proj.bias", (self.codebook_dim,)
            yield f"{book}.out_proj.weight", (self.dim, self.codebook_dim)
            yield f"{book}.out_proj.bias", (self.dim,)
            yield f"{book}.codebook", (self.codebook_size, self.codebook_dim)


Quantizer = EuclideanRvq | CosineRvq


@dataclass(frozen=True)
class Network:
    """A whole codec: audio rows `(N, channels)` to latent rows `(T, D)`, to codes `(T, K)`, and back."""

    encoder: tuple[Layer, ...]
    quantizer: Quantizer
    decoder: tuple[Layer, ...]


def _tensors(layers: tuple[Layer, ...]) -> Iterator[tuple[str, Shape]]:
    for layer in layers:
        if isinstance(layer, Conv1d | ConvTranspose1d | LayerNorm | Lstm | Residual):
            yield from layer.tensors()


def tensor_shapes(network: Network) -> dict[str, Shape]:
    """Names and shapes of all float32 tensors that `network` needs."""
    return dict([*_tensors(network.encoder), *network.quantizer.tensors(), *_tensors(network.decoder)])


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
        elif isinstance(layer, TrimStart):
            late += samples_per_row * layer.rows
        elif isinstance(layer, Residual):
            late += _delay(layer.body, samples_per_row)
    return late
