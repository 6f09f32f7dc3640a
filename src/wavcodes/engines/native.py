"""The native engine: translates a graph and its tensors into the layers of `wavcodes._core` and runs streams of them.

Rows are channels-last, `(T, C)`, float32. A stream gives the same rows however its input is cut into pushes, whatever
the number of threads and on every instruction set.
"""

import os
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _core, graph
from ..errors import InputError, ResourceError, UnsupportedError
from ..spec import whole_number

Rows = NDArray[np.float32]
Tensors = Mapping[str, NDArray[np.float32]]
P = ParamSpec("P")
Result = TypeVar("Result")


def isa() -> str:
    """Name of the instruction set that the engine uses: `avx512`, `avx2`, `neon` or `generic`.

    The best that the machine has; the environment variable `WAVCODES_ISA` forces one.

    Raises:
        UnsupportedError: `WAVCODES_ISA` names one that this machine or build does not have.
    """
    forced = os.environ.get("WAVCODES_ISA", "")
    try:
        return _core.kernels(forced)
    except ValueError:
        raise UnsupportedError(
            f"WAVCODES_ISA={forced} is not available on this machine or in this build; "
            "unset it, or use one of generic, avx2, avx512 (x86-64) or neon (64-bit Arm) that the machine has"
        ) from None


def resolve_threads(threads: int | None) -> int:
    """`threads`, or the number of cores that this process may use.

    Raises:
        InputError: `threads` is not within 1 to 1024.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = whole_number("threads", threads)
    if not 1 <= count <= 1024:
        raise InputError(f"expected threads of 1 to 1024, got {threads = }")
    return count


class Engine:
    """A network with its weights packed for this machine; immutable, shared by all streams.

    Args:
        network: The graph.
        tensors: All tensors that `graph.tensor_shapes(network)` names, float32.
    """

    def __init__(self, network: graph.Network, tensors: Tensors) -> None:
        name = isa()
        self._encoder = _sequence(name, network.encoder, tensors)
        self._decoder = _sequence(name, network.decoder, tensors)
        self._quantizer = _quantizer(name, network.quantizer, tensors)

    def encoder(self) -> "Stream":
        """A new stream from audio rows `(N, channels)` to latent rows `(T, D)`."""
        return Stream(self._encoder)

    def decoder(self) -> "Stream":
        """A new stream from latent rows `(T, D)` to audio rows `(N, channels)`."""
        return Stream(self._decoder)

    def quantize(self, latent: Rows, num_codebooks: int, threads: int) -> NDArray[np.int32]:
        """Codes `(T, K)` of latent rows `(T, D)`."""
        return _call(self._quantizer.encode, latent, num_codebooks, threads)

    def dequantize(self, codes: NDArray[np.int32]) -> Rows:
        """Latent rows `(T, D)` of codes `(T, K)`."""
        return _call(self._quantizer.decode, codes)


class Stream:
    """One signal on its way through a sequence of layers."""

    def __init__(self, sequence: _core.Sequence) -> None:
        self._stream = _core.Stream(sequence)

    def push(self, rows: Rows, threads: int) -> Rows:
        """Takes the next rows and gives all that they allow to compute."""
        return _call(self._stream.push, rows, threads)

    def flush(self, threads: int) -> Rows:
        """Ends the signal and gives the rest."""
        return _call(self._stream.flush, threads)


def _call(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    try:
        return function(*args, **kwargs)
    except _core.Misuse as error:  # a stream that was flushed, or is in use by another thread
        raise InputError(str(error)) from None
    except MemoryError:
        raise ResourceError("there is not enough memory; push shorter pieces or use fewer streams at once") from None


@singledispatch
def _add(layer: graph.Layer, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    raise UnsupportedError(f"the native engine has no layer {type(layer).__name__}")


def _sequence(
    isa: str, layers: tuple[graph.Layer, ...], tensors: Tensors, channels: int | None = None
) -> _core.Sequence:
    sequence = _core.Sequence(isa, _in_channels(layers) if channels is None else channels)
    for layer in layers:
        _add(layer, sequence, isa, tensors)
    return sequence


def _in_channels(layers: tuple[graph.Layer, ...]) -> int:
    for layer in layers:
        if isinstance(layer, graph.Conv1d | graph.ConvTranspose1d):
            return layer.in_channels
        if isinstance(layer, graph.LayerNorm | graph.Lstm):
            return layer.channels
        if isinstance(layer, graph.Residual):
            return _in_channels(layer.body)
    raise UnsupportedError("a sequence needs at least one layer that states its channels")


def _conv_arguments(layer: graph.Conv1d, tensors: Tensors) -> dict[str, Any]:
    return {
        "weight": tensors[f"{layer.name}.weight"],
        "bias": tensors[f"{layer.name}.bias"] if layer.bias else None,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "left": layer.left,
        "right": layer.right,
        "reflect": layer.reflect,
        "complete": layer.complete,
    }


@_add.register
def _(layer: graph.Conv1d, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.conv1d(**_conv_arguments(layer, tensors))


@_add.register
def _(layer: graph.ConvTranspose1d, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.conv_transpose1d(
        tensors[f"{layer.name}.weight"],
        tensors[f"{layer.name}.bias"] if layer.bias else None,
        layer.stride,
        layer.groups,
        layer.trim_right,
    )
    if layer.trim_left:
        sequence.trim_start(layer.trim_left)


@_add.register
def _(layer: graph.Elu, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.activation("elu")


@_add.register
def _(layer: graph.LeakyRelu, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.activation("leaky_relu", layer.slope)


@_add.register
def _(layer: graph.Gelu, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.activation("gelu")


@_add.register
def _(layer: graph.Tanh, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.activation("tanh")


@_add.register
def _(layer: graph.LayerNorm, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.layer_norm(tensors[f"{layer.name}.weight"], tensors[f"{layer.name}.bias"], layer.eps)


@_add.register
def _(layer: graph.Lstm, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    sequence.lstm([[tensors[f"{layer.name}.{kind}_l{i}"] for kind in kinds] for i in range(layer.layers)])


@_add.register
def _(layer: graph.Residual, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    *body, last = layer.body
    if not isinstance(last, graph.Conv1d) or last.stride != 1:
        raise UnsupportedError("the native engine needs the body of a residual to end in a convolution of stride 1")
    shortcut = shortcut_bias = None
    if layer.shortcut is not None:
        if layer.shortcut.kernel != 1 or layer.shortcut.stride != 1 or layer.shortcut.groups != 1:
            raise UnsupportedError("the native engine needs the shortcut of a residual to be a 1x1 convolution")
        shortcut = np.ascontiguousarray(tensors[f"{layer.shortcut.name}.weight"][:, :, 0])
        shortcut_bias = tensors[f"{layer.shortcut.name}.bias"] if layer.shortcut.bias else None
    sequence.residual(
        _sequence(isa, tuple(body), tensors, channels=sequence.out_channels),
        _core.LastConv(**_conv_arguments(last, tensors)),
        shortcut,
        shortcut_bias,
    )


@_add.register
def _(layer: graph.PadEnd, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.pad_end(layer.multiple, layer.extra)


@_add.register
def _(layer: graph.TrimStart, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.trim_start(layer.rows)


def _quantizer(isa: str, quantizer: graph.Quantizer, tensors: Tensors) -> _core.Quantizer:
    native = _core.Quantizer(isa, quantizer.dim, quantizer.codebook_size)
    for k in range(quantizer.num_codebooks):
        book = f"{quantizer.name}.{k}"
        if isinstance(quantizer, graph.EuclideanRvq):
            native.add_euclidean(tensors[f"{book}.codebook"])
        else:
            native.add_cosine(
                tensors[f"{book}.in_proj.weight"],
                tensors[f"{book}.in_proj.bias"],
                tensors[f"{book}.out_proj.weight"],
                tensors[f"{book}.out_proj.bias"],
                tensors[f"{book}.codebook"],
            )
    return native
