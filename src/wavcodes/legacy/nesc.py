"""NESC of Fraunhofer IIS through its programs `nesc_enc` and `nesc_dec`, which are not public.

Known is how they are called, and nothing of their files but the rate of 1,600 b/s; so sizes are checked roughly.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .. import programs
from ..errors import EngineError
from ..files import write_all
from .base import RATE, LegacyCodec, Scratch, Sound, copy, save, speech

_BITRATE = 1_600  # b/s
_PACKET = 640  # samples; what a packet holds is not known, and silence up to 40 ms lets any be full
_ADVICE = "NESC comes from Fraunhofer IIS and is not published: ask them for its programs"


def _compress(pcm: Path, num_samples: int, out: BinaryIO, scratch: Scratch) -> None:
    program = programs.find("NESC_ENC", "/opt/nesc/nesc_enc", _ADVICE)
    with open(pcm, "ab", buffering=0) as file:
        write_all(file, bytes(2 * (-num_samples % _PACKET)))
    made = scratch.folder / "made.nesc"
    command = [program, "-q", "-b", str(_BITRATE), "-if", str(pcm), "-of", str(made)]
    programs.run(command, scratch.limit(num_samples / RATE))
    with programs.opened(made) as file:
        size = copy(file, out)
    about = -(-num_samples // _PACKET) * _PACKET * _BITRATE // (8 * RATE)
    if size < about // 2:
        programs.find_space(made)
        raise EngineError(
            f"expected {program} to make about {about} bytes of {num_samples / RATE:.2f} s, got {size}; "
            "see that NESC_ENC names the encoder of NESC"
        )


def _decompress(source: BinaryIO, name: str, scratch: Scratch) -> Sound:
    program = programs.find("NESC_DEC", "/opt/nesc/nesc_dec", _ADVICE)
    codes, pcm = scratch.folder / "codes.nesc", scratch.folder / "decoded.pcm"
    size = save(source, name, codes)
    seconds = 8 * size / _BITRATE
    programs.run([program, "-q", "-if", str(codes), "-of", str(pcm)], scratch.limit(seconds))
    with programs.opened(pcm) as file:
        got = file.seek(0, os.SEEK_END)
    if got % 2 or got < max(2, round(seconds * RATE)):  # half of what the rate says, two bytes a sample
        programs.find_space(pcm)
        raise EngineError(
            f"expected {program} to make about {round(seconds * RATE)} samples of the {size} bytes of {name}, "
            f"got {got / 2:g}; see that NESC_DEC names the decoder of NESC, and that {name} is whole"
        )
    return speech(pcm)


CODEC = LegacyCodec("NESC", RATE, _compress, _decompress)
