"""Streams of a whole codec: continuous, or cut into segments that are coded independently and overlap a little.

A segment is divided by its root mean square, which travels with its codes, and decoded segments are cross-faded: the
rules of `_encode_frame`, `_decode_frame` and `_linear_overlap_add` of EnCodec's reference implementation.
"""

import bisect
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..framing import Framing, Segment
from .native import Engine, Rows, Stream
from .side_by_side import side_by_side

_GROUP = 6  # segments for which the weights of an LSTM are read once
_RUNNING = 64  # steps after which a stream is no longer at the beginning of its signal
_PHASES = 36  # steps after which the blocks of rows that some layers compute together begin at a step again


Whole = Callable[[Sequence[Rows], int], list[Rows]]
"""What becomes of each of several whole signals, on so many threads."""


class Latent(NamedTuple):
    """Latent rows `(T, D)`; of a segmented codec, with the number of rows and the scale of each segment."""

    rows: Rows
    segments: tuple[int, ...] = ()
    scales: NDArray[np.float32] = np.zeros(0, np.float32)


def encoder(engine: Engine, framing: Framing) -> "ContinuousEncoder | SegmentEncoder":
    """A new stream of the whole encoder."""
    if framing.segment is None:
        return ContinuousEncoder(engine.encoder(), framing.step_frames)
    nothing = engine.encoder().push(np.zeros((0, framing.channels), np.float32), 1)
    return SegmentEncoder(engine.encode_whole, framing.segment, framing.channels, nothing)


def decoder(
    engine: Engine, framing: Framing, noise_seed: int | None, first_sample: int
) -> "ContinuousDecoder | SegmentDecoder":
    """A new stream of the whole decoder, which begins at `first_sample` of its signal."""
    if framing.segment is None:
        return ContinuousDecoder(engine.decoder(noise_seed, first_sample // framing.hop_length))
    engine.decoder()  # a codec without one says so now, and not with the first segment
    return SegmentDecoder(engine.decode_whole, framing.segment, framing.channels)


def delays(engine: Engine, framing: Framing) -> tuple[int, int]:
    """By how many samples the encoder and the decoder of a codec lag behind, as their streams' `delay` says.

    0 for a half that the engine does not hold.
    """
    hop, step = framing.hop_length, framing.step_frames
    if framing.segment is not None:
        return framing.segment.length - hop, framing.segment.length - framing.segment.stride
    steps = range(_RUNNING, _RUNNING + _PHASES)
    # The first frame of a step comes out together with its last one.
    encoder = [engine.samples_needed(n * step) - ((n - 1) * step + 1) * hop for n in steps if engine.parts != "decode"]
    decoder = [n * step * hop - _samples_given(engine, n * step, hop) for n in steps if engine.parts != "encode"]
    return max(encoder, default=0), max(decoder, default=0)


def _samples_given(engine: Engine, frames: int, hop_length: int) -> int:
    """Samples that the decoder has given when the first `frames` frames of a running signal have come."""
    return bisect.bisect_right(range(frames * hop_length + 1), frames, key=engine.frames_needed) - 1


class ContinuousEncoder:
    """Audio rows `(N, channels)` to latents of whole steps.

    Args:
        stream: A stream of the encoder.
        step_frames: Rows of a step.
    """

    def __init__(self, stream: Stream, step_frames: int) -> None:
        self._stream = stream
        self._step_frames = step_frames
        self._waiting: list[Rows] = []

    def push(self, rows: Rows, threads: int) -> Latent:
        """Takes the next rows and gives the steps that are complete."""
        return self._steps(self._stream.push(rows, threads))

    def flush(self, threads: int) -> Latent:
        """Ends the signal and gives the rest."""
        return self._steps(self._stream.flush(threads))

    def _steps(self, latent: Rows) -> Latent:
        latent = np.concatenate([*self._waiting, latent])
        count = len(latent) - len(latent) % self._step_frames
        self._waiting = [latent[count:]]
        return Latent(latent[:count])


class ContinuousDecoder:
    """Latents to audio rows `(N, channels)`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def push(self, latent: Latent, threads: int) -> Rows:
        """Takes the next rows and gives all audio that they allow to compute."""
        return self._stream.push(latent.rows, threads)

    def flush(self, threads: int) -> Rows:
        """Ends the signal and gives the rest."""
        return self._stream.flush(threads)


class SegmentEncoder:
    """Audio rows `(N, channels)` to latents of whole segments.

    Args:
        whole: The network.
        segment: Where segments lie.
        channels: Audio channels.
        nothing: A latent of no rows.
    """

    def __init__(self, whole: Whole, segment: Segment, channels: int, nothing: Rows) -> None:
        self._whole = whole
        self._segment = segment
        self._waiting = np.zeros((0, channels), np.float32)
        self._nothing = nothing

    def push(self, rows: Rows, threads: int) -> Latent:
        """Takes the next rows and gives the segments that are complete."""
        return self._encode(rows, self._segment.length, threads)

    def flush(self, threads: int) -> Latent:
        """Ends the signal and gives the rest."""
        return self._encode(self._waiting[:0], 1, threads)

    def _encode(self, rows: Rows, least: int, threads: int) -> Latent:
        self._waiting = np.concatenate([self._waiting, rows])
        segments: list[Rows] = []
        while len(self._waiting) >= least:
            segments.append(self._waiting[: self._segment.length])
            self._waiting = self._waiting[self._segment.stride :]
        self._waiting = self._waiting.copy()  # a view would keep all of the push
        scales = [_root_mean_square(each.mean(axis=1, dtype=np.float32)) + np.float32(1e-8) for each in segments]
        scaled = [each / scale for each, scale in zip(segments, scales, strict=True)]
        latents = _in_groups(self._whole, scaled, threads)
        return Latent(np.concatenate([self._nothing, *latents]), tuple(map(len, latents)), np.array(scales, np.float32))


class SegmentDecoder:
    """Latents of whole segments to audio rows `(N, channels)`."""

    def __init__(self, whole: Whole, segment: Segment, channels: int) -> None:
        self._whole = whole
        self._segment = segment
        self._fade: NDArray[np.float32] = np.zeros(0, np.float32)
        # What the segments so far add up to from the start of the next one on: audio, and the sum of its weights
        self._sum = np.zeros((0, channels), np.float32)
        self._weight = np.zeros((0, 1), np.float32)

    def push(self, latent: Latent, threads: int) -> Rows:
        """Takes the next segments and gives the audio that no later one changes."""
        given = [self._sum[:0]]
        segments = np.split(latent.rows, np.cumsum(latent.segments[:-1], dtype=int)) if latent.segments else []
        audios = _in_groups(self._whole, segments, threads)
        for audio, scale in zip(audios, latent.scales, strict=True):
            if not len(self._fade):
                self._fade = _triangle(len(audio))
            self._add(audio * scale)
            given.append(self._take(min(self._segment.stride, len(self._sum))))
        return np.concatenate(given)

    def flush(self, threads: int) -> Rows:
        """Ends the signal and gives the rest."""
        return self._take(len(self._sum))

    def _add(self, audio: Rows) -> None:
        more = max(0, len(audio) - len(self._sum))
        self._sum = np.pad(self._sum, ((0, more), (0, 0)))
        self._weight = np.pad(self._weight, ((0, more), (0, 0)))
        fade = self._fade[: len(audio), np.newaxis]
        self._sum[: len(audio)] += audio * fade
        self._weight[: len(audio)] += fade

    def _take(self, count: int) -> Rows:
        rows = self._sum[:count] / self._weight[:count]
        self._sum, self._weight = self._sum[count:], self._weight[count:]
        return rows


def _in_groups(whole: Whole, segments: list[Rows], threads: int) -> list[Rows]:
    """What becomes of each segment. The groups are of about one size, and as many for each thread."""
    at_once = max(1, min(threads, len(segments)))
    count = -(-len(segments) // (_GROUP * at_once)) * at_once
    edges = [len(segments) * i // count for i in range(count + 1)] if count else []
    groups = [segments[begin:end] for begin, end in itertools.pairwise(edges)]
    return list(itertools.chain.from_iterable(side_by_side(whole, groups, threads)))


def _root_mean_square(x: NDArray[np.float32]) -> np.float32:
    # Not np.sum, whose order of addition depends on the machine; every partial sum of cumsum is an output.
    total = np.cumsum(np.square(x, dtype=np.float64))[-1]
    root: np.float32 = np.sqrt(total / len(x)).astype(np.float32)
    return root


def _triangle(length: int) -> NDArray[np.float32]:
    """Weights that rise from the ends of a segment to its middle."""
    position = np.arange(1, length + 1) / (length + 1)
    return (0.5 - np.abs(position - 0.5)).astype(np.float32)
