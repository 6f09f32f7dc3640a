"""DAC on the native engine against transformers, with random weights in the published layout.

That transformers' arithmetic is that of Descript's own package is for test_models.py to show.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import peers
import peers_dac
import pytest
from numpy.typing import NDArray
from parity import Pair

from wavcodes import Codes

Make = Callable[[str, int], "DacPair"]


class DacPair(Pair):
    def _padded(self, audio: NDArray) -> Any:
        import torch

        # Upstream leaves this to its feature extractor.
        return torch.from_numpy(np.pad(audio, ((0, 0), (0, -audio.shape[1] % self.spec.hop_length))))[None]

    def their_latent(self, audio: NDArray) -> NDArray:
        import torch

        with torch.inference_mode():
            return self.theirs.encoder(self._padded(audio))[0].numpy()

    def their_codes(self, audio: NDArray) -> Codes:
        import torch

        with torch.inference_mode():
            codes = self.theirs.encode(self._padded(audio)).audio_codes[0].numpy()
        return Codes.of(self.spec, list(codes), audio.shape[1])

    def their_sound(self, codes: Codes) -> NDArray:
        import torch

        batch = torch.from_numpy(np.asarray(codes).astype(np.int64))[None]
        with torch.inference_mode():
            return self.theirs.decode(audio_codes=batch).audio_values.numpy()


@pytest.fixture(scope="module")
def make(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Make:
    peer("transformers")
    # On few cores its threads wait for each other longer than they work.
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("dac")

    def made(name: str, seed: int) -> DacPair:
        model, path = peers_dac.dac_peer(seed, folder, name)
        pair = DacPair(name, model, path)
        path.unlink()
        return pair

    return made


# The others have the network of one of these, with other numbers of books.
@pytest.fixture(scope="module", params=["dac_16khz", "dac_44khz_16kbps"])
def pair(request: pytest.FixtureRequest, make: Make) -> DacPair:
    return make(request.param, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", peers_dac.DAC)
def test_three_times_ten_seconds(name: str, make: Make) -> None:
    equal = []
    for seed in (1, 2, 3):
        pair = make(name, seed)
        equal.append(pair.agreement(peers.sound(seed + 100, 10 * pair.spec.sample_rate)[np.newaxis]))
    share = np.concatenate(equal, axis=1).mean()
    print(f"{name}: {share:.4%} of {sum(part.size for part in equal)} codes are equal")
    assert share >= 0.999


@pytest.mark.parametrize(
    "part", ["one sample", "one less than a frame", "a frame", "one more", "a quarter of a second"]
)
def test_short_signals(part: str, pair: DacPair) -> None:
    hop = pair.spec.hop_length
    lengths = {"one sample": 1, "one less than a frame": hop - 1, "a frame": hop, "one more": hop + 1}
    num_samples = lengths.get(part, pair.spec.sample_rate // 4)
    equal = pair.agreement(peers.sound(num_samples, num_samples)[np.newaxis])
    # A share says little of so few codes, and one tie takes all later books of its frame along.
    assert (~equal.all(0)).sum() <= 1


def test_the_random_codes_vary(pair: DacPair) -> None:
    codes = np.asarray(pair.their_codes(peers.sound(2, pair.spec.sample_rate // 4)[np.newaxis]))
    assert min(len(np.unique(book)) for book in codes) > 0.8 * codes.shape[1]


def test_lower_bandwidths_are_prefixes(pair: DacPair) -> None:
    audio = peers.sound(7, 4_800)[np.newaxis]
    whole = pair.ours.encode(audio, pair.spec.sample_rate)
    for bandwidth in pair.spec.bandwidths:
        count = pair.spec.resolve_codebooks(bandwidth)
        assert pair.ours.encode(audio, pair.spec.sample_rate, bandwidth=bandwidth) == whole.codebooks(count)


def test_what_upstream_lacks_at_the_end_is_silence(pair: DacPair) -> None:
    hop = pair.spec.hop_length
    codes = pair.their_codes(peers.sound(3, 5 * hop)[np.newaxis])
    short = codes.num_samples - pair.their_sound(codes).shape[1]
    assert short == (8 if pair.spec.name == "dac_16khz" else 0)
    sound = pair.ours.decode(codes)
    assert sound.shape == (1, 5 * hop)
    assert not sound[:, 5 * hop - short :].any()
    assert sound[:, -short - 1].any()
