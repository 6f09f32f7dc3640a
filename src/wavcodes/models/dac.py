"""DAC, the Descript Audio Codec (Kumar et al. 2023, https://arxiv.org/abs/2306.06546).

Tensor names are those of the files on the Hub; the names of Descript's own releases are brought to them.

Known deviation: the transposed convolutions of stride 5 (16 and 24 kHz) give one row too few, so that upstream's audio
ends 8 samples before its last frame does. Here these samples are zeros, and the length is exact.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..graph import (
    Conv1d,
    ConvTranspose1d,
    CosineRvq,
    Layer,
    Network,
    PadEnd,
    Residual,
    Snake,
    Sum,
    Tanh,
    TrimEnd,
    TrimStart,
)
from ..weights import Tensors, fold_weight_norm, read, rename, squeeze


@dataclass(frozen=True)
class Config:
    """Widths of a DAC model, from `conf/final/*.yml` of the upstream repository.

    Attributes:
        encoder_dim: Channels of the encoder's first convolution; they double at every stride.
        decoder_dim: Channels of the decoder's first convolution; they halve at every stride.
        rates: Strides of the encoder, outermost first; the decoder has them in reverse.
        dim: Width of the latent.
        codebook_dim: Width of a codebook's entries.
    """

    encoder_dim: int = 64
    decoder_dim: int = 1536
    rates: tuple[int, ...] = (2, 4, 8, 8)
    dim: int = 1024
    num_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.rates)


DAC_16KHZ = Config(rates=(2, 4, 5, 8), num_codebooks=12)
DAC_24KHZ = Config(rates=(2, 4, 5, 8), num_codebooks=32)
DAC_44KHZ = Config()
DAC_44KHZ_16KBPS = Config(dim=128, num_codebooks=18)


def network(config: Config) -> Network:
    """The network of a DAC model; zeros complete the last frame, as upstream's `preprocess` has it."""
    return Network(
        encoder=tuple(_encoder(config)),
        quantizer=CosineRvq(
            "quantizer.quantizers",
            config.codebook_size,
            config.dim,
            config.codebook_dim,
            strides=(1,) * config.num_codebooks,
        ),
        decoder=tuple(_decoder(config)),
    )


def _encoder(config: Config) -> Iterator[Layer]:
    width = config.encoder_dim
    yield PadEnd(config.hop_length)
    yield _conv("encoder.conv1", 1, width, kernel=7)
    for i, rate in enumerate(config.rates):
        name, around = f"encoder.block.{i}", math.ceil(rate / 2)
        yield from _units(name, width)
        yield Snake(f"{name}.snake1", width)
        yield Conv1d(f"{name}.conv1", width, 2 * width, 2 * rate, rate, left=around, right=around)
        width *= 2
    yield Snake("encoder.snake1", width)
    yield _conv("encoder.conv2", width, config.dim, kernel=3)


def _decoder(config: Config) -> Iterator[Layer]:
    width = config.decoder_dim
    yield _conv("decoder.conv1", config.dim, width, kernel=7)
    for i, rate in enumerate(reversed(config.rates)):
        name, around = f"decoder.block.{i}", math.ceil(rate / 2)
        yield Snake(f"{name}.snake1", width)
        yield ConvTranspose1d(f"{name}.conv_t1", width, width // 2, 2 * rate, rate, trim_left=around, trim_right=around)
        width //= 2
        yield from _units(name, width)
    yield Snake("decoder.snake1", width)
    yield _conv("decoder.conv2", width, 1, kernel=7)
    yield Tanh()
    yield PadEnd(config.hop_length)


def _units(name: str, width: int) -> Iterator[Layer]:
    for i, dilation in enumerate((1, 3, 9), start=1):
        unit = f"{name}.res_unit{i}"
        yield Residual(
            (
                Snake(f"{unit}.snake1", width),
                _conv(f"{unit}.conv1", width, width, kernel=7, dilation=dilation),
                Snake(f"{unit}.snake2", width),
                _conv(f"{unit}.conv2", width, width, kernel=1),
            )
        )


def _conv(name: str, in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> Conv1d:
    around = kernel // 2 * dilation
    return Conv1d(name, in_channels, out_channels, kernel, dilation=dilation, left=around, right=around)


def without_padding(network: Network) -> Network:
    """The same network as upstream's `padding = False` makes it, for windows that are coded one after the other.

    No convolution pads or trims, and a residual unit adds the middle of its input, so that every output is what it
    would be far from the ends of a long signal.
    """
    return replace(network, encoder=_unpadded(network.encoder), decoder=_unpadded(network.decoder))


def _unpadded(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return tuple(layer for each in layers for layer in _without(each))


def _without(layer: Layer) -> Iterator[Layer]:
    if isinstance(layer, Conv1d):
        yield replace(layer, left=0, right=0)
    elif isinstance(layer, ConvTranspose1d):
        yield replace(layer, trim_left=0, trim_right=0)
    elif isinstance(layer, Residual):
        left, right = (sum(getattr(conv, side, 0) for conv in layer.body) for side in ("left", "right"))
        yield Sum((_unpadded(layer.body), (TrimStart(left), TrimEnd(right))))
    elif not isinstance(layer, PadEnd):
        yield layer


def num_rows(layers: tuple[Layer, ...], rows: int) -> int:
    """How many rows the layers of such a network give for `rows` rows; 0 where these are too few for any."""
    for layer in layers:
        if isinstance(layer, Conv1d):
            rows = (rows - layer.span) // layer.stride + 1
        elif isinstance(layer, ConvTranspose1d):
            rows = (rows - 1) * layer.stride + layer.kernel
        elif isinstance(layer, Sum):
            rows = num_rows(layer.branches[0], rows)
        if rows < 1:
            return 0
    return rows


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one file in `paths`, with the Hub's names or Descript's, by the names of the graph.

    Raises:
        FormatError: The file is not whole.
        ModelError: Two of its tensors stand for the same one.
    """
    (path,) = paths
    return squeeze(fold_weight_norm(rename(rename(read(path), _WRAPPED), _NAMES)))


def _names() -> Iterator[tuple[str, str]]:
    yield r"(quantizer\..+\.codebook)\.weight", r"\1"
    # Descript's modules are numbered through, and its blocks begin at 1; all published models have four.
    yield r"encoder\.block\.0\.((?:bias|weight|parametrizations).*)", r"encoder.conv1.\1"
    yield r"encoder\.block\.5\.(.+)", r"encoder.snake1.\1"
    yield r"encoder\.block\.6\.(.+)", r"encoder.conv2.\1"
    yield r"decoder\.model\.0\.(.+)", r"decoder.conv1.\1"
    yield r"decoder\.model\.5\.(.+)", r"decoder.snake1.\1"
    yield r"decoder\.model\.6\.(.+)", r"decoder.conv2.\1"
    units = ("res_unit1", "res_unit2", "res_unit3")
    for i in range(4):
        for side, parts in (
            (r"encoder\.block", (*units, "snake1", "conv1")),
            (r"decoder\.model", ("snake1", "conv_t1", *units)),
        ):
            for j, part in enumerate(parts):
                theirs, ours = rf"{side}\.{i + 1}\.block\.{j}", f"{side[:7]}.block.{i}.{part}"
                if part in units:
                    for k, inner in enumerate(("snake1", "conv1", "snake2", "conv2")):
                        yield rf"{theirs}\.block\.{k}\.(.+)", rf"{ours}.{inner}.\1"
                else:
                    yield rf"{theirs}\.(.+)", rf"{ours}.\1"


_NAMES = tuple(_names())
_WRAPPED = ((r"model\.(.+)", r"\1"),)  # as in the copy of Descript's release at parler-tts/dac_44khZ_8kbps
