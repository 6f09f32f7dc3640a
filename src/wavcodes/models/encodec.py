"""EnCodec (Défossez et al. 2022, https://arxiv.org/abs/2210.13438): the causal 24 kHz family.

Tensor names are those of the files on the Hub, with weight norm folded and `.embed` left out; Meta's own names are
brought to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..graph import Conv1d, ConvTranspose1d, Elu, EuclideanRvq, Layer, Lstm, Network, Residual, causal
from ..weights import Tensors, fold_weight_norm, read_safetensors, rename


@dataclass(frozen=True)
class Config:
    """Widths of an EnCodec model, from the Hub's `config.json`.

    Attributes:
        channels: Audio channels.
        num_filters: Channels of the first convolution; they double at every stride.
        ratios: Strides of the decoder, outermost last; the encoder has them in reverse.
        dim: Width of the latent.
        compress: A residual block narrows its channels by this factor.
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


ENCODEC_24KHZ = Config()


def network(config: Config) -> Network:
    """The network of a causal EnCodec model; its convolutions complete the last frame themselves."""
    return Network(
        encoder=tuple(_encoder(config)),
        quantizer=EuclideanRvq("quantizer.layers", config.num_codebooks, config.codebook_size, config.dim),
        decoder=tuple(_decoder(config)),
    )


# Upstream numbers all layers of a list, those without tensors too.


def _encoder(config: Config) -> Iterator[Layer]:
    name, width, n = "encoder.layers", config.num_filters, 1
    yield _conv(f"{name}.0", config.channels, width, config.kernel)
    for ratio in reversed(config.ratios):
        yield _residual(f"{name}.{n}", width, config)
        yield Elu()
        yield _conv(f"{name}.{n + 2}", width, 2 * width, 2 * ratio, stride=ratio)
        width, n = 2 * width, n + 3
    yield Lstm(f"{name}.{n}.lstm", width, config.lstm_layers)
    yield Elu()
    yield _conv(f"{name}.{n + 2}", width, config.dim, config.last_kernel)


def _decoder(config: Config) -> Iterator[Layer]:
    name, width, n = "decoder.layers", config.num_filters << len(config.ratios), 2
    yield _conv(f"{name}.0", config.dim, width, config.kernel)
    yield Lstm(f"{name}.1.lstm", width, config.lstm_layers)
    for ratio in config.ratios:
        yield Elu()
        yield ConvTranspose1d(f"{name}.{n + 1}.conv", width, width // 2, 2 * ratio, ratio, trim_right=ratio)
        yield _residual(f"{name}.{n + 2}", width // 2, config)
        width, n = width // 2, n + 3
    yield Elu()
    yield _conv(f"{name}.{n + 1}", width, config.channels, config.last_kernel)


def _residual(name: str, width: int, config: Config) -> Residual:
    hidden = width // config.compress
    inner = _conv(f"{name}.block.1", width, hidden, config.residual_kernel)
    outer = _conv(f"{name}.block.3", hidden, width, 1)
    return Residual((Elu(), inner, Elu(), outer), shortcut=_conv(f"{name}.shortcut", width, width, 1))


def _conv(name: str, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> Conv1d:
    conv = Conv1d(
        f"{name}.conv",
        in_channels,
        out_channels,
        kernel,
        stride,
        padding="reflect" if kernel > stride else "zeros",
        complete=True,
    )
    return causal(conv)


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one safetensors file in `paths`, with the Hub's names or Meta's, by the names of the graph.

    Raises:
        FormatError: The file is not whole safetensors.
        ModelError: Two of its tensors stand for the same one.
    """
    (path,) = paths
    return fold_weight_norm(rename(read_safetensors(path), _NAMES))


_NAMES = [
    # What training needs to move the codebooks, and decoding does not.
    (r"quantizer\.(vq\.)?layers\.\d+\._?codebook\.(inited|cluster_size|embed_avg)", None),
    (r"quantizer\.(?:vq\.)?layers\.(\d+)\._?codebook\.embed", r"quantizer.layers.\1.codebook"),
    # Meta's modules wrap each convolution twice and name transposed ones apart.
    (r"(encoder|decoder)\.model\.(.+\.)(?:conv\.conv|convtr\.convtr)\.(.+)", r"\1.layers.\2conv.\3"),
    (r"(encoder|decoder)\.model\.(\d+\.lstm\..+)", r"\1.layers.\2"),
]
