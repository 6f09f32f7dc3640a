"""Mimi against upstream's packages, with random weights in the published layouts: its graphs in float64, and the native
engine. What `moshi` does counts; where `transformers` differs is a test of its own."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import peers
import peers_mimi
import pytest
import reference
from numpy.typing import NDArray

from wavcodes import registry
from wavcodes.engines.native import Engine, Stream
from wavcodes.graph import tensor_shapes
from wavcodes.weights import check

FRAME = 1920


class Pair:
    """Upstream's model and ours with the same weights; audio is (N,), latents are (T, D), codes (T, K), sound (N,)."""

    def __init__(self, model: Any, path: Path) -> None:
        entry = registry.checkpoint("mimi")
        self.theirs, self.spec, self.network = model, entry.spec, entry.network()
        self.tensors = self.read(path)

    def read(self, path: Path) -> dict[str, NDArray[np.float32]]:
        return check(registry.checkpoint("mimi").tensors((path,)), tensor_shapes(self.network), path.name)

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.network, self.tensors)

    @cached_property
    def transformers(self) -> Any:
        return peers_mimi.in_transformers(self.theirs)

    def their_latent(self, audio: NDArray) -> NDArray:
        import torch

        with torch.inference_mode():
            return self.theirs.encode_to_latent(torch.from_numpy(audio)[None, None], quantize=False)[0].numpy().T

    def their_codes(self, audio: NDArray) -> NDArray:
        import torch

        with torch.inference_mode():
            return self.theirs.encode(torch.from_numpy(audio)[None, None])[0].numpy().T

    def their_sound(self, codes: NDArray) -> NDArray:
        import torch

        with torch.inference_mode():
            return self.theirs.decode(torch.from_numpy(codes.T.copy())[None])[0, 0].numpy()

    def our_latent(self, audio: NDArray) -> NDArray:
        return _whole(self.engine.encoder(), audio[:, None])

    def our_codes(self, latent: NDArray, num_codebooks: int = 32) -> NDArray:
        return np.stack(self.engine.quantize(latent, num_codebooks, 1), axis=1)

    def our_sound(self, codes: NDArray) -> NDArray:
        return _whole(self.engine.decoder(), self.engine.dequantize(list(codes.T), 1))[:, 0]

    def unexplained(self, latent: NDArray, ours: NDArray, theirs: NDArray) -> list[tuple[int, int]]:
        return reference.unexplained(self.network.quantizer, self.tensors, latent, ours, theirs)


def _whole(stream: Stream, rows: NDArray) -> NDArray:
    return np.concatenate([stream.push(np.ascontiguousarray(rows, np.float32), 1), stream.flush(1)])


@pytest.fixture(scope="module")
def make(peer: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Pair]:
    peer("moshi.models.loaders")
    # On few cores its threads wait for each other longer than they work.
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("mimi")

    def made(seed: int) -> Pair:
        model, path = peers_mimi.mimi_peer(seed, folder)
        pair = Pair(model, path)
        path.unlink()  # 385 MB
        return pair

    return made


@pytest.fixture(scope="module")
def pair(make: Callable[[int], Pair]) -> Pair:
    return make(1)


def assert_close(ours: NDArray, theirs: NDArray) -> None:
    """To within 1e-4 of the scale of `theirs`, and of the same length."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * theirs.std())


def agreement(pair: Pair, audio: NDArray) -> NDArray[np.bool_]:
    """Asserts that latent, codes and sound are upstream's; which codes (T, K) are equal, all others being ties."""
    latent, theirs = pair.their_latent(audio), pair.their_codes(audio)
    ours_latent = pair.our_latent(audio)
    assert len(latent) == pair.spec.num_frames(len(audio))
    assert_close(ours_latent, latent)

    ours = pair.our_codes(ours_latent)
    assert ours.shape == theirs.shape
    assert pair.unexplained(latent, ours, theirs) == []
    for count in (1, 8, 32):
        np.testing.assert_array_equal(pair.our_codes(ours_latent, count), ours[:, :count])
        sound = pair.our_sound(theirs[:, :count])
        assert len(sound) == len(theirs) * FRAME
        assert_close(sound, pair.their_sound(theirs[:, :count]))
    return ours == theirs


def test_graphs_in_float64(pair: Pair) -> None:
    audio = peers.sound(5, 7 * FRAME + 700)
    latent, codes = pair.their_latent(audio), pair.their_codes(audio)
    assert min(len(np.unique(book)) for book in codes.T) > 5  # of 8 frames
    ours = reference.run(pair.network.encoder, pair.tensors, audio[:, None])
    assert_close(ours, latent)
    assert pair.unexplained(latent, reference.quantize(pair.network.quantizer, pair.tensors, ours, 32), codes) == []
    sound = reference.run(
        pair.network.decoder, pair.tensors, reference.dequantize(pair.network.quantizer, pair.tensors, codes)
    )
    assert_close(sound[:, 0], pair.their_sound(codes))


@pytest.mark.parametrize("num_samples", [1, 1919, 1920, 1921, 24_000])
def test_short_signals(num_samples: int, pair: Pair) -> None:
    # A share says little of so few codes, and one flip of an early book takes all later books of its frame along.
    equal = agreement(pair, peers.sound(num_samples, num_samples))
    assert (~equal.all(1)).sum() <= 1


@pytest.mark.slow
def test_three_times_twelve_seconds(make: Callable[[int], Pair]) -> None:
    # Longer than the 10 seconds that a row of the transformers sees.
    equal = np.concatenate([agreement(make(seed), peers.sound(seed + 100, 288_000)) for seed in (1, 2, 3)])
    for count in (8, 32):
        share = equal[:, :count].mean()
        print(f"{count} books: {share:.4%} of {equal[:, :count].size} codes are equal")
        assert share >= 0.999


def test_streams_of_frames_give_what_moshi_streams(pair: Pair) -> None:
    import torch

    audio = peers.sound(6, 12 * FRAME)
    codes, sound = [], []
    with torch.inference_mode(), pair.theirs.streaming(1):
        for frame in torch.from_numpy(audio).reshape(12, 1, 1, FRAME):
            codes.append(pair.theirs.encode(frame))
            sound.append(pair.theirs.decode(codes[-1])[0, 0].numpy())
    theirs = torch.cat(codes, dim=2)[0].numpy().T

    encoder, decoder = pair.engine.encoder(), pair.engine.decoder()
    latent = [encoder.push(frame[:, None], 1) for frame in audio.reshape(12, FRAME)]
    assert [len(rows) for rows in latent] == [1] * 12  # nothing is late
    ours = pair.our_codes(np.concatenate(latent))
    assert pair.unexplained(pair.their_latent(audio), ours, theirs) == []
    assert (~(ours == theirs).all(1)).sum() <= 1
    heard = [decoder.push(pair.engine.dequantize(list(row[:, None]), 1), 1)[:, 0] for row in theirs]
    assert [len(piece) for piece in heard] == [FRAME] * 12
    assert_close(np.concatenate(heard), np.concatenate(sound))


@pytest.mark.slow
def test_streams_of_moshi_forget_a_row_after_ten_seconds(pair: Pair) -> None:
    """A known deviation: what moshi streams is no longer what it gives for a whole signal, and ours is the latter."""
    import torch

    audio = peers.sound(7, 140 * FRAME)
    with torch.inference_mode(), pair.theirs.streaming(1):
        frames = torch.from_numpy(audio).reshape(140, 1, 1, FRAME)
        streamed = torch.cat([pair.theirs.encode_to_latent(frame, quantize=False) for frame in frames], dim=2)[0].T
    off = np.abs(streamed.numpy() - pair.their_latent(audio)).max(1) > 1e-3
    assert np.flatnonzero(off)[0] == 125  # 250 rows of the transformer
    assert_close(pair.our_latent(audio), pair.their_latent(audio))


def test_transformers_agrees_on_whole_frames_and_pads_the_last_one_otherwise(
    pair: Pair, peer: Callable[[str], ModuleType]
) -> None:
    torch = peer("torch")
    peer("transformers")
    audio = peers.sound(9, 10 * FRAME + 700)
    with torch.inference_mode():
        whole = torch.from_numpy(audio[: 10 * FRAME])[None, None]
        assert_close(pair.our_latent(audio[: 10 * FRAME]), pair.transformers.encoder(whole).latents[0].numpy().T)
        theirs = pair.transformers.encoder(torch.from_numpy(audio)[None, None]).latents[0].numpy().T
        codes = pair.their_codes(audio)
        sound = pair.transformers.decode(torch.from_numpy(codes.T.copy())[None]).audio_values[0, 0].numpy()
    ours = pair.our_latent(audio)
    assert_close(ours[:10], theirs[:10])
    assert np.abs(ours[10] - theirs[10]).max() > 0.1
    assert_close(pair.our_sound(codes), sound)


@pytest.mark.parametrize("naming", ["published", "in memory"])
def test_the_names_and_the_order_of_the_hub(
    naming: str, pair: Pair, peer: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    if naming == "published":
        state = peers_mimi.hub_published(pair.theirs)
    else:
        peer("transformers")
        state = {name: value.numpy() for name, value in pair.transformers.state_dict().items()}
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    read = pair.read(path)
    path.unlink()  # 385 MB
    for name, value in pair.tensors.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)


def test_tensors_that_do_not_fit_are_reported_by_name(monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    from wavcodes.errors import ModelError
    from wavcodes.models import mimi

    stored = peers_mimi.moshi_published(pair.theirs)
    attention = "encoder_transformer.transformer.layers.0.self_attn.in_proj_weight"
    stored[attention] = stored[attention][:1535]
    del stored["quantizer.rvq_rest.vq.layers.4._codebook.cluster_usage"]
    monkeypatch.setattr(mimi, "read", lambda path: stored)
    with pytest.raises(ModelError) as caught:
        pair.read(Path("stored"))
    message = str(caught.value)
    assert "2 missing: encoder_transformer.layers.0.qkv.weight (1536, 512), quantizer.acoustic.4.codebook" in message
    assert "2 unexpected: " in message
    assert "encoder_transformer.layers.0.interleaved_qkv" in message
    assert "quantizer.acoustic.4.sum" in message
