"""EnCodec on the native engine against transformers, and its segments also against Meta's own package, with random
weights in the published layout."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
import upstream
from pairs import sound
from parity import CLOSE, Pair, deviation

from wavcodes import Codec, registry
from wavcodes.models import encodec


# The network of 32 kHz, narrow, is compared in test_models.py.
@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name == "encodec_32khz" else ()) for name in peers.ENCODEC],
)
def pair(request: pytest.FixtureRequest, random_pair: Callable[[str, int], Pair]) -> Pair:
    return random_pair(request.param, 1)


@pytest.fixture(scope="module")
def segmented(random_pair: Callable[[str, int], Pair]) -> Pair:
    return random_pair("encodec_48khz", 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", peers.ENCODEC)
def test_ten_seconds(name: str, random_pair: Callable[[str, int], Pair]) -> None:
    pair = random_pair(name, 1)
    found = pair.compare(sound(pair, 101, 10 * pair.spec.sample_rate)).hold()
    for bandwidth in pair.spec.bandwidths:
        assert np.mean(found.equal[: pair.spec.resolve_codebooks(bandwidth)]) >= 0.999


@pytest.mark.parametrize("num_samples", [1, 5, 319, 320, 321, 641, 9_600])
def test_short_signals(num_samples: int, pair: Pair) -> None:
    # A share says little of so few codes.
    assert len(pair.compare(sound(pair, num_samples, num_samples)).hold().margins) <= 1


@pytest.mark.parametrize(
    "num_samples", [47_521, *(pytest.param(count, marks=pytest.mark.slow) for count in (48_001, 95_500))]
)
def test_segments(num_samples: int, segmented: Pair) -> None:
    assert len(segmented.compare(sound(segmented, num_samples, num_samples)).hold().margins) <= 1


def test_lower_bandwidths_are_prefixes_upstream_too(pair: Pair) -> None:
    import torch

    audio = sound(pair, 7, 4_800)
    theirs = pair.their_codes(audio)
    ours = pair.our_codes(audio)
    for bandwidth in pair.spec.bandwidths:
        count = pair.spec.resolve_codebooks(bandwidth)
        with torch.inference_mode():
            lower = pair.theirs.encode(torch.from_numpy(audio)[None], bandwidth=bandwidth).audio_codes[0, 0].numpy()
        np.testing.assert_array_equal(lower, np.asarray(theirs)[:count])
        assert pair.ours.encode(audio, pair.spec.sample_rate, bandwidth=bandwidth) == ours.codebooks(count)


def test_wrong_codes_are_not_explained_away(pair: Pair) -> None:
    audio = sound(pair, 8, 9_600)
    latent, theirs = pair.their_latent(audio), np.asarray(pair.their_codes(audio))
    wrong = theirs.copy()
    wrong[3, 5] ^= 1
    wrong[-1, 9] ^= 512
    assert pair.unexplained(latent, list(wrong), list(theirs)) == [(3, 5), (len(theirs) - 1, 9)]

    # Midway between an entry and its nearest neighbour, either is right.
    book = pair.tensors["quantizer.layers.0.codebook"].astype(np.float64)
    code = theirs[0, 7]
    neighbour = np.argsort(((book - book[code]) ** 2).sum(1))[1]
    midway, other = latent.astype(np.float64), theirs.copy()
    midway[:, 7], other[0, 7] = (book[code] + book[neighbour]) / 2, neighbour
    assert pair.unexplained(midway, list(other), list(theirs)) == []


def test_segments_as_meta_has_them(peer: Callable[..., Any], tmp_path: Path) -> None:
    torch, files = peer("torch"), peer("safetensors.numpy")
    config = replace(encodec.ENCODEC_48KHZ, num_filters=8)
    widths = {"channels": 2, "num_filters": 8, "ratios": config.ratios, "num_codebooks": 16, "codebook_size": 1024}
    make = partial(upstream.meta_encodec, **widths, causal=False, true_skip=False, norm="time_group_norm")
    theirs = peer("encodec", make)
    theirs.sample_rate, theirs.segment, theirs.normalize = 48_000, 1.0, True
    books = [layer._codebook.embed for layer in theirs.quantizer.vq.layers]
    peers.randomize_encodec(theirs.encoder, books, theirs.decoder, 2, seed=3)
    files.save_file({name: value.numpy() for name, value in theirs.state_dict().items()}, tmp_path / "meta.safetensors")
    entry = replace(registry.checkpoint("encodec_48khz"), network=partial(encodec.network, config))
    ours = Codec(entry, tmp_path / "meta.safetensors")

    audio = np.stack([peers.sound(1, 100_000), peers.sound(2, 100_000)])
    with torch.inference_mode():
        segments = theirs.encode(torch.from_numpy(audio)[None])
        expected = theirs.decode(segments)[0, :, :100_000].numpy()
    codes = ours.encode(audio, 48_000, bandwidth=24.0)
    assert codes.segments == tuple(codes.shape[2] for codes, _ in segments)
    np.testing.assert_allclose(codes.scales, [float(scale) for _, scale in segments], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(codes), np.concatenate([part[0].numpy() for part, _ in segments], axis=1))
    assert deviation(ours.decode(codes), expected) <= CLOSE
