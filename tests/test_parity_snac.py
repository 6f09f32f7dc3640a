"""SNAC against upstream's package, with random weights in the published layout: its graphs in float64, and the native
engine. The quantizer also with the real tables."""

import copy
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import peers
import peers_snac
import pytest
import reference
from numpy.typing import NDArray

from wavcodes import _core, registry
from wavcodes.engines.native import Engine, Stream
from wavcodes.graph import CosineRvq, tensor_shapes
from wavcodes.weights import check

Books = list[NDArray]
NAMES = ("snac_24khz", "snac_32khz", "snac_44khz")
SEED = 12

# Upstream's package does what newer versions of PyTorch warn of, as it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


class Pair:
    """Upstream's model and ours with the same weights; audio is (N,), latents are (T, D), sound is (N,)."""

    def __init__(self, name: str, model: Any, path: Path) -> None:
        entry = registry.checkpoint(name)
        self.theirs, self.spec, self.network = model, entry.spec, entry.network()
        self.tensors = check(entry.tensors((path,)), tensor_shapes(self.network), path.name)

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.network, self.tensors)

    def their_latent(self, audio: NDArray) -> NDArray:
        import torch

        with torch.inference_mode():
            return self.theirs.encoder(self.theirs.preprocess(torch.from_numpy(audio)[None, None]))[0].numpy().T

    def their_codes(self, latent: NDArray) -> Books:
        import torch

        with torch.inference_mode():
            return [book[0].numpy() for book in self.theirs.quantizer(torch.from_numpy(latent.T.copy())[None])[1]]

    def their_sound(self, codes: Books, source: Callable[[int, int], NDArray] | None) -> NDArray:
        import torch

        with torch.inference_mode(), peers_snac.noise(source):
            return self.theirs.decode([torch.from_numpy(book)[None] for book in codes])[0, 0].numpy()

    def our_latent(self, audio: NDArray) -> NDArray:
        return _whole(self.engine.encoder(), audio[:, None])

    def our_sound(self, codes: Books, seed: int | None) -> NDArray:
        return _whole(self.engine.decoder(seed), self.engine.dequantize(codes, 1))[:, 0]

    def unexplained(self, latent: NDArray, ours: Books, theirs: Books) -> list[tuple[int, int]]:
        return reference.unexplained(self.network.quantizer, self.tensors, latent, ours, theirs)


def _whole(stream: Stream, rows: NDArray) -> NDArray:
    return np.concatenate([stream.push(np.ascontiguousarray(rows, np.float32), 1), stream.flush(1)])


@pytest.fixture(scope="module")
def make(peer: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Pair]:
    peer("snac")
    # On few cores its threads wait for each other longer than they work.
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("snac")

    def made(name: str, seed: int) -> Pair:
        model, path = peers_snac.snac_peer(name, seed, folder)
        pair = Pair(name, model, path)
        path.unlink()
        return pair

    return made


@pytest.fixture(scope="module", params=["snac_24khz", "snac_44khz"])  # 32 kHz has the network of the latter
def pair(request: pytest.FixtureRequest, make: Callable[[str, int], Pair]) -> Pair:
    return make(request.param, 1)


def assert_close(ours: NDArray, theirs: NDArray) -> None:
    """To within 1e-4 of the scale of `theirs`, and of the same length."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * theirs.std())


def agreement(pair: Pair, audio: NDArray) -> list[NDArray[np.bool_]]:
    """Asserts that latent, codes and sound are upstream's; which codes are equal, all others being ties."""
    latent = pair.their_latent(audio)
    theirs = pair.their_codes(latent)
    ours_latent = pair.our_latent(audio)
    assert len(latent) == pair.spec.num_frames(len(audio))
    assert_close(ours_latent, latent)

    ours = pair.engine.quantize(ours_latent, pair.spec.num_codebooks, 1)
    assert [len(book) for book in ours] == [len(book) for book in theirs]
    assert pair.unexplained(latent, ours, theirs) == []

    silent, loud = pair.their_sound(theirs, None), pair.their_sound(theirs, partial(_our_noise, SEED))
    assert len(silent) == len(latent) * pair.spec.hop_length
    assert_close(pair.our_sound(theirs, None), silent)
    assert_close(pair.our_sound(theirs, SEED), loud)
    assert (loud - silent).std() > 0.01 * silent.std()
    return [our == their for our, their in zip(ours, theirs, strict=True)]


def _our_noise(seed: int, number: int, count: int) -> NDArray:
    return _core.noise(seed, number, 0, count)


def test_graphs_in_float64(pair: Pair) -> None:
    exact = copy.copy(pair)
    exact.theirs = copy.deepcopy(pair.theirs).double()
    audio = peers.sound(3, 13_000).astype(np.float64)
    latent = exact.their_latent(audio)
    codes = exact.their_codes(latent)
    assert min(len(np.unique(book)) / len(book) for book in codes) > 0.4  # codes that hardly vary would show little
    ours = reference.run(pair.network.encoder, pair.tensors, audio[:, None])
    assert_close(ours, latent)
    books = reference.quantize(pair.network.quantizer, pair.tensors, ours, len(codes))
    assert pair.unexplained(latent, books, codes) == []

    dequantized = reference.dequantize(pair.network.quantizer, pair.tensors, codes)
    sound = reference.run(pair.network.decoder, pair.tensors, dequantized, _any_noise)
    assert_close(sound[:, 0], exact.their_sound(codes, _any_noise))


def _any_noise(number: int, count: int) -> NDArray:
    return np.random.default_rng(number).standard_normal(count)


@pytest.mark.parametrize("part", ["one sample", "one sample less", "whole", "one sample more"])
def test_short_signals(part: str, pair: Pair) -> None:
    step = pair.spec.hop_length * pair.spec.frame_multiple
    num_samples = {"one sample": 1, "one sample less": step - 1, "whole": step, "one sample more": step + 1}[part]
    equal = agreement(pair, peers.sound(num_samples, num_samples))
    assert all(book.all() for book in equal)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_ten_seconds(name: str, seed: int, make: Callable[[str, int], Pair]) -> None:
    pair = make(name, seed)
    equal = np.concatenate(agreement(pair, peers.sound(seed + 100, 10 * pair.spec.sample_rate)))
    print(f"{name}: {equal.mean():.4%} of {equal.size} codes are equal")
    assert equal.mean() >= 0.999


def test_wrong_codes_are_not_explained_away(pair: Pair) -> None:
    latent = pair.their_latent(peers.sound(8, 13_000))
    theirs = pair.their_codes(latent)
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
    midway[stride : 2 * stride] = np.linalg.pinv(inward) @ (book[code] + book[neighbour] - bias)
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


@pytest.fixture(scope="module")
def real_tables(shared: Path) -> tuple[CosineRvq, dict[str, NDArray[np.float32]]]:
    from safetensors.numpy import load_file

    quantizer = registry.checkpoint("snac_24khz").network().quantizer
    stored = load_file(shared / "weights/snac_24khz_quantizer/snac_24khz_quantizer.safetensors")
    named = {name.replace("codebook.weight", "codebook"): value for name, value in stored.items()}
    flat = {name: value[..., 0] if "proj.weight" in name else value for name, value in named.items()}
    return quantizer, check(flat, dict(quantizer.tensors()), "shared")


def test_real_tables_give_the_codes_of_onnxruntime(real_tables: Any, shared: Path, peer: Any) -> None:
    quantizer, tensors = real_tables
    session = peer("onnxruntime").InferenceSession(shared / "weights/snac_24khz_quantizer/quantize_encodings.onnx")
    latent = _plausible(quantizer, tensors, 4_000)
    theirs = [book[0] for book in session.run(None, {"z": latent.T[None]})]
    assert min(len(np.unique(book)) for book in theirs) > 500
    engine = Engine(registry.checkpoint("snac_24khz").network(), _with_quantizer(tensors))
    for ours in (reference.quantize(quantizer, tensors, latent, 3), engine.quantize(latent, 3, 1)):
        assert [np.flatnonzero(our != their).tolist() for our, their in zip(ours, theirs, strict=True)] == [[], [], []]


def _plausible(quantizer: CosineRvq, tensors: dict[str, NDArray[np.float32]], frames: int) -> NDArray[np.float32]:
    """A latent (T, D) such as the tables were made for: what random codes describe, and something beside it."""
    rng = np.random.default_rng(4)
    codes = [rng.integers(quantizer.codebook_size, size=frames // stride) for stride in quantizer.strides]
    described = reference.dequantize(quantizer, tensors, codes)
    return (described + 0.3 * described.std() * rng.standard_normal(described.shape)).astype(np.float32)


def _with_quantizer(tensors: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """All tensors of a SNAC 24 kHz, those of the coders being zero."""
    shapes = tensor_shapes(registry.checkpoint("snac_24khz").network())
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()} | tensors
