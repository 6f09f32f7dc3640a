"""wavcodes: sound to the discrete codes of neural audio codecs, and back.

codec = wavcodes.load("encodec_24khz")
codes = codec.encode(audio, 24_000, bandwidth=6.0)
audio = codec.decode(codes)
"""

import importlib
from typing import TYPE_CHECKING

from .audio import resample, to_mono
from .codec import Codec, load
from .codes import Codes
from .errors import (
    CodecError,
    DownloadError,
    EngineError,
    FormatError,
    InputError,
    IntegrityError,
    LimitError,
    ModelError,
    ResourceError,
    TruncatedError,
    UnsupportedError,
)
from .framing import Framing, Segment
from .registry import list_codecs, spec
from .spec import CodecSpec
from .streaming import StreamDecoder, StreamEncoder

if TYPE_CHECKING:
    from .containers import Limits, read, write
    from .lm import language_model
    from .pretrained import DAC, SNAC, EnCodec, Mimi
    from .provider import CodecProvider
    from .provider_config import DacConfig, EncodecConfig, MimiConfig, SnacConfig

__version__ = "0.1.0"

# What few programs need is imported when it is asked for, so that all others start sooner.
_LATER = {
    **dict.fromkeys(("Limits", "read", "write"), "containers"),
    **dict.fromkeys(("DAC", "SNAC", "EnCodec", "Mimi"), "pretrained"),
    "language_model": "lm",
    "CodecProvider": "provider",
    **dict.fromkeys(("DacConfig", "EncodecConfig", "MimiConfig", "SnacConfig"), "provider_config"),
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'wavcodes' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)


__all__ = [
    "DAC",
    "SNAC",
    "Codec",
    "CodecError",
    "CodecProvider",
    "CodecSpec",
    "Codes",
    "DacConfig",
    "DownloadError",
    "EnCodec",
    "EncodecConfig",
    "EngineError",
    "FormatError",
    "Framing",
    "InputError",
    "IntegrityError",
    "LimitError",
    "Limits",
    "Mimi",
    "MimiConfig",
    "ModelError",
    "ResourceError",
    "Segment",
    "SnacConfig",
    "StreamDecoder",
    "StreamEncoder",
    "TruncatedError",
    "UnsupportedError",
    "language_model",
    "list_codecs",
    "load",
    "read",
    "resample",
    "spec",
    "to_mono",
    "write",
]
