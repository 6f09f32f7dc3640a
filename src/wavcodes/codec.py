"""`load` and `Codec`: a model with its weights, ready to turn audio into codes and back."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from . import graph, registry, weights
from .audio import check_audio
from .checkpoint import Checkpoint
from .codes import Codes
from .engines.native import Engine, Precision, isa, resolve_threads
from .engines.segments import delays, encoder
from .engines.side_by_side import side_by_side
from .errors import InputError
from .memory import giving_back
from .spec import CodecSpec
from .streaming import StreamDecoder, StreamEncoder, check_codec
from .values import whole_number

Audio = NDArray[np.float32]
In = TypeVar("In")
Out = TypeVar("Out")

# Of a clip that go through the network at a time: memory does not grow with the clip. Threads have to wait for one
# another at the start and at the end of a block, so it is a long one.
_BLOCK_SECONDS = 30


def load(
    name: str = registry.DEFAULT_CODEC,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    parts: graph.Parts = "both",
    precision: Precision = "float32",
) -> "Codec":
    """Loads a codec.

    Args:
        name: One of `list_codecs()`.
        weights: Where its weights are, if not where the registry says: a file, a folder, or a hub repository
            (`owner/name` or `owner/name@revision`).
        threads: To load it, and the default for all calls; every core that this process may use if left out. The
            results are the same.
        parts: "encode" or "decode" loads one half of the codec, in about half the memory.
        precision: "bf16" computes products faster on processors with AMX, and not as exactly: some codes may be others
            than those of "float32", which are the same on every machine.

    Raises:
        InputError: There is no codec of that name, or no such part or precision.
        UnsupportedError: This machine cannot compute in that precision.
        ModelError: The weights are missing, unreachable, of the wrong hash or of the wrong shapes.
    """
    return Codec(registry.checkpoint(name), weights, threads, parts, precision)


class Codec:
    """A loaded codec. It never changes: any number of threads and streams can use it at once.

    Attributes:
        spec: Its facts.
        threads: Threads that a call uses unless it names another number.
        weights_digest: SHA-256 of the weights as the network uses them, whatever file they came from.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        source: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        parts: graph.Parts = "both",
        precision: Precision = "float32",
    ) -> None:
        if parts not in ("both", "encode", "decode"):
            raise InputError(f'expected parts of "both", "encode" or "decode", got {parts!r}')
        if precision not in ("float32", "bf16"):
            raise InputError(f'expected precision of "float32" or "bf16", got {precision!r}')
        isa(precision)  # before the weights are looked for
        self.spec: CodecSpec = checkpoint.spec
        self.threads = resolve_threads(threads)
        from concurrent.futures import ThreadPoolExecutor  # here, because many programs never load a codec

        with giving_back(), ThreadPoolExecutor(self.threads) as pool:  # what the tensors take one after the other
            tensors = checkpoint.load(source)
            digest = pool.submit(weights.digest, tensors)
            self._engine = Engine(checkpoint.network(), tensors, parts, precision, pool)
            self.weights_digest = digest.result()
        self._encoder_delay, self._decoder_delay = delays(self._engine, self.spec.framing())

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
    def decode(self, codes: Codes, *, noise_seed: int | None = 0, threads: int | None = None) -> Audio: ...
    @overload
    def decode(
        self, codes: Sequence[Codes], *, noise_seed: int | None = 0, threads: int | None = None
    ) -> list[Audio]: ...
    def decode(
        self, codes: Codes | Sequence[Codes], *, noise_seed: int | None = 0, threads: int | None = None
    ) -> Audio | list[Audio]:
        """Audio of a clip's codes, or of each clip of a list.

        Args:
            codes: As `encode` gives them, with as many codebooks as you like.
            noise_seed: What the noise that a decoder adds (SNAC's does) is made from, 0 ..< 2^64; None leaves it out.
                A clip always gets the same noise from the same seed.
            threads: Threads to use.

        Returns:
            float32 `(channels, samples)`, exactly `codes.num_samples` long. It may go slightly beyond [-1, 1].

        Raises:
            InputError: Codes of another codec, or too few frames for their `num_samples`.
        """

        def decode_one(clip: Codes, threads: int) -> Audio:
            check_codec(clip, self.spec)
            stream = self.stream_decoder(noise_seed=noise_seed, threads=threads)
            audio = np.empty((self.spec.channels, clip.num_samples), np.float32)
            filled = 0

            def fill(piece: Audio) -> None:
                nonlocal filled
                audio[:, filled : filled + piece.shape[1]] = piece
                filled += piece.shape[1]

            for part in clip.blocks(_BLOCK_SECONDS):
                fill(stream.push(part))
            fill(stream.flush())
            if filled != clip.num_samples:
                raise InputError(
                    f"expected at least {self.spec.num_frames(clip.num_samples)} frames for "
                    f"num_samples = {clip.num_samples}, got {clip.num_frames}; they decode to {filled} samples"
                )
            return audio

        return self._each(decode_one, codes, threads)

    def encode_latent(self, audio: Audio, sample_rate: int, *, threads: int | None = None) -> NDArray[np.float32]:
        """The encoder's output before quantization, float32 `(dim, frames)`; that of a segmented codec is scaled.

        Args:
            audio: One clip, as for `encode`.
            sample_rate: Hz of `audio`.
            threads: Threads to use.
        """
        checked = check_audio(audio, sample_rate, self.spec)
        count = self._threads(threads)
        stream = encoder(self._engine, self.spec.framing())
        rows = np.ascontiguousarray(checked.T)
        latent = np.concatenate([stream.push(rows, count).rows, stream.flush(count).rows])
        return np.ascontiguousarray(latent.T)

    def stream_encoder(
        self, *, bandwidth: float | None = None, num_codebooks: int | None = None, threads: int | None = None
    ) -> StreamEncoder:
        """A new session that takes audio in pieces of any size and gives the codes that `encode` would give."""
        count = self.spec.resolve_codebooks(bandwidth, num_codebooks)
        return StreamEncoder(self.spec, self._engine, count, self._encoder_delay, self._threads(threads))

    def stream_decoder(
        self, *, noise_seed: int | None = 0, first_sample: int = 0, threads: int | None = None
    ) -> StreamDecoder:
        """A new session that takes codes in pieces of any size and gives the audio that `decode` would give.

        Args:
            noise_seed: As for `decode`.
            first_sample: Where in its signal the first codes stand, a multiple of `spec.framing().step_samples`: a
                stream that begins there gets the noise that a decoder adds there.
            threads: Threads to use.

        Raises:
            InputError: A value is out of its range.
        """
        if noise_seed is not None and not 0 <= whole_number("noise_seed", noise_seed) < 1 << 64:
            raise InputError(f"expected a noise_seed of 0 ..< 2^64 or None, got {noise_seed}")
        step = self.spec.framing().step_samples
        if not 0 <= whole_number("first_sample", first_sample) < 1 << 63 or first_sample % step:
            raise InputError(f"expected a first_sample of 0 or a multiple of {step}, got {first_sample}")
        return StreamDecoder(
            self.spec, self._engine, self._decoder_delay, self._threads(threads), noise_seed, first_sample
        )

    def _threads(self, threads: int | None) -> int:
        return self.threads if threads is None else resolve_threads(threads)

    def _each(self, work: Callable[[In, int], Out], items: In | Sequence[In], threads: int | None) -> Out | list[Out]:
        """`work` on one item, or on each of a list: the items side by side where there are several."""
        count = self._threads(threads)
        if isinstance(items, list | tuple):
            return side_by_side(work, items, count)
        return work(cast(In, items), count)
