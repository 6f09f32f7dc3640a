"""LPCNet files in two forms that cannot be confused: packets of `lpcnet_demo`, and frames of libcodec2's LPCNet.

The program `lpcnet_demo` of Xiph makes 8 bytes of 640 samples (1,600 b/s) and no header. Where it is not installed, the
library libcodec2, which Debian builds with an LPCNet of its own, makes 52 bits of 480 samples (1,733 b/s), and neither
reads what the other writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .. import programs
from ..errors import EngineError, FormatError
from ..files import read_up_to, write_all
from . import codec2
from .base import RATE, LegacyCodec, Scratch, Sound, copy, speech

_PACKET = 640  # samples
_BYTES = 8  # of a packet
_DEMO = "/opt/lpcnet/lpcnet_demo"  # where the package of the HERMES project puts it
_ADVICE = "install lpcnet_demo of the LPCNet project (package lpcnet of the HERMES repositories)"


def _compress(pcm: Path, num_samples: int, out: BinaryIO, scratch: Scratch) -> None:
    if not os.environ.get("LPCNET_ENC") and not os.path.exists(_DEMO) and codec2.is_there():
        codec2.compress(pcm, num_samples, out, scratch)
        return
    program = programs.find("LPCNET_ENC", _DEMO, f"{_ADVICE}, or libcodec2 (Debian: apt-get install libcodec2-1.0)")
    with open(pcm, "ab", buffering=0) as file:  # a last packet that is not full would be dropped
        write_all(file, bytes(2 * (-num_samples % _PACKET)))
    made = scratch.folder / "made.lpcnet"
    programs.run([program, "-encode", str(pcm), str(made)], scratch.limit(num_samples / RATE))
    expected = _BYTES * -(-num_samples // _PACKET)
    with programs.opened(made) as file:
        size = copy(file, out)
    if size != expected:
        programs.find_space(made)
        raise EngineError(
            f"expected {program} -encode to make {expected} bytes of {num_samples} samples, got {size}; "
            "see that LPCNET_ENC names lpcnet_demo, and not another program of its family"
        )


def _decompress(source: BinaryIO, name: str, scratch: Scratch) -> Sound:
    head = read_up_to(source, len(codec2.MAGIC))
    if head == codec2.MAGIC:
        return codec2.decompress(source, name, scratch)
    packets = scratch.folder / "packets.lpcnet"
    with open(packets, "xb", buffering=0) as file:
        write_all(file, head)
        size = len(head) + copy(source, file)
    if not size or size % _BYTES:
        raise FormatError(
            f"{name}: expected LPCNet packets of {_BYTES} bytes, or a file of libcodec2's LPCNet, got {size} bytes "
            f"that begin with {head!r}; fetch or copy it again"
        )
    program = programs.find("LPCNET_DEC", _DEMO, f"{_ADVICE}: {name} holds its packets, which libcodec2 cannot decode")
    pcm = scratch.folder / "decoded.pcm"
    num_samples = size // _BYTES * _PACKET
    programs.run([program, "-decode", str(packets), str(pcm)], scratch.limit(num_samples / RATE))
    with programs.opened(pcm) as file:
        got = file.seek(0, os.SEEK_END)
    if got != 2 * num_samples:
        programs.find_space(pcm)
        raise EngineError(
            f"expected {program} -decode to make {num_samples} samples of {size} bytes, got {got / 2:g}; "
            "see that LPCNET_DEC names lpcnet_demo, and not another program of its family"
        )
    return speech(pcm)


CODEC = LegacyCodec("LPCNet", RATE, _compress, _decompress)
