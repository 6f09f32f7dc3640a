"""The native engine: a network in the layers of `wavcodes._core`, and streams of them.

Rows are channels-last, `(T, C)`, float32. A stream gives the same rows however its input is cut into pushes, whatever
the number of threads and on every instruction set.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _core, graph
from ..errors import EngineError, InputError, ResourceError, UnsupportedError
from ..values import whole_number
from . import native_layers as layers
from .native_layers import Tensors

if TYPE_CHECKING:
    from concurrent.futures import Executor

Rows = NDArray[np.float32]
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

        name = isa(precision)
        # The encoder first: what hashes the tensors meanwhile begins with the decoder's.
        encoder = None if parts == "decode" else start(layers.encoder, name, network.encoder, tensors)
        decoder = None if parts == "encode" else start(layers.decoder, name, network.decoder, tensors)
        quantizer = start(layers.quantizer, isa(), network.quantizer, tensors)
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
