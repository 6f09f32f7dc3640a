"""SNAC (Siuzdak et al. 2024, https://arxiv.org/abs/2410.14411): books at several rates, the coarse ones slower.

Known deviations: upstream draws the noise that its decoder adds anew for each call, here it follows from a seed and the
position; and what upstream decodes is as long as its codes, here as long as the clip was.

Tensor names are upstream's, with weight norm folded, `codebook.weight` called `codebook`, and single dimensions left
out of Snake's `alpha` and of the projections.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..graph import (
    Conv1d,
    ConvTranspose1d,
    CosineRvq,
    Layer,
    LocalAttention,
    Network,
    Noise,
    PadEnd,
    Residual,
    Snake,
    Tanh,
)
from ..weights import Tensors, fold_weight_norm, read, rename, squeeze


@dataclass(frozen=True)
class Config:
    """Widths of a SNAC model, from the Hub's `config.json`.

    Attributes:
        encoder_dim: Channels of the encoder's first convolution; they double at every stride.
        decoder_dim: Channels of the decoder's first convolution; they halve at every stride.
        rates: Strides of the encoder; the decoder has them in reverse.
        window: Frames that see one another in the attention, or None where there is no attention.
        strides: Frames per code, for each book.
    """

    encoder_dim: int
    decoder_dim: int
    rates: tuple[int, ...]
    window: int | None
    strides: tuple[int, ...]
    codebook_size: int = 4096
    codebook_dim: int = 8

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.rates)

    @property
    def frame_multiple(self) -> int:
        """The encoder pads a signal to a multiple of so many frames: whole codes of every book, whole windows."""
        return math.lcm(*self.strides, self.window or 1)


SNAC_24KHZ = Config(encoder_dim=48, decoder_dim=1024, rates=(2, 4, 8, 8), window=None, strides=(4, 2, 1))
SNAC_32KHZ = Config(encoder_dim=64, decoder_dim=1536, rates=(2, 3, 8, 8), window=32, strides=(8, 4, 2, 1))
SNAC_44KHZ = SNAC_32KHZ


def network(config: Config) -> Network:
    """The network of a SNAC model, one audio channel in and out."""
    dim = config.encoder_dim << len(config.rates)
    return Network(
        encoder=tuple(_encoder(config)),
        quantizer=CosineRvq(
            "quantizer.quantizers", config.codebook_size, dim, config.codebook_dim, strides=config.strides
        ),
        decoder=tuple(_decoder(config, dim)),
    )


def _encoder(config: Config) -> Iterator[Layer]:
    name, width, n = "encoder.block", config.encoder_dim, 1
    yield PadEnd(config.hop_length * config.frame_multiple)
    yield _conv(f"{name}.0", 1, width)
    for stride in config.rates:
        block = f"{name}.{n}.block"
        for i, dilation in enumerate((1, 3, 9)):
            yield _residual(f"{block}.{i}.block", width, dilation)
        yield Snake(f"{block}.3", width)
        left = math.ceil(stride / 2)
        # Upstream pads as much on the right; what is beyond `stride - left` completes no window.
        yield Conv1d(f"{block}.4", width, 2 * width, 2 * stride, stride, left=left, right=stride - left)
        width, n = 2 * width, n + 1
    if config.window is not None:
        yield LocalAttention(f"{name}.{n}", width, config.window)
        n += 1
    yield _conv(f"{name}.{n}", width, width, groups=width)


def _decoder(config: Config, dim: int) -> Iterator[Layer]:
    name, width, n = "decoder.model", config.decoder_dim, 2
    yield _conv(f"{name}.0", dim, dim, groups=dim)
    yield Conv1d(f"{name}.1", dim, width, kernel=1)
    if config.window is not None:
        yield LocalAttention(f"{name}.{n}", width, config.window)
        n += 1
    for number, stride in enumerate(reversed(config.rates)):
        block, narrow = f"{name}.{n}.block", width // 2
        yield Snake(f"{block}.0", width)
        # Upstream trims `trim` rows on both sides and adds one on the right where the stride is odd.
        trim = math.ceil(stride / 2)
        yield ConvTranspose1d(
            f"{block}.1", width, narrow, 2 * stride, stride, trim_left=trim, trim_right=trim - stride % 2
        )
        yield Noise(f"{block}.2.linear", narrow, number)
        for i, dilation in enumerate((1, 3, 9)):
            yield _residual(f"{block}.{i + 3}.block", narrow, dilation)
        width, n = narrow, n + 1
    yield Snake(f"{name}.{n}", width)
    yield _conv(f"{name}.{n + 1}", width, 1)
    yield Tanh()


def _residual(name: str, width: int, dilation: int) -> Residual:
    return Residual(
        (
            Snake(f"{name}.0", width),
            _conv(f"{name}.1", width, width, dilation, groups=width),
            Snake(f"{name}.2", width),
            Conv1d(f"{name}.3", width, width, kernel=1),
        )
    )


def _conv(name: str, in_channels: int, out_channels: int, dilation: int = 1, groups: int = 1) -> Conv1d:
    side = 3 * dilation
    return Conv1d(name, in_channels, out_channels, 7, dilation=dilation, groups=groups, left=side, right=side)


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one file in `paths`, a state dict with upstream's names, by the names of the graph.

    Raises:
        FormatError: The file is damaged or of another format.
        ModelError: Two of its tensors stand for the same one.
    """
    (path,) = paths
    return squeeze(rename(fold_weight_norm(read(path)), _NAMES))


_NAMES = [
    # The angles of the rotary positions, which follow from the width of a head.
    (r".+\.rel_pos\.inv_freq", None),
    (r"(quantizer\.quantizers\.\d+\.codebook)\.weight", r"\1"),
]
