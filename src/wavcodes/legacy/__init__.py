"""Speech codecs that other programs implement: sound to their files and back, through samples of 16 bits.

What comes out of these codecs has no codes that this package knows, so they are no `Codec`: a file goes in whole, and
comes out whole.
"""

from . import lpcnet, nesc, sac, semanticodec
from .base import RATE, LegacyCodec, Scratch
from .helper import helper

__all__ = ["CODECS", "RATE", "LegacyCodec", "Scratch", "helper"]

CODECS: dict[str, LegacyCodec] = {
    ".lpcnet": lpcnet.CODEC,
    ".nesc": nesc.CODEC,
    ".semanticodec": semanticodec.CODEC,
    ".sac": sac.CODEC,
}
"""By the suffix of their files."""
