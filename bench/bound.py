"""Measures each codec on every instruction set, against the bound that the machine sets, and prints Markdown.

    python bench/bound.py [--rounds 5] [--codec NAME]...

Needs a C++ compiler. The bound: all products of the networks, filtered directly, as float32 fused multiply-adds at the
peak rate of one core, which is measured before and after.
"""

import os
from collections.abc import Iterator
from functools import partial
from statistics import median

from flops import flops
from harness import CODECS, Lines, clip, fma_peak, in_turns, loaded, main, progress, section, timed
from layer_case import instruction_sets

from wavcodes import list_codecs, registry

SLOW = "generic"
SECONDS_SLOW = 0.5


def table(rounds: int, codecs: list[str]) -> Lines:
    sets = instruction_sets()
    before = fma_peak()
    measured = [row for name in codecs for row in rows(name, sets, rounds)]
    after = fma_peak()
    peak = max(before, after)
    text = f"""
    The bound is what all products of the network take, filtered directly, at the peak rate of one core, which was
    {before:.0f} GFLOP/s before and {after:.0f} after. It leaves out activations, norms and the quantizer, which our
    times have; but minimal filters need fewer products, so more than 100 % is possible. One thread, random weights,
    default bandwidth, 10 s of audio (4 s of the larger codecs), medians of {rounds} rounds in turns. `{SLOW}`, for
    machines that have nothing better, ran once, on {SECONDS_SLOW} s."""
    times = [f"`{name}`, ms/s" for name in sets]
    columns = ("codec", "direction", "GFLOP per s of audio", "bound, ms/s", *times, f"bound over `{sets[0]}`")
    yield from section("Against the machine, on each instruction set", text, *columns)
    for name, direction, operations, costs in measured:
        bound = operations / peak / 1e6
        cells = " | ".join(f"{cost:.1f}" for cost in costs)
        share = f"**{100 * bound / costs[0]:.0f} %**"
        yield f"| `{name}` | {direction} | {operations / 1e9:.2f} | {bound:.1f} | {cells} | {share} |"


def rows(name: str, sets: list[str], rounds: int) -> Iterator[tuple[str, str, float, list[float]]]:
    """Codec, direction, operations for a second of audio, and its milliseconds on each set."""
    codecs = []
    for each in sets:
        os.environ["WAVCODES_ISA"] = each
        codecs.append(loaded(name))
    spec, (encoding, decoding) = codecs[0].spec, operations(name)
    seconds = [SECONDS_SLOW if each == SLOW else 10.0 if encoding < 10e9 else 4.0 for each in sets]
    clips = [clip(codecs[0], length) for length in seconds]
    codes = [codecs[0].encode(each, spec.sample_rate) for each in clips]
    encode = [partial(codec.encode, each, spec.sample_rate) for codec, each in zip(codecs, clips, strict=True)]
    decode = [partial(codec.decode, each) for codec, each in zip(codecs, codes, strict=True)]
    for direction, count, works in (("encode", encoding, encode), ("decode", decoding, decode)):
        quick = [median(times) for times in in_turns(works[:-1], rounds)]
        took = [*quick, timed(works[-1])]
        yield name, direction, count, [1e3 * each / length for each, length in zip(took, seconds, strict=True)]
        progress(name, direction)


def operations(name: str) -> tuple[float, float]:
    """What the encoder and the decoder of a codec take for a second of audio."""
    checkpoint = registry.checkpoint(name)
    network, rate = checkpoint.network(), float(checkpoint.spec.sample_rate)
    if checkpoint.spec.segment is not None:
        rate *= checkpoint.spec.segment.length / checkpoint.spec.segment.stride  # they overlap
    encoding, frames = flops(network.encoder, rate)
    return encoding, flops(network.decoder, frames)[0]


if __name__ == "__main__":
    main(table, __doc__, 5, CODECS, others=[name for name in list_codecs() if name != "lyra_v2"])
