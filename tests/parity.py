"""Upstream's models beside ours: what it takes to say that the two agree."""

from pathlib import Path
from typing import Any

import numpy as np
import reference
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, registry
from wavcodes.graph import tensor_shapes
from wavcodes.weights import check


class Pair:
    """Upstream's model and ours with the same weights; audio is (C, N).

    Each family says how upstream is called: `their_latent`, `their_codes` and `their_sound`.
    """

    def __init__(self, name: str, model: Any, path: Path) -> None:
        entry = registry.checkpoint(name)
        self.theirs, self.spec, self.network = model, entry.spec, entry.network()
        self.ours: Codec = wavcodes.load(name, weights=path)
        self.tensors = check(entry.tensors((path,)), tensor_shapes(self.network), path.name)

    def their_latent(self, audio: NDArray) -> NDArray:
        """(D, T)."""
        raise NotImplementedError

    def their_codes(self, audio: NDArray) -> Codes:
        """Of all books."""
        raise NotImplementedError

    def their_sound(self, codes: Codes) -> NDArray:
        """All that upstream gives, (C, N): a few samples more or less than `codes.num_samples`."""
        raise NotImplementedError

    def unexplained(self, latent: NDArray, ours: NDArray, theirs: NDArray) -> list[tuple[int, int]]:
        """Book and frame of each of `ours` (K, T) that differs from `theirs` and is no tie; see `reference`."""
        return reference.unexplained(self.network.quantizer, self.tensors, latent.T, ours.T, theirs.T)

    def agreement(self, audio: NDArray) -> NDArray[np.bool_]:
        """Which codes (K, T) are equal. Asserts that all others are ties, and that latent and sound are upstream's."""
        latent, theirs = self.their_latent(audio), self.their_codes(audio)
        assert_close(self.ours.encode_latent(audio, self.spec.sample_rate), latent)

        ours = self.ours.encode(audio, self.spec.sample_rate, num_codebooks=self.spec.num_codebooks)
        assert (ours.framing, ours.segments, ours.num_samples) == (theirs.framing, theirs.segments, audio.shape[1])
        np.testing.assert_allclose(ours.scales, theirs.scales, rtol=1e-6)
        assert self.unexplained(latent, np.asarray(ours), np.asarray(theirs)) == []

        for count in {self.spec.resolve_codebooks(self.spec.bandwidths[0]), self.spec.num_codebooks}:
            codes = theirs.codebooks(count)
            sound, expected = self.ours.decode(codes), self.their_sound(codes)
            assert sound.shape == audio.shape
            both = min(sound.shape[1], expected.shape[1])
            assert both > sound.shape[1] - self.spec.hop_length
            assert_close(sound[:, :both], expected[:, :both], scale=spread(expected))
        return np.asarray(ours) == np.asarray(theirs)


def spread(values: NDArray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def assert_close(ours: NDArray, theirs: NDArray, scale: float | None = None) -> None:
    """Of one shape, and equal to within 1e-4 of the scale of `theirs`."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * (spread(theirs) if scale is None else scale))
