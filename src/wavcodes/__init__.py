"""wavcodes: sound to the discrete codes of neural audio codecs, and back.

codec = wavcodes.load("encodec_24khz")
codes = codec.encode(audio, 24_000, bandwidth=6.0)
audio = codec.decode(codes)
"""

from .audio import resample, to_mono
from .codec import Codec, load
from .codes import Codes
from .containers import read, write
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
from .pretrained import DAC, SNAC, EnCodec, Mimi
from .provider import CodecProvider
from .provider_config import DacConfig, EncodecConfig, MimiConfig, SnacConfig
from .registry import list_codecs, spec
from .spec import CodecSpec
from .streaming import StreamDecoder, StreamEncoder

__version__ = "0.1.0"

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
    "list_codecs",
    "load",
    "read",
    "resample",
    "spec",
    "to_mono",
    "write",
]
