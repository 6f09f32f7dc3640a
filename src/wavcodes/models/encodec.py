"""EnCodec (Défossez et al. 2022, https://arxiv.org/abs/2210.13438): 24 and 48 kHz, and MusicGen's at 32 kHz.

Tensor names are those of the files on the Hub, with weight norm folded and `.embed` left out; the names of Meta's own
files, EnCodec's and MusicGen's, are brought to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..graph import (
    Conv1d,
    ConvTranspose1d,
    Elu,
    EuclideanRvq,
    GroupNorm,
    Layer,
    Lstm,
    Network,
    Residual,
    Sum,
    TrimEnd,
    TrimStart,
)
from ..weights import Tensors, fold_weight_norm, read, rename


@dataclass(frozen=True)
class Config:
    """Widths of an EnCodec model, from the Hub's `config.json`.

    Attributes:
        channels: Audio channels.
        num_filters: Channels of the first convolution; they double at every stride.
        ratios: Strides of the decoder, outermost last; the encoder has them in reverse.
        dim: Width of the latent.
        compress: A residual block narrows its channels by this factor.
        causal: False where each convolution also sees what follows.
        conv_shortcut: False where residual blocks add their input as it is.
        group_norm: True where each convolution is followed by a normalisation over all of the segment.
    """

    channels: int = 1
    num_filters: int = 32
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    dim: int = 128
    lstm_layers: int = 2
    kernel: int = 7
    last_kernel: int = 7
    residual_kernel: int = 3
    compress: int = 2
    num_codebooks: int = 32
    codebook_size: int = 1024
    causal: bool = True
    conv_shortcut: bool = True
    group_norm: bool = False


ENCODEC_24KHZ = Config()
ENCODEC_32KHZ = Config(
    num_filters=64, ratios=(8, 5, 4, 4), num_codebooks=4, codebook_size=2048, causal=False, conv_shortcut=False
)
ENCODEC_48KHZ = Config(channels=2, num_codebooks=16, causal=False, group_norm=True)


def network(config: Config) -> Network:
    """The network of an EnCodec model, for one segment where the model has segments.

    Its convolutions complete the last frame themselves.
    """
    return Network(
        encoder=tuple(_encoder(config)),
        quantizer=EuclideanRvq("quantizer.layers", config.num_codebooks, config.codebook_size, config.dim),
        decoder=tuple(_decoder(config)),
    )


# Upstream numbers all layers of a list, those without tensors too.


def _encoder(config: Config) -> Iterator[Layer]:
    name, width, n = "encoder.layers", config.num_filters, 1
    yield from _conv(f"{name}.0", config.channels, width, config.kernel, config)
    for ratio in reversed(config.ratios):
        yield _residual(f"{name}.{n}", width, config)
        yield Elu()
        yield from _conv(f"{name}.{n + 2}", width, 2 * width, 2 * ratio, config, stride=ratio)
        width, n = 2 * width, n + 3
    yield Lstm(f"{name}.{n}.lstm", width, config.lstm_layers)
    yield Elu()
    yield from _conv(f"{name}.{n + 2}", width, config.dim, config.last_kernel, config)


def _decoder(config: Config) -> Iterator[Layer]:
    name, width, n = "decoder.layers", config.num_filters << len(config.ratios), 2
    yield from _conv(f"{name}.0", config.dim, width, config.kernel, config)
    yield Lstm(f"{name}.1.lstm", width, config.lstm_layers)
    for ratio in config.ratios:
        yield Elu()
        yield from _conv_transpose(f"{name}.{n + 1}", width, width // 2, ratio, config)
        yield _residual(f"{name}.{n + 2}", width // 2, config)
        width, n = width // 2, n + 3
    yield Elu()
    yield from _conv(f"{name}.{n + 1}", width, config.channels, config.last_kernel, config)


def _residual(name: str, width: int, config: Config) -> Layer:
    hidden = width // config.compress
    inner = _conv(f"{name}.block.1", width, hidden, config.residual_kernel, config)
    outer = _conv(f"{name}.block.3", hidden, width, 1, config)
    body = (Elu(), *inner, Elu(), *outer)
    shortcut = _plain(f"{name}.shortcut", width, width, 1, config) if config.conv_shortcut else None
    if config.group_norm:
        return Sum((body, () if shortcut is None else _normed(shortcut, config)))
    return Residual(body, shortcut)


def _conv(
    name: str, in_channels: int, out_channels: int, kernel: int, config: Config, stride: int = 1
) -> tuple[Layer, ...]:
    return _normed(_plain(name, in_channels, out_channels, kernel, config, stride), config)


def _plain(name: str, in_channels: int, out_channels: int, kernel: int, config: Config, stride: int = 1) -> Conv1d:
    total = kernel - stride
    right = 0 if config.causal else total // 2
    return Conv1d(
        f"{name}.conv",
        in_channels,
        out_channels,
        kernel,
        stride,
        left=total - right,
        right=right,
        padding="reflect" if total else "zeros",
        complete=True,
    )


def _conv_transpose(name: str, in_channels: int, out_channels: int, ratio: int, config: Config) -> tuple[Layer, ...]:
    right = ratio if config.causal else ratio // 2
    left = ratio - right
    conv = ConvTranspose1d(f"{name}.conv", in_channels, out_channels, 2 * ratio, ratio)
    if config.group_norm:
        # Upstream normalises before it trims: the rows that are dropped count, too.
        return *_normed(conv, config), TrimStart(left), TrimEnd(right)
    return (replace(conv, trim_left=left, trim_right=right),)


def _normed(conv: Conv1d | ConvTranspose1d, config: Config) -> tuple[Layer, ...]:
    if not config.group_norm:
        return (conv,)
    return conv, GroupNorm(f"{conv.name.removesuffix('.conv')}.norm", conv.out_channels)


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one file in `paths`, with the Hub's names or Meta's, by the names of the graph.

    Raises:
        FormatError: The file is not whole.
        ModelError: Two of its tensors stand for the same one.
    """
    (path,) = paths
    return fold_weight_norm(rename(read(path), _NAMES))


_NAMES = [
    # What training needs to move the codebooks, and decoding does not.
    (r"quantizer\.(vq\.)?layers\.\d+\._?codebook\.(inited|cluster_size|embed_avg)", None),
    (r"quantizer\.(?:vq\.)?layers\.(\d+)\._?codebook\.embed", r"quantizer.layers.\1.codebook"),
    # Meta's modules wrap each convolution twice and name transposed ones apart.
    (r"(encoder|decoder)\.model\.(.+\.)(?:conv\.conv|convtr\.convtr)\.(.+)", r"\1.layers.\2conv.\3"),
    (r"(encoder|decoder)\.model\.(.+\.)(?:conv|convtr)\.norm\.(.+)", r"\1.layers.\2norm.\3"),
    (r"(encoder|decoder)\.model\.(\d+\.lstm\..+)", r"\1.layers.\2"),
]
