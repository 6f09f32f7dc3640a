"""Where the command line writes what, what it refuses to overwrite, and what goes wrong in one line and a code."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, enter_folder, names, run, vowel

import wavcodes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


class TestOutputs:
    def test_several_inputs_go_beside_themselves_or_into_a_folder(self, folder: Path) -> None:
        (folder / "sub").mkdir()
        soundfile.write("sub/b.c.wav", vowel(0.5), RATE)
        assert run("encode", "a.wav", "sub/b.c.wav") == 0
        assert names(folder / "sub") == {"b.c.wav", "b.c.nac"}
        assert run("encode", "a.wav", "sub/b.c.wav", "--output-dir", "new/er") == 0
        assert names(folder / "new" / "er") == {"a.nac", "b.c.nac"}
        assert run("decode", "new/er/a.nac", "new/er/b.c.nac", "--output-dir", "back") == 0
        assert names(folder / "back") == {"a.wav", "b.c.wav"}

    def test_a_name_behind_an_option(self, folder: Path) -> None:
        assert run("encode", "a.wav", "--bandwidth", "3", "b.nac") == 0
        assert run("encode", "--num-codebooks", "6", "a.wav", "-f", "c.nac") == 0
        assert names(folder) == {"a.wav", "b.nac", "c.nac"}
        assert Path("b.nac").read_bytes() == Path("c.nac").read_bytes()

    def test_an_unknown_option_shows_the_usage_of_the_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("encode", "a.wav", "--nope") == 2
        assert capsys.readouterr().err.startswith("usage: wavcodes encode ")

    @pytest.mark.parametrize(
        ("name", "options"), [("b.ecdc", []), ("b.ecdc", ["--lm", "--lm-weights", "none"]), ("b.dac", [])]
    )
    def test_the_suffix_chooses_the_codec(
        self, folder: Path, name: str, options: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("encode", "a.wav", name, "--weights", ".", *options) == 69
        codec = {".ecdc": "encodec_24khz", ".dac": "dac_44khz"}[Path(name).suffix]
        assert codec in capsys.readouterr().err

    def test_an_existing_file_is_kept_unless_forced(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("a.nac").write_text("precious")
        assert run("encode", "a.wav") == 73
        assert "a.nac exists already; use -f" in capsys.readouterr().err
        assert run("encode", "a.wav", "--weights", "nowhere") == 73  # told before weights are looked for
        assert Path("a.nac").read_text() == "precious"
        assert run("encode", "a.wav", "-f") == 0
        assert wavcodes.read("a.nac").num_samples == len(vowel(3.21))

    def test_the_input_is_never_the_output(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run("encode", "a.wav")
        os.link("a.nac", "same.wav")
        assert run("decode", "a.nac", "-o", "same.wav", "-f") == 73
        assert "the same file" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("argv", "code", "expected"),
        [
            (["encode"], 2, "required: FILE"),
            ([], 2, "required: COMMAND"),
            (["encode", "a.wav", "b.wav", "-o", "c.nac"], 2, "-o names one output, got 2 inputs"),
            (["encode", "a.wav", "./a.wav"], 2, "a.wav and ./a.wav would both become a.nac"),
            (["encode", "a.wav", "g.wav", "none/../g.flac"], 2, "g.wav and none/../g.flac would both become"),
            (["encode", "a.wav", "a.opus"], 2, "an input that exists, or an output named .nac, .ecdc, .snac, "),
            (["encode", "none.wav", "b.lpcnet"], 2, "got b.lpcnet; check it"),
            (["encode", "a.wav", "--bandwith", "3"], 2, "unrecognized arguments: --bandwith 3"),
            (["encode", "--", "a.wav", "--bandwidth"], 2, "got --bandwidth; check it"),
            (["encode", "a.wav", "--codec", "encodec"], 2, "did you mean encodec_24khz? there are"),
            (
                ["encode", "a.wav", "--codec", "encodec_24khz", "--weights", "."],
                69,
                "the folder . lacks model.safetensors; ",
            ),
            (["encode", "a.wav", "--format", "ecdc", "--weights", "nowhere"], 2, "--format: expected one of nac"),
            (["encode", "no/such.wav"], 66, "cannot read no/such.wav: No such file"),
            (["encode", "."], 66, "cannot read .: it is a folder"),
            (["decode", "a.wav", "b.wav", "--salvage"], 65, "expected a file of codes"),
            (["encode", "-", "--output-dir", "x"], 2, "no name for a file"),
            (["encode", "-", "-", "--output-dir", "x"], 2, "can be read only once"),
            (["encode", "a.wav", "-o", "a.mp3"], 2, "expected an output named .nac, .ecdc, "),
            (["encode", "a.wav", "-o", "x/y/a.nac"], 73, "no folder x/y"),
            (["encode", "a.wav", "-o", "."], 73, "it is a folder"),
            (["encode", "a.wav", "--output-dir", "a.wav"], 73, "cannot make the folder a.wav"),
            (["encode", "a.wav", "-", "--json"], 2, "--json prints on standard output"),
            (["encode", "a.wav", "--codec", "encodec_24kh"], 2, "did you mean encodec_24khz"),
            (["encode", "a.wav", "--codec", ""], 2, "expected the name of a codec, got ''"),
            (["encode", "a.wav", "--bandwidth", "7"], 2, "bandwidths of 0.5, 1, 1.5"),
            (["encode", "a.wav", "--bandwidth", "1_0"], 2, "expected a number of kbps"),
            (["decode", "a.nac", "--bandwidth", "nan"], 2, "expected a number of kbps"),
            (["decode", "a.nac", "--bandwidth", "0"], 2, "expected a number of kbps"),
            (["encode", "a.wav", "--threads", "0"], 2, "1 or more, got '0'"),
            (["encode", "a.wav", "--weights", "no/such/file"], 69, "'no/such/file', which does not exist"),
            (["encode", "none.wav"], 66, "none.wav: No such file"),
            (["info", "."], 66, "folder"),
            (["decode", "a.wav"], 73, "the same file"),
            (["decode", "a.wav", "b.wav"], 65, "expected a file of codes"),
            (["info", "a.wav"], 65, "expected a file of codes"),
            (["download"], 2, "names of codecs, or --all"),
            (["download", "mini"], 2, "there are: wavcodes_16khz"),
        ],
    )
    def test_what_goes_wrong_is_one_line_and_a_code(
        self, folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, expected: str
    ) -> None:
        assert run(*argv) == code
        said = capsys.readouterr()
        assert said.out == "" or "--json" in argv
        last = said.err.splitlines()[-1]
        assert last.startswith(("wavcodes: error: ", " ".join(["wavcodes", *argv[:1]]) + ": error: "))
        assert expected in last
        assert "Traceback" not in said.err
        assert names(folder) == {"a.wav"}

    def test_one_bad_input_does_not_stop_the_others(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("text.wav").write_text("no sound at all\n" * 9)
        soundfile.write("nan.wav", np.float32([0, np.nan]), RATE, "FLOAT")
        soundfile.write("z.wav", vowel(0.5), RATE)
        assert run("encode", "a.wav", "text.wav", "nan.wav", "none.wav", "z.wav") == 1
        assert {path.name for path in folder.glob("*.nac")} == {"a.nac", "z.nac"}
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 4
        assert "text.wav: expected audio" in lines[0]
        assert "nan.wav: expected finite samples, but sample 1" in lines[1]
        assert "none.wav" in lines[2]
        assert lines[3] == "wavcodes: error: 3 of 5 inputs failed: text.wav, nan.wav, none.wav"

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
    def test_no_permission(self, folder: Path) -> None:
        (folder / "locked").mkdir(mode=0o500)
        assert run("encode", "a.wav", "-o", "locked/a.nac") == 77

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a Linux device that is always full")
    def test_a_full_disk(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("encode", "a.wav", "-o", "/dev/full") == 74
        run("encode", "a.wav")
        assert run("decode", "a.nac", "-o", "/dev/full") == 74
        assert capsys.readouterr().err.count("No space left on device") == 2

    def test_a_failure_in_the_middle_leaves_nothing(self, folder: Path) -> None:
        audio = vowel(6.0).astype(np.float32) / 32768
        audio[90_000] = np.inf
        soundfile.write("late.wav", audio, RATE, "FLOAT")
        before = names(folder)
        assert run("encode", "late.wav") == 65
        assert names(folder) == before
