"""`load` and `Codec`: a model with its weights, ready to turn audio into codes and back."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from . import graph, registry, weights
from .audio import check_audio
from .codes import Codes
from .engines.native import Engine, resolve_threads
from .errors import InputError
from .spec import CodecSpec
from .streaming import StreamDecoder, StreamEncoder, check_codec

Audio = NDArray[np.float32]
In = TypeVar("In")
Out = TypeVar("Out")

_BLOCK_SECONDS = 10  # of a clip that go through the network at a time: memory does not grow with the clip


def load(
    name: str = registry.DEFAULT_CODEC,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> "Codec":
    """Loads a codec.

    Args:
        name: One of `list_codecs()`.
        weights: Where its weights are, if not where the registry says: a file, a folder, or a hub repository
            (`owner/name` or `owner/name@revision`).
        threads: Default for all calls; every core that this process may use if left out. The results are the same.

    Raises:
        InputError: There is no codec of that name.
        ModelError: The weights are missing, unreachable, of the wrong hash or of the wrong shapes.
    """
    return Codec(registry.checkpoint(name), weights, threads)


class Codec:
    """A loaded codec. It never changes: any number of threads and streams can use it at once.

    Attributes:
        spec: Its facts.
        threads: Threads that a call uses unless it names another number.
        weights_digest: SHA-256 of the weights as the network uses them, whatever file they came from.
    """

    def __init__(
        self,
        checkpoint: registry.Checkpoint,
        source: str | os.PathLike[str] | None = None,
        threads: int | None = None,
    ) -> None:
        self.spec: CodecSpec = checkpoint.spec
        self.threads = resolve_threads(threads)
        network = checkpoint.network()
        paths = tuple(located.path for located in weights.locate(self.spec, source))
        tensors = weights.check(
            checkpoint.tensors(paths), graph.tensor_shapes(network), ", ".join(path.name for path in paths)
        )
        self.weights_digest = weights.digest(tensors)
        self._engine = Engine(network, tensors)
        self._encoder_delay = graph.delay(network.encoder)
        self._decoder_delay = graph.delay(network.decoder, Fraction(self.spec.hop_length))

    def __repr__(self) -> str:
        return f"Codec({self.spec.name}, {self.spec.sample_rate} Hz, {self.spec.num_codebooks} codebooks)"

    @overload
    def encode(
        self,
        audio: Sequence[Audio],
        sample_rate: int,
        *,
        bandwidth: float | None = None,
        num_codebooks: int | None = None,
        threads: int | None = None,
    ) -> list[Codes]: ...
    @overload
    def encode(
        self,
        audio: Audio,
        sample_rate: int,
        *,
        bandwidth: float | None = None,
        num_codebooks: int | None = None,
        threads: int | None = None,
    ) -> Codes: ...
    def encode(
        self,
        audio: Audio | Sequence[Audio],
        sample_rate: int,
        *,
        bandwidth: float | None = None,
        num_codebooks: int | None = None,
        threads: int | None = None,
    ) -> Codes | list[Codes]:
        """Codes of a clip, or of each clip of a list.

        Args:
            audio: float32 `(channels, samples)`, or `(samples,)` for mono, in [-1, 1]; or a list of such clips, of
                any lengths. A clip's codes do not depend on the others.
            sample_rate: Hz of `audio`; must be the codec's (`resample` converts).
            bandwidth: kbps, one of `spec.bandwidths`.
            num_codebooks: Instead of `bandwidth`: how many codebooks to use.
            threads: Threads to use.

        Raises:
            InputError: The audio is not what the codec takes, or there is no such bandwidth.
        """
        count = self.spec.resolve_codebooks(bandwidth, num_codebooks)

        def encode_one(clip: Audio, threads: int) -> Codes:
            checked = check_audio(clip, sample_rate, self.spec)
            stream = self.stream_encoder(num_codebooks=count, threads=threads)
            block = _BLOCK_SECONDS * self.spec.sample_rate
            parts = [stream.push(checked[:, i : i + block]) for i in range(0, checked.shape[1], block)]
            return Codes.concat([*parts, stream.flush()])

        return self._each(encode_one, audio, threads)

    @overload
    def decode(self, codes: Codes, *, threads: int | None = None) -> Audio: ...
    @overload
    def decode(self, codes: Sequence[Codes], *, threads: int | None = None) -> list[Audio]: ...
    def decode(self, codes: Codes | Sequence[Codes], *, threads: int | None = None) -> Audio | list[Audio]:
        """Audio of a clip's codes, or of each clip of a list.

        Args:
            codes: As `encode` gives them, with as many codebooks as you like.
            threads: Threads to use.

        Returns:
            float32 `(channels, samples)`, exactly `codes.num_samples` long. It may go slightly beyond [-1, 1].

        Raises:
            InputError: Codes of another codec, or too few frames for their `num_samples`.
        """

        def decode_one(clip: Codes, threads: int) -> Audio:
            check_codec(clip, self.spec)
            stream = self.stream_decoder(threads=threads)
            block = max(1, _BLOCK_SECONDS * self.spec.sample_rate // self.spec.hop_length)
            audio = np.empty((self.spec.channels, clip.num_samples), np.float32)
            filled = 0
            for first in range(0, clip.num_frames, block):
                last = min(first + block, clip.num_frames)
                pieces = [stream.push(clip.only_frames(first, last))]
                if last == clip.num_frames:
                    pieces.append(stream.flush())
                for piece in pieces:
                    audio[:, filled : filled + piece.shape[1]] = piece
                    filled += piece.shape[1]
            if filled != clip.num_samples:
                raise InputError(
                    f"expected at least {self.spec.num_frames(clip.num_samples)} frames for "
                    f"num_samples = {clip.num_samples}, got {clip.num_frames}; they decode to {filled} samples"
                )
            return audio

        return self._each(decode_one, codes, threads)

    def encode_latent(self, audio: Audio, sample_rate: int, *, threads: int | None = None) -> NDArray[np.float32]:
        """The encoder's output before quantization, float32 `(dim, frames)`.

        Args:
            audio: One clip, as for `encode`.
            sample_rate: Hz of `audio`.
            threads: Threads to use.
        """
        checked = check_audio(audio, sample_rate, self.spec)
        count = self._threads(threads)
        stream = self._engine.encoder()
        rows = np.ascontiguousarray(checked.T)
        latent = np.concatenate([stream.push(rows, count), stream.flush(count)])
        return np.ascontiguousarray(latent.T)

    def stream_encoder(
        self, *, bandwidth: float | None = None, num_codebooks: int | None = None, threads: int | None = None
    ) -> StreamEncoder:
        """A new session that takes audio in pieces of any size and gives the codes that `encode` would give."""
        count = self.spec.resolve_codebooks(bandwidth, num_codebooks)
        return StreamEncoder(self.spec, self._engine, count, self._encoder_delay, self._threads(threads))

    def stream_decoder(self, *, threads: int | None = None) -> StreamDecoder:
        """A new session that takes codes in pieces of any size and gives the audio that `decode` would give."""
        return StreamDecoder(self.spec, self._engine, self._decoder_delay, self._threads(threads))

    def _threads(self, threads: int | None) -> int:
        return self.threads if threads is None else resolve_threads(threads)

    def _each(self, work: Callable[[In, int], Out], items: In | Sequence[In], threads: int | None) -> Out | list[Out]:
        """`work` on one item, or on each of a list: the items side by side where there are several."""
        count = self._threads(threads)
        if not isinstance(items, list | tuple):
            return work(cast(In, items), count)
        if len(items) < 2 or count == 1:
            return [work(item, count) for item in items]
        from concurrent.futures import ThreadPoolExecutor

        side_by_side = min(count, len(items))
        with ThreadPoolExecutor(side_by_side) as pool:
            return list(pool.map(lambda item: work(item, count // side_by_side), items))
