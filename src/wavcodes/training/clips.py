"""Clips to train on. A batch depends on the seed and the step alone, so that a resumed run sees the same ones."""

from collections.abc import Iterator
from fnmatch import fnmatch
from queue import Queue
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from ..audio import resample
from ..errors import InputError
from .corpus import Corpus, Recording
from .recipe import Recipe

Rows = NDArray[np.float32]

_QUIET = 3e-3  # root mean square below which a clip is nearly always drawn again
_AHEAD = 8  # batches that are made in advance


class Clips:
    """Batches of augmented clips.

    Args:
        corpus: The sound.
        recipe: How to draw from it.
        num_samples: Length of a clip.
        share: Which of the clips of a batch: `slice(1, None, 2)` for the second of two processes.

    Raises:
        InputError: The recipe draws from nothing that is there.
    """

    def __init__(self, corpus: Corpus, recipe: Recipe, num_samples: int, share: slice = slice(None)) -> None:
        self._corpus, self._recipe, self._num_samples, self._share = corpus, recipe, num_samples, share
        weights = np.array([each.length for each in corpus.training], np.float64)
        if recipe.sources:
            names = [_source(each, recipe) for each in corpus.training]
            for name, part in recipe.sources.items():
                mine = np.array([each == name for each in names])
                if not mine.any():
                    raise InputError(f"the recipe draws from {name}, which is the first pattern that fits no recording")
                weights[mine] *= part / weights[mine].sum()
            weights[[each is None for each in names]] = 0
        self._cumulative = np.cumsum(weights / weights.sum())

    def batches(self, first_step: int) -> Iterator[Rows]:
        """Batches `(B, N, channels)` from a step on, without end, made by a thread of their own."""
        queue: Queue[Rows | Exception] = Queue(_AHEAD)

        def fill(step: int) -> None:
            try:
                while True:
                    queue.put(self.batch(step))
                    step += 1
            except Exception as error:  # who waits for the batch has to hear of it
                queue.put(error)

        Thread(target=fill, args=(first_step,), daemon=True).start()
        while True:
            made = queue.get()
            if isinstance(made, Exception):
                raise made
            yield made

    def batch(self, step: int) -> Rows:
        """The clips of a step, float32 `(B, N, channels)`."""
        numbers = range(self._recipe.batch)[self._share]
        return np.stack([self._clip(np.random.default_rng((self._recipe.seed, step, number))) for number in numbers])

    def _clip(self, random: np.random.Generator) -> Rows:
        how = self._recipe.augmentation
        clip = self._drawn(random)
        level = _level(clip)
        if random.random() < how.mix:
            clip = clip + _at(self._drawn(random), level, random.uniform(*how.mix_db))
        if random.random() < how.noise:
            noise = random.standard_normal(clip.shape, np.float32)
            clip = clip + _at(noise, level, random.uniform(*how.noise_db))
        if random.random() < how.band_limit:
            clip = _band_limited(clip, random.uniform(*how.band_hz) / self._corpus.sample_rate)
        peak = np.abs(clip).max() + 1e-6
        gain = min(10 ** (-random.uniform(*how.gain_db) / 20) / peak, 30.0)
        return np.asarray(clip * (gain * random.choice((-1, 1))), np.float32)

    def _drawn(self, random: np.random.Generator) -> Rows:
        for _ in range(8):
            recording = self._corpus.training[int(np.searchsorted(self._cumulative, random.random(), "right"))]
            clip = self._cut(recording, random)
            if _level(clip) > _QUIET or random.random() < 0.05:
                break
        return clip

    def _cut(self, recording: Recording, random: np.random.Generator) -> Rows:
        rate = self._corpus.sample_rate
        taken = round(rate * random.uniform(*self._recipe.augmentation.speed))  # for its rate
        count = -(-self._num_samples * taken // rate)
        spare = recording.length - count
        rows = self._corpus.rows(recording, int(random.integers(0, spare + 1)) if spare > 0 else 0, count)
        if taken != rate:
            rows = resample(rows.T, taken, rate).T[: self._num_samples]
        silent = self._num_samples - -(-recording.length * rate // taken)
        if silent > 0:  # on both sides
            rows = np.roll(rows, int(random.integers(0, silent)), 0)
        return rows


def _source(recording: Recording, recipe: Recipe) -> str | None:
    return next((pattern for pattern in recipe.sources if fnmatch(recording.name, pattern)), None)


def _level(clip: Rows) -> float:
    return float(np.sqrt(np.mean(np.square(clip))))


def _at(clip: Rows, level: float, below: float) -> Rows:
    return np.asarray(clip * (level / (_level(clip) + 1e-6) * 10 ** (-below / 20)), np.float32)


def _band_limited(clip: Rows, cutoff: float) -> Rows:
    spectrum = np.fft.rfft(clip, axis=0)
    spectrum[int(cutoff * len(clip)) :] = 0
    return np.asarray(np.fft.irfft(spectrum, len(clip), axis=0), np.float32)
