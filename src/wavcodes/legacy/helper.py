"""Scripts of one's own in place of this package's codecs, called as the HERMES toolkit calls its Python helpers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .. import programs
from ..audio import AudioReader
from ..errors import EngineError
from .base import LegacyCodec, Scratch, Sound, copy, save, write_wav

_LOWEST = 600  # b/s; for the time that a decoder may take


def helper(codec: str, sample_rate: int, encode: Sequence[str], decode: Sequence[str], threads: int) -> LegacyCodec:
    """A codec that scripts implement: `$PYTHON_BIN $ENCODEC_ENC IN.wav OUT --codec CODEC OPTIONS --threads N`, and
    `$PYTHON_BIN $ENCODEC_DEC IN OUT.wav ...` in the same way.

    Args:
        codec: For `--codec`.
        sample_rate: Hz of the WAV that the encoder is given.
        encode: Options of the encoder.
        decode: Options of the decoder.
        threads: For `--threads`.
    """

    def command(variable: str, source: Path, target: Path, options: Sequence[str]) -> list[str]:
        python = programs.find("PYTHON_BIN", "python3", "install Python")
        script = os.environ.get(variable, "")
        if not os.path.isfile(script):
            raise programs.MissingProgram(
                f"{variable} names {script or 'nothing'}, which is not there; let it name the script, "
                "or leave ENCODEC_ENC and ENCODEC_DEC unset for the codecs of wavcodes"
            )
        return [python, script, str(source), str(target), "--codec", codec, *options, "--threads", str(threads)]

    def compress(pcm: Path, num_samples: int, out: BinaryIO, scratch: Scratch) -> None:
        wav, made = scratch.folder / "sound.wav", scratch.folder / f"made.{codec}"
        write_wav(pcm, wav, sample_rate, num_samples)
        programs.run(command("ENCODEC_ENC", wav, made, encode), scratch.limit(num_samples / sample_rate))
        with programs.opened(made) as file:
            if not copy(file, out):
                programs.find_space(made)
                raise EngineError("expected the script that ENCODEC_ENC names to make a file, but it is empty; run it")

    def decompress(source: BinaryIO, name: str, scratch: Scratch) -> Sound:
        codes, wav = scratch.folder / f"codes.{codec}", scratch.folder / "decoded.wav"
        size = save(source, name, codes)
        programs.run(command("ENCODEC_DEC", codes, wav, decode), scratch.limit(8 * size / _LOWEST))
        programs.opened(wav).close()
        reader = AudioReader(wav)
        return Sound(reader.sample_rate, reader.channels, _read(reader))

    return LegacyCodec(codec, sample_rate, compress, decompress)


def _read(reader: AudioReader) -> Iterator[NDArray[np.float32]]:
    with reader:
        yield from reader.blocks()
