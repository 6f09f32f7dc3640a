"""`EnCodec`, `DAC`, `SNAC` and `Mimi`: batches of arrays, the same codes and samples as `Codec` gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from narrow import narrow
from numpy.typing import NDArray

import wavcodes
from wavcodes import InputError, ModelError, registry
from wavcodes.pretrained import DAC, SNAC, EnCodec, Mimi, Pretrained

ONE_RATE = [(EnCodec, "encodec-24khz"), (EnCodec, "encodec-32khz"), (DAC, "dac-44khz"), (Mimi, "mimi")]
MONO = [*ONE_RATE, (SNAC, "snac-24khz"), (SNAC, "snac-32khz")]
Load = Callable[[type[Pretrained[Any]], str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    def from_pretrained(family: type[Pretrained[Any]], name: str) -> Any:
        key = name.replace("-", "_")
        return family.from_pretrained(name, weights=narrow(monkeypatch, tmp_path, key)[key], threads=1)

    return from_pretrained


def batch(codec: Any, clips: int, num_samples: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.uniform(-0.5, 0.5, (clips, codec.spec.channels, num_samples)).astype(np.float32)


@pytest.mark.parametrize(("family", "name"), ONE_RATE)
def test_tokens_and_audio_are_those_of_the_codec(load: Load, family: type[Pretrained[Any]], name: str) -> None:
    codec = load(family, name)
    audio = batch(codec, 3, codec.sample_rate // 3)
    expected = [codec.codec.encode(clip, codec.sample_rate) for clip in audio]
    tokens = codec.encode(audio)
    assert tokens.dtype == np.int64
    assert tokens.shape == (3, codec.spec.resolve_codebooks(), codec.spec.num_frames(audio.shape[-1]))
    assert len(np.unique(tokens)) > 10
    for clip, codes in zip(tokens, expected, strict=True):
        assert np.array_equal(clip, np.asarray(codes))
    decoded = codec.decode(tokens)
    assert decoded.dtype == np.float32
    assert decoded.shape == (3, 1, tokens.shape[2] * codec.spec.hop_length)
    trimmed = codec.decode(tokens, num_samples=audio.shape[-1])
    assert np.array_equal(trimmed, np.stack([codec.codec.decode(codes) for codes in expected]))


@pytest.mark.parametrize("name", ["snac-24khz", "snac-32khz", "snac-44khz"])
def test_tokens_of_snac_are_one_array_a_book(load: Load, name: str) -> None:
    codec = load(SNAC, name)
    audio = batch(codec, 2, codec.sample_rate // 3)
    expected = [codec.codec.encode(clip, codec.sample_rate) for clip in audio]
    tokens = codec.encode(audio)
    frames = codec.spec.num_frames(audio.shape[-1])
    assert [book.shape for book in tokens] == [(2, frames // stride) for stride in codec.spec.strides]
    for k, book in enumerate(tokens):
        assert book.dtype == np.int64
        assert np.array_equal(book, np.stack([codes.books[k] for codes in expected]))
    assert codec.decode(tokens).shape == (2, 1, frames * codec.spec.hop_length)
    trimmed = codec.decode(tokens, num_samples=audio.shape[-1])
    assert np.array_equal(trimmed, np.stack([codec.codec.decode(codes) for codes in expected]))


@pytest.mark.parametrize(("family", "name"), MONO)
def test_audio_of_one_and_two_dimensions_is_a_batch_too(load: Load, family: type[Pretrained[Any]], name: str) -> None:
    codec = load(family, name)
    audio = batch(codec, 2, 5000)
    full = codec.encode_continuous(audio)
    assert np.array_equal(codec.encode_continuous(audio[:, 0]), full)
    assert np.array_equal(codec.encode_continuous(audio[1, 0]), full[1:])
    assert np.array_equal(full[1], codec.codec.encode_latent(audio[1], codec.sample_rate))
    assert full.shape[::2] == (2, codec.spec.num_frames(5000))


def test_bandwidth_or_a_number_of_books_may_be_chosen(load: Load) -> None:
    codec = load(EnCodec, "encodec-24khz")
    audio = batch(codec, 1, 3200)
    for bandwidth, books in {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}.items():
        assert codec.encode(audio, bandwidth=bandwidth).shape == (1, books, 10)
    assert np.array_equal(codec.encode(audio, num_codebooks=2), codec.encode(audio, bandwidth=1.5))
    with pytest.raises(InputError, match=r"1\.5, 3, 6, 12, 24 kbps"):
        codec.encode(audio, bandwidth=5)


def test_a_stream_gives_the_codes_of_the_whole(load: Load) -> None:
    codec = load(EnCodec, "encodec-24khz")
    audio = batch(codec, 1, 10_000)[0]
    stream = codec.stream_encoder(bandwidth=3)
    parts = [stream.push(audio[:, i : i + 777]) for i in range(0, 10_000, 777)]
    joined = np.concatenate([*parts, stream.flush()], axis=-1)
    assert np.array_equal(joined[np.newaxis], codec.encode(audio, bandwidth=3))


def test_a_codec_of_segments_needs_their_scales(load: Load) -> None:
    codec = load(EnCodec, "encodec-48khz")
    audio = batch(codec, 2, 60_000)
    tokens, scales = codec.encode_scaled(audio, bandwidth=3)
    assert np.array_equal(codec.encode(audio, bandwidth=3), tokens)
    assert (tokens.shape, scales.shape) == ((2, 2, codec.spec.num_frames(60_000)), (2, 2))
    decoded = codec.decode(tokens, 60_000, scales)
    expected = [codec.codec.decode(codec.codec.encode(clip, 48_000, bandwidth=3)) for clip in audio]
    assert np.array_equal(decoded, np.stack(expected))
    with pytest.raises(InputError, match="pass scales, as encode_scaled gives them"):
        codec.decode(tokens)
    with pytest.raises(InputError, match=r"scales of shape \(batch, segments\) for 2 clips, got \(1, 2\)"):
        codec.decode(tokens, 60_000, scales[:1])
    with pytest.raises(InputError, match="expected scales as an array"):
        codec.decode(tokens, 60_000, [[1.0], [1.0, 2.0]])
    with pytest.raises(InputError, match=r"expected an integer as num_samples, got 60000\.5"):
        codec.decode(tokens, 60_000.5, scales)
    with pytest.raises(InputError, match="one scale for each of 2 segments"):
        codec.decode(tokens, 60_000, scales[:, :1])
    with pytest.raises(InputError, match=r"a batch of clips of shape \(B, 2, N\), got \(2, 60000\)"):
        codec.encode(audio[0])


def test_codecs_without_segments_have_no_scales(load: Load) -> None:
    codec = load(DAC, "dac-44khz")
    tokens, scales = codec.encode_scaled(batch(codec, 2, 2000))
    assert scales.shape == (2, 0)
    assert np.array_equal(codec.decode(tokens, scales=scales), codec.decode(tokens))


# ---- names


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (EnCodec, "encodec_24khz"),
        (SNAC, "hubertsiuzdak/snac_24khz"),
        (DAC, "descript/DAC_44khz"),
        (Mimi, "kyutai/mimi"),
    ],
)
def test_a_codec_goes_by_its_name_or_its_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: type[Pretrained[Any]], name: str
) -> None:
    key = registry.spec(name).name
    weights = narrow(monkeypatch, tmp_path, key)[key]
    assert family.from_pretrained(name, weights).spec == wavcodes.spec(key)
    assert wavcodes.load(name, weights).spec == wavcodes.spec(key)


def test_every_published_codec_of_others_belongs_to_one_class() -> None:
    families = [registry.family(family.__name__.lower()) for family in (EnCodec, DAC, SNAC, Mimi)]
    assert sorted(spec.name for specs in families for spec in specs) == sorted(
        set(registry.list_codecs()) - {"lyra_v2", registry.DEFAULT_CODEC}
    )


def test_a_codec_of_another_family_is_refused(load: Load) -> None:
    with pytest.raises(InputError, match=r"a codec of SNAC, got 'dac-44khz'; there are: snac_24khz, snac_32khz"):
        SNAC.from_pretrained("dac-44khz")
    with pytest.raises(InputError, match=r"a codec of Mimi, got encodec_24khz"):
        Mimi(load(EnCodec, "encodec-24khz").codec)
    with pytest.raises(InputError, match="did you mean snac_24khz"):
        SNAC.from_pretrained("snac-24")


def test_weights_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        Mimi.from_pretrained("mimi", weights=tmp_path / "nothing")


# ---- shapes that mean nothing


@pytest.mark.parametrize("shape", [(), (0, 100), (1, 2, 3, 4)])
def test_audio_that_is_no_batch_is_refused(load: Load, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"takes a batch of clips of shape \(N,\), \(B, N\) or \(B, 1, N\), got"):
        load(EnCodec, "encodec-24khz").encode(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(8, 20), (0, 8, 20), (1, 0, 20)])
def test_tokens_that_are_no_batch_are_refused(load: Load, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"tokens of shape \(batch, codebooks, frames\), got"):
        load(EnCodec, "encodec-24khz").decode(np.zeros(shape, np.int64))


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ([], "one array"),
        ([(3,), (6,), (12,)], "one array"),
        ([(0, 3), (0, 6), (0, 12)], "one array"),
        ([(1, 3), (2, 6), (1, 12)], "one array"),
        ([(1, 3), (1, 5), (1, 12)], "equal duration"),
        ([(1, 4), (1, 6), (1, 11)], "equal duration"),
    ],
)
def test_books_that_do_not_fit_together_are_refused(load: Load, shapes: list[tuple[int, ...]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(SNAC, "snac-24khz").decode([np.zeros(shape, np.int64) for shape in shapes])


def test_an_array_is_no_list_of_books(load: Load) -> None:
    with pytest.raises(InputError, match="a list of one array for each codebook, got ndarray"):
        load(SNAC, "snac-24khz").decode(np.zeros((1, 3, 4), np.int64))
