"""What the commands say, and where."""

import json
import os
import sys
from pathlib import Path

import pytest
import soundfile
from cli_case import enter_folder, names, run, vowel
from container_case import clip

import wavcodes
from wavcodes.cli import models, sounds
from wavcodes.containers import dac
from wavcodes.containers.dac import DacFile
from wavcodes.weights import Located


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


class TestSpeech:
    def test_quiet_and_loud(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        soundfile.write("b.wav", vowel(0.5, 8_000), 8_000)
        run("encode", "b.wav", "-f")
        assert "resampled" in capsys.readouterr().err
        run("encode", "b.wav", "-f", "-q")
        assert capsys.readouterr() == ("", "")
        run("encode", "none.wav", "-q")
        assert "wavcodes: error: " in capsys.readouterr().err
        run("encode", "none.wav", "-qq")
        assert capsys.readouterr() == ("", "")
        run("encode", "none.wav", "-v")
        assert "Traceback" in capsys.readouterr().err
        run("encode", "b.wav", "-fv")
        assert "b.wav -> b.nac: wavcodes_16khz, 6 kbps, 0.50 s" in capsys.readouterr().err

    def test_json(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("encode", "a.wav", "none.wav", "--json", "--output-dir", ".") == 1
        done, failed = map(json.loads, capsys.readouterr().out.splitlines())
        assert (done["schema"], done["command"], done["input"], done["output"]) == (1, "encode", "a.wav", "a.nac")
        assert (done["codec"], done["num_codebooks"], done["bandwidth"]) == ("wavcodes_16khz", 12, 6.0)
        assert (done["num_samples"], done["duration"]) == (51_360, 3.21)
        assert done["bytes"] == os.path.getsize("a.nac")
        assert (failed["command"], failed["input"], failed["kind"]) == ("encode", "none.wav", "InputError")
        assert failed["exit_code"] == 66
        assert run("info", "a.nac", "--json") == 0
        info = json.loads(capsys.readouterr().out)
        for field in ("codec", "num_samples", "bandwidth", "strides", "weights_digest", "bytes"):
            assert info[field] == done[field]
        assert info["bitrate"] == pytest.approx(8 * done["bytes"] / 3.21)
        assert run("decode", "a.nac", "b.wav", "--json", "--from", "1", "--to", "2") == 0
        decoded = json.loads(capsys.readouterr().out)
        assert (decoded["num_samples"], decoded["clipped"]) == (16_000, 0)

    def test_json_of_salvage_says_what_is_lost(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run("encode", "a.wav")
        data = Path("a.nac").read_bytes()
        Path("a.nac").write_bytes(data[: len(data) // 2])
        capsys.readouterr()
        assert run("decode", "a.nac", "b.wav", "--json", "--salvage") == 0
        (lost,) = json.loads(capsys.readouterr().out)["lost"]
        assert lost == [1.0, 3.24]  # with the last, partly filled frame and the one that flushes the decoder

    def test_info(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run("encode", "a.wav", "--bandwidth", "3")
        assert run("info", "a.nac", "a.nac") == 0
        said = capsys.readouterr().out
        assert said.count("a.nac") == 2
        for text in (
            "format     nac",
            "wavcodes_16khz",
            "3.210 s, 16000 Hz, 1 channel",
            "6 codebooks of 1024, 50 frames/s",
            "3 kbps",
        ):
            assert text in said

    def test_info_rounds_and_counts_channels(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one = clip(wavcodes.spec("dac_44khz").framing(), 50_000)
        dac.write("b.dac", DacFile.of([one, one]))
        assert run("info", "b.dac") == 0
        said = capsys.readouterr().out
        for text in ("2 channel(s)", "9 codebooks of 1024, 86.13 frames/s", "bandwidth  7.75 kbps per channel\n"):
            assert text in said

    def test_codecs(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("codecs") == 0
        header, *rows = capsys.readouterr().out.splitlines()
        assert [row.split()[0] for row in rows] == wavcodes.list_codecs()
        assert all(wavcodes.spec(row.split()[0]).description in row for row in rows)
        assert [row.split()[0] for row in rows if "the default" in row] == ["wavcodes_16khz"]
        start = header.index("LICENCE")
        assert [row[start:] for row in rows] == [wavcodes.spec(n).weights.licence for n in wavcodes.list_codecs()]
        assert run("codecs", "--json") == 0
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [record["codec"] for record in records] == wavcodes.list_codecs()
        assert [record["codec"] for record in records if record["download_bytes"] == 0] == ["wavcodes_16khz"]

    def test_download(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        assert run("download", "wavcodes-16khz") == 0
        said = capsys.readouterr().out
        assert "wavcodes_16khz.safetensors (verified)" in said
        assert "licence of the weights: Apache-2.0" in said
        monkeypatch.setattr(models, "locate", lambda spec: (Located(Path(spec.name), verified=False),))
        assert run("download", "--all", "--json") == 0
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [record["codec"] for record in records] == wavcodes.list_codecs()
        assert not any(file["verified"] for record in records for file in record["files"])
        run("download", "lyra_v2")
        assert "lyra_v2: lyra_v2 (unverified" in capsys.readouterr().out

    @pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are no text")
    def test_names_that_are_no_text(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        name = os.fsdecode(b"\xff\xe4.wav")
        os.rename("a.wav", name)
        assert run("encode", name, "-v") == 0
        assert run("info", os.fsdecode(b"\xff\xe4.nac")) == 0
        assert r"file       \udcff\udce4.nac" in capsys.readouterr().out
        assert run("info", os.fsdecode(b"\xff\xe4.nac"), "--json") == 0
        assert json.loads(capsys.readouterr().out)["input"] == os.fsdecode(b"\xff\xe4.nac")

    def test_help_names_the_commands(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--help") == 0
        said = capsys.readouterr().out
        for word in ("encode", "decode", "convert", "test", "info", "codecs", "download", "exit codes"):
            assert word in said
        assert run("--version") == 0
        assert capsys.readouterr().out == f"wavcodes {wavcodes.__version__}\n"

    @pytest.mark.parametrize(
        ("error", "code", "expected"),
        [
            (ZeroDivisionError("by zero"), 70, "ZeroDivisionError: by zero. This is a bug in wavcodes"),
            (MemoryError(), 71, "not enough memory"),
            (KeyboardInterrupt(), 130, "interrupted"),
        ],
    )
    def test_what_nobody_expects(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        error: BaseException,
        code: int,
        expected: str,
    ) -> None:
        def fail(*_: object) -> None:
            raise type(error)(*error.args)  # a fresh one, which takes its traceback with it

        run("encode", "a.wav", "x.nac")
        monkeypatch.setattr(sounds.AudioWriter, "write", fail)
        assert run("decode", "x.nac", "y.wav") == code
        said = capsys.readouterr().err
        assert expected in said
        assert "Traceback" not in said
        assert names(folder) == {"a.wav", "x.nac"}


def test_the_help_names_every_suffix(capsys: pytest.CaptureFixture[str]) -> None:
    from wavcodes.audio import SUFFIXES
    from wavcodes.containers import FORMATS

    run("decode", "--help")
    said = capsys.readouterr().out
    assert all(suffix in said for suffix in SUFFIXES)
    run("encode", "--help")
    said = capsys.readouterr().out
    assert all(each.suffix in said for each in FORMATS)
