"""`.snac` files against bytes laid out by hand and a plain reader of version 1, and what PyTorch and Python saved."""

import dataclasses
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_checkpoints
import hostile_dac
import numpy as np
import pytest
import torch_files as make
from container_case import BY_NAME, check_every_truncation, clip, mutated, read_both_ways, written
from hypothesis import given
from nac_case import Trickle

import wavcodes
from wavcodes.cli.main import main
from wavcodes.codes import Codes
from wavcodes.containers import open_reader, write
from wavcodes.containers.snac import FRAMINGS
from wavcodes.crc32c import crc32c
from wavcodes.errors import CodecError, FormatError, InputError, IntegrityError, LimitError, UnsupportedError
from wavcodes.framing import Framing

SNAC, PLAIN = BY_NAME["snac"], BY_NAME["snac-v1"]
SPEECH = FRAMINGS["snac_24khz"]


def hand_made(
    levels: list[tuple[int, int, int]],
    payload: bytes,
    *,
    rate: int = 24_000,
    model: bytes = b"hubertsiuzdak/snac_24khz",
    version: int = 1,
) -> bytes:
    """A file of (codes, bits, bytes) for each level and what is behind."""
    data = b"SNAC" + bytes([version]) + rate.to_bytes(4, "little") + len(model).to_bytes(2, "little") + model
    data += len(levels).to_bytes(4, "little")
    for count, bits, size in levels:
        data += count.to_bytes(4, "little") + bits.to_bytes(2, "little") + size.to_bytes(4, "little")
    return data + payload


def read_as_version_1(data: bytes) -> tuple[str, int, list[list[int]]]:
    """Model, rate and codes as hermes-net reads them: whatever stands behind the codes of a level is ignored."""
    name = struct.unpack_from("<H", data, 9)[0]
    at = 11 + name
    levels = [struct.unpack_from("<IHI", data, at + 4 + 10 * k) for k in range(struct.unpack_from("<I", data, at)[0])]
    begin, codes = at + 4 + 10 * len(levels), []
    for count, bits, size in levels:
        stream = "".join(f"{byte:08b}" for byte in data[begin : begin + size])
        assert len(stream) >= bits * count
        codes.append([int(stream[bits * i : bits * (i + 1)], 2) for i in range(count)])
        begin += size
    assert begin == len(data)
    return data[11:at].decode(), struct.unpack_from("<I", data, 5)[0], codes


@pytest.mark.parametrize("name", FRAMINGS)
def test_the_facts_are_those_of_the_registry(name: str) -> None:
    assert FRAMINGS[name] == wavcodes.spec(name).framing()
    assert wavcodes.spec(name).weights.repo == f"hubertsiuzdak/{name}"


# ---- the layout


def test_golden_bytes() -> None:
    # Bits of each level are those of its largest code: 0 -> 1 bit, 5 -> 3 bits, 4095 -> 12 bits.
    books = (np.array([0]), np.array([5, 2]), np.array([4095, 0, 1, 2048]))
    codes = Codes(SPEECH, books, 4 * 512)
    payload = bytes([0b0_0000000, 0b101_010_00]) + bytes.fromhex("fff000001800")
    data = hand_made([(1, 1, 1), (2, 3, 1), (4, 12, 6)], payload)
    assert data[:39].hex() == "534e414301c05d000018006875626572747369757a64616b2f736e61635f32346b687a03000000"
    assert written(codes, PLAIN) == written(codes, PLAIN, cuts=(0, 4)) == data
    assert read_both_ways(data) == codes


def test_golden_bytes_with_the_length() -> None:
    books = (np.array([0]), np.array([5, 2]), np.array([4095, 0, 1, 2048]))
    codes = Codes(SPEECH, books, 1999)
    plain = written(dataclasses.replace(codes, num_samples=2048), PLAIN)
    at = 39 + 2 * 10 + 6
    data = plain[:at] + (22).to_bytes(4, "little") + plain[at + 4 :] + b"\xf5NAL" + (1999).to_bytes(8, "little")
    data += crc32c(data).to_bytes(4, "little")
    assert written(codes, SNAC) == written(codes, SNAC, stated=False) == data
    assert read_both_ways(data) == codes
    assert open_reader(io.BytesIO(data)).header.num_samples == 1999
    assert open_reader(Trickle(data)).header.num_samples is None


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=lambda each: each.codec)
@pytest.mark.parametrize("num_samples", [1, 2048, 12_288, 12_289, 100_000])
def test_readers_of_version_1_understand_both(framing: Framing, num_samples: int) -> None:
    codes = clip(framing, num_samples)
    expected = f"hubertsiuzdak/{framing.codec}", framing.sample_rate, [book.tolist() for book in codes.books]
    padded = dataclasses.replace(codes, num_samples=framing.longest(codes.num_frames))
    for format, back in ((SNAC, codes), (PLAIN, padded)):
        data = written(codes, format)
        assert read_as_version_1(data) == expected
        assert read_both_ways(data) == back


def test_files_without_codes() -> None:
    empty = clip(SPEECH, 0)
    assert read_both_ways(written(empty, SNAC)) == read_both_ways(written(empty, PLAIN)) == empty


@pytest.mark.parametrize("kind", [io.BytesIO, Trickle])
@pytest.mark.parametrize("span", [(0, None), (0.9, 1.1), (2.5, None), (3.1, 9)])
def test_random_access_equals_slicing_the_whole(span: Any, kind: Any) -> None:
    codes = clip(SPEECH, 99_999)
    reader = open_reader(kind(written(codes, SNAC)))
    assert Codes.concat([reader.header.empty(), *reader.between(*span)]) == codes[span[0] : span[1]]


# ---- which model


def test_a_name_that_is_not_known_needs_a_framing() -> None:
    codes = clip(SPEECH, 5 * 2048)
    data = written(codes, PLAIN)
    for model in (b"someone/snac_24khz", b"snac_24khz", "größer".encode()):
        other = data[:9] + len(model).to_bytes(2, "little") + model + data[35:]
        assert read_both_ways(other, framing=SPEECH) == codes
        with pytest.raises(InputError, match="pass the framing of the codec"):
            open_reader(io.BytesIO(other))


def test_without_a_name_the_rate_decides() -> None:
    for framing in FRAMINGS.values():
        codes = clip(framing, framing.step_samples)
        data = written(codes, PLAIN)
        nameless = data[:9] + b"\0\0" + data[35:]
        assert read_both_ways(nameless) == read_both_ways(nameless, framing=framing) == codes
    with pytest.raises(InputError, match="'no name' at 16000 Hz"):
        open_reader(io.BytesIO(hand_made([], b"", rate=16_000, model=b"")))


def test_a_framing_must_not_contradict_the_file() -> None:
    data = written(clip(SPEECH, 9000), SNAC)
    assert read_both_ways(data, framing=SPEECH) == clip(SPEECH, 9000)
    with pytest.raises(InputError, match="codec = 'snac_44khz', as the caller says"):
        open_reader(io.BytesIO(data), framing=FRAMINGS["snac_44khz"])


# ---- damage

GOOD = [(1, 1, 1), (2, 3, 1), (4, 12, 6)]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (dict(version=2), UnsupportedError, "expected version 1"),
        (dict(rate=32_000), UnsupportedError, "expected 24000 Hz, which snac_24khz has, got 32000"),
        (dict(model=b"\xff\xfe"), FormatError, "UTF-8"),
        (dict(levels=[]), FormatError, "1 to 3 levels for snac_24khz, got 0"),
        (dict(levels=[*GOOD, GOOD[0]]), FormatError, "1 to 3 levels for snac_24khz, got 4"),
        (dict(levels=[(1, 0, 0), *GOOD[1:]]), FormatError, "1 to 12 bits"),
        (dict(levels=[(1, 13, 2), *GOOD[1:]]), FormatError, "1 to 12 bits"),
        (dict(levels=[(1, 1, 2), *GOOD[1:]]), FormatError, "1 codes of 1 bits in 2 bytes"),
        (dict(levels=[(1, 1, 17), *GOOD[1:]]), FormatError, "1 codes of 1 bits in 17 bytes"),
        (dict(levels=[*GOOD[:2], (4, 12, 5)]), FormatError, "4 codes of 12 bits in 5 bytes"),
        (dict(levels=[*GOOD[:2], (4, 12, 21)]), FormatError, "4 codes of 12 bits in 21 bytes"),
        (dict(levels=[(2, 1, 1), *GOOD[1:]]), FormatError, "levels of one duration"),
        (dict(levels=[*GOOD[:2], (5, 12, 8)]), FormatError, "levels of one duration"),
        (dict(levels=[*GOOD[:2], (2**32 - 1, 12, 2**32 - 1)]), FormatError, "bytes that these take"),
        (dict(levels=[(2**29, 4, 2**28), (2**30, 4, 2**29), (2**31, 4, 2**30)]), FormatError, "the file was cut"),
        (dict(payload=bytes(7) + b"\0\0"), FormatError, "goes on behind"),
        (dict(payload=b"\x7f" + bytes(7)), FormatError, "not zero"),
    ],
)
def test_files_that_are_refused(changes: dict[str, Any], error: type[CodecError], said: str) -> None:
    arguments: dict[str, Any] = {"levels": GOOD, "payload": bytes(8)} | changes
    data = hand_made(**arguments)
    with pytest.raises(error, match=said):
        open_reader(io.BytesIO(data)).read()
    with pytest.raises(error):
        open_reader(Trickle(data)).read()


def test_the_length_must_fit_the_frames() -> None:
    data = written(clip(SPEECH, 4000), SNAC)
    for length in (0, 2048, 4097, 2**64 - 1):
        other = data[:-12] + length.to_bytes(8, "little")
        other += crc32c(other).to_bytes(4, "little")
        for file in (io.BytesIO, Trickle):
            with pytest.raises(FormatError, match="a length of 8 frames"):
                open_reader(file(other)).read()
    with pytest.raises(IntegrityError, match="has the checksum"):
        open_reader(io.BytesIO(data[:-12] + (3999).to_bytes(8, "little") + data[-4:])).read()


def test_every_single_bit_flip_is_noticed() -> None:
    data = written(clip(SPEECH, 9000), SNAC)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodecError):
            open_reader(io.BytesIO(damaged), "a.snac").read()


@pytest.mark.parametrize("format", [SNAC, PLAIN], ids=lambda each: each.name)
def test_every_truncation_is_noticed(format: Any) -> None:
    check_every_truncation(written(clip(SPEECH, 20_000), format), "a.snac")


FILES = [written(clip(framing, 20_000), format) for framing in FRAMINGS.values() for format in (SNAC, PLAIN)]
ZIPPED = zlib.compress(pickle.dumps({"codes": list(clip(FRAMINGS["snac_32khz"], 20_000).books), "sr": 32_000}))


@given(mutated([*FILES, ZIPPED]))
def test_mutations_give_errors_of_the_package_only(data: bytes) -> None:
    for file in (io.BytesIO, Trickle):
        try:
            open_reader(file(data), "a.snac").read()
        except CodecError:
            continue


def test_what_no_snac_file_can_hold_is_refused(tmp_path: Path) -> None:
    for framing in (SPEECH.first(2), wavcodes.spec("dac_24khz").framing(), dataclasses.replace(SPEECH, channels=2)):
        with pytest.raises(UnsupportedError, match=r"in all their codebooks, got .*; write a \.nac file"):
            written(clip(framing, 4096), SNAC)
    for format in (SNAC, PLAIN):
        with pytest.raises(UnsupportedError, match="4000 samples has 8 frames, got 12"):
            written(dataclasses.replace(clip(SPEECH, 5000), num_samples=4000), format)
    for name in ("snac-torch", "snac-zlib"):
        with pytest.raises(UnsupportedError, match=f"{name} are only read"):
            write(tmp_path / "a.snac", clip(SPEECH, 4096), format=BY_NAME[name])
    assert os.listdir(tmp_path) == []


# ---- what PyTorch and pickle saved


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("dtype", ["int64", "int32", "int16"])
def test_files_of_torch(peer: Callable[..., Any], zipped: bool, named: bool, dtype: str) -> None:
    torch = peer("torch")
    for framing in FRAMINGS.values():
        codes = clip(framing, 5 * framing.step_samples)
        saved = {"codes": [torch.from_numpy(book.astype(dtype))[None] for book in codes.books]}
        if named:
            saved |= {"model": f"hubertsiuzdak/{framing.codec}", "sample_rate": framing.sample_rate}
        file = io.BytesIO()
        torch.save(saved, file, _use_new_zipfile_serialization=zipped)
        assert read_both_ways(file.getvalue(), **({} if named else {"framing": framing})) == codes
        if not named:
            with pytest.raises(InputError, match="pass the framing of the codec"):
                open_reader(io.BytesIO(file.getvalue()))


def test_other_files_of_torch_are_refused(peer: Callable[..., Any]) -> None:
    torch = peer("torch")

    def reading(value: Any) -> Codes:
        file = io.BytesIO()
        torch.save(value, file)
        return open_reader(io.BytesIO(file.getvalue())).read()

    levels = [torch.zeros(1, count, dtype=torch.long) for count in (1, 2, 4)]
    assert reading({"codes": levels, "sample_rate": 24_000}).num_frames == 4
    assert reading({"codes": tuple(levels), "sample_rate": 24_000, "more": 1.5}).num_frames == 4
    for value, said in (
        (levels, "dictionary with a list of codes, got a list"),
        ({"codes": levels[0]}, "list of codes"),
        ({"model": "hubertsiuzdak/snac_24khz"}, "list of codes"),
        ({"codes": [*levels[:2], [1, 2, 3, 4]], "sample_rate": 24_000}, "a list of tensors"),
        ({"codes": [each.float() for each in levels], "sample_rate": 24_000}, "levels of integers"),
        ({"codes": [each[None] for each in levels], "sample_rate": 24_000}, "levels of integers"),
        ({"codes": [each - 1 for each in levels], "sample_rate": 24_000}, "out of range"),
        ({"codes": [each + 4096 for each in levels], "sample_rate": 24_000}, "out of range"),
        ({"codes": levels[::-1], "sample_rate": 24_000}, "levels of one duration"),
        ({"codes": [], "sample_rate": 24_000}, "1 to 3 levels"),
        ({"codes": levels, "sample_rate": "24000"}, "sample_rate as int"),
        ({"codes": levels, "sample_rate": True}, "sample_rate as int"),
        ({"codes": levels, "model": 1}, "model as str"),
    ):
        with pytest.raises(FormatError, match=said):
            reading(value)
    with pytest.raises(UnsupportedError, match="of one clip"):
        reading({"codes": [each.repeat(2, 1) for each in levels], "sample_rate": 24_000})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_files_of_zlib_and_pickle(protocol: int) -> None:
    for framing in FRAMINGS.values():
        codes = clip(framing, 9 * framing.step_samples)
        for books in (codes.books, [book[None].astype(np.int64) for book in codes.books]):
            saved = {"codes": list(books), "sr": framing.sample_rate}
            assert read_both_ways(zlib.compress(pickle.dumps(saved, protocol))) == codes


def test_other_files_of_zlib_are_refused() -> None:
    def reading(value: Any) -> Codes:
        data = value if isinstance(value, bytes) else zlib.compress(pickle.dumps(value, 4))
        return open_reader(io.BytesIO(data), "a.snac").read()

    levels = [np.zeros(count, np.uint16) for count in (1, 2, 4)]
    assert reading({"codes": levels, "sr": 24_000}).num_frames == 4
    whole = zlib.compress(pickle.dumps({"codes": levels, "sr": 24_000}, 4))
    for value, error, said in (
        ({"codes": levels}, InputError, "pass the framing of the codec"),
        ({"codes": levels, "sr": 24_000.0}, FormatError, "sr as int"),
        ({"codes": [1, 2, 3], "sr": 24_000}, FormatError, "a list of arrays"),
        ({"codes": [each.astype(np.float32) for each in levels], "sr": 24_000}, FormatError, "levels of integers"),
        ({"code": levels, "sr": 24_000}, FormatError, "list of codes"),
        (whole[:-1], FormatError, "inside its compressed data"),
        (whole + b"\0", FormatError, "goes on behind"),
        (zlib.compress(pickle.dumps({"codes": levels, "sr": 24_000}, 4) + b"\0"), FormatError, "behind the pickle"),
        (zlib.compress(b"\x80" + bytes(1 << 24)), LimitError, "compressed ones, got more"),
    ):
        with pytest.raises(error, match=said):
            reading(value)


# ---- hostile ones


def hostile() -> dict[str, bytes]:
    """Files by name: the checkpoints that attack PyTorch's readers, and pickles that attack numpy's inside zlib."""
    files = {f"torch: {name}": content for name, (content, _) in hostile_checkpoints.CASES.items()}
    for name, (content, _) in hostile_dac.CASES.items():
        if content.startswith(hostile_dac.HEADER):
            files[f"zlib: {name}"] = zlib.compress(content[len(hostile_dac.HEADER) :])
    files["a bomb"] = zlib.compress(b"\x80\x04" + bytes(1 << 26))
    files["nested"] = zlib.compress(b"\x80\x04" + b"(" * 100_000)
    return files


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is set as Linux has it")
def test_hostile_files_are_refused_and_nothing_happens(tmp_path: Path) -> None:
    files = hostile()
    assert len(files) >= 100
    (tmp_path / "good").write_bytes(ZIPPED)
    (tmp_path / "text").write_bytes(make.archive(make.GOOD))
    (tmp_path / "case_good").write_bytes(ZIPPED)
    for i, content in enumerate(files.values()):
        (tmp_path / f"case{i:03}").write_bytes(content)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("hostile_reader.py"), tmp_path, "wavcodes.containers"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(wavcodes.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()
    found = json.loads(done.stdout)
    assert found.pop("case_good") | {"memory": 0} == {"family": [], "message": "", "memory": 0, "events": []}
    for name, outcome in zip(files, found.values(), strict=True):
        assert "CodecError" in outcome["family"], (name, outcome)
        assert outcome["events"] == [], (name, outcome)
        assert outcome["memory"] < 64 << 20, (name, outcome)


# ---- the command line


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.snac"
    write(path, clip(SPEECH, 100_000))
    assert main(["info", "--json", str(path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["codec"], said["num_samples"], said["strides"]) == ("snac_24khz", 100_000, [4, 2, 1])
