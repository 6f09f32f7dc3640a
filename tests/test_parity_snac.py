"""SNAC against upstream's package, with random weights in the published layout: its graphs in float64, and the native
engine. The quantizer also with the real tables."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
import real
import reference
from numpy.typing import NDArray
from pairs import our_noise
from parity import CLOSE, Pair, complete, deviation, spread

from wavcodes import registry

# Upstream's package does what newer versions of PyTorch warn of, as it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


# 32 kHz has the network of 44.1 kHz.
@pytest.fixture(scope="module", params=["snac_24khz", pytest.param("snac_44khz", marks=pytest.mark.slow)])
def pair(request: pytest.FixtureRequest, random_pair: Callable[[str, int], Pair]) -> Pair:
    return random_pair(request.param, 1)


@pytest.mark.slow
def test_graphs_in_float64(pair: Pair) -> None:
    exact = copy.copy(pair)
    exact.theirs = copy.deepcopy(pair.theirs).double()
    audio = peers.sound(3, 13_000).astype(np.float64)
    latent, codes = exact.encoding(audio[np.newaxis])
    assert min(len(np.unique(book)) / len(book) for book in codes.books) > 0.4  # or they would show little
    ours = reference.run(pair.network.encoder, pair.tensors, audio[:, None])
    assert deviation(ours.T, latent) <= CLOSE
    books = reference.quantize(pair.network.quantizer, pair.tensors, ours, len(codes.books))
    assert pair.unexplained(latent, books, codes.books) == []

    dequantized = reference.dequantize(pair.network.quantizer, pair.tensors, codes.books)
    sound = reference.run(pair.network.decoder, pair.tensors, dequantized, _any_noise)
    assert deviation(sound.T, exact.their_sound(codes, _any_noise)) <= CLOSE


def _any_noise(block: int, count: int) -> NDArray:
    return np.random.default_rng(block).standard_normal(count)


@pytest.mark.parametrize("part", ["one sample", "one sample less", "whole", "one sample more"])
def test_short_signals(part: str, pair: Pair) -> None:
    step = pair.spec.hop_length * pair.spec.frame_multiple
    num_samples = {"one sample": 1, "one sample less": step - 1, "whole": step, "one sample more": step + 1}[part]
    assert pair.compare(peers.sound(num_samples, num_samples)[np.newaxis]).hold().share == 1


def test_the_noise_is_heard(pair: Pair) -> None:
    codes = complete(pair.their_codes(peers.sound(5, 5_000)[np.newaxis]))
    silent, loud = pair.their_sound(codes), pair.their_sound(codes, our_noise)
    assert spread(loud - silent) > 0.01 * spread(silent)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["snac_24khz", "snac_44khz"])  # 32 kHz has the network of 44.1 kHz; see docs/parity.md
def test_ten_seconds(name: str, random_pair: Callable[[str, int], Pair]) -> None:
    pair = random_pair(name, 1)
    assert pair.compare(peers.sound(101, 10 * pair.spec.sample_rate)[np.newaxis]).hold().share >= 0.999


def test_wrong_codes_are_not_explained_away(pair: Pair) -> None:
    latent, codes = pair.encoding(peers.sound(8, 13_000)[np.newaxis])
    theirs = [book.astype(np.int64) for book in codes.books]
    wrong = [book.copy() for book in theirs]
    wrong[1][2] ^= 1
    wrong[-1][0] ^= 1
    wrong[-1][2 * pair.spec.strides[1]] ^= 1  # in the same frames as the first, which it may follow from
    assert pair.unexplained(latent, wrong, theirs) == [(1, 2), (len(wrong) - 1, 0)]

    # Midway between the directions of an entry and of another, either is right.
    book = pair.tensors["quantizer.quantizers.0.codebook"].astype(np.float64)
    inward = pair.tensors["quantizer.quantizers.0.in_proj.weight"].astype(np.float64)
    bias = pair.tensors["quantizer.quantizers.0.in_proj.bias"]
    book /= np.linalg.norm(book, axis=1, keepdims=True)
    code, stride = theirs[0][1], pair.spec.strides[0]
    neighbour = np.argsort(book @ book[code])[-2]
    midway, other = latent.astype(np.float64), [book.copy() for book in theirs]
    midway[:, stride : 2 * stride] = (np.linalg.pinv(inward) @ (book[code] + book[neighbour] - bias))[:, None]
    other[0][1] = neighbour
    assert pair.unexplained(midway, other[:1], theirs[:1]) == []


def test_older_spelling_of_weight_norm_and_upstream_file(pair: Pair, tmp_path: Path) -> None:
    import torch

    older = torch.nn.Module().state_dict()
    for name, value in pair.theirs.state_dict().items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        older[name.replace("parametrizations.weight.original1", "weight_v")] = value
    torch.save(older, tmp_path / "pytorch_model.bin")
    read = registry.checkpoint(pair.spec.name).tensors((tmp_path / "pytorch_model.bin",))
    assert read.keys() == pair.tensors.keys()
    assert all(np.array_equal(read[name], pair.tensors[name]) for name in read)


@pytest.mark.slow
def test_real_tables_give_the_codes_of_onnxruntime(shared: Path, peer: Callable[..., Any]) -> None:
    tables = peer("onnxruntime", lambda: real.SnacTables(shared))
    codes = tables.their_codes(tables.latent)
    assert min(len(np.unique(book)) for book in codes) > 500
    found = tables.compare()
    assert found.share == 1
    assert found.latent <= CLOSE
    ours = reference.quantize(tables.quantizer, tables.tensors, tables.latent.T, 3)
    assert all(np.array_equal(our, their) for our, their in zip(ours, codes, strict=True))
