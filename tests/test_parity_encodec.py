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
from numpy.typing import NDArray
from parity import Pair, assert_close

from wavcodes import Codec, Codes, registry
from wavcodes.models import encodec

Make = Callable[[str, int], "EncodecPair"]
NAMES = ("encodec_24khz", "encodec_32khz", "encodec_48khz")


class EncodecPair(Pair):
    def their_latent(self, audio: NDArray) -> NDArray:
        import torch

        # Of the segments in turn, each divided by its scale.
        parts = []
        with torch.inference_mode():
            for segment, scale in self._segments(audio):
                parts.append(self.theirs.encoder(torch.from_numpy(segment / scale)[None])[0].numpy())
        return np.concatenate(parts, axis=1)

    def _segments(self, audio: NDArray) -> list[tuple[NDArray, NDArray]]:
        length, stride = self.theirs.config.chunk_length, self.theirs.config.chunk_stride
        if length is None:
            return [(audio, np.float32(1))]
        scales = [scale[0] for scale in self._encoded(audio).audio_scales]
        starts = range(0, audio.shape[1], stride)
        return [(audio[:, start : start + length], scale.numpy()) for start, scale in zip(starts, scales, strict=True)]

    def _encoded(self, audio: NDArray) -> Any:
        import torch

        with torch.inference_mode():
            return self.theirs.encode(torch.from_numpy(audio)[None], bandwidth=self.spec.bandwidths[-1])

    def their_codes(self, audio: NDArray) -> Codes:
        encoded = self._encoded(audio)
        segments = [segment[0].numpy() for segment in encoded.audio_codes]
        if encoded.last_frame_pad_length:
            segments[-1] = segments[-1][:, : -encoded.last_frame_pad_length]
        books = list(np.concatenate(segments, axis=1))
        if self.spec.segment is None:
            return Codes.of(self.spec, books, audio.shape[1])
        lengths = [segment.shape[1] for segment in segments]
        scales = [float(scale) for scale in encoded.audio_scales]
        return Codes.of(self.spec, books, audio.shape[1], segments=lengths, scales=scales)

    def their_sound(self, codes: Codes) -> NDArray:
        import torch

        lengths = codes.segments or (codes.num_frames,)
        segments = np.split(np.asarray(codes).astype(np.int64), np.cumsum(lengths)[:-1], axis=1)
        missing = lengths[0] - lengths[-1]
        segments[-1] = np.pad(segments[-1], ((0, 0), (0, missing)))
        scales = [torch.tensor([[scale]]) for scale in codes.scales] if codes.segments else [None]
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(segments)[:, None])
            return self.theirs.decode(batch, scales, last_frame_pad_length=missing).audio_values[0].numpy()


def sound(pair: Pair, seed: int, num_samples: int) -> NDArray[np.float32]:
    """(C, N)."""
    return np.stack([peers.sound(seed + channel, num_samples) for channel in range(pair.spec.channels)])


@pytest.fixture(scope="module")
def make(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Make:
    peer("transformers")
    # On few cores its threads wait for each other longer than they work.
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("encodec")

    def made(name: str, seed: int) -> EncodecPair:
        model, path = peers.encodec_peer(seed, folder, name)
        pair = EncodecPair(name, model, path)
        path.unlink()
        return pair

    return made


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest, make: Make) -> EncodecPair:
    return make(request.param, 1)


@pytest.fixture(scope="module")
def segmented(make: Make) -> EncodecPair:
    return make("encodec_48khz", 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_three_times_ten_seconds(name: str, make: Make) -> None:
    equal = []
    for seed in (1, 2, 3):
        pair = make(name, seed)
        equal.append(pair.agreement(sound(pair, seed + 100, 10 * pair.spec.sample_rate)))
    for bandwidth in pair.spec.bandwidths:
        books = np.concatenate(equal, axis=1)[: pair.spec.resolve_codebooks(bandwidth)]
        print(f"{name}, {bandwidth:g} kbps: {books.mean():.4%} of {books.size} codes are equal")
        assert books.mean() >= 0.999


@pytest.mark.parametrize("num_samples", [1, 5, 319, 320, 321, 641, 9_600])
def test_short_signals(num_samples: int, pair: EncodecPair) -> None:
    # A share says little of so few codes, and one flip of book 0 takes all books of its frame along.
    equal = pair.agreement(sound(pair, num_samples, num_samples))
    assert (~equal.all(0)).sum() <= 1


@pytest.mark.parametrize("num_samples", [47_521, 48_001, 95_500])
def test_segments(num_samples: int, segmented: EncodecPair) -> None:
    equal = segmented.agreement(sound(segmented, num_samples, num_samples))
    assert (~equal.all(0)).sum() <= 1


def test_lower_bandwidths_are_prefixes_upstream_too(pair: EncodecPair) -> None:
    import torch

    audio = sound(pair, 7, 4_800)
    theirs = pair.their_codes(audio)
    ours = pair.ours.encode(audio, pair.spec.sample_rate, num_codebooks=pair.spec.num_codebooks)
    for bandwidth in pair.spec.bandwidths:
        count = pair.spec.resolve_codebooks(bandwidth)
        with torch.inference_mode():
            lower = pair.theirs.encode(torch.from_numpy(audio)[None], bandwidth=bandwidth).audio_codes[0, 0].numpy()
        np.testing.assert_array_equal(lower, np.asarray(theirs)[:count])
        assert pair.ours.encode(audio, pair.spec.sample_rate, bandwidth=bandwidth) == ours.codebooks(count)


def test_wrong_codes_are_not_explained_away(pair: EncodecPair) -> None:
    audio = sound(pair, 8, 9_600)
    latent, theirs = pair.their_latent(audio), np.asarray(pair.their_codes(audio))
    wrong = theirs.copy()
    wrong[3, 5] ^= 1
    wrong[-1, 9] ^= 512
    assert pair.unexplained(latent, wrong, theirs) == [(3, 5), (len(theirs) - 1, 9)]

    # Midway between an entry and its nearest neighbour, either is right.
    book = pair.tensors["quantizer.layers.0.codebook"].astype(np.float64)
    code = theirs[0, 7]
    neighbour = np.argsort(((book - book[code]) ** 2).sum(1))[1]
    midway, other = latent.astype(np.float64), theirs.copy()
    midway[:, 7], other[0, 7] = (book[code] + book[neighbour]) / 2, neighbour
    assert pair.unexplained(midway, other, theirs) == []


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
    assert_close(ours.decode(codes), expected)
