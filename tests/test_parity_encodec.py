"""EnCodec 24 kHz on the native engine against transformers, with random weights in the published layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
import reference
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes
from wavcodes.graph import tensor_shapes
from wavcodes.models import encodec
from wavcodes.weights import check

Make = Callable[[int], tuple[Any, Path]]
NETWORK = encodec.network(encodec.ENCODEC_24KHZ)
BOOKS = {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}


class Pair:
    """Upstream's model and ours with the same weights."""

    def __init__(self, model: Any, path: Path) -> None:
        self.theirs = model
        self.ours: Codec = wavcodes.load("encodec_24khz", weights=path)
        self.tensors = check(encodec.tensors((path,)), tensor_shapes(NETWORK), path.name)

    def their_latent(self, audio: NDArray) -> NDArray:
        """(D, T)."""
        import torch

        with torch.inference_mode():
            return self.theirs.encoder(torch.from_numpy(audio)[None, None])[0].numpy()

    def their_codes(self, audio: NDArray, bandwidth: float) -> NDArray:
        """(K, T)."""
        import torch

        with torch.inference_mode():
            return (
                self.theirs.encode(torch.from_numpy(audio)[None, None], bandwidth=bandwidth).audio_codes[0, 0].numpy()
            )

    def their_sound(self, codes: NDArray) -> NDArray:
        """(1, N), N the whole of the frames."""
        import torch

        with torch.inference_mode():
            return self.theirs.decode(torch.from_numpy(codes)[None, None], [None]).audio_values[0].numpy()


@pytest.fixture
def pair(random_encodec: Make) -> Pair:
    return Pair(*random_encodec(1))


def unexplained(tensors: Any, latent: NDArray, ours: NDArray, theirs: NDArray) -> NDArray[np.intp]:
    """Frames in which codes (K, T) differ although rounding cannot be the reason.

    The first book that differs is looked at, for all later ones describe another rest. Rounding can be the reason
    where, in float64, the two best entries differ in squared distance from the rest of `latent` (D, T) by less than
    1e-5 of that rest's own squared length: float32 distances of 128 dimensions are about that exact.
    """
    differing = np.flatnonzero((ours != theirs).any(0))
    codes, rows = theirs[:, differing].T, latent[:, differing].T.astype(np.float64)
    first = (ours != theirs)[:, differing].argmax(0)
    margins = reference.margins(NETWORK.quantizer, tensors, rows, codes)
    excess = []
    for i, k in enumerate(first):
        rest = rows[i] - reference.dequantize(NETWORK.quantizer, tensors, codes[i : i + 1, :k])[0]
        excess.append(abs(margins[i, k]) / (rest @ rest) >= 1e-5)
    return differing[np.array(excess, bool)]


def agreement(pair: Pair, audio: NDArray) -> NDArray[np.bool_]:
    """Asserts that latent, codes and the sound of every bandwidth are upstream's; which codes (K, T) are equal, all
    others being explained by rounding."""
    latent = pair.their_latent(audio)
    np.testing.assert_allclose(pair.ours.encode_latent(audio, 24_000), latent, rtol=0, atol=1e-4)

    theirs = pair.their_codes(audio, 24.0)
    codes = pair.ours.encode(audio, 24_000, bandwidth=24.0)
    ours = np.asarray(codes)
    assert ours.shape == theirs.shape == (32, -(-len(audio) // 320))
    assert unexplained(pair.tensors, latent, ours, theirs).size == 0

    for bandwidth, count in BOOKS.items():
        assert pair.ours.encode(audio, 24_000, bandwidth=bandwidth) == codes.codebooks(count)
        sound = pair.ours.decode(Codes.of(pair.ours.spec, list(theirs[:count]), len(audio)))
        assert sound.shape == (1, len(audio))
        np.testing.assert_allclose(sound, pair.their_sound(theirs[:count])[:, : len(audio)], rtol=0, atol=1e-4)
    return ours == theirs


@pytest.mark.slow
def test_three_times_ten_seconds(random_encodec: Make) -> None:
    equal = np.concatenate(
        [agreement(Pair(*random_encodec(seed)), peers.sound(seed + 100, 240_000)) for seed in (1, 2, 3)], axis=1
    )
    for bandwidth, count in BOOKS.items():
        share = equal[:count].mean()
        print(f"{bandwidth:g} kbps: {share:.4%} of {equal[:count].size} codes are equal")
        assert share >= 0.999


@pytest.mark.parametrize("num_samples", [1, 5, 319, 320, 321, 6720, 24_000])
def test_short_signals(num_samples: int, pair: Pair) -> None:
    # A share says little of so few codes, and one flip of book 0 takes all books of its frame along.
    equal = agreement(pair, peers.sound(num_samples, num_samples))
    assert (~equal.all(0)).sum() <= 1


def test_lower_bandwidths_are_prefixes_upstream_too(pair: Pair) -> None:
    audio = peers.sound(7, 4_800)
    whole = pair.their_codes(audio, 24.0)
    for bandwidth, count in BOOKS.items():
        np.testing.assert_array_equal(pair.their_codes(audio, bandwidth), whole[:count])


def test_wrong_codes_are_not_explained_away(pair: Pair) -> None:
    audio = peers.sound(8, 4_800)
    latent, theirs = pair.their_latent(audio), pair.their_codes(audio, 24.0)
    wrong = theirs.copy()
    wrong[3, 5] = (wrong[3, 5] + 1) % 1024
    wrong[31, 9] = (wrong[31, 9] + 500) % 1024
    assert unexplained(pair.tensors, latent, wrong, theirs).tolist() == [5, 9]

    # Midway between an entry and its nearest neighbour, either is right.
    book = pair.tensors["quantizer.layers.0.codebook"].astype(np.float64)
    code = theirs[0, 7]
    neighbour = np.argsort(((book - book[code]) ** 2).sum(1))[1]
    midway, other = latent.astype(np.float64), theirs.copy()
    midway[:, 7], other[0, 7] = (book[code] + book[neighbour]) / 2, neighbour
    assert unexplained(pair.tensors, midway, other, theirs).size == 0
