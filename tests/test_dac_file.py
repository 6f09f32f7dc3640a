"""`.dac` files: what numpy saves is read without running it, and what is written loads in numpy; hostile files."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile_dac
import numpy as np
import pytest

import wavcodes
from wavcodes import (
    Codes,
    FormatError,
    InputError,
    IntegrityError,
    LimitError,
    TruncatedError,
    UnsupportedError,
    containers,
)
from wavcodes.containers import dac, dac_pickle
from wavcodes.containers.dac import DacFile

FRAMING = wavcodes.spec("dac_44khz").framing()
RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 1024, (1, 9, 20), np.uint16)


def facts(**values: Any) -> dict[str, Any]:
    """Metadata as Descript's package saves it, for 20 frames of the 44.1 kHz model."""
    return {
        "input_db": np.array([-23.25], np.float32),
        "original_length": 10_000,
        "sample_rate": 44_100,
        "chunk_length": 20,
        "channels": 1,
        "padding": True,
        "dac_version": "1.0.0",
    } | values


def saved(codes: Any = CODES, protocol: int | None = None, **values: Any) -> bytes:
    """A file as numpy saves it, or with the pickle in another protocol."""
    content = np.empty((), object)
    content[()] = {"codes": codes, "metadata": facts(**values)}
    buffer = io.BytesIO()
    np.save(buffer, content)
    whole = buffer.getvalue()
    return whole if protocol is None else whole[:128] + pickle.dumps(content, protocol)


def said(data: bytes) -> DacFile:
    return dac.read(io.BytesIO(data))


def clip(num_samples: int = 10_000, codec: str = "dac_44khz", num_codebooks: int | None = None) -> Codes:
    framing = wavcodes.spec(codec).framing(num_codebooks)
    frames = framing.num_frames(num_samples)
    books = tuple(RNG.integers(0, 1024, frames) for _ in framing.strides)
    return Codes(framing, books, num_samples)


def written(codes: Codes | None = None, **values: Any) -> bytes:
    buffer = io.BytesIO()
    writer = containers.open_writer(buffer, "x.dac", containers.Header.of_codes(codes or clip(), **values))
    writer.write(codes or clip())
    writer.close()
    return buffer.getvalue()


# ---- reading what numpy saves


def numpy_1(data: bytes) -> bytes:
    """The same file as numpy 1 saves it, whose modules had another name."""
    for long, short in (
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
        (b"numpy._core.numeric", b"numpy.core.numeric"),
    ):
        data = data.replace(bytes([len(long)]) + long, bytes([len(short)]) + short).replace(b"c" + long, b"c" + short)
    return data


@pytest.mark.parametrize("old", [False, True], ids=["numpy 2", "numpy 1"])
@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "codes",
    [CODES, np.asfortranarray(CODES), CODES.astype(">u2"), CODES.astype(np.int64), CODES[:, :, ::-1]],
    ids=["u2", "Fortran", "big-endian", "i8", "strided"],
)
def test_every_spelling_of_numpy_is_read(codes: Any, protocol: int | None, old: bool) -> None:
    numbers = {"original_length": np.int64(10_000), "channels": np.uint8(1), "padding": np.bool_(True)}
    for values in ({}, numbers, {"input_db": np.float32(-23.25)}, {"input_db": -23.25}, {"input_db": np.array(-23.25)}):
        data = saved(codes, protocol, **values)
        assert b"numpy._core" in data
        file = said(numpy_1(data) if old else data)
        assert np.array_equal(file.codes, codes)
        assert file.codes.dtype == np.uint16
        assert (file.num_samples, file.sample_rate, file.loudness) == (10_000, 44_100, -23.25)
        assert (file.window_frames, file.padded, file.framing, file.weights_digest) == (20, True, None, None)


def test_a_pipe_is_read_too() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.rest = data

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            piece, self.rest = self.rest[:7], self.rest[7:]
            buffer[: len(piece)] = piece
            return len(piece)

    assert np.array_equal(dac.read(Pipe(saved())).codes, CODES)  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(containers.read(Pipe(saved()), framing=FRAMING)), CODES[0])  # type: ignore[arg-type]


# ---- the codec, which Descript's files do not state


def test_the_codec_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.dac").write_bytes(saved())
    with pytest.raises(InputError, match="does not say which of its models"):
        containers.read(tmp_path / "x.dac")
    codes = containers.read(tmp_path / "x.dac", framing=FRAMING)
    assert codes == Codes(FRAMING, tuple(CODES[0]), 10_000)


@pytest.mark.parametrize("codec", ["dac_16khz", "dac_24khz"])
def test_a_codec_that_cannot_be_the_right_one(codec: str) -> None:
    with pytest.raises(InputError, match="another codec"):
        said(saved()).clips(wavcodes.spec(codec).framing())


def test_a_codec_with_too_few_books() -> None:
    with pytest.raises(InputError, match="18 codebooks, but dac_44khz has 9"):
        said(saved(np.concatenate([CODES, CODES], axis=1))).clips(FRAMING)
    with pytest.raises(UnsupportedError, match="Descript's models, got encodec_24khz"):
        said(saved()).clips(wavcodes.spec("encodec_24khz").framing())


def test_fewer_books_than_the_codec_has() -> None:
    (codes,) = said(saved(CODES[:, :3])).clips(FRAMING)
    assert codes.framing == FRAMING.first(3)


@pytest.mark.parametrize("num_samples", [9_728, 10_241])
def test_a_length_that_does_not_fit(num_samples: int) -> None:
    for inside in (9_729, 10_240):
        assert said(saved(original_length=inside)).clips(FRAMING)[0].num_samples == inside
    with pytest.raises(InputError, match="9728 to 10240 samples"):
        said(saved(original_length=num_samples + (3 if num_samples > 10_000 else -3))).clips(FRAMING)


def test_a_code_that_the_codec_has_not() -> None:
    with pytest.raises(InputError, match="out of range"):
        said(saved(CODES + np.uint16(1024))).clips(FRAMING)


def test_other_rates() -> None:
    (codes,) = said(saved(original_length=10_881, sample_rate=48_000)).clips(FRAMING)
    assert codes.num_samples == 9_997  # 9,996.9, which Descript rounds down


def test_two_channels(tmp_path: Path) -> None:
    both = RNG.integers(0, 1024, (2, 9, 20), np.uint16)
    (tmp_path / "x.dac").write_bytes(saved(both, channels=2))
    with pytest.raises(UnsupportedError, match="2 channels"):
        containers.read(tmp_path / "x.dac", framing=FRAMING)
    clips = dac.read(tmp_path / "x.dac").clips(FRAMING)
    assert [np.asarray(each).tolist() for each in clips] == both.tolist()
    assert {each.num_samples for each in clips} == {10_000}


def test_windows_are_no_clip() -> None:
    file = said(saved(chunk_length=5, padding=False))
    with pytest.raises(UnsupportedError, match="without padding"):
        file.clips(FRAMING)
    (windows,) = file.windows(FRAMING, 100)
    assert np.array_equal(np.concatenate([np.asarray(each) for each in windows], axis=1), CODES[0])


def test_several_clips_and_other_versions_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="one clip"):
        said(saved(RNG.integers(0, 1024, (2, 9, 20), np.uint16)))
    with pytest.raises(UnsupportedError, match="version"):
        said(saved(dac_version="2.0.0"))


# ---- writing


def test_numpy_loads_what_is_written() -> None:
    codes = clip()
    content = np.load(io.BytesIO(written(codes, weights_digest=bytes(range(32)))), allow_pickle=True)[()]
    assert list(content) == ["codes", "metadata", "wavcodes"]
    assert content["codes"].dtype == np.uint16
    assert content["codes"].flags.c_contiguous
    assert np.array_equal(content["codes"], np.asarray(codes)[np.newaxis])
    wanted = facts(input_db=np.array([-16], np.float32), chunk_length=codes.num_frames)
    assert list(content["metadata"]) == list(wanted)
    for key, value in content["metadata"].items():
        assert type(value) is type(wanted[key])
        assert value == wanted[key]
    assert content["metadata"]["input_db"].dtype == np.float32
    assert content["wavcodes"]["weights"] == bytes(range(32)).hex()


def test_the_bytes_are_those_of_the_layout() -> None:
    # Put together from Python's documentation of `pickletools` and numpy's of its format.
    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def kind(code: str, order: str, flags: int) -> bytes:
        state = number(3) + text(order) + b"NNN" + number(-1) + number(-1) + number(flags)
        return b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R(" + state + b"tb"

    new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85C\x01b\x87R"
    array = new + b"(" + number(1) + b"(" + number(3) + b"t" + kind("u2", "<", 0) + b"\x89"
    array += b"B\x06\0\0\0" + bytes([1, 0, 255, 3, 0, 1]) + b"tb"
    table = b"}(" + text("a") + array + text("b") + b"\x88" + text("c") + b"\x8a\x05" + bytes([0, 0, 0, 0, 1]) + b"u"
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    whole = b"\x93NUMPY\x01\x00v\x00" + header + b"\x80\x03" + new + b"(" + number(1) + b")" + kind("O8", "|", 63)
    whole += b"\x89]" + table + b"atb."
    assert dac_pickle.dump({"a": np.array([1, 1023, 256], np.uint16), "b": True, "c": 1 << 32}) == whole


def test_the_same_content_has_the_same_bytes() -> None:
    codes = clip()
    assert written(codes) == written(Codes(codes.framing, codes.books, codes.num_samples))


@pytest.mark.parametrize("codec", ["dac_16khz", "dac_24khz", "dac_44khz", "dac_44khz_16kbps"])
@pytest.mark.parametrize("num_samples", [1, 311, 312, 313, 320, 511, 512, 513, 100_000])
def test_there_and_back(codec: str, num_samples: int, tmp_path: Path) -> None:
    for num_codebooks in (1, None):
        codes = clip(num_samples, codec, num_codebooks)
        containers.write(tmp_path / "x.dac", codes, weights_digest=bytes(range(32)))
        assert containers.read(tmp_path / "x.dac") == codes
        assert containers.read(tmp_path / "x.dac", framing=wavcodes.spec(codec).framing()) == codes
        with (tmp_path / "x.dac").open("rb") as file:
            reader = containers.open_reader(file)
            assert reader.header.weights_digest == bytes(range(32))
            assert reader.header.num_samples == num_samples
            assert Codes.concat(reader.parts()) == codes
        with pytest.raises(InputError, match="expected a file of"):
            containers.read(tmp_path / "x.dac", framing=wavcodes.spec("encodec_24khz").framing())
        # Descript's decoder has no more samples than that.
        length = np.load(tmp_path / "x.dac", allow_pickle=True)[()]["metadata"]["original_length"]
        short = 8 if codec in ("dac_16khz", "dac_24khz") else 0
        assert length == min(num_samples, codes.num_frames * codes.hop_length - short)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    spec = wavcodes.spec("encodec_24khz")
    with pytest.raises(UnsupportedError, match=r"write a \.nac file"):
        containers.write(tmp_path / "x.dac", Codes(spec.framing(2), (np.zeros(3, np.uint16),) * 2, 900))
    with pytest.raises(UnsupportedError, match="no frames"):
        containers.write(tmp_path / "x.dac", Codes(FRAMING, (np.zeros(0, np.uint16),) * 9, 0))
    assert not list(tmp_path.iterdir())
    codes = clip()
    for channels in ([], [codes, clip(9_999)], [codes, codes.codebooks(3)]):
        with pytest.raises(InputError):
            DacFile.of(channels)
    with pytest.raises(InputError, match="1 to 5 channels"):
        DacFile.of([codes] * 6)
    with pytest.raises(InputError, match="together"):
        DacFile.of([codes], sample_rate=48_000)
    with pytest.raises(InputError, match="LUFS"):
        DacFile.of([codes], loudness=float("nan"))


def test_what_descript_saved_can_be_written_again() -> None:
    for values in ({}, {"chunk_length": 5, "padding": False}):
        file = said(saved(**values))
        buffer = io.BytesIO(dac.to_bytes(file))
        again = dac.read(buffer)
        assert vars(again) | {"codes": None} == vars(file) | {"codes": None}
        content = np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)[()]
        assert list(content) == ["codes", "metadata"]
        assert content["metadata"] == facts(**values)


# ---- damage


def same(one: DacFile, two: DacFile) -> bool:
    return vars(one) | {"codes": one.codes.tolist()} == vars(two) | {"codes": two.codes.tolist()}


@pytest.mark.parametrize("make", [saved, written])
def test_every_truncation_is_noticed(make: Callable[[], bytes]) -> None:
    data = make()
    for end in range(len(data)):
        with pytest.raises((FormatError, LimitError)) as caught:
            said(data[:end])
        assert isinstance(caught.value, TruncatedError) or end < 128


def test_every_flipped_bit_is_noticed_or_changes_nothing() -> None:
    data = bytearray(written(clip(600)))
    whole, harmless = said(bytes(data)), 0
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        try:
            assert same(said(bytes(data)), whole), bit
            harmless += 1
        except (FormatError, LimitError, UnsupportedError):
            pass
        data[bit // 8] ^= 1 << bit % 8
    assert harmless < 40  # such as one in the version of the pickle, or in alignments that no number has


def test_a_changed_code_fails_the_checksum() -> None:
    data = written(codes := clip())
    at = data.index(np.asarray(codes).astype("<u2").tobytes())
    with pytest.raises(IntegrityError, match="checksum"):
        said(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_a_record_of_another_codec_is_refused() -> None:
    file = said(written())
    with pytest.raises(UnsupportedError, match="Descript's models"):
        replace(file, framing=replace(FRAMING, codec="encodec_24khz"))
    with pytest.raises(InputError, match="3 codebooks"):
        replace(file, framing=FRAMING.first(3))


# ---- files that attack


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each hostile file, by its name; all are read by one process, which is watched."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good").write_bytes(saved())
    (folder / "text").write_bytes(b"no codes")
    for i, (content, _) in enumerate(hostile_dac.CASES.values()):
        (folder / f"case{i:03}").write_bytes(content)
    (folder / "case_good").write_bytes(hostile_dac.GOOD)
    reader = Path(__file__).with_name("hostile_reader.py")
    environment = os.environ | {"PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}
    command = [sys.executable, reader, folder, "wavcodes.containers.dac"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert not (folder / "canary").exists()
    return {"good": found["case_good"]} | {name: found[f"case{i:03}"] for i, name in enumerate(hostile_dac.CASES)}


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is set as Linux has it")
@pytest.mark.parametrize("name", hostile_dac.CASES)
def test_a_hostile_file_is_refused_and_nothing_happens(name: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[name]
    assert "CodecError" in outcome["family"], outcome
    assert hostile_dac.CASES[name][1] in outcome["message"]
    assert len(outcome["message"]) < 1_000
    assert outcome["events"] == []
    assert outcome["memory"] < 16 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is set as Linux has it")
def test_a_good_file_passes_the_same_watch(outcomes: dict[str, Any]) -> None:
    assert (outcomes["good"]["family"], outcomes["good"]["events"]) == ([], [])


def test_there_are_many_cases() -> None:
    assert len({content for content, _ in hostile_dac.CASES.values()}) == len(hostile_dac.CASES) >= 100
