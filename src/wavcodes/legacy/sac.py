"""SAC through a checkout of its repository, which comes as no package: variables name the checkout and its files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from .. import programs
from ..audio import AudioReader
from ..errors import EngineError
from . import token_file
from .base import RATE, LegacyCodec, Scratch, Sound, write_wav
from .children import sac_child
from .semanticodec import cut
from .token_file import Tokens

_KIND = 2
_PIPELINES = Path("models/codec/sac/pipelines")
_HELP = (
    "get SAC with: git clone https://github.com/Soul-AILab/SAC, follow its README, and let SAC_HOME name the checkout, "
    "SAC_PYTHON its Python, SAC_CONFIG and SAC_CKPT the configuration and weights, and SAC_TOKENIZER the folder of "
    "glm-4-voice-tokenizer"
)
_ACOUSTIC = 2  # acoustic tokens for each semantic one, in the model of 37.5 tokens per second


def _compress(pcm: Path, num_samples: int, out: BinaryIO, scratch: Scratch) -> None:
    wav, manifest, made = (scratch.folder / name for name in ("sound.wav", "sounds.jsonl", "made.tokens"))
    write_wav(pcm, wav, RATE, num_samples)
    manifest.write_text(json.dumps({"index": "sound", "wav_path": str(wav)}) + "\n")
    limit = scratch.limit(num_samples / RATE)
    tokenizer = ["--semantic_tokenizer_path", _named("SAC_TOKENIZER")]
    files = ["--jsonfile", str(manifest), "--save_dir", str(scratch.folder), "--batch-size", "1"]
    _run("encode_tokens.py", [*files, *tokenizer], limit)
    saved = scratch.folder / "sac_token" / "sound.pt"
    programs.opened(saved).close()  # it reports a failure as a warning, and success
    _child("load", saved, made, limit)
    with programs.opened(made) as file:
        data = file.read()
    token_file.write(out, _KIND, Tokens((_ACOUSTIC, 0), num_samples, token_file.made(data, 1 + _ACOUSTIC, "SAC")))


def _decompress(source: BinaryIO, name: str, scratch: Scratch) -> Sound:
    tokens = token_file.read(source, name, _KIND)
    limit = scratch.limit(tokens.num_samples / RATE)
    codes, saved, wav = (scratch.folder / each for each in ("codes.tokens", "sound.pt", "sound.wav"))
    codes.write_bytes(tokens.values.astype("<u2").tobytes())
    _child("save", codes, saved, limit)
    files = ["--input", str(saved), "--save_dir", str(scratch.folder), "--sem_per_acu", str(tokens.settings[0])]
    _run("decode_tokens.py", files, limit)
    programs.opened(wav).close()
    with AudioReader(wav) as reader:
        if reader.num_samples < tokens.num_samples or (reader.sample_rate, reader.channels) != (RATE, 1):
            raise EngineError(
                f"expected {tokens.num_samples} samples at {RATE} Hz from SAC, got {reader.num_samples} at "
                f"{reader.sample_rate} Hz; run it by itself"
            )
        sound = list(cut(reader.blocks(), tokens.num_samples))
    return Sound(RATE, 1, iter(sound))


def _run(script: str, arguments: Sequence[str], timeout: float) -> None:
    home = Path(_named("SAC_HOME"))
    if not (home / _PIPELINES / script).is_file():
        raise programs.MissingProgram(f"SAC_HOME names {home}, which holds no {_PIPELINES / script}; {_HELP}")
    model = ["--config", _named("SAC_CONFIG"), "--ckpt", _named("SAC_CKPT"), "--device", "cpu"]
    command = [_python(), str(_PIPELINES / script), *model, *arguments]
    programs.run(command, timeout, folder=home, environment={"PYTHONPATH": str(home)})


def _child(action: str, source: Path, target: Path, timeout: float) -> None:
    programs.run([_python(), sac_child.__file__, action, str(source), str(target)], timeout)


def _python() -> str:
    return programs.find("SAC_PYTHON", "python3", _HELP)


def _named(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise programs.MissingProgram(f"SAC is not set up: {variable} is not set; {_HELP}")
    return os.path.abspath(value)


CODEC = LegacyCodec("SAC", RATE, _compress, _decompress)
