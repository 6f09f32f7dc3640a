"""The command line from end to end, with the codec that the package brings along."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, enter_folder, floats, names, pcm16, run, vowel
from container_case import clip

import wavcodes
from wavcodes.audio import AudioReader
from wavcodes.cli import arguments, models, sounds
from wavcodes.containers import Header, dac, open_reader, open_writer
from wavcodes.containers.dac import DacFile
from wavcodes.weights import Located


@pytest.fixture(scope="session")
def codec() -> wavcodes.Codec:
    return wavcodes.load("wavcodes_16khz")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


class TestRoundTrip:
    def test_equals_the_library(self, folder: Path, codec: wavcodes.Codec) -> None:
        assert run("encode", "a.wav") == 0
        codes = codec.encode(floats(folder / "a.wav"), RATE)
        assert wavcodes.read("a.nac") == codes
        with open("a.nac", "rb") as file:
            header = open_reader(file).header
        assert (header.num_samples, header.weights_digest) == (codes.num_samples, codec.weights_digest)
        assert run("decode", "a.nac", "-o", "b.wav") == 0
        decoded, rate = soundfile.read("b.wav", dtype="int16")
        assert rate == RATE
        np.testing.assert_array_equal(decoded, pcm16(codec.decode(codes)[0]))

    def test_precision(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAVCODES_ISA", "generic")  # which has it everywhere
        codec = wavcodes.load("wavcodes_16khz", precision="bf16")
        assert run("encode", "a.wav", "--to", "0.2", "--precision", "bf16") == 0
        codes = codec.encode(floats(folder / "a.wav")[: RATE // 5], RATE)
        assert wavcodes.read("a.nac") == codes
        assert run("decode", "a.nac", "b.wav", "--precision", "bf16") == 0
        np.testing.assert_array_equal(soundfile.read("b.wav", dtype="int16")[0], pcm16(codec.decode(codes)[0]))

    def test_the_sound_is_still_there(self, folder: Path) -> None:
        assert run("encode", "a.wav") == run("decode", "a.nac", "b.wav") == 0
        before, after = floats(folder / "a.wav"), floats(folder / "b.wav")
        assert len(before) == len(after)
        assert np.corrcoef(before, after)[0, 1] > 0.9

    def test_another_rate_and_two_channels_are_converted_and_said(
        self, folder: Path, codec: wavcodes.Codec, capsys: pytest.CaptureFixture[str]
    ) -> None:
        left, right = vowel(2.0, 44_100), vowel(2.0, 44_100)[::-1]
        soundfile.write("stereo.flac", np.stack([left, right], axis=1), 44_100)
        assert run("encode", "stereo.flac", "--bandwidth", "3") == 0
        mono = wavcodes.to_mono(floats(folder / "stereo.flac").T)
        assert wavcodes.read("stereo.nac") == codec.encode(wavcodes.resample(mono, 44_100, RATE), RATE, bandwidth=3.0)
        said = capsys.readouterr()
        assert "stereo.flac: 2 channels mixed down to mono" in said.err
        assert "stereo.flac: resampled from 44100 to 16000 Hz" in said.err
        assert said.out == ""

    def test_a_lower_bandwidth_can_be_decoded(self, folder: Path, codec: wavcodes.Codec) -> None:
        run("encode", "a.wav")
        assert run("decode", "a.nac", "b.wav", "--bandwidth", "1.5") == 0
        expected = codec.decode(wavcodes.read("a.nac").codebooks(3))[0]
        np.testing.assert_array_equal(soundfile.read("b.wav", dtype="int16")[0], pcm16(expected))
        run("encode", "a.wav", "-f", "--bandwidth", "3")
        assert run("decode", "a.nac", "c.wav", "--bandwidth", "6") == 65

    @pytest.mark.parametrize("suffix", ["flac", "ogg"])
    def test_other_outputs(self, folder: Path, suffix: str) -> None:
        run("encode", "a.wav")
        assert run("decode", "a.nac", f"b.{suffix}") == 0
        assert soundfile.info(f"b.{suffix}").frames == len(vowel(3.21))

    def test_the_shortest_audio(self, folder: Path) -> None:
        soundfile.write("one.wav", np.int16([1000]), RATE)
        assert run("encode", "one.wav") == run("decode", "one.nac", "-o", "back.wav") == 0
        assert soundfile.info("back.wav").frames == 1

    def test_lyra_packets_need_the_bandwidth_where_their_size_is_uncertain(
        self, folder: Path, shared: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        weights = shared / "weights" / "lyra_v2_1.2"
        soundfile.write("short.wav", vowel(0.16), RATE)
        assert run("encode", "short.wav", "short.lyra", "--codec", "lyra-v2", "--weights", weights) == 0
        assert os.path.getsize("short.lyra") == 120  # 8 packets of 15 bytes, or 15 of 8
        assert run("decode", "short.lyra", "--weights", weights, "-o", "b.wav") == 65
        assert "--bandwidth" in capsys.readouterr().err
        assert run("decode", "short.lyra", "--weights", weights, "-o", "b.wav", "--bandwidth", "6") == 0
        assert run("decompress", "short.lyra", "c.wav", "--weights", weights, "--bandwidth", "6") == 0
        assert Path("c.wav").read_bytes() == Path("b.wav").read_bytes()
        assert soundfile.info("b.wav").frames == 8 * 320


class TestTimes:
    @pytest.mark.parametrize(("start", "stop"), [("1", "2.5"), ("0:01.234", None), (None, "0:02"), ("0.5", "99")])
    def test_encode_cuts_the_audio(
        self, folder: Path, codec: wavcodes.Codec, start: str | None, stop: str | None
    ) -> None:
        limits = [*(["--from", start] if start else []), *(["--to", stop] if stop else [])]
        assert run("encode", "a.wav", *limits) == 0
        first = round(float((start or "0").split(":")[-1]) * RATE)
        last = round(float(stop.split(":")[-1]) * RATE) if stop else None
        assert wavcodes.read("a.nac") == codec.encode(floats(folder / "a.wav")[first:last], RATE)

    @pytest.mark.parametrize(
        ("start", "stop"), [("1.5", "2.5"), ("2.9", None), (None, "0:00.5"), ("3.2", "99"), ("0.01", "0.02")]
    )
    def test_decode_gives_that_part_of_the_whole(self, folder: Path, start: str | None, stop: str | None) -> None:
        limits = [*(["--from", start] if start else []), *(["--to", stop] if stop else [])]
        run("encode", "a.wav")
        assert run("decode", "a.nac", "whole.wav") == run("decode", "a.nac", "part.wav", *limits) == 0
        first = round(float(start or 0) * RATE)
        last = round(float(stop.split(":")[-1]) * RATE) if stop else None
        whole, part = (soundfile.read(name, dtype="int16")[0] for name in ("whole.wav", "part.wav"))
        np.testing.assert_array_equal(part, whole[first:last])

    @pytest.mark.parametrize("command", ["encode", "decode"])
    def test_nothing_selected(self, folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        run("encode", "a.wav", "b.nac")
        source = "a.wav" if command == "encode" else "b.nac"
        assert run(command, source, "--from", "3.21", "-f") == 65
        assert "lasts 3.210 s; --from 3.21 selects nothing" in capsys.readouterr().err
        assert run(command, source, "--from", "2", "--to", "1", "-f") == 2

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90", 90), ("1:30", 90), ("0:01.25", 1.25), ("1:02:03.5", 3723.5), ("0", 0), ("75.5", 75.5)],
    )
    def test_times(self, text: str, seconds: float) -> None:
        parsed = arguments.parser().parse_args(["encode", "a.wav", "--from", text])
        assert parsed.start == seconds

    @pytest.mark.parametrize("text", ["", "-1", "1:60", "1:2:3:4", "nan", "inf", "a", "1:-5", "1.5:00", ":30", "1_0"])
    def test_what_is_no_time(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("encode", "a.wav", f"--from={text}") == 2
        assert "expected a time such as 90, 1:30" in capsys.readouterr().err

    @pytest.mark.parametrize("text", ["1e308", "1e306", "1000000001", "9" * 400 + ":30", "9" * 5000 + ":00:00"])
    @pytest.mark.parametrize("argv", [("encode", "a.wav", "--from"), ("decode", "a.nac", "--to")])
    def test_a_time_beyond_all_audio(
        self, folder: Path, text: str, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(*argv, text) == 2
        assert "expected a time of at most 1000000000 s" in capsys.readouterr().err

    def test_the_longest_time_is_beyond_the_end(self, folder: Path) -> None:
        assert run("encode", "a.wav", "--to", "1e9") == run("decode", "a.nac", "b.wav", "--to", "1e9") == 0


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


class TestDamage:
    @pytest.fixture
    def damaged(self, folder: Path) -> Path:
        """`d.nac`: 6 s with a wrong bit in the third of its six blocks."""
        soundfile.write("d.wav", vowel(6.0), RATE)
        run("encode", "d.wav")
        data = bytearray(Path("d.nac").read_bytes())
        data[len(data) * 5 // 12] ^= 1
        Path("d.nac").write_bytes(data)
        return folder

    def test_damage_is_an_error(self, damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("decode", "d.nac", "e.wav") == 65
        assert "e.wav" not in names(damaged)
        assert "d.nac" in capsys.readouterr().err

    def test_salvage_gives_silence_for_what_is_lost(
        self, damaged: Path, codec: wavcodes.Codec, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("decode", "d.nac", "e.wav", "--salvage") == 0
        assert "lost: 2.000 s to 3.000 s" in capsys.readouterr().err
        salvaged = soundfile.read("e.wav", dtype="int16")[0]
        whole = pcm16(codec.decode(codec.encode(floats(damaged / "d.wav"), RATE))[0])
        assert len(salvaged) == len(whole)
        first, behind = 2 * RATE, 3 * RATE
        assert not salvaged[first:behind].any()
        np.testing.assert_array_equal(salvaged[: first - 320], whole[: first - 320])  # the last frame needs the next
        np.testing.assert_array_equal(salvaged[behind + RATE :], whole[behind + RATE :])

    @pytest.mark.parametrize("command", [("decode",), ("decompress",)])
    def test_an_error_says_what_salvage_saves(
        self, damaged: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(*command, "d.nac", "e.wav") == 65
        said = capsys.readouterr().err
        assert "wavcodes decode --salvage saves 5.000 s of it (lost: 2.000 s to 3.000 s)" in said
        assert "wavcodes.containers" not in said

    def test_salvage_says_nothing_is_lost_behind_the_end(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run("encode", "a.wav")
        Path("a.nac").write_bytes(Path("a.nac").read_bytes()[:1_500])
        assert run("decode", "a.nac", "b.wav") == 65
        assert "to 3.210 s)" in capsys.readouterr().err

    def test_only_one_format_can_be_salvaged(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        wavcodes.write("b.ecdc", clip(wavcodes.spec("encodec_24khz").framing(), 9_000))
        assert run("decode", "b.ecdc", "--salvage") == 65
        assert "b.ecdc: --salvage: expected a .nac file, got a .ecdc" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("command", "name", "codec"),
        [
            ("decode --salvage", "b.nac", "mimi"),
            *(
                (command, *file)
                for command in ("decode", "convert", "info", "test", "decompress")
                for file in (("b.nac", "mimi"), ("b.dac", "dac_16khz"), ("b.ecdc", "encodec_48khz"))
            ),
        ],
    )
    def test_a_codec_other_than_the_file_states(
        self, folder: Path, command: str, name: str, codec: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wavcodes.write(name, clip(wavcodes.spec(codec).framing(), 90_000))
        target = [] if command in ("info", "test") else ["c.nac" if command == "convert" else "c.wav"]
        assert run(*command.split(), name, *target, "--codec", "encodec_24khz") == 65
        wrong = f"{name}: expected codes of encodec_24khz, got a file that states {codec}; leave --codec out"
        assert wrong in capsys.readouterr().err
        assert names(folder) == {"a.wav", name}

    def test_files_of_other_programs_codecs(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("b.lpcnet").write_bytes(bytes(80))
        for command in ("info", "test", "decode"):
            assert run(command, "b.lpcnet") == 65
            assert "wavcodes decompress takes it" in capsys.readouterr().err

    def test_salvage_of_a_stretch(self, damaged: Path) -> None:
        assert run("decode", "d.nac", "e.wav", "--salvage") == 0
        assert run("decode", "d.nac", "f.wav", "--salvage", "--from", "1.5", "--to", "4.25") == 0
        whole, part = (soundfile.read(name, dtype="int16")[0] for name in ("e.wav", "f.wav"))
        np.testing.assert_array_equal(part, whole[24_000:68_000])

    @pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
    def test_a_cut_file(self, folder: Path, keep: float, capsys: pytest.CaptureFixture[str]) -> None:
        run("encode", "a.wav")
        data = Path("a.nac").read_bytes()
        Path("a.nac").write_bytes(data[: int(keep * len(data))])
        assert run("decode", "a.nac", "b.wav") == 65
        assert "b.wav" not in names(folder)
        assert "cut" in capsys.readouterr().err
        assert run("decode", "a.nac", "b.wav", "--salvage") == 0
        assert soundfile.info("b.wav").frames == len(vowel(3.21))

    def test_a_header_that_claims_years(self, folder: Path, codec: wavcodes.Codec) -> None:
        codes = codec.encode(floats(folder / "a.wav"), RATE)
        with open("years.nac", "wb") as file:
            header = replace(Header.of_codes(codes), num_samples=2**40)
            open_writer(file, "years.nac", header).write(codes)
        before = names(folder)
        for arguments_ in (["-o", "b.wav"], ["-o", "b.flac"], ["-o", "b.flac", "--salvage"]):
            assert run("decode", "years.nac", *arguments_) == 65
        assert names(folder) == before
        assert run("decode", "years.nac", "-o", "b.flac", "--salvage", "--to", "3") == 0
        assert soundfile.info("b.flac").frames == 3 * RATE

    def test_other_weights(self, folder: Path, codec: wavcodes.Codec, capsys: pytest.CaptureFixture[str]) -> None:
        wavcodes.write("a.nac", codec.encode(floats(folder / "a.wav"), RATE), weights_digest=b"\1" * 32)
        assert run("decode", "a.nac", "b.wav") == 65
        said = capsys.readouterr().err
        assert "other weights of wavcodes_16khz" in said
        assert "--salvage" not in said
        assert run("decode", "a.nac", "b.wav", "-f") == 0
        assert "other weights of wavcodes_16khz" in capsys.readouterr().err

    def test_a_file_of_a_codec_that_is_not_here(self, folder: Path, codec: wavcodes.Codec) -> None:
        codes = codec.encode(floats(folder / "a.wav"), RATE)
        for number, changes in enumerate(({"codec": "wavcodes_15khz"}, {"hop_length": 640}, {"strides": (1,) * 13})):
            name = f"{number}.nac"
            with open(name, "wb") as file:
                open_writer(file, name, Header(replace(codes.framing, **changes))).close()
            assert run("decode", name, "b.wav") == 65
            assert "b.wav" not in names(folder)


class TestSpeech:
    """What the command says, and where."""

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


def test_a_long_file_is_read_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    blocks = AudioReader.blocks

    def watched(self: AudioReader, *limits: int) -> object:
        for block in blocks(self, *limits):
            lengths.append(block.shape[1])
            yield block

    monkeypatch.setattr(AudioReader, "blocks", watched)
    soundfile.write("long.wav", vowel(60.0), RATE)
    assert run("encode", "long.wav") == 0
    assert sum(lengths) == 60 * RATE
    assert max(lengths) <= 5 * RATE
