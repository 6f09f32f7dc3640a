"""Sessions: one signal that comes and goes in pieces of any size. The results do not depend on the pieces."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .audio import check_chunk
from .codes import Codes
from .engines.native import Engine
from .engines.segments import Latent, decoder, encoder
from .errors import InputError
from .spec import CodecSpec


class _Session:
    """What one signal may do next: only one thread at a time works on it, and nothing after its end or a failure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = ""

    @contextmanager
    def _turn(self, last: bool = False) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise InputError("this stream is in use by another thread; give each thread its own")
        try:
            if self._over:
                raise InputError(f"this stream has {self._over}; start a new one")
            self._over = "failed before"
            yield
            self._over = "been flushed" if last else ""
        finally:
            self._lock.release()


class StreamEncoder(_Session):
    """Audio in, codes out, for one signal. Made by `Codec.stream_encoder`.

    Attributes:
        delay: Samples beyond the end of a frame that must be pushed before its codes come out, once the stream is
            running. Where the start of a signal is mirrored (EnCodec), nothing comes out for its first seven samples.
    """

    def __init__(self, spec: CodecSpec, engine: Engine, num_codebooks: int, delay: int, threads: int) -> None:
        super().__init__()
        self.delay = delay
        self._spec = spec
        self._framing = spec.framing(num_codebooks)
        self._engine = engine
        self._threads = threads
        self._stream = encoder(engine, self._framing)
        self._pushed = 0  # samples
        self._coded = 0  # samples that the codes given so far stand for

    def push(self, audio: ArrayLike) -> Codes:
        """The next piece of the signal.

        Args:
            audio: float32 `(channels, samples)`, or `(samples,)` for mono, at the codec's rate; any length.

        Returns:
            The codes of all frames that are complete now, possibly none.

        Raises:
            InputError: The audio is not what the codec takes, or the stream has been flushed.
        """
        chunk = check_chunk(audio, self._spec)
        with self._turn():
            latent = self._stream.push(np.ascontiguousarray(chunk.T), self._threads)
            self._pushed += chunk.shape[1]
            return self._codes(latent, ended=False)

    def flush(self) -> Codes:
        """Ends the signal: the codes of its last, incomplete frames."""
        with self._turn(last=True):
            latent = self._stream.flush(self._threads)
            return self._codes(latent if self._pushed else Latent(latent.rows[:0]), ended=True)  # no samples, no frames

    def _codes(self, latent: Latent, ended: bool) -> Codes:
        books = self._engine.quantize(latent.rows, self._framing.num_codebooks, self._threads)
        rest = self._pushed - self._coded
        extent = self._framing.extent(len(latent.rows), len(latent.segments))
        num_samples = rest if ended else min(rest, extent)
        self._coded += num_samples
        return Codes(self._framing, tuple(books), num_samples, latent.segments, latent.scales)


class StreamDecoder(_Session):
    """Codes in, audio out, for one signal. Made by `Codec.stream_decoder`.

    Attributes:
        delay: Samples by which the audio comes out later than the codes that describe it, once the stream is running.
            Where the start of a signal is mirrored (EnCodec), nothing comes out for its first seven frames; then the
            stream catches up.
    """

    def __init__(
        self, spec: CodecSpec, engine: Engine, delay: int, threads: int, noise_seed: int | None, first_sample: int
    ) -> None:
        super().__init__()
        self.delay = delay
        self._spec = spec
        self._engine = engine
        self._stream = decoder(engine, spec.framing(), noise_seed, first_sample)
        self._threads = threads
        self._num_codebooks = 0
        self._announced = 0  # samples that the codes pushed so far stand for
        self._given = 0
        self._ended = False  # a part with fewer samples than its frames hold has been the last
        self._early = np.zeros((0, spec.channels), np.float32)  # audio beyond what was announced

    def push(self, codes: Codes) -> NDArray[np.float32]:
        """The next codes of the signal.

        Args:
            codes: Any number of frames, always with the same number of codebooks.

        Returns:
            float32 `(channels, samples)`: all audio that can be computed now and that belongs to the samples that
            the codes so far announce (`Codes.num_samples`).

        Raises:
            InputError: Codes of another codec or another number of codebooks, or the stream has been flushed.
        """
        check_codec(codes, self._spec)
        if self._num_codebooks and codes.num_codebooks != self._num_codebooks:
            raise InputError(f"this stream began with {self._num_codebooks} codebooks, got {codes.num_codebooks}")
        if self._ended and codes.num_samples:
            raise InputError(
                "the codes pushed before ended the signal, for their last frames were not full; start a new stream for "
                "another signal, or state the num_samples of each part of this one"
            )
        with self._turn():
            latent = Latent(self._engine.dequantize(codes.books, self._threads), codes.segments, codes.scales)
            audio = self._stream.push(latent, self._threads)
            self._num_codebooks = codes.num_codebooks
            self._announced += codes.num_samples
            self._ended |= codes.ends_signal
            return self._give(audio)

    def flush(self) -> NDArray[np.float32]:
        """Ends the signal: the rest of its audio. With all codes pushed, the total is exactly `num_samples` long."""
        with self._turn(last=True):
            self._ended = False  # from here on it is the flush that refuses more
            return self._give(self._stream.flush(self._threads))

    def _give(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(self._early):
            rows = np.concatenate([self._early, rows])
        count = min(len(rows), self._announced - self._given)
        self._given += count
        self._early = rows[count:].copy()
        return np.ascontiguousarray(rows[:count].T)


def check_codec(codes: Codes, spec: CodecSpec) -> None:
    """Raises InputError unless `codes` are such as the codec gives."""
    if not isinstance(codes, Codes):
        raise InputError(f"expected Codes, got {type(codes).__name__}; Codes.from_flat makes them from plain integers")
    if codes.codec != spec.name:
        raise InputError(f"expected codes of {spec.name}, got codes of {codes.codec}; load that codec to decode them")
    if codes.num_codebooks > spec.num_codebooks:
        raise InputError(f"{spec.name} has {spec.num_codebooks} codebooks, got {codes.num_codebooks}")
    expected, stated = spec.framing(codes.num_codebooks), codes.framing
    if fact := expected.difference(stated):
        raise InputError(
            f"{spec.name} has {fact} = {getattr(expected, fact)}, but these codes state {getattr(stated, fact)}; "
            "they are not what this codec gives"
        )
