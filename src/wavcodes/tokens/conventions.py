"""The layouts of published models, as literal data.

`start`, `pad` and text tokens of a model are the business of whoever writes its prompts; here is what stands for codes,
and what ends a clip.
"""

from dataclasses import replace

from ..errors import InputError
from .delayed import Delayed
from .flat import Flat
from .stereo import Stereo

# The seven codes of a SNAC cycle in depth-first order of the tree that its three books form.
_SNAC = (0, 1, 2, 2, 1, 2, 2)

ORPHEUS = Flat(
    codec="snac_24khz",
    codebook_size=4096,
    order=_SNAC,
    first=tuple(128266 + 4096 * slot for slot in range(7)),
    end=(128258,),
)
"""Orpheus TTS: 82 tokens a second. Its tokens are spelled `<custom_token_N>` with `N = id - 128256`."""

KANI = Flat(
    codebook_size=4032,
    order=(0, 1, 2, 3),
    first=tuple(64410 + 4032 * k for k in range(4)),
    end=(64402,),
)
"""Kani TTS, on NVIDIA's NanoCodec at 22.05 kHz: 50 tokens a second."""

OUTETTS = Flat(
    codebook_size=1024,
    order=(0, 1),
    first=(128256, 129281),
)
"""OuteTTS 1.0 on Llama 3.2 1B, with a DAC for speech at 24 kHz. Its first ids are those of `<|c1_0|>` and `<|c2_0|>`;
each book has 1025 of them, the last of which is no code. Tokens of words stand in between. On Qwen3 0.6B it is
`OUTETTS.starting_at(151669)`."""

BARK = Flat(
    codec="encodec_24khz",
    codebook_size=1024,
    order=(0, 1),
    first=(10_000, 11_024),
)
"""Bark's coarse stage: the first two books. Its fine stage works on plain codes `(8, T)`."""

MINI_OMNI = Delayed(
    codec="snac_24khz",
    codebook_size=4096,
    order=_SNAC,
    delays=(1, 2, 3, 4, 5, 6, 7),
    left=4097,
    end=4096,
    right=4097,
)
"""mini-omni and mini-omni2 as their seven heads give them; a row of text goes with it."""

MINI_OMNI_INPUTS = replace(MINI_OMNI, offsets=tuple(152_000 + 4160 * row for row in range(7)))
"""`MINI_OMNI` as it goes into the model: each row in its own range of one vocabulary."""

MUSICGEN = Delayed(
    codec="encodec_32khz",
    codebook_size=2048,
    order=(0, 1, 2, 3),
    delays=(0, 1, 2, 3),
    lead=1,
    left=2048,
    right=2048,
)
"""MusicGen: `T` frames take `T + 3` columns besides the start column. There is no end token. A model that may generate
fewer than 6 columns delays nothing in `transformers`: what comes is the codes as they are."""

MUSICGEN_STEREO = Stereo(MUSICGEN)
"""MusicGen for stereo: two clips of the mono codec, rows L0, R0, L1, R1 and so on, delays 0, 0, 1, 1 and so on."""

PARLER = Delayed(
    codec="dac_44khz",
    codebook_size=1024,
    order=tuple(range(9)),
    delays=tuple(range(9)),
    left=1025,
    end=1024,
    right=1024,
)
"""Parler-TTS, as its data sets hold the labels: `T + 9` columns."""

DIA = Delayed(
    codec="dac_44khz",
    codebook_size=1024,
    order=tuple(range(9)),
    delays=(0, 8, 9, 10, 11, 12, 13, 14, 15),
    lead=1,
    left=1026,
    end=1024,
    right=1025,
)
"""Dia. Its own code and `transformers` write the matrix with one row per column of this one."""

MOSHI = Delayed(
    codec="mimi",
    codebook_size=2048,
    order=tuple(range(8)),
    delays=(0, 1, 1, 1, 1, 1, 1, 1),
    lead=1,
    left=2048,
    right=2048,
)
"""One speaker of Moshi; the model stacks a row of text (delay 0, first id 32000), its own eight rows and the user's
eight. For training it cuts off the last column, and with it the last frame."""

CSM = Delayed(
    codec="mimi",
    codebook_size=2048,
    order=tuple(range(32)),
    delays=(0,) * 32,
    left=0,
    end=0,
    right=0,
)
"""CSM: a frame of nothing but code 0 is the end of the clip. Its own code writes one row per column of this matrix,
with a 33rd place for text."""

_CONVENTIONS: dict[str, Flat | Delayed | Stereo] = {
    "bark": BARK,
    "csm": CSM,
    "dia": DIA,
    "kani": KANI,
    "mini_omni": MINI_OMNI,
    "mini_omni_inputs": MINI_OMNI_INPUTS,
    "moshi": MOSHI,
    "musicgen": MUSICGEN,
    "musicgen_stereo": MUSICGEN_STEREO,
    "orpheus": ORPHEUS,
    "outetts": OUTETTS,
    "parler": PARLER,
}


def conventions() -> list[str]:
    """Names of all conventions."""
    return list(_CONVENTIONS)


def convention(name: str) -> Flat | Delayed | Stereo:
    """The layout of a published model.

    Args:
        name: One of `conventions()`.

    Raises:
        InputError: There is no convention of that name.
    """
    if name not in _CONVENTIONS:
        raise InputError(f"expected one of the conventions {', '.join(_CONVENTIONS)}, got {name!r}")
    return _CONVENTIONS[name]
