"""DAC on the native engine against transformers, with random weights in the published layout.

That transformers' arithmetic is that of Descript's own package is for test_models.py to show.
"""

from collections.abc import Callable

import numpy as np
import peers
import pytest
from parity import Pair


# The others have the network of one of these, with other numbers of books.
@pytest.fixture(scope="module", params=["dac_16khz", pytest.param("dac_44khz_16kbps", marks=pytest.mark.slow)])
def pair(request: pytest.FixtureRequest, random_pair: Callable[[str, int], Pair]) -> Pair:
    return random_pair(request.param, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dac_24khz", "dac_44khz_16kbps"])  # of each network one; docs/parity.md has all
def test_ten_seconds(name: str, random_pair: Callable[[str, int], Pair]) -> None:
    pair = random_pair(name, 1)
    assert pair.compare(peers.sound(101, 10 * pair.spec.sample_rate)[np.newaxis]).hold().share >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["one sample", "one less than a frame", "a frame", "one more", "a quarter of a second"]
)
def test_short_signals(part: str, pair: Pair) -> None:
    hop = pair.spec.hop_length
    lengths = {"one sample": 1, "one less than a frame": hop - 1, "a frame": hop, "one more": hop + 1}
    num_samples = lengths.get(part, pair.spec.sample_rate // 4)
    # A share says little of so few codes.
    assert len(pair.compare(peers.sound(num_samples, num_samples)[np.newaxis]).hold().margins) <= 1


def test_the_random_codes_vary(pair: Pair) -> None:
    codes = np.asarray(pair.their_codes(peers.sound(2, pair.spec.sample_rate // 4)[np.newaxis]))
    assert min(len(np.unique(book)) for book in codes) > 0.8 * codes.shape[1]


def test_lower_bandwidths_are_prefixes(pair: Pair) -> None:
    audio = peers.sound(7, 4_800)[np.newaxis]
    whole = pair.ours.encode(audio, pair.spec.sample_rate)
    for bandwidth in pair.spec.bandwidths:
        count = pair.spec.resolve_codebooks(bandwidth)
        assert pair.ours.encode(audio, pair.spec.sample_rate, bandwidth=bandwidth) == whole.codebooks(count)


def test_what_upstream_lacks_at_the_end_is_silence(pair: Pair) -> None:
    hop = pair.spec.hop_length
    codes = pair.their_codes(peers.sound(3, 5 * hop)[np.newaxis])
    short = codes.num_samples - pair.their_sound(codes).shape[1]
    assert short == (8 if pair.spec.name == "dac_16khz" else 0)
    sound = pair.ours.decode(codes)
    assert sound.shape == (1, 5 * hop)
    assert not sound[:, 5 * hop - short :].any()
    assert sound[:, -short - 1].any()
