"""The package's own codecs: causal ConvNeXt blocks at two rates and a residual quantizer of few dimensions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
from ..weights import Tensors, read, rename

_HOP_LENGTH = 320


@dataclass(frozen=True)
class Config:
    """Widths of a model, as in the `config.json` of its training run.

    Attributes:
        encoder: Channels at 1000, 200 and 50 rows per second.
        encoder_blocks: Blocks at 200 and 50 rows per second.
        decoder: Channels at 50 and 200 rows per second, and in front of the last layer.
        decoder_blocks: Blocks at 50 and 200 rows per second.
        dim: Width of the latent.
        codebook_dim: Width of a codebook's entries.
    """

    encoder: tuple[int, int, int] = (64, 128, 176)
    encoder_blocks: tuple[int, int] = (2, 2)
    decoder: tuple[int, int, int] = (256, 160, 256)
    decoder_blocks: tuple[int, int] = (2, 4)
    dim: int = 96
    num_codebooks: int = 12
    codebook_size: int = 1024
    codebook_dim: int = 8


WAVCODES_16KHZ = Config()


def network(config: Config) -> Network:
    """The network at 16 kHz; its names are those of the training code.

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
    wide, middle, narrow = config.encoder
    yield PadEnd(_HOP_LENGTH, extra=_HOP_LENGTH)
    yield causal(Conv1d("e1", 1, wide, kernel=32, stride=16))
    yield Gelu()
    yield causal(Conv1d("e2", wide, middle, kernel=5, stride=5))
    for i in range(config.encoder_blocks[0]):
        yield _block(f"eb2.{i}", middle)
    yield causal(Conv1d("e3", middle, narrow, kernel=8, stride=4))
    for i in range(config.encoder_blocks[1]):
        yield _block(f"eb3.{i}", narrow)
    yield LayerNorm("en", narrow)
    yield Conv1d("eo", narrow, config.dim, kernel=1)


def _decoder(config: Config) -> Iterator[Layer]:
    slow, fast, last = config.decoder
    yield Conv1d("di", config.dim, slow, kernel=1)
    for i in range(config.decoder_blocks[0]):
        yield _block(f"db1.{i}", slow)
    yield ConvTranspose1d("d1", slow, fast, kernel=4, stride=4)
    for i in range(config.decoder_blocks[1]):
        yield _block(f"db2.{i}", fast)
    yield Conv1d("dh", fast, last, kernel=1)
    yield Gelu()
    yield ConvTranspose1d("d2", last, 1, kernel=160, stride=80, trim_right=80)
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


_NAMES = [
    (r"(.+\.)dw", r"\1dw.weight"),
    (r"(.+\.)dwb", r"\1dw.bias"),
    (r"rvq\.q\.(\d+)\.i\.(.+)", r"rvq.\1.in_proj.\2"),
    (r"rvq\.q\.(\d+)\.o\.(.+)", r"rvq.\1.out_proj.\2"),
    (r"rvq\.q\.(\d+)\.cb", r"rvq.\1.codebook"),
]


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of the one file in `paths`, by the names of the graph.

    Raises:
        FormatError: The file is neither whole safetensors nor a whole PyTorch checkpoint.
        ModelError: Two of its tensors stand for the same one.
    """
    (path,) = paths
    values = rename(read(path), _NAMES)
    for gain in [name for name in values if name.endswith(".g")]:
        # A block ends in a gain per channel, which the convolution in front of it takes in. What does not fit stays,
        # for the check of all names and shapes to report.
        weight, bias = gain.removesuffix("g") + "p2.weight", gain.removesuffix("g") + "p2.bias"
        if weight in values and bias in values and values[gain].shape == values[bias].shape == values[weight].shape[:1]:
            g = np.asarray(values.pop(gain))
            values[weight] = (np.asarray(values[weight]).T * g).T
            values[bias] = np.asarray(values[bias]) * g
    # The training code holds kernels of one row as plain matrices.
    flat = re.compile(r"(eo|di|dh|.+\.p[12])\.weight")
    return {
        name: np.asarray(value)[..., np.newaxis] if value.ndim == 2 and flat.fullmatch(name) else value
        for name, value in values.items()
    }
