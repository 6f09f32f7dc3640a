"""The native engine: translates a graph and its tensors into the layers of `wavcodes._core` and runs streams of them.

Rows are channels-last, `(T, C)`, float32. A stream gives the same rows however its input is cut into pushes, whatever
the number of threads and on every instruction set.
"""

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial, singledispatch
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _core, graph
from ..errors import EngineError, InputError, ResourceError, UnsupportedError
from ..framing import whole_number

if TYPE_CHECKING:
    from concurrent.futures import Executor

Rows = NDArray[np.float32]
Tensors = Mapping[str, NDArray[np.float32]]
Precision = Literal["float32", "bf16"]
P = ParamSpec("P")
Result = TypeVar("Result")


def isa(precision: Precision = "float32") -> str:
    """Name of the kernels that the engine uses: `avx512`, `avx2`, `neon` or `generic`, and `amx-bf16` for "bf16".

    The best that the machine has; the environment variable `WAVCODES_ISA` forces one. For "bf16" that is one without
    the matrix unit, such as `avx2-bf16`, which gives the same bits slowly: it is for tests.

    Raises:
        UnsupportedError: `WAVCODES_ISA` names one that this machine or build does not have, or the precision is "bf16"
            and the machine has no AMX.
    """
    forced = os.environ.get("WAVCODES_ISA", "")
    with suppress(ValueError):
        if "-" not in forced:
            return _core.kernels(forced if precision == "float32" else f"{forced or 'amx'}-bf16")
    if not forced:
        raise UnsupportedError(
            'precision="bf16" needs a processor with AMX (Intel Xeon of 2023 or later) and Linux, which this machine '
            'or build does not have; use precision="float32"'
        )
    raise UnsupportedError(
        f"WAVCODES_ISA={forced} is not available on this machine or in this build; "
        "unset it, or use one of generic, avx2, avx512 (x86-64) or neon (64-bit Arm) that the machine has"
    )


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
        tensors: All tensors that `graph.tensor_shapes(network, parts)` names, float32.
        parts: Which halves of the network to hold.
        precision: That of the products of both halves; the quantizer's are always float32.
        pool: Whose threads pack the weights; the calling one if left out.
    """

    def __init__(
        self,
        network: graph.Network,
        tensors: Tensors,
        parts: graph.Parts = "both",
        precision: Precision = "float32",
        pool: "Executor | None" = None,
    ) -> None:
        def start(build: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Callable[[], Result]:
            return pool.submit(build, *args, **kwargs).result if pool else partial(build, *args, **kwargs)

        name, samples = isa(precision), _samples_of_a_row(network.encoder)
        # The encoder first: what hashes the tensors meanwhile begins with the decoder's.
        encoder = None if parts == "decode" else start(_sequence, name, network.encoder, tensors, samples)
        decoder = None if parts == "encode" else start(_sequence, name, network.decoder, tensors, 1)
        quantizer = start(_quantizer, isa(), network.quantizer, tensors)
        self.parts = parts
        self._decoder = decoder and decoder()
        self._encoder = encoder and encoder()
        self._quantizer = quantizer()
        self._strides = network.quantizer.strides

    def encoder(self) -> "Stream":
        """A new stream from audio rows `(N, channels)` to latent rows `(T, D)`."""
        return Stream(self._encoding(), None, 0)

    def decoder(self, noise_seed: int | None = None, first_row: int = 0) -> "Stream":
        """A new stream from latent rows `(T, D)` to audio rows `(N, channels)`; without a seed there is no noise.

        `first_row` says where in its signal the stream begins, so that it gets the noise of that place.
        """
        return Stream(self._decoding(), noise_seed, first_row)

    def encode_whole(self, signals: Sequence[Rows], threads: int) -> list[Rows]:
        """Latent rows of the audio rows of each of several signals: quicker than a stream for each."""
        return _call(self._encoding().run, signals, threads)

    def decode_whole(self, signals: Sequence[Rows], threads: int) -> list[Rows]:
        """Audio rows of the latent rows of each of several signals, without noise."""
        return _call(self._decoding().run, signals, threads)

    def samples_needed(self, frames: int) -> int:
        """Samples of a running signal that must have come before the encoder gives the first `frames` latent rows."""
        return self._encoding().needed(frames)

    def frames_needed(self, samples: int) -> int:
        """Latent rows of a running signal that must have come before the decoder gives the first `samples` samples."""
        return self._decoding().needed(samples)

    def _encoding(self) -> _core.Sequence:
        if self._encoder is None:
            raise InputError('this codec was loaded with parts="decode"; load it with parts="both" to encode')
        return self._encoder

    def _decoding(self) -> _core.Sequence:
        if self._decoder is None:
            raise InputError('this codec was loaded with parts="encode"; load it with parts="both" to decode')
        return self._decoder

    def quantize(self, latent: Rows, num_codebooks: int, threads: int) -> list[NDArray[np.int32]]:
        """Codes of latent rows `(T, D)`, one array per book; T must divide by all of their strides."""
        flat = _call(self._quantizer.encode, latent, num_codebooks, threads)
        ends = np.cumsum([len(latent) // stride for stride in self._strides[:num_codebooks]])
        return np.split(flat, ends[:-1])

    def dequantize(self, books: Sequence[NDArray[np.integer]], threads: int) -> Rows:
        """Latent rows `(T, D)` of codes, one array per book."""
        flat = np.concatenate(books).astype(np.int32)
        return _call(self._quantizer.decode, flat, len(books[0]) * self._strides[0], len(books), threads)


class Stream:
    """One signal on its way through a sequence of layers."""

    def __init__(self, sequence: _core.Sequence, seed: int | None, first_row: int) -> None:
        self._stream = _call(_core.Stream, sequence, seed, first_row)

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
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"the engine failed: {error}; this is a defect of wavcodes, please report it") from error
    except MemoryError:
        raise ResourceError("there is not enough memory; push shorter pieces or use fewer streams at once") from None


@singledispatch
def _add(layer: graph.Layer, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    raise UnsupportedError(f"the native engine has no layer {type(layer).__name__}")


def _sequence(
    isa: str, layers: tuple[graph.Layer, ...], tensors: Tensors, together: int, channels: int | None = None
) -> _core.Sequence:
    """The layers; `together`: rows of the input that come at once, or are worth nothing before all are there; 0 if that
    is the whole signal, as it is with a norm that waits for it."""
    if any(isinstance(layer, graph.GroupNorm) for layer in layers):
        together = 0
    sequence = _core.Sequence(isa, _in_channels(layers) if channels is None else channels, together)
    for layer in layers:
        _add(layer, sequence, isa, tensors)
    return sequence


def _samples_of_a_row(encoder: tuple[graph.Layer, ...]) -> int:
    """Samples for which the encoder gives one row of its latent."""
    return math.prod(layer.stride for layer in encoder if isinstance(layer, graph.Conv1d))


def _in_channels(layers: tuple[graph.Layer, ...]) -> int:
    for layer in layers:
        match layer:
            case graph.Conv1d() | graph.ConvTranspose1d():
                return layer.in_channels
            case graph.Residual():
                return _in_channels(layer.body)
            case graph.Sum():
                return _in_channels(tuple(itertools.chain.from_iterable(layer.branches)))
            case graph.Elu() | graph.LeakyRelu() | graph.Gelu() | graph.Tanh():
                continue
            case graph.PadEnd() | graph.TrimStart() | graph.TrimEnd():
                continue
            case _:
                return layer.channels
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
        "padding": layer.padding,
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
        layer.trim_left,
        layer.trim_right,
    )


@_add.register
def _(layer: graph.Elu, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.activation("elu")


@_add.register
def _(layer: graph.Snake, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.snake(tensors[f"{layer.name}.alpha"])


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
def _(layer: graph.GroupNorm, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.group_norm(tensors[f"{layer.name}.weight"], tensors[f"{layer.name}.bias"], layer.eps)


@_add.register
def _(layer: graph.Noise, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.noise(np.ascontiguousarray(tensors[f"{layer.name}.weight"][:, :, 0]), layer.number)


@_add.register
def _(layer: graph.LocalAttention, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    names = ("norm.weight", "norm.bias", "to_qkv.weight", "to_out.weight")
    sequence.local_attention(layer.heads, layer.window, *(tensors[f"{layer.name}.{name}"] for name in names))


@_add.register
def _(layer: graph.TransformerLayer, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    norms = ("norm1.weight", "norm1.bias", "scale1", "norm2.weight", "norm2.bias", "scale2")
    matrices = ("qkv.weight", "out.weight", "linear1.weight", "linear2.weight")
    sequence.transformer_layer(
        layer.heads,
        layer.context,
        layer.eps,
        [tensors[f"{layer.name}.{name}"] for name in norms],
        *(tensors[f"{layer.name}.{name}"] for name in matrices),
    )


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
        _sequence(isa, tuple(body), tensors, sequence.together, sequence.out_channels),
        _core.LastConv(**_conv_arguments(last, tensors)),
        shortcut,
        shortcut_bias,
    )


@_add.register
def _(layer: graph.Sum, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    branches = [_sequence(isa, branch, tensors, sequence.together, sequence.out_channels) for branch in layer.branches]
    sequence.sum(branches)


@_add.register
def _(layer: graph.PadEnd, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.pad_end(layer.multiple, layer.extra)


@_add.register
def _(layer: graph.TrimStart, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.trim_start(layer.rows)


@_add.register
def _(layer: graph.TrimEnd, sequence: _core.Sequence, isa: str, tensors: Tensors) -> None:
    sequence.trim_end(layer.rows)


def _quantizer(isa: str, quantizer: graph.Quantizer, tensors: Tensors) -> _core.Quantizer:
    native = _core.Quantizer(isa, quantizer.dim, quantizer.codebook_size)
    _add_books(quantizer, native, tensors)
    return native


@singledispatch
def _add_books(quantizer: graph.Quantizer, native: _core.Quantizer, tensors: Tensors) -> None:
    raise UnsupportedError(f"the native engine has no quantizer {type(quantizer).__name__}")


@_add_books.register
def _(quantizer: graph.EuclideanRvq, native: _core.Quantizer, tensors: Tensors) -> None:
    if quantizer.codebook_dim is not None:
        native.add_group(tensors[f"{quantizer.name}.in_proj.weight"], tensors[f"{quantizer.name}.out_proj.weight"])
    for k in range(quantizer.num_codebooks):
        native.add_euclidean(tensors[f"{quantizer.name}.{k}.codebook"])


@_add_books.register
def _(quantizer: graph.CosineRvq, native: _core.Quantizer, tensors: Tensors) -> None:
    names = ("in_proj.weight", "in_proj.bias", "out_proj.weight", "out_proj.bias", "codebook")
    for k, stride in enumerate(quantizer.strides):
        native.add_cosine(stride, *(tensors[f"{quantizer.name}.{k}.{name}"] for name in names))


@_add_books.register
def _(quantizer: graph.SplitRvq, native: _core.Quantizer, tensors: Tensors) -> None:
    _add_books(quantizer.first, native, tensors)
    _add_books(quantizer.rest, native, tensors)
