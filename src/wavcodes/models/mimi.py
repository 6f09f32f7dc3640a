"""Mimi (Défossez et al. 2024, https://arxiv.org/abs/2410.00037), the codec of Moshi: causal, 12.5 frames a second.

Where the two published implementations differ, this network does what the `moshi` package does:

- A signal is padded with zeros to whole frames. `transformers` pads the output of each layer instead, which changes
  the codes of the last frame of a signal that is not whole frames long.
- A row attends to 250 rows, itself included, in both packages. In a stream of more than 250 rows, `moshi` overwrites
  the oldest row before the first of the two rows of a frame has seen it; here, as in `moshi` when it is given a whole
  signal, every row sees 250.
- `moshi` uses 8 of the 32 books unless told otherwise, `transformers` all.

Tensor names are those of the file on the Hub, shortened: `qkv` joins the three projections, and a codebook is its sum
over its usage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import (
    Conv1d,
    ConvTranspose1d,
    Elu,
    EuclideanRvq,
    Layer,
    Network,
    PadEnd,
    Residual,
    SplitRvq,
    TransformerLayer,
    causal,
)
from ..weights import Deferred, Tensors, read, rename, squeeze


@dataclass(frozen=True)
class Config:
    """Widths of a Mimi model, from the Hub's `config.json`.

    Attributes:
        num_filters: Channels of the first convolution; they double at every stride.
        ratios: Strides of the decoder, outermost last; the encoder has them in reverse.
        dim: Width of the latent and of the transformers.
        context: Rows that a row of a transformer sees, itself included.
        stride: Between the rows of the transformers and frames.
    """

    num_filters: int = 64
    ratios: tuple[int, ...] = (8, 6, 5, 4)
    dim: int = 512
    transformer_layers: int = 8
    heads: int = 8
    hidden: int = 2048
    context: int = 250
    stride: int = 2
    num_codebooks: int = 32
    codebook_size: int = 2048
    codebook_dim: int = 256

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.stride * prod(self.ratios)


MIMI = Config()


def network(config: Config) -> Network:
    """The network of a Mimi model, one audio channel in and out."""
    size, dim, inner = config.codebook_size, config.dim, config.codebook_dim
    return Network(
        encoder=tuple(_encoder(config)),
        quantizer=SplitRvq(
            EuclideanRvq("quantizer.semantic", 1, size, dim, inner),
            EuclideanRvq("quantizer.acoustic", config.num_codebooks - 1, size, dim, inner),
        ),
        decoder=tuple(_decoder(config)),
    )


# Upstream numbers all layers of a list, those without tensors too.


def _encoder(config: Config) -> Iterator[Layer]:
    name, width, n = "encoder.layers", config.num_filters, 1
    yield PadEnd(config.hop_length)
    yield _conv(f"{name}.0", 1, width, 7)
    for ratio in reversed(config.ratios):
        yield _residual(f"{name}.{n}", width)
        yield Elu()
        yield _conv(f"{name}.{n + 2}", width, 2 * width, 2 * ratio, stride=ratio)
        width, n = 2 * width, n + 3
    yield Elu()
    yield _conv(f"{name}.{n + 1}", width, config.dim, 3)
    yield from _transformer("encoder_transformer.layers", config)
    yield causal(
        Conv1d(
            "downsample.conv",
            config.dim,
            config.dim,
            2 * config.stride,
            config.stride,
            bias=False,
            padding="replicate",
        )
    )


def _decoder(config: Config) -> Iterator[Layer]:
    name, width, n = "decoder.layers", config.num_filters << len(config.ratios), 2
    yield ConvTranspose1d(
        "upsample.conv",
        config.dim,
        config.dim,
        2 * config.stride,
        config.stride,
        groups=config.dim,
        bias=False,
        trim_right=config.stride,
    )
    yield from _transformer("decoder_transformer.layers", config)
    yield _conv(f"{name}.0", config.dim, width, 7)
    for ratio in config.ratios:
        yield Elu()
        yield ConvTranspose1d(f"{name}.{n}.conv", width, width // 2, 2 * ratio, ratio, trim_right=ratio)
        yield _residual(f"{name}.{n + 1}", width // 2)
        width, n = width // 2, n + 3
    yield Elu()
    yield _conv(f"{name}.{n}", width, 1, 3)


def _residual(name: str, width: int) -> Residual:
    inner = _conv(f"{name}.block.1", width, width // 2, 3)
    return Residual((Elu(), inner, Elu(), _conv(f"{name}.block.3", width // 2, width, 1)))


def _conv(name: str, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> Conv1d:
    return causal(Conv1d(f"{name}.conv", in_channels, out_channels, kernel, stride))


def _transformer(name: str, config: Config) -> Iterator[Layer]:
    for i in range(config.transformer_layers):
        yield TransformerLayer(f"{name}.{i}", config.dim, config.heads, config.hidden, config.context)


def tensors(config: Config, paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one file in `paths`, with the Hub's names, old or new, or moshi's, by the names of the graph.

    What is missing or misshapen stays under the name that it got, for `weights.check` to report.

    Raises:
        FormatError: The file is damaged or of another format.
        ModelError: Two of its tensors stand for the same one.
    """
    (path,) = paths
    named = squeeze(rename(read(path), _names()))
    for name in list(named):
        stem, _, last = name.rpartition(".")
        if last == "sum":
            _divide(named, stem)
        elif last == "interleaved_qkv":
            _reorder(named, stem, config.dim // config.heads)
        elif last == "q":
            _join(named, stem)
    return named


def _divide(named: Tensors, book: str) -> None:
    """A codebook from what training keeps of it: the sums of the vectors of each entry, and how many those were."""
    total, usage = named[f"{book}.sum"], named.get(f"{book}.usage")
    if usage is not None and total.ndim == 2 and usage.shape == total.shape[:1]:
        # Upstream's limit for entries that no vector used.
        divisor = np.maximum(usage, np.float32(1e-5))[:, None]
        dtype = np.result_type(total.dtype, divisor.dtype)
        named[f"{book}.codebook"] = Deferred(total.shape, dtype, lambda: np.asarray(total) / divisor)
        del named[f"{book}.sum"], named[f"{book}.usage"]


def _reorder(named: Tensors, layer: str, width: int) -> None:
    """Moshi rotates channel 2 i of a head against 2 i + 1, the graph channel i against i + half the head."""
    joined = named[f"{layer}.interleaved_qkv"]
    if joined.ndim == 2 and joined.shape[0] % (3 * width) == 0:

        def reordered() -> NDArray[Any]:
            queries_keys, values = np.split(np.asarray(joined), [joined.shape[0] // 3 * 2])
            pairs = queries_keys.reshape(-1, width // 2, 2, joined.shape[1])
            return np.concatenate([pairs.swapaxes(1, 2).reshape(queries_keys.shape), values])

        named[f"{layer}.qkv.weight"] = Deferred(joined.shape, joined.dtype, reordered)
        del named[f"{layer}.interleaved_qkv"]


def _join(named: Tensors, layer: str) -> None:
    parts = [named.get(f"{layer}.{part}") for part in "qkv"]
    found = [part for part in parts if part is not None and part.ndim == 2]
    if len(found) == 3 and len({part.shape[1] for part in found}) == 1:
        shape = (sum(part.shape[0] for part in found), found[0].shape[1])
        dtype = np.result_type(*(part.dtype for part in found))
        named[f"{layer}.qkv.weight"] = Deferred(shape, dtype, lambda: np.concatenate([np.asarray(p) for p in found]))
        for part in "qkv":
            del named[f"{layer}.{part}"]


def _names() -> Iterator[tuple[str, str | None]]:
    yield r"quantizer\..+codebook\._?initialized", None
    for ours, hub, moshi in (("semantic", "semantic", "first"), ("acoustic", "acoustic", "rest")):
        part = rf"quantizer\.(?:{hub}_residual_vector_quantizer|rvq_{moshi})\."
        book = rf"{part}(?:vq\.)?layers\.(\d+)\._?codebook\."
        yield rf"{book}cluster_usage", rf"quantizer.{ours}.\1.usage"
        yield rf"{book}(?:embed|embedding)_sum", rf"quantizer.{ours}.\1.sum"
        yield rf"{part}(in|out)put_proj\.weight", rf"quantizer.{ours}.\1_proj.weight"

    # Newer versions of transformers put the three stages of each half into one module.
    layer = r"(?:encoder\.|decoder\.)?(encoder|decoder)_transformer\.(?:transformer\.)?layers\.(\d+)\."
    for theirs, last in (
        (r"(?:norm1|input_layernorm)\.(weight|bias)", r"norm1.\3"),
        (r"(?:norm2|post_attention_layernorm)\.(weight|bias)", r"norm2.\3"),
        (r"(?:layer_scale_1|self_attn_layer_scale)\.scale", "scale1"),
        (r"(?:layer_scale_2|mlp_layer_scale)\.scale", "scale2"),
        (r"(?:linear|mlp\.fc)([12])\.weight", r"linear\3.weight"),
        (r"self_attn\.(?:out|o)_proj\.weight", "out.weight"),
        (r"self_attn\.([qkv])_proj\.weight", r"\3"),
        (r"self_attn\.in_proj_weight", "interleaved_qkv"),
    ):
        yield layer + theirs, rf"\1_transformer.layers.\2.{last}"
    yield r"(encoder|decoder)\.(?:\1_seanet\.)?layers\.(.+)", r"\1.layers.\2"
    yield r"(encoder|decoder)\.model\.(.+\.)(?:conv\.conv|convtr\.convtr)\.(.+)", r"\1.layers.\2conv.\3"
    yield r"(?:encoder\.)?downsample\.conv\.(?:conv\.conv\.)?weight", "downsample.conv.weight"
    yield r"(?:decoder\.)?upsample\.(?:conv|convtr\.convtr\.convtr)\.weight", "upsample.conv.weight"
