"""Codes as the tokens of a language model, and back.

There are two layouts. `Flat` is one sequence of tokens, each of which says by its id where in a frame it belongs;
`Delayed` is a matrix, one row per book, in which the rows start at different columns. Published models are literal
data for one of the two: `ORPHEUS`, `MUSICGEN`, `DIA` and so on; `conventions()` names them all.

Each layout is read in two ways, and in no third one:

- `encode` and `decode` are for data, and are inverse to each other. `decode` takes exactly what `encode` can give;
  anything else is an `InputError` that names the position.
- `extract` and `stream` are for what a model generated: with an end token, text, a last frame that is not complete,
  frames out of order. They give the whole frames before the end, and count the codes that they leave out.
"""

from .base import Extract
from .conventions import (
    BARK,
    CSM,
    DIA,
    KANI,
    MINI_OMNI,
    MINI_OMNI_INPUTS,
    MOSHI,
    MUSICGEN,
    MUSICGEN_STEREO,
    ORPHEUS,
    OUTETTS,
    PARLER,
    convention,
    conventions,
)
from .delayed import Delayed
from .flat import Flat
from .stereo import Stereo
from .stream import TokenStream

__all__ = [
    "BARK",
    "CSM",
    "DIA",
    "KANI",
    "MINI_OMNI",
    "MINI_OMNI_INPUTS",
    "MOSHI",
    "MUSICGEN",
    "MUSICGEN_STEREO",
    "ORPHEUS",
    "OUTETTS",
    "PARLER",
    "Delayed",
    "Extract",
    "Flat",
    "Stereo",
    "TokenStream",
    "convention",
    "conventions",
]
