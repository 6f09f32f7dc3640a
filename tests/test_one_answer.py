"""One answer: codes and samples are the same bits whatever the pieces, the batch, the threads, the instruction set and
the machine."""

import itertools
import platform
from pathlib import Path

import exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_case import instruction_sets
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, registry
from wavcodes.checkpoint import Checkpoint

SETS = instruction_sets()


def on_every_set(checkpoint: Checkpoint, weights: Path | None = None) -> dict[str, Codec]:
    """The codec, loaded for each instruction set."""
    loaded = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in SETS:
            patch.setenv("WAVCODES_ISA", name)
            loaded[name] = Codec(checkpoint, weights)
    return loaded


@pytest.fixture(scope="module")
def own() -> dict[str, Codec]:
    return on_every_set(registry.checkpoint("wavcodes_16khz"))


@pytest.fixture(scope="module", params=exact.SMALL)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Codec]]:
    name = request.param
    return name, on_every_set(*exact.small(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module", params=["own", *exact.SMALL])
def codecs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Codec]:
    name = request.param
    if name == "own":
        return request.getfixturevalue(name)
    return on_every_set(*exact.small(name, tmp_path_factory.mktemp(name)))


def encode_in_pieces(codec: Codec, audio: NDArray, cuts: list[int], threads: int, num_codebooks: int) -> Codes:
    stream = codec.stream_encoder(num_codebooks=num_codebooks, threads=threads)
    length = audio.shape[1]
    parts = [stream.push(piece) for piece in np.split(audio, sorted(min(cut, length) for cut in cuts), axis=1)]
    return Codes.concat([*parts, stream.flush()])


def decode_in_pieces(codec: Codec, codes: Codes, cuts: list[int], threads: int) -> NDArray:
    stream = codec.stream_decoder(threads=threads)
    step = codes.framing.cycle if codes.framing.segment is None else codes.framing.step_frames
    edges = sorted({0, codes.num_frames, *(min(cut, codes.num_frames) // step * step for cut in cuts)})
    parts = [stream.push(codes.only_frames(a, b)) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, stream.flush()], axis=1)


def assert_same(codes: Codes, expected: Codes) -> None:
    assert codes == expected
    assert [book.tobytes() for book in codes.books] == [book.tobytes() for book in expected.books]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(SETS), threads=st.sampled_from([1, 2, 4]))
def test_pieces_threads_and_instruction_sets(
    codecs: dict[str, Codec], data: st.DataObject, name: str, threads: int
) -> None:
    quickest, codec = codecs[SETS[0]], codecs[name]
    spec = codec.spec
    audio = exact.clip(spec, data.draw(st.integers(1, 45 * spec.hop_length), label="num_samples"))
    count = data.draw(st.integers(1, spec.num_codebooks), label="num_codebooks")
    expected = quickest.encode(audio, spec.sample_rate, num_codebooks=count, threads=1)
    cuts = data.draw(st.lists(st.integers(0, audio.shape[1]), max_size=12), label="cuts of the audio")
    assert_same(encode_in_pieces(codec, audio, cuts, threads, count), expected)
    sound = quickest.decode(expected, threads=1)
    cuts = data.draw(st.lists(st.integers(0, expected.num_frames), max_size=8), label="cuts of the codes")
    assert decode_in_pieces(codec, expected, cuts, threads).tobytes() == sound.tobytes()
    assert codec.decode(expected, threads=threads).tobytes() == sound.tobytes()


@pytest.mark.parametrize("size", [1, 2, 7, 39, 41, 319, 320, 321])
def test_pieces_of_one_size(codecs: dict[str, Codec], size: int) -> None:
    codec = codecs[SETS[0]]
    audio = exact.clip(codec.spec, 21 * codec.spec.hop_length + 5)
    expected = codec.encode(audio, codec.spec.sample_rate)
    cuts = list(range(size, audio.shape[1], size))
    assert_same(encode_in_pieces(codec, audio, cuts, 2, expected.num_codebooks), expected)
    sound = codec.decode(expected)
    assert decode_in_pieces(codec, expected, cuts, 2).tobytes() == sound.tobytes()


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 2000), min_size=1, max_size=6),
    threads=st.sampled_from([1, 2, 4]),
    name=st.sampled_from(SETS),
)
def test_a_batch_gives_each_clip_what_it_gets_alone(
    codecs: dict[str, Codec], lengths: list[int], threads: int, name: str
) -> None:
    alone, batch = codecs[SETS[0]], codecs[name]
    rate = alone.spec.sample_rate
    clips = [exact.clip(alone.spec, length, seed) for seed, length in enumerate(lengths)]
    expected = [alone.encode(clip, rate, threads=1) for clip in clips]
    codes = batch.encode(clips, rate, threads=threads)
    assert len(codes) == len(clips)
    for got, wanted in zip(codes, expected, strict=True):
        assert_same(got, wanted)
    sounds = batch.decode(codes, threads=threads)
    assert [sound.shape for sound in sounds] == [(alone.spec.channels, length) for length in lengths]
    for sound, wanted in zip(sounds, expected, strict=True):
        assert sound.tobytes() == alone.decode(wanted, threads=1).tobytes()


def test_a_batch_of_32(codecs: dict[str, Codec]) -> None:
    codec = codecs[SETS[0]]
    rate = codec.spec.sample_rate
    clips = [exact.clip(codec.spec, 1 + 97 * i * i % 2999, seed) for seed, i in enumerate(range(32))]
    codes = codec.encode(clips, rate, threads=2)
    assert codes == [codec.encode(clip, rate, threads=1) for clip in clips]
    sounds = codec.decode(codes, threads=2)
    assert [sound.tobytes() for sound in sounds] == [codec.decode(one, threads=1).tobytes() for one in codes]


def test_longer_than_a_block(codecs: dict[str, Codec], monkeypatch: pytest.MonkeyPatch) -> None:
    # A clip goes through the network some seconds at a time, which must not show.
    monkeypatch.setattr("wavcodes.codec._BLOCK_SECONDS", 2)
    codec = codecs[SETS[0]]
    audio = exact.clip(codec.spec, 7 * codec.spec.sample_rate + 77)
    codes = codec.encode(audio, codec.spec.sample_rate)
    assert_same(encode_in_pieces(codec, audio, [5, 50_000, 50_001], 2, codes.num_codebooks), codes)
    whole = codec.stream_decoder()
    sound = np.concatenate([whole.push(codes), whole.flush()], axis=1)
    assert codec.decode(codes).tobytes() == sound.tobytes()


# ---- the same on every machine, for ever ----


# SHA-256 of the codes at the highest bandwidth (`Codes.to_flat`, uint32) and of the samples that they decode to. They
# may change only together with the order of arithmetic, which changes the last bits of everybody's codes and sound.
DIGESTS = {
    "own": (
        "8f5660015f5dc90dc9193991afedb6f95272c95d64af8c8db0c8aac9f3f0b83d",
        "e86cff5573839ef9c59cc63219d203d46732136eae1f093934e700fe54f48932",
    ),
    "encodec": (
        "97d10a346a90e39a37d3195aee7ba9de7eca462aa7e77f2af946ccd22eac0c6d",
        "1e2c68187ac5d7b80d6b4f36f1fe06020778262a62815a02a773a56a38c414a3",
    ),
    "encodec_centred": (
        "625711653f0b0c7410bf7e307c67afe83be46dd9166c48083067954e5a6e5731",
        "63fe41d0d24743dc69b03154f0e4e2ca9427917fd17a5d288c0cb0557385b045",
    ),
    "encodec_segments": (
        "baf9e6e177aaf6be07f80a2a3cc176f3f25820d8a0518f0981c446137a0db3db",
        "b572510d7c5d846da560ecc55999474a4ef72cb7d531739b5203af9568ba0748",
    ),
    "dac": (
        "db1d60c3766e07ba5adfdf9b747dd5fc8c6ae2af166bfcc4e17549ccde9448c8",
        "aefbef8047e0f327dd8948605380f6c15dd7a43a12545b32bfeec605fdf2dc53",
    ),
    "snac": (
        "e7f9b4b6c5eb4d4c84d3543dd087bbd41741aca9eb986a59f0e2eb0e878027c7",
        "2245c51b579ae4374ba2ea4bda6ff892f4c9a8dd75318bd0bd42f225fb5aa705",
    ),
    "snac_attention": (
        "1e8d539b5edfed93561d10fa9ed3dea4d0f423ed3c46b5d0b31a70bfd2004886",
        "a31e3e80225903e3074756d686f5d03cc72b820feae78a78d47fae0ff9b3c96a",
    ),
    "mimi": (
        "444db81841b951c5b915d5ce975d72c59eaddd0d8193f1f64687bdc71faa93ed",
        "7b89caf939bbf7895cd7ad845e1b66ccbbd496793206d7138cdd52a750df681c",
    ),
    "wide encodec_24khz": (
        "b254a53c8eec623b7e4e51d87b28228e305171d9e7eee738aaac2955ba073255",
        "8c04843ea0dbac7287f9ce9422bc29bc271b8093a0de8d577bbe75b83dadce17",
    ),
    "wide encodec_48khz": (
        "6ce655ffaa23b2e43b1ed08786bccf9d404af37b050ed1fab4bcca820f122ab7",
        "255a8737bfe5edc95c7cd6852790c1dd16fe681d61328a2fab4024977fda0f77",
    ),
    "wide dac_24khz": (
        "c16ea776b22e9f9597956760f0874a6b34e2c530308122a8f0379f9d54d70e31",
        "02e9917246eeec978ea62fe05519f187088a9a1b1a554a3d25a0da1f3d7be0e7",
    ),
    "wide snac_44khz": (
        "3a97d7d279e431b7e3e64b0162fd0cf8fb4fedbfb28c93f870b55985d707902b",
        "651a92bb732c81016f268d395885810daa2aad7172b5045270b8cea44bc65800",
    ),
    "wide mimi": (
        "961639820c628c3755b9c36a51efd6967d88893827e988ec2bf35204b4b70737",
        "fe635e24d730c4f59692e438c7a12312deac9fd7bedb497f96a723c852dae8b7",
    ),
    "lyra": (
        "cfafdc2078bd0b0db722f5f05cd92505772ba245c3a51d4a8cf51bfa9fd75fdc",
        "008ec2955f8b0e06ed2923d10916118c88e6403173973f87d41b57069ecfe13a",
    ),
}


def assert_digests(codec: Codec, num_samples: int, name: str) -> None:
    spec, audio = codec.spec, exact.clip(codec.spec, num_samples)
    codes = codec.encode(audio, spec.sample_rate, num_codebooks=spec.num_codebooks)
    # From a dead codec, agreement would mean nothing.
    assert max(len(set(book.tolist())) for book in codes.books) > 4
    assert (exact.digest(codes.to_flat()), exact.digest(codec.decode(codes))) == DIGESTS[name]


@pytest.mark.parametrize("name", SETS)
class TestDigests:
    def test_own_codec(self, own: dict[str, Codec], name: str) -> None:
        assert_digests(own[name], 16_123, "own")

    def test_small(self, small: tuple[str, dict[str, Codec]], name: str) -> None:
        assert_digests(small[1][name], 6_123, small[0])

    def test_lyra(self, shared: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAVCODES_ISA", name)
        assert_digests(wavcodes.load("lyra_v2", weights=shared / "weights" / "lyra_v2_1.2"), 8_123, "lyra")


def test_the_input_of_the_digests_is_exact() -> None:
    assert exact.numbers(1, 3).tolist() == [-0.8030064105987549, -0.9092068672180176, -0.5033769607543945]
    assert exact.digest(exact.signal(24_123)) == "ebdd4e254d216f9d89465a5195b577b9efae6d232df4653af91a86d7bae38dd4"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz", "dac_24khz", "snac_44khz", "mimi"])
def test_at_full_width(name: str, tmp_path: Path) -> None:
    checkpoint = registry.checkpoint(name)
    path = exact.weights(checkpoint.network(), tmp_path)
    codecs = {isa: codec for isa, codec in on_every_set(checkpoint, path).items() if isa != "generic"}
    audio = exact.clip(checkpoint.spec, 16_123)
    for codec in codecs.values():
        assert_digests(codec, audio.shape[1], f"wide {name}")
    expected = codecs[SETS[0]].encode(audio, checkpoint.spec.sample_rate)
    sound = codecs[SETS[0]].decode(expected)
    rng = np.random.default_rng(0)
    for codec in codecs.values():
        for threads in (1, 2, 4):
            cuts = rng.integers(0, audio.shape[1], rng.integers(1, 20)).tolist()
            assert_same(encode_in_pieces(codec, audio, cuts, threads, expected.num_codebooks), expected)
            cuts = rng.integers(0, expected.num_frames, rng.integers(1, 20)).tolist()
            assert decode_in_pieces(codec, expected, cuts, threads).tobytes() == sound.tobytes()


def test_no_instruction_set_of_this_machine_is_left_out() -> None:
    facts = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not facts.exists():
        pytest.skip("needs /proc/cpuinfo of an x86-64 machine")
    flags = set(facts.read_text().split())
    expected = {"generic"} | ({"avx2"} if {"avx2", "fma"} <= flags else set())
    assert set(SETS) == expected | ({"avx512"} if {"avx512f", "avx512bw"} <= flags else set())
