"""SemantiCodec through its own package, where that is installed beside this one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .. import programs
from ..errors import EngineError
from . import token_file
from .base import RATE, LegacyCodec, Scratch, Sound, samples, write_wav
from .children import semanticodec_child
from .token_file import Tokens

_KIND = 1
_SETTINGS = (100, 16384)  # tokens per second and semantic vocabulary: 1.40 kbps, what its authors show first


def _compress(pcm: Path, num_samples: int, out: BinaryIO, scratch: Scratch) -> None:
    wav, made = scratch.folder / "sound.wav", scratch.folder / "made.tokens"
    write_wav(pcm, wav, RATE, num_samples)
    _run("encode", _SETTINGS, wav, made, scratch.limit(num_samples / RATE))
    with programs.opened(made) as file:
        values = token_file.made(file.read(), 2, "SemantiCodec")
    token_file.write(out, _KIND, Tokens(_SETTINGS, num_samples, values))


def _decompress(source: BinaryIO, name: str, scratch: Scratch) -> Sound:
    tokens = token_file.read(source, name, _KIND)
    codes, pcm = scratch.folder / "codes.tokens", scratch.folder / "decoded.pcm"
    codes.write_bytes(tokens.values.astype("<u2").tobytes())
    _run("decode", tokens.settings, codes, pcm, scratch.limit(tokens.num_samples / RATE))
    with programs.opened(pcm) as file:
        got = len(file.read()) // 2
    if got < tokens.num_samples:
        programs.find_space(pcm)
        raise EngineError(f"expected {tokens.num_samples} samples from SemantiCodec, got {got}; run it by itself")
    return Sound(RATE, 1, cut(samples(pcm), tokens.num_samples))


def cut(blocks: Iterator[NDArray[np.float32]], num_samples: int) -> Iterator[NDArray[np.float32]]:
    """The first `num_samples` samples of consecutive blocks `(channels, n)`."""
    for block in blocks:
        yield block[:, :num_samples]
        num_samples = max(0, num_samples - block.shape[1])


def _run(action: str, settings: tuple[int, int], source: Path, target: Path, timeout: float) -> None:
    if find_spec("semanticodec") is None:
        raise programs.MissingProgram(
            "SemantiCodec is not installed; install it beside wavcodes: "
            "pip install git+https://github.com/haoheliu/SemantiCodec-inference (PyTorch and torchaudio come with it)"
        )
    numbers = [str(each) for each in settings]
    programs.run([sys.executable, semanticodec_child.__file__, action, *numbers, str(source), str(target)], timeout)


CODEC = LegacyCodec("SemantiCodec", RATE, _compress, _decompress)
