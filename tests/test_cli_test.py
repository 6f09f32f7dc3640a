"""`wavcodes test`: what it verifies of each format, what it says of damage, and that it loads nothing for it."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_case import enter_folder, run
from container_case import BY_NAME, clip, written

import wavcodes
from wavcodes.codes import Codes
from wavcodes.containers import dac, salvage
from wavcodes.containers.dac import DacFile

CODECS = {
    "nac": "mimi",
    "ecdc": "encodec_48khz",
    "ecdc-crc32c": "encodec_24khz",
    "ecdc-hermes": "encodec_24khz",
    "snac": "snac_24khz",
    "snac-v1": "snac_44khz",
    "dac": "dac_16khz",
    "lyra": "lyra_v2",
}
CHECKSUMS = {"nac": "CRC-32C and SHA-256", "ecdc-crc32c": "CRC-32C", "snac": "CRC-32C", "dac": "CRC-32C"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


def codes_for(format: str, seconds: float = 2.3) -> Codes:
    """Random codes that fill their frames."""
    spec = wavcodes.spec(CODECS[format])
    step = spec.framing().step_samples
    return clip(spec.framing(), round(seconds * spec.sample_rate) // step * step)


class TestIntact:
    @pytest.mark.parametrize("format", CODECS)
    def test_says_what_is_in_it_and_what_was_verified(self, format: str, capsys: pytest.CaptureFixture[str]) -> None:
        codes, name = codes_for(format), f"b{BY_NAME[format].suffix}"
        Path(name).write_bytes(written(codes, BY_NAME[format]))
        assert run("test", name, "--bandwidth", "9.2") == 0
        verified = f"{CHECKSUMS[format]} verified" if format in CHECKSUMS else "no checksum in it: only the layout is"
        said = capsys.readouterr().out
        assert said.startswith(f"{name}: ok: {codes.codec}, {codes.num_codebooks} codebooks, ")
        assert f" kbps, {codes.duration:.3f} s; {verified}" in said
        assert run("test", name, "--bandwidth", "9.2", "--json") == 0
        record = json.loads(capsys.readouterr().out)
        assert (record["command"], record["input"], record["num_samples"]) == ("test", name, codes.num_samples)
        assert (record["checksums"], record["bytes"]) == (CHECKSUMS.get(format, ""), os.path.getsize(name))

    def test_of_pickles(self, capsys: pytest.CaptureFixture[str]) -> None:
        codes = codes_for("snac")
        Path("old.snac").write_bytes(zlib.compress(pickle.dumps({"codes": list(codes.books), "sr": 24_000})))
        assert run("test", "old.snac") == 0
        assert "Adler-32 verified" in capsys.readouterr().out

    @pytest.mark.parametrize("format", ["nac", "ecdc", "snac", "dac"])
    def test_of_a_pipe(self, format: str) -> None:
        data = written(codes_for(format), BY_NAME[format], stated=False)
        environment = {**os.environ, "PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}
        command = [sys.executable, "-m", "wavcodes", "test", "-"]
        good = subprocess.run(command, input=data, capture_output=True, env=environment)
        assert (good.returncode, good.stderr) == (0, b"")
        assert good.stdout.startswith(b"standard input: ok: ")
        bad = subprocess.run(command, input=data[:-1], capture_output=True, env=environment)
        assert (bad.returncode, bad.stdout) == (65, b"")
        assert b"standard input: " in bad.stderr

    def test_loads_no_library(self) -> None:
        for format in ("nac", "dac", "snac"):
            Path(f"b{BY_NAME[format].suffix}").write_bytes(written(codes_for(format), BY_NAME[format]))
        code = (
            "import sys; from wavcodes import cli; assert cli.main(['test', 'b.nac', 'b.dac', 'b.snac', '-q']) == 0; "
            "print(*sys.modules)"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        loaded = set(done.stdout.splitlines()[-1].split())
        assert not {"torch", "soundfile", "soxr", "safetensors", "huggingface_hub"} & loaded


class TestDamage:
    @pytest.mark.parametrize("format", ["nac", "snac", "dac", "ecdc", "ecdc-hermes"])
    def test_every_cut_is_found(self, format: str) -> None:
        data, name = written(codes_for(format, 1.0), BY_NAME[format]), f"b{BY_NAME[format].suffix}"
        for length in (*range(0, len(data), 97), len(data) - 1):
            Path(name).write_bytes(data[:length])
            assert run("test", name, "-qq") == 65
        Path(name).write_bytes(data + b"\0")
        assert run("test", name, "-qq") == 65

    @pytest.mark.parametrize("format", CHECKSUMS)
    def test_every_changed_byte_of_the_codes_is_found(self, format: str) -> None:
        data = bytearray(written(codes_for(format, 1.2), BY_NAME[format]))
        name = f"b{BY_NAME[format].suffix}"
        # Behind what says which program reads the file.
        for place in range(256 if format == "dac" else 100, len(data), 31):
            data[place] ^= 1 << place % 8
            Path(name).write_bytes(data)
            assert run("test", name, "-qq") == 65, place
            data[place] ^= 1 << place % 8
        Path(name).write_bytes(data)
        assert run("test", name) == 0

    def test_says_where_and_what_can_be_saved(self, capsys: pytest.CaptureFixture[str]) -> None:
        codes = clip(wavcodes.spec("wavcodes_16khz").framing(), 6 * 16_000)
        data = bytearray(written(codes, BY_NAME["nac"]))
        data[len(data) * 5 // 12] ^= 1  # in the third of its six blocks
        Path("b.nac").write_bytes(data)
        assert run("test", "b.nac", "--json") == 65
        told = capsys.readouterr()
        assert "b.nac: block 2 (2.000 to 3.000 s) has the checksum" in told.err
        assert "wavcodes decode --salvage saves 5.000 s of it (lost: 2.000 s to 3.000 s)" in told.err
        record = json.loads(told.out)
        assert (record["input"], record["kind"], record["exit_code"]) == ("b.nac", "IntegrityError", 65)
        saved = sum(part.num_samples for _, part in salvage(io.BytesIO(data)).blocks)
        assert saved == 5 * 16_000

    @pytest.mark.parametrize("keep", [0.02, 0.1])
    def test_where_nothing_can_be_saved_it_says_nothing_of_it(
        self, keep: float, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = written(codes_for("nac", 6.0), BY_NAME["nac"])
        Path("b.nac").write_bytes(data[: round(keep * len(data))])
        assert run("test", "b.nac") == 65
        assert "--salvage" not in capsys.readouterr().err

    def test_of_several_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        data = written(codes_for("nac"), BY_NAME["nac"])
        Path("b.nac").write_bytes(data)
        Path("cut.nac").write_bytes(data[:-1])
        assert run("test", "cut.nac", "b.nac", "none.nac", "a.wav") == 1
        told = capsys.readouterr()
        assert [line.split(":")[0] for line in told.out.splitlines()] == ["b.nac"]
        assert told.err.splitlines()[-1] == "wavcodes: error: 3 of 4 inputs failed: cut.nac, none.nac, a.wav"
        assert run("test", "none.nac") == 66


class TestNotStated:
    """What a file leaves open, and what the options add."""

    def test_the_model_of_a_snac_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        codes = codes_for("snac")
        data = written(codes, BY_NAME["snac-v1"])
        known, own = b"hubertsiuzdak/snac_24khz", b"somebody/own"
        head = data[: data.index(known)]
        named = head[:-2] + struct.pack("<H", len(own)) + own + data[len(head) + len(known) :]
        Path("own.snac").write_bytes(named)
        for command in ("test", "info", "decode", "convert"):
            assert run(command, "own.snac") == 65
            assert "(--codec)" in capsys.readouterr().err
        for command in ("test", "info", "convert"):
            assert run(command, "own.snac", "--codec", "snac_24khz") == 0
        assert wavcodes.read("own.nac") == codes
        assert run("test", "own.snac", "--codec", "snac_44khz") == 65
        assert run("test", "own.snac", "--codec", "snac_45khz") == 2

    def test_the_size_of_lyras_packets(self, capsys: pytest.CaptureFixture[str]) -> None:
        codes = clip(wavcodes.spec("lyra_v2").framing(30), 8 * 320)
        Path("b.lyra").write_bytes(written(codes, BY_NAME["lyra"]))  # 8 packets of 15 bytes, or 15 of 8
        for command in ("test", "info"):
            assert run(command, "b.lyra") == 65
            assert "--bandwidth 3.2, 6 or 9.2" in capsys.readouterr().err
            assert run(command, "b.lyra", "--bandwidth", "6") == 0
            assert "lyra_v2" in capsys.readouterr().out
            assert run(command, "b.lyra", "--bandwidth", "7") == 2
            assert run(command, "b.lyra", "--bandwidth", "3", "--codec", "mimi") == 2

    def test_channels_windows_and_codec_of_a_dac_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        one = clip(wavcodes.spec("dac_24khz").framing(4), 48_000)
        content = DacFile.of([one, one], sample_rate=48_000, num_samples=96_000, loudness=-20.0)
        dac.write("ours.dac", content)
        dac.write("theirs.dac", replace(content, framing=None))
        cut = replace(content, framing=None, window_frames=75, padded=False)
        dac.write("windows.dac", cut)
        assert run("test", "ours.dac", "theirs.dac", "windows.dac") == 0
        ours, theirs, windows = capsys.readouterr().out.splitlines()
        assert ours == "ours.dac: ok: dac_24khz, 4 codebooks, 3 kbps, 2.000 s; CRC-32C verified"
        assert theirs.startswith("theirs.dac: ok: codec not stated, 4 codebooks, 2.000 s; no checksum in it")
        assert windows.startswith("windows.dac: ok: codec not stated")
        assert run("info", "ours.dac") == 0
        assert "2 channel(s)" in capsys.readouterr().out
        assert run("info", "theirs.dac") == 65
        assert run("test", "theirs.dac", "--codec", "dac_24khz") == 0
        assert "ok: dac_24khz, 4 codebooks, 3 kbps" in capsys.readouterr().out
        assert run("test", "theirs.dac", "--codec", "dac_44khz") == 65  # whose frames would be of another length
        assert run("test", "theirs.dac", "--codec", "mimi") == 65
        np.testing.assert_array_equal(dac.read("theirs.dac").codes, content.codes)
