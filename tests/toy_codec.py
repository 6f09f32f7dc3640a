"""What holds for every codec, of that of docs/adding-a-codec.md. `test_adding_a_codec.py` runs this file where that
codec is in the registry, which it is not in this repository."""

from pathlib import Path

import exact
import numpy as np
import pytest
import reference

import wavcodes
from wavcodes import Codec, Codes, registry
from wavcodes.weights import read

RATE, HOP = 8_000, 10
LENGTHS = [1, 2, HOP - 1, HOP, HOP + 1, 20 * HOP, 3_333]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exact.weights(registry.checkpoint("toy_8khz").network(), tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def codec(weights: Path) -> Codec:
    return wavcodes.load("toy-8khz", weights=weights)


@pytest.mark.parametrize("num_samples", LENGTHS)
def test_lengths_are_exact(num_samples: int, codec: Codec) -> None:
    for bandwidth, books in ((3.2, 1), (6.4, 2), (12.8, 4)):
        codes = codec.encode(exact.signal(num_samples), RATE, bandwidth=bandwidth)
        assert np.asarray(codes).shape == (books, -(-num_samples // HOP))
        assert codec.decode(codes).shape == (1, num_samples)


@pytest.mark.parametrize("num_samples", LENGTHS)
def test_float64_agrees(num_samples: int, codec: Codec, weights: Path) -> None:
    network, audio = registry.checkpoint("toy_8khz").network(), exact.signal(num_samples)
    tensors = {name: np.asarray(value) for name, value in read(weights).items()}
    latent = reference.run(network.encoder, tensors, audio[:, np.newaxis])
    np.testing.assert_allclose(codec.encode_latent(audio, RATE).T, latent, rtol=0, atol=1e-5)
    codes = codec.encode(audio, RATE)
    # Compared with what float64 makes of the engine's latent, where no two entries are nearly equally near.
    rows = codec.encode_latent(audio, RATE).T
    expected = reference.quantize(network.quantizer, tensors, rows, 4)
    clear = reference.margins(network.quantizer, tensors, rows, expected).min(1) > 1e-5
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(np.asarray(codes).T[clear], np.asarray(expected)[clear])
    sound = reference.run(
        network.decoder, tensors, reference.dequantize(network.quantizer, tensors, np.asarray(codes).T)
    )
    np.testing.assert_allclose(codec.decode(codes)[0], sound[:num_samples, 0], rtol=0, atol=1e-5)


def test_the_codes_vary(codec: Codec) -> None:
    codes = codec.encode(exact.signal(8_000), RATE)
    assert min(len(np.unique(book)) for book in codes.books) > 3
    assert codec.decode(codes).std() > 0.001


@pytest.mark.parametrize("piece", [1, 7, 10, 1_001])
def test_pieces_are_the_whole(piece: int, codec: Codec) -> None:
    audio = exact.signal(3_333)
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
    parts = [encoder.push(audio[i : i + piece]) for i in range(0, len(audio), piece)] + [encoder.flush()]
    sound = [decoder.push(part) for part in parts] + [decoder.flush()]
    whole = codec.encode(audio, RATE)
    assert Codes.concat(parts) == whole
    assert np.concatenate(sound, axis=1).tobytes() == codec.decode(whole).tobytes()


def test_the_delay_is_what_the_encoder_sees_beyond_a_frame(codec: Codec) -> None:
    # 3 samples of the first convolution, 1 of the next, and 2 rows of 2 samples of the one that has stride 5. The
    # engine computes wide layers four rows at a time, which here are frames: it may wait for three more.
    encoder = codec.stream_encoder()
    assert encoder.delay == 3 + 1 + 2 * 2 + 34
    assert encoder.push(exact.signal(HOP + encoder.delay - 1)).num_frames == 0
    assert encoder.push(np.zeros(1, np.float32)).num_frames > 0


def test_a_batch_gives_each_clip_what_it_gets_alone(codec: Codec) -> None:
    clips = [exact.signal(length, seed) for seed, length in enumerate(LENGTHS)]
    codes = codec.encode(clips, RATE, threads=2)
    assert codes == [codec.encode(clip, RATE, threads=1) for clip in clips]
    sounds = codec.decode(codes, threads=2)
    assert [sound.tobytes() for sound in sounds] == [codec.decode(one, threads=1).tobytes() for one in codes]


def test_the_container_keeps_it(codec: Codec, tmp_path: Path) -> None:
    codes = codec.encode(exact.signal(3_333), RATE)
    wavcodes.write(tmp_path / "toy.nac", codes)
    assert wavcodes.read(tmp_path / "toy.nac") == codes
