"""Measures `precision="bf16"` against float32 and prints Markdown.

    python bench/bf16.py [--rounds 5] [--codec NAME]...

Needs the extra `peers`, for random weights in the published layouts. On a processor without AMX it says so.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from harness import Lines, in_turns, main, progress, section

import wavcodes
from wavcodes.engines.native import isa
from wavcodes.errors import UnsupportedError

CODECS = ("snac_24khz", "encodec_24khz", "mimi", "dac_24khz")
SECONDS = 10


def table(rounds: int, codecs: list[str]) -> Lines:
    text = f"""
    One thread, {SECONDS} s of audio, random weights, all codebooks; both precisions in one process, medians of {rounds}
    rounds in turns."""
    columns = ("float32, ms/s", "bf16, ms/s", "ratio", "bf16 against float32")
    try:
        isa("bf16")
    except UnsupportedError as error:
        yield from ("## bf16", "", f"{error}.")
        return
    yield from section("bf16", text, "codec", "direction", *columns)
    for name in codecs:
        yield from rows(name, rounds)
        progress(name)


def rows(name: str, rounds: int) -> Lines:
    import peers
    from pairs import RANDOM

    with tempfile.TemporaryDirectory() as folder:
        _, path = RANDOM[name][1](name, 0, Path(folder))
        exactly, nearly = (wavcodes.load(name, path, 1, precision=precision) for precision in ("float32", "bf16"))
    rate = exactly.spec.sample_rate
    audio = peers.sound(1, SECONDS * rate)
    codes, other = exactly.encode(audio, rate), nearly.encode(audio, rate)
    equal = np.mean(np.concatenate([a == b for a, b in zip(codes.books, other.books, strict=True)]))
    sound, noise = exactly.decode(codes), exactly.decode(codes) - nearly.decode(codes)
    ratio = 10 * np.log10(np.mean(sound.astype(np.float64) ** 2) / np.mean(noise.astype(np.float64) ** 2))
    for direction, works, what in (
        (
            "encode",
            [partial(each.encode, audio, rate) for each in (exactly, nearly)],
            f"{100 * equal:.2f} % of the codes equal",
        ),
        ("decode", [partial(each.decode, codes) for each in (exactly, nearly)], f"SNR {ratio:.1f} dB"),
    ):
        one, two = (1e3 * median(times) / SECONDS for times in in_turns(works, rounds))
        yield f"| `{name}` | {direction} | {one:.1f} | {two:.1f} | **{one / two:.2f}** | {what} |"


if __name__ == "__main__":
    main(table, __doc__, 5, CODECS)
