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
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, registry
from wavcodes.engines.native import _core
from wavcodes.models import encodec


def instruction_sets() -> list[str]:
    """Those that this machine has, the quickest first."""
    found = []
    for name in ("avx512", "avx2", "neon", "generic"):
        try:
            found.append(_core.kernels(name))
        except ValueError:
            continue
    return found


SETS = instruction_sets()


def on_every_set(checkpoint: registry.Checkpoint, weights: Path | None = None) -> dict[str, Codec]:
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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Codec]:
    return on_every_set(*exact.encodec_checkpoint(exact.SMALL, tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module", params=["own", "small"])
def codecs(request: pytest.FixtureRequest) -> dict[str, Codec]:
    return request.getfixturevalue(request.param)


def encode_in_pieces(codec: Codec, audio: NDArray, cuts: list[int], threads: int, num_codebooks: int) -> Codes:
    stream = codec.stream_encoder(num_codebooks=num_codebooks, threads=threads)
    parts = [stream.push(piece) for piece in np.split(audio, sorted(min(cut, len(audio)) for cut in cuts))]
    return Codes.concat([*parts, stream.flush()])


def decode_in_pieces(codec: Codec, codes: Codes, cuts: list[int], threads: int) -> NDArray:
    stream = codec.stream_decoder(threads=threads)
    edges = sorted({0, codes.num_frames, *(min(cut, codes.num_frames) for cut in cuts)})
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
    audio = exact.signal(data.draw(st.integers(1, 15 * spec.hop_length), label="num_samples"))
    count = data.draw(st.integers(1, spec.num_codebooks), label="num_codebooks")
    expected = quickest.encode(audio, spec.sample_rate, num_codebooks=count, threads=1)
    cuts = data.draw(st.lists(st.integers(0, len(audio)), max_size=12), label="cuts of the audio")
    assert_same(encode_in_pieces(codec, audio, cuts, threads, count), expected)
    sound = quickest.decode(expected, threads=1)
    cuts = data.draw(st.lists(st.integers(0, expected.num_frames), max_size=8), label="cuts of the codes")
    assert decode_in_pieces(codec, expected, cuts, threads).tobytes() == sound.tobytes()
    assert codec.decode(expected, threads=threads).tobytes() == sound.tobytes()


@pytest.mark.parametrize("size", [1, 2, 7, 39, 41, 319, 320, 321])
def test_pieces_of_one_size(codecs: dict[str, Codec], size: int) -> None:
    codec = codecs[SETS[0]]
    audio = exact.signal(7 * codec.spec.hop_length + 5)
    expected = codec.encode(audio, codec.spec.sample_rate)
    cuts = list(range(size, len(audio), size))
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
    clips = [exact.signal(length, seed) for seed, length in enumerate(lengths)]
    expected = [alone.encode(clip, rate, threads=1) for clip in clips]
    codes = batch.encode(clips, rate, threads=threads)
    assert len(codes) == len(clips)
    for got, wanted in zip(codes, expected, strict=True):
        assert_same(got, wanted)
    sounds = batch.decode(codes, threads=threads)
    assert [sound.shape for sound in sounds] == [(1, length) for length in lengths]
    for sound, wanted in zip(sounds, expected, strict=True):
        assert sound.tobytes() == alone.decode(wanted, threads=1).tobytes()


def test_longer_than_a_block(codecs: dict[str, Codec]) -> None:
    # A clip goes through the network some seconds at a time, which must not show.
    codec = codecs[SETS[0]]
    audio = exact.signal(21 * codec.spec.sample_rate + 77)
    codes = codec.encode(audio, codec.spec.sample_rate)
    assert_same(encode_in_pieces(codec, audio, [5, 100_000, 100_001], 2, codes.num_codebooks), codes)
    whole = codec.stream_decoder()
    sound = np.concatenate([whole.push(codes), whole.flush()], axis=1)
    assert codec.decode(codes).tobytes() == sound.tobytes()


# ---- the same on every machine, for ever ----


# SHA-256 of the codes at the highest bandwidth (`Codes.to_flat`, uint32) and of the samples that they decode to. They
# may change only together with the order of arithmetic, which changes the last bits of everybody's codes and sound.
DIGESTS = {
    "own": (
        "03f65d44b85a9ebe0b059f9c47f47e5b801ce4d5294ced3c900daef93b0b8652",
        "4c1bda3d69dc6768988828bd7813eeb0307c6c00da34aa353ee3c6d152235418",
    ),
    "small": (
        "e09e49646f348c299fb51484d9d638600991e4d84b3f84bed46d84e3fde0df1b",
        "922f20461b395c8f6d04e64e08edb6855474c578920831fe7f5c0ea06d262f04",
    ),
    "wide": (
        "f302d784ff82ab67d08f61fc7c2c296aafdaabe64eb3ce28b1b3a7e82a9c82e4",
        "c7eeee35e66d58db00885239d0c45d6a28623200cca73e3c551bfd4ea333f20a",
    ),
    "lyra": (
        "cfafdc2078bd0b0db722f5f05cd92505772ba245c3a51d4a8cf51bfa9fd75fdc",
        "d52831ec2e28d8449c42d13ed9b9fc363e816c5a66521c4f191d8f74e78f48ee",
    ),
}


def assert_digests(codec: Codec, num_samples: int, name: str) -> None:
    spec, audio = codec.spec, exact.signal(num_samples)
    codes = codec.encode(audio, spec.sample_rate, num_codebooks=spec.num_codebooks)
    # From a dead codec, agreement would mean nothing.
    assert min(len(set(book.tolist())) for book in codes.books) > 4
    assert (exact.digest(codes.to_flat()), exact.digest(codec.decode(codes))) == DIGESTS[name]


@pytest.mark.parametrize("name", SETS)
class TestDigests:
    def test_own_codec(self, own: dict[str, Codec], name: str) -> None:
        assert_digests(own[name], 16_123, "own")

    def test_small_encodec(self, small: dict[str, Codec], name: str) -> None:
        assert_digests(small[name], 24_123, "small")

    def test_lyra(self, shared: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAVCODES_ISA", name)
        assert_digests(wavcodes.load("lyra_v2", weights=shared / "weights" / "lyra_v2_1.2"), 8_123, "lyra")


def test_the_input_of_the_digests_is_exact() -> None:
    assert exact.numbers(1, 3).tolist() == [-0.8030064105987549, -0.9092068672180176, -0.5033769607543945]
    assert exact.digest(exact.signal(24_123)) == "ebdd4e254d216f9d89465a5195b577b9efae6d232df4653af91a86d7bae38dd4"


@pytest.mark.slow
def test_encodec_at_full_width(tmp_path: Path) -> None:
    codecs = on_every_set(*exact.encodec_checkpoint(encodec.ENCODEC_24KHZ, tmp_path))
    audio = exact.signal(12_123)
    for codec in codecs.values():
        assert_digests(codec, len(audio), "wide")
    expected = codecs[SETS[0]].encode(audio, 24_000)
    sound = codecs[SETS[0]].decode(expected)
    rng = np.random.default_rng(0)
    for codec in codecs.values():
        for threads in (1, 2, 4):
            cuts = rng.integers(0, len(audio), rng.integers(1, 20)).tolist()
            assert_same(encode_in_pieces(codec, audio, cuts, threads, 32), expected)
            cuts = rng.integers(0, expected.num_frames, rng.integers(1, 20)).tolist()
            assert decode_in_pieces(codec, expected, cuts, threads).tobytes() == sound.tobytes()


def test_no_instruction_set_of_this_machine_is_left_out() -> None:
    facts = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not facts.exists():
        pytest.skip("needs /proc/cpuinfo of an x86-64 machine")
    flags = set(facts.read_text().split())
    expected = {"generic"} | ({"avx2"} if {"avx2", "fma"} <= flags else set())
    assert set(SETS) == expected | ({"avx512"} if "avx512f" in flags else set())
