"""The package's own codecs: causal ConvNeXt blocks at 1000 to 50 rows a second, and a residual quantizer."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..graph import (
    Conv1d,
    ConvTranspose1d,
    CosineRvq,
    Gelu,
    Layer,
    LayerNorm,
    Network,
    PadEnd,
    Residual,
    TrimStart,
    causal,
)
from ..weights import Tensors, read

_STRIDES = (16, 5, 2, 2)
_HOP_LENGTH = math.prod(_STRIDES)


@dataclass(frozen=True)
class Config:
    """Widths of a model.

    Attributes:
        encoder: Channels at 1000, 200, 100 and 50 rows per second.
        encoder_blocks: Blocks at each of these rates.
        decoder: Channels at 100, 200 and 1000 rows per second.
        decoder_blocks: Blocks at each of these rates.
        dim: Width of the latent.
        codebook_dim: Width of a codebook's entries.
    """

    encoder: tuple[int, int, int, int] = (64, 128, 256, 176)
    encoder_blocks: tuple[int, int, int, int] = (2, 2, 1, 1)
    decoder: tuple[int, int, int] = (256, 128, 64)
    decoder_blocks: tuple[int, int, int] = (2, 3, 3)
    dim: int = 64
    num_codebooks: int = 12
    codebook_size: int = 1024
    codebook_dim: int = 8


WAVCODES_16KHZ = Config()


def network(config: Config) -> Network:
    """The network at 16 kHz.

    The decoder's output is one frame late. The encoder is given one more frame of zeros and the decoder drops its
    first frame, so that audio keeps its place and its length.
    """
    return Network(
        encoder=tuple(_encoder(config)),
        quantizer=CosineRvq(
            "rvq", config.codebook_size, config.dim, config.codebook_dim, strides=(1,) * config.num_codebooks
        ),
        decoder=tuple(_decoder(config)),
    )


def _encoder(config: Config) -> Iterator[Layer]:
    yield PadEnd(_HOP_LENGTH, extra=_HOP_LENGTH)
    before = 1
    for i, (width, blocks, stride) in enumerate(zip(config.encoder, config.encoder_blocks, _STRIDES, strict=True)):
        kernel = 64 if i == 0 else stride
        yield causal(Conv1d(f"encoder.{i}.down", before, width, kernel, stride))
        for j in range(blocks):
            yield _block(f"encoder.{i}.{j}", width)
        before = width
    yield LayerNorm("encoder.norm", before)
    yield Conv1d("encoder.out", before, config.dim, kernel=1)


def _decoder(config: Config) -> Iterator[Layer]:
    before = config.decoder[0]
    yield causal(Conv1d("decoder.in", config.dim, before, kernel=3))
    for i, (width, blocks) in enumerate(zip(config.decoder, config.decoder_blocks, strict=True)):
        stride = _STRIDES[-1 - i]
        yield ConvTranspose1d(f"decoder.{i}.up", before, width, kernel=stride, stride=stride)
        for j in range(blocks):
            yield _block(f"decoder.{i}.{j}", width)
        before = width
    yield ConvTranspose1d("decoder.out", before, 1, kernel=64, stride=_STRIDES[0], trim_right=64 - _STRIDES[0])
    yield TrimStart(_HOP_LENGTH)


def _block(name: str, width: int) -> Residual:
    return Residual(
        (
            causal(Conv1d(f"{name}.dw", width, width, kernel=7, groups=width)),
            LayerNorm(f"{name}.norm", width),
            Conv1d(f"{name}.p1", width, 2 * width, kernel=1),
            Gelu(),
            Conv1d(f"{name}.p2", 2 * width, width, kernel=1),
        )
    )


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one file in `paths`, which `wavcodes-train export` wrote by the names of the graph.

    Raises:
        FormatError: The file is not whole safetensors.
    """
    (path,) = paths
    return read(path)
