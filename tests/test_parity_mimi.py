"""Mimi against upstream's packages, with random weights in the published layouts: its graphs in float64, and the native
engine. What `moshi` does counts; where `transformers` differs is a test of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import peers_mimi
import pytest
import reference
from numpy.typing import NDArray
from parity import CLOSE, Pair, deviation

from wavcodes import Codes, registry
from wavcodes.graph import tensor_shapes
from wavcodes.weights import check

FRAME = 1920

pytestmark = pytest.mark.slow  # upstream's model takes long to be made


def sound(seed: int, num_samples: int) -> NDArray[np.float32]:
    """(1, N)."""
    return peers.sound(seed, num_samples)[np.newaxis]


@pytest.fixture(scope="module")
def pair(random_pair: Callable[[str, int], Pair]) -> Pair:
    return random_pair("mimi", 1)


@pytest.fixture(scope="module")
def in_transformers(pair: Pair, peer: Callable[..., Any]) -> Any:
    return peer("transformers", lambda: peers_mimi.in_transformers(pair.theirs))


def test_graphs_in_float64(pair: Pair) -> None:
    audio = sound(5, 7 * FRAME + 700)
    latent, codes = pair.encoding(audio)
    assert min(len(np.unique(book)) for book in codes.books) > 5  # of 8 frames
    ours = reference.run(pair.network.encoder, pair.tensors, audio.T)
    assert deviation(ours.T, latent) <= CLOSE
    books = reference.quantize(pair.network.quantizer, pair.tensors, ours, 32)
    assert pair.unexplained(latent, list(books.T), codes.books) == []
    dequantized = reference.dequantize(pair.network.quantizer, pair.tensors, codes.books)
    heard = reference.run(pair.network.decoder, pair.tensors, dequantized)
    assert deviation(heard.T, pair.their_sound(codes)) <= CLOSE


@pytest.mark.parametrize("num_samples", [1, 1919, 1920, 1921, 24_000])
def test_short_signals(num_samples: int, pair: Pair) -> None:
    # A share says little of so few codes.
    assert len(pair.compare(sound(num_samples, num_samples)).hold().margins) <= 1


def test_twelve_seconds(pair: Pair) -> None:
    # Longer than the 10 seconds that a row of the transformers sees.
    found = pair.compare(sound(101, 288_000)).hold()
    for bandwidth in pair.spec.bandwidths:
        assert np.mean(found.equal[: pair.spec.resolve_codebooks(bandwidth)]) >= 0.999


def test_lower_bandwidths_are_prefixes(pair: Pair) -> None:
    audio = sound(4, 24_000)
    whole = pair.our_codes(audio)
    for bandwidth in pair.spec.bandwidths:
        count = pair.spec.resolve_codebooks(bandwidth)
        assert pair.ours.encode(audio, 24_000, bandwidth=bandwidth) == whole.codebooks(count)


def test_streams_of_frames_give_what_moshi_streams(pair: Pair) -> None:
    import torch

    audio = sound(6, 12 * FRAME)
    codes, heard = [], []
    with torch.inference_mode(), pair.theirs.streaming(1):
        for frame in torch.from_numpy(audio).reshape(12, 1, 1, FRAME):
            codes.append(pair.theirs.encode(frame))
            heard.append(pair.theirs.decode(codes[-1])[0].numpy())
    theirs = torch.cat(codes, dim=2)[0].numpy()

    encoder, decoder = pair.ours.stream_encoder(num_codebooks=32), pair.ours.stream_decoder()
    ours, ours_heard = [], []
    for k in range(12):
        ours.append(encoder.push(audio[:, k * FRAME : (k + 1) * FRAME]))
        ours_heard.append(decoder.push(Codes.of(pair.spec, list(theirs[:, k : k + 1]), FRAME)))
    assert [part.num_frames for part in ours] == [1] * 12  # nothing is late
    assert [part.shape[1] for part in ours_heard] == [FRAME] * 12
    books = Codes.concat(ours).books
    assert pair.unexplained(pair.their_latent(audio), books, list(theirs)) == []
    assert (~np.equal(books, theirs).all(0)).sum() <= 1
    assert deviation(np.concatenate(ours_heard, axis=1), np.concatenate(heard, axis=1)) <= CLOSE


def test_streams_of_moshi_forget_a_row_after_ten_seconds(pair: Pair) -> None:
    """A known deviation: what moshi streams is no longer what it gives for a whole signal, and ours is the latter."""
    import torch

    audio = sound(7, 140 * FRAME)
    with torch.inference_mode(), pair.theirs.streaming(1):
        frames = torch.from_numpy(audio).reshape(140, 1, 1, FRAME)
        streamed = torch.cat([pair.theirs.encode_to_latent(frame, quantize=False) for frame in frames], dim=2)[0]
    whole = pair.their_latent(audio)
    off = np.abs(streamed.numpy() - whole).max(0) > 1e-3
    assert np.flatnonzero(off)[0] == 125  # 250 rows of the transformer
    assert deviation(pair.ours.encode_latent(audio, 24_000), whole) <= CLOSE


def test_transformers_agrees_on_whole_frames_and_pads_the_last_one_otherwise(pair: Pair, in_transformers: Any) -> None:
    import torch

    audio = sound(9, 10 * FRAME + 700)
    whole = audio[:, : 10 * FRAME]
    codes = pair.their_codes(whole)
    with torch.inference_mode():
        latent = in_transformers.encoder(torch.from_numpy(whole)[None]).latents[0].numpy()
        padded = in_transformers.encoder(torch.from_numpy(audio)[None]).latents[0].numpy()
        books = torch.from_numpy(np.asarray(codes).astype(np.int64))[None]
        heard = in_transformers.decode(books).audio_values[0].numpy()
    assert deviation(pair.ours.encode_latent(whole, 24_000), latent) <= CLOSE
    ours = pair.ours.encode_latent(audio, 24_000)
    assert deviation(ours[:, :10], padded[:, :10]) <= CLOSE
    assert np.abs(ours[:, 10] - padded[:, 10]).max() > 0.1
    assert deviation(pair.ours.decode(codes), heard) <= CLOSE


@pytest.mark.parametrize("naming", ["published", "in memory"])
def test_the_names_and_the_order_of_the_hub(
    naming: str, pair: Pair, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    if naming == "published":
        state = peers_mimi.hub_published(pair.theirs)
    else:
        theirs = request.getfixturevalue("in_transformers")
        state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    read = registry.checkpoint("mimi").tensors((path,))
    for name, value in pair.tensors.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)
    path.unlink()  # 385 MB


def test_tensors_that_do_not_fit_are_reported_by_name(monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    from wavcodes.errors import ModelError
    from wavcodes.models import mimi

    stored = peers_mimi.moshi_published(pair.theirs)
    attention = "encoder_transformer.transformer.layers.0.self_attn.in_proj_weight"
    stored[attention] = stored[attention][:1535]
    del stored["quantizer.rvq_rest.vq.layers.4._codebook.cluster_usage"]
    monkeypatch.setattr(mimi, "read", lambda path: stored)
    with pytest.raises(ModelError) as caught:
        check(registry.checkpoint("mimi").tensors((Path("stored"),)), tensor_shapes(pair.network), "stored")
    message = str(caught.value)
    assert "2 missing: encoder_transformer.layers.0.qkv.weight (1536, 512), quantizer.acoustic.4.codebook" in message
    assert "2 unexpected: " in message
    assert "encoder_transformer.layers.0.interleaved_qkv" in message
    assert "quantizer.acoustic.4.sum" in message
