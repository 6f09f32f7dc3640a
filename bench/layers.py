"""Measures each layer of a codec by itself against the peak rate of the machine, and prints Markdown.

    python bench/layers.py [--rounds 10] [--codec NAME]...

Needs a C++ compiler.
"""

from collections.abc import Iterator
from functools import partial
from statistics import median

import numpy as np
from flops import flops
from harness import CODECS, Lines, Work, fma_peak, in_turns, main, section
from layer_case import network, tensors_of

from wavcodes import graph, registry
from wavcodes.engines.native import Engine
from wavcodes.graph import Layer

Piece = tuple[Layer, ...]
"""A layer with the activations behind it."""


def table(rounds: int, codecs: list[str]) -> Lines:
    for name in codecs:
        before = fma_peak()
        measured = list(rows(name, rounds))
        peak = max(before, fma_peak())
        text = f"""
        Each by itself, with the activations behind it: one thread, pushes of one second of audio, medians of {rounds};
        the peak is {peak:.0f} GFLOP/s. By itself a layer is not filtered in tiles, as some are within the codec. An
        LSTM is bound by reading its weights at every step (see [engine.md](engine.md))."""
        columns = ("layer", "GFLOP per s of audio", "ms per s of audio", "GFLOP/s", "of the peak")
        yield from section(f"Layers of {name}", text, *columns)
        for label, count, seconds in measured:
            speed = count / seconds / 1e9
            yield f"| {label} | {count / 1e9:.3f} | {seconds * 1e3:.2f} | {speed:.0f} | {100 * speed / peak:.0f} % |"


def rows(name: str, rounds: int) -> Iterator[tuple[str, float, float]]:
    """What a layer is, its operations and its seconds for a second of audio."""
    spec, network = registry.spec(name), registry.checkpoint(name).network()
    rate, channels = float(spec.sample_rate), spec.channels
    for half in (network.encoder, network.decoder):
        for piece in pieces(half):
            (times,) = in_turns([pushing(piece, channels, round(rate))], rounds)
            label = described(piece, channels)
            operations, rate = flops(piece, rate)
            channels = next((each.out_channels for each in piece if hasattr(each, "out_channels")), channels)
            yield label, operations, median(times)


def pieces(layers: Piece) -> Iterator[Piece]:
    """One for each layer that multiplies."""
    piece: Piece = ()
    for layer in layers:
        if flops((layer,), 1)[0] and flops(piece, 1)[0]:
            yield piece
            piece = ()
        piece += (layer,)
    yield piece


def described(piece: Piece, channels: int) -> str:
    layer = next(layer for layer in piece if flops((layer,), 1)[0])
    if isinstance(layer, graph.Conv1d | graph.ConvTranspose1d):
        kind = "conv" if layer.stride == 1 else "down" if isinstance(layer, graph.Conv1d) else "up"
        stride = f" s{layer.stride}" if layer.stride > 1 else ""
        return f"{kind} {layer.in_channels} to {layer.out_channels}, k{layer.kernel}{stride}"
    return f"{type(layer).__name__} {channels}"


def pushing(piece: Piece, channels: int, count: int) -> Work:
    """Pushes `count` rows into a stream of `piece`."""
    rng = np.random.default_rng(0)
    stream = Engine(network(piece), tensors_of(piece), "decode").decoder(noise_seed=0)
    return partial(stream.push, rng.standard_normal((count, channels)).astype(np.float32), 1)


if __name__ == "__main__":
    whole = [name for name in CODECS if registry.spec(name).segment is None]  # segments come out at their end
    main(table, __doc__, 10, ["encodec_24khz"], others=whole)
