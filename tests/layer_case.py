"""Layers by themselves: tensors for them, what a stream makes of rows, and the instruction sets of this machine."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wavcodes import graph
from wavcodes.engines.native import Stream, _core

Rows = NDArray[np.float32]
Layers = tuple[graph.Layer, ...]


def network(layers: Layers) -> graph.Network:
    """One whose decoder they are."""
    return graph.Network((), graph.EuclideanRvq("q", 0, 1, 1), layers)


def tensors_of(layers: Layers, seed: int = 0) -> dict[str, Rows]:
    """Random ones, which keep the level of what goes through them, for `network(layers)`."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) / max(1, np.prod(shape[1:])) ** 0.5).astype(np.float32)
        for name, shape in graph.tensor_shapes(network(layers), "decode").items()
    }


def run(stream: Stream, rows: Rows, cuts: Iterable[int] = (), threads: int = 1) -> Rows:
    """What comes out of all rows, pushed in pieces."""
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [stream.push(np.ascontiguousarray(rows[a:b]), threads) for a, b in pairwise(edges)]
    return np.concatenate([*pieces, stream.flush(threads)])


def instruction_sets(suffix: str = "") -> list[str]:
    """Those of this machine, the quickest first; `suffix`: of the kernels that they are to have."""
    return [name for name in ("avx512", "avx2", "neon", "generic") if has(f"{name}{suffix}")]


def has(kernels: str) -> bool:
    """Whether this machine has them."""
    try:
        _core.kernels(kernels)
    except ValueError:
        return False
    return True
