"""Upstream's models beside ours: what it takes to say that the two agree. The tests assert it, `bench/parity.py` prints
it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import reference
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, registry

Books = Sequence[NDArray]
TIE = 1e-5
"""Two entries of a codebook that are so near to each other in describing a latent are equally good: see `reference`."""
CLOSE = 1e-4
"""Latents and sounds may deviate by so much of the spread of upstream's."""


@dataclass(frozen=True)
class Comparison:
    """How upstream's codec and ours agree on one signal.

    Attributes:
        equal: Which codes are equal, one array per book.
        margins: Of each code that differs and need not: one tie takes later books of its frames along. See
            `reference.differences`.
        lengths: Our codes have upstream's frames and segments, our sound has exactly the samples of the signal.
        scales: Largest relative deviation of the scales of the segments.
        latent: Largest deviation of the latent, in parts of the spread of upstream's.
        sound: The same of what both make of upstream's codes, without noise; and, for the first half second to the end
            of its last frame, of its fewest books. None where there is only a quantizer.
        noisy: The same with noise, upstream being given ours, if the codec has such.
    """

    equal: tuple[NDArray[np.bool_], ...]
    margins: tuple[float, ...]
    lengths: bool
    scales: float
    latent: float
    sound: float | None
    noisy: float | None

    @property
    def share(self) -> float:
        """Part of the codes that is equal."""
        return float(np.concatenate(self.equal).mean())

    def hold(self) -> "Comparison":
        """Asserts that all that differs is rounding; itself."""
        assert self.lengths
        assert max(self.margins, default=0.0) < TIE
        assert self.scales <= 1e-6
        assert self.latent <= CLOSE
        assert all(sound is None or sound <= CLOSE for sound in (self.sound, self.noisy))
        return self


class Pair:
    """Upstream's model and ours with the same weights; audio is (C, N), float32.

    Each family says how upstream is called: `encoding`, `their_sound` and, where there is noise, `noisy`.

    Args:
        name: The codec.
        model: Upstream's.
        path: The file or folder of the weights.
    """

    package: str
    """Upstream's, as it is installed."""

    def __init__(self, name: str, model: Any, path: Path) -> None:
        entry = registry.checkpoint(name)
        self.theirs, self.spec, self.network = model, entry.spec, entry.network()
        self.ours: Codec = wavcodes.load(name, weights=path)
        self.tensors = dict(entry.load(path))  # their file may go
        # Numbers of books to decode a part with: the fewest that a bandwidth has, and all.
        self.counts = sorted({self.spec.resolve_codebooks(self.spec.bandwidths[0]), self.spec.num_codebooks})

    def encoding(self, audio: NDArray) -> tuple[NDArray, Codes]:
        """Upstream's latent (D, T), and its codes with all books."""
        raise NotImplementedError

    def their_latent(self, audio: NDArray) -> NDArray:
        """(D, T)."""
        return self.encoding(audio)[0]

    def their_codes(self, audio: NDArray) -> Codes:
        """Of all books."""
        return self.encoding(audio)[1]

    def their_sound(self, codes: Codes) -> NDArray:
        """All that upstream gives, (C, N), without noise: a few samples more or less than `codes.num_samples`."""
        raise NotImplementedError

    def noisy(self, codes: Codes) -> float | None:
        """The deviation of the sound with noise; None where there is none."""
        return None

    def our_codes(self, audio: NDArray) -> Codes:
        """Of all books."""
        return self.ours.encode(audio, self.spec.sample_rate, num_codebooks=self.spec.num_codebooks)

    def unexplained(self, latent: NDArray, ours: Books, theirs: Books) -> list[tuple[int, int]]:
        """Book and position of each of `ours` that differs from `theirs`, need not, and is no tie."""
        return [(k, at) for k, at, margin in self._differences(latent, ours, theirs) if margin >= TIE]

    def _differences(self, latent: NDArray, ours: Books, theirs: Books) -> list[tuple[int, int, float]]:
        return reference.differences(self.network.quantizer, self.tensors, latent.T, ours, theirs)

    def compare(self, audio: NDArray) -> Comparison:
        latent, theirs = self.encoding(audio)
        ours = self.our_codes(audio)
        shapes = [(codes.framing, codes.segments, codes.num_frames) for codes in (ours, theirs)]
        assert shapes[0] == shapes[1]
        sound = self.ours.decode(theirs, noise_seed=None)
        sounds = [self.deviation_of_sound(sound, self.their_sound(theirs))]
        for count in self.counts:
            part = complete(theirs[:0.5].codebooks(count))
            sounds.append(self.deviation_of_sound(self.ours.decode(part, noise_seed=None), self.their_sound(part)))
        return Comparison(
            equal=tuple(our == their for our, their in zip(ours.books, theirs.books, strict=True)),
            margins=tuple(margin for _, _, margin in self._differences(latent, ours.books, theirs.books)),
            lengths=ours.num_samples == audio.shape[1] and sound.shape == audio.shape,
            scales=float(np.max(np.abs(ours.scales / theirs.scales - 1), initial=0)),
            latent=deviation(self.ours.encode_latent(audio, self.spec.sample_rate), latent),
            sound=max(sounds),
            noisy=self.noisy(complete(theirs)),
        )

    def deviation_of_sound(self, ours: NDArray, theirs: NDArray) -> float:
        """Of what both have; some give a few samples less than their codes stand for, some more."""
        both = min(ours.shape[1], theirs.shape[1])
        assert both > ours.shape[1] - self.spec.hop_length
        return deviation(ours[:, :both], theirs[:, :both], spread(theirs))


def complete(codes: Codes) -> Codes:
    """The same for a signal that ends with their last frame, so that all of them are heard."""
    return replace(codes, num_samples=codes.framing.capacity(codes.num_frames, codes.segments))


def deviation(ours: NDArray, theirs: NDArray, scale: float | None = None) -> float:
    """The largest, in parts of `scale` or of the spread of `theirs`. Asserts that both have one shape."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(np.float64) - theirs).max() / (scale or spread(theirs)))


def spread(values: NDArray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@contextmanager
def outputs(module: Any) -> Iterator[list[NDArray]]:
    """Within it, collects what a module of PyTorch gives, (D, T) each, whoever calls it."""
    found: list[NDArray] = []
    hook = module.register_forward_hook(lambda _, __, y: found.append(y[0].numpy()))
    try:
        yield found
    finally:
        hook.remove()
