"""`wavcodes compress` and `decompress`: suffixes, variables, messages, exit codes, and what is left behind."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cli_case import RATE, floats, names, run, vowel
from narrow import narrow

import wavcodes
from wavcodes import registry
from wavcodes.cli import variables
from wavcodes.cli.arguments import parser
from wavcodes.cli.exits import CommandError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with 1.01 s of a vowel in it, and none of the toolkit's variables set."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("NESC_", "LPCNET_", "SNAC_", "ENCODEC_", "TORCH_")) or name == "PYTHON_BIN":
            monkeypatch.delenv(name)
    soundfile.write("a.wav", vowel(1.01), RATE)
    return tmp_path


class TestCommand:
    def test_is_what_encode_and_decode_do(self, capfd: pytest.CaptureFixture) -> None:
        assert run("compress", "a.wav", "a.nac") == 0
        assert capfd.readouterr().out == f"Final file size: {Path('a.nac').stat().st_size}\n"
        assert run("encode", "a.wav", "b.nac") == 0
        assert Path("a.nac").read_bytes() == Path("b.nac").read_bytes()
        assert run("decompress", "a.nac", "a2.wav") == 0
        assert capfd.readouterr().out == f"Final file size: {Path('a2.wav').stat().st_size}\n"
        assert run("decode", "a.nac", "-o", "b.wav") == 0
        assert Path("a2.wav").read_bytes() == Path("b.wav").read_bytes()
        assert len(floats(Path("a2.wav"))) == len(vowel(1.01))

    def test_records(self, capfd: pytest.CaptureFixture) -> None:
        import json

        for argv in (("compress", "a.wav", "a.nac"), ("decompress", "a.nac", "b.wav")):
            assert run(*argv, "--json") == 0
            said = json.loads(capfd.readouterr().out)
            assert (said["command"], said["input"], said["output"]) == argv
            assert said["bytes"] == Path(argv[2]).stat().st_size

    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".opus"])
    @pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (24_000, 1)])
    def test_sound_in_and_out(self, suffix: str, rate: int, channels: int) -> None:
        sound = vowel(1.5, rate)
        name = f"b{suffix}"
        options = {".mp3": "MP3", ".opus": "OGG"}.get(suffix)
        soundfile.write(
            name, np.stack([sound] * channels, 1), rate, format=options, subtype="OPUS" if suffix == ".opus" else None
        )
        assert run("compress", name, "b.nac") == 0
        assert run("decompress", "b.nac", f"c{suffix}") == 0
        back, back_rate = soundfile.read(f"c{suffix}")
        assert (len(back), back_rate) == (round(1.5 * RATE), RATE)

    def test_opus_has_its_own_rates(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
        from wavcodes.audio import written_rate

        assert [written_rate(".opus", rate) for rate in (8_000, 11_025, 32_000, 44_100, 96_000)] == [
            8_000,
            12_000,
            48_000,
            48_000,
            48_000,
        ]
        assert written_rate(".mp3", 44_100) == 44_100
        from wavcodes.cli import sounds

        monkeypatch.setattr(sounds, "written_rate", lambda *_: 24_000)
        run("compress", "a.wav", "a.nac")
        assert run("decompress", "a.nac", "b.flac") == 0
        assert soundfile.info("b.flac").samplerate == 24_000
        assert soundfile.info("b.flac").frames == round(1.01 * 24_000)
        assert "b.flac: resampled from 16000 to 24000 Hz" in capfd.readouterr().err

    @pytest.mark.parametrize(
        ("argv", "code", "text"),
        [
            ("compress a.wav a.foo", 2, "Unsupported extension: foo."),
            ("compress a.wav a", 2, "Unsupported extension: none."),
            ("compress a.wav -", 2, "Unsupported extension: none."),
            ("decompress a.wav a.foo", 2, "Unsupported extension: foo."),
            ("compress none.wav a.nac", 66, "none.wav"),
            ("compress none.wav a.nesc", 66, "none.wav"),
            ("decompress none.lpcnet b.wav", 66, "none.lpcnet"),
            ("decompress a.wav b.wav", 65, "expected a file of codes"),
            ("compress a.wav folder/a.nac", 73, "no folder"),
            ("compress a.wav folder/a.nesc", 73, "no folder"),
            ("compress a.wav a.nac --codec none", 2, "none"),
            ("compress a.wav a.nac --bandwidth 7", 2, "bandwidth"),
            ("compress a.wav a.nac --format ecdc", 2, "--format: expected one of nac"),
            ("compress a.wav a.nesc --timeout 0", 2, "above 0"),
            ("compress a.wav a.lpcnet --bandwidth 3", 2, "--bandwidth: expected wavcodes to do the work, but LPCNet"),
            ("compress a.wav a.nesc --lm-weights x", 2, "--lm-weights: expected wavcodes to do the work"),
            ("decompress a.lpcnet b.wav --weights x", 2, "--weights: expected wavcodes to do the work"),
            ("compress a.wav", 2, ""),
        ],
    )
    def test_what_is_wrong(self, folder: Path, argv: str, code: int, text: str, capfd: pytest.CaptureFixture) -> None:
        assert run(*argv.split()) == code
        assert text in capfd.readouterr().err
        assert names(folder) == {"a.wav"}

    @pytest.mark.parametrize("name", ["a.nac", "a.nesc"])
    def test_an_existing_file_needs_force(self, name: str, capfd: pytest.CaptureFixture) -> None:
        Path(name).write_bytes(b"mine")
        assert run("compress", "a.wav", name) == 73
        assert "use -f" in capfd.readouterr().err
        assert Path(name).read_bytes() == b"mine"

    def test_channels_that_cannot_be_are_refused_before_anything_is_said(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        weights = narrow(monkeypatch, folder, "encodec_48khz")["encodec_48khz"]
        soundfile.write("six.wav", np.zeros((900, 6)), 44_100)
        options = ["--codec", "encodec_48khz", "--bandwidth", "3", "--weights", weights]
        assert run("compress", "six.wav", "six.ecdc", *options) == 65
        (said,) = capfd.readouterr().err.splitlines()
        assert "six.wav: expected 2 channels or one, got 6" in said
        assert "six.ecdc" not in names(folder)

    def test_messages_go_to_a_stream_of_text_in_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import io
        import sys

        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert run("compress", "a.wav", "a.nac") == 0
        assert out.getvalue() == f"Final file size: {Path('a.nac').stat().st_size}\n"
        assert run("compress", "a.wav", "a\udcff.foo") == 2
        assert "a\\udcff.foo" in err.getvalue()

    def test_a_program_that_crashes_while_it_reads(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        from legacy_case import stand_in

        from wavcodes.audio import ffmpeg

        monkeypatch.setattr(ffmpeg, "_pyav", lambda: None)
        program = stand_in(folder / "crashing", "os.read(0, 1)\nos.kill(os.getpid(), 11)")
        monkeypatch.setenv("FFMPEG", str(program))
        soundfile.write("b.wav", vowel(5), RATE)  # more than a pipe holds
        assert run("compress", "b.wav", "b.nac") == 0
        assert run("decompress", "b.nac", "b.m4a") == 70
        assert "was ended by signal 11" in capfd.readouterr().err
        assert "b.m4a" not in names(folder)

    def test_every_suffix_has_a_codec_and_a_container(self) -> None:
        for suffix, name in registry.FOR_SUFFIX.items():
            assert wavcodes.spec(name)
            assert suffix in wavcodes.containers.SUFFIXES


def filled(suffix: str, *argv: str) -> Any:
    """The arguments that a command line and the variables mean."""
    command = "compress" if argv[-1].endswith(suffix) else "decompress"
    arguments = parser().parse_args([command, *argv])
    variables.fill(suffix, arguments)
    return arguments


class TestVariables:
    def test_defaults(self) -> None:
        given = filled(".ecdc", "a.wav", "a.ecdc")
        assert (given.default_codec, given.bandwidth, given.threads) == ("encodec_24khz", 1.5, None)
        assert filled(".snac", "a.wav", "a.snac").default_codec == "snac_24khz"
        assert filled(".dac", "a.wav", "a.dac").default_codec == "dac_44khz"
        assert filled(".lyra", "a.wav", "a.lyra").default_codec == "lyra_v2"

    @pytest.mark.parametrize("bitrate", ["1.5", "3", "6.0", "12", "24"])
    def test_bitrate(self, bitrate: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENCODEC_BITRATE", bitrate)
        assert filled(".ecdc", "a.wav", "a.ecdc").bandwidth == float(bitrate)
        assert filled(".ecdc", "--bandwidth", "3", "a.wav", "a.ecdc").bandwidth == 3
        assert filled(".ecdc", "a.ecdc", "a.wav").bandwidth is None

    def test_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_THREADS", "3")
        assert filled(".nac", "a.wav", "a.nac").threads == 3
        assert filled(".nac", "--threads", "2", "a.wav", "a.nac").threads == 2

    @pytest.mark.parametrize(
        ("environment", "codec", "weights"),
        [
            ({"SNAC_VARIANT": "32khz"}, "snac_32khz", None),
            ({"SNAC_VARIANT": "44khz"}, "snac_44khz", None),
            ({"SNAC_MODEL": "hubertsiuzdak/snac_32khz", "SNAC_SAMPLE_RATE": "32000"}, "snac_32khz", None),
            ({"SNAC_MODEL": "hubertsiuzdak/snac_44khz"}, "snac_44khz", None),
            ({"SNAC_VARIANT": "24khz", "SNAC_MODEL": "hubertsiuzdak/snac_32khz"}, "snac_32khz", None),
            ({"SNAC_MODEL": "me/mine"}, "snac_24khz", "me/mine"),
            ({"SNAC_MODEL": "me/mine", "SNAC_SAMPLE_RATE": "44100"}, "snac_44khz", "me/mine"),
        ],
    )
    def test_snac(
        self, environment: dict[str, str], codec: str, weights: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for argv in (("a.wav", "a.snac"), ("a.snac", "a.wav")):
            given = filled(".snac", *argv)
            assert (given.default_codec, given.weights) == (codec, weights)
        assert filled(".snac", "--codec", "snac_24khz", "--weights", "x", "a.wav", "a.snac").weights == "x"

    @pytest.mark.parametrize(
        ("environment", "text"),
        [
            ({"SNAC_VARIANT": "48khz"}, "SNAC_VARIANT: expected one of 24khz, 32khz, 44khz, got '48khz'"),
            ({"SNAC_SAMPLE_RATE": "16000"}, "SNAC_SAMPLE_RATE: expected 24000"),
            ({"SNAC_SAMPLE_RATE": "fast"}, "SNAC_SAMPLE_RATE: expected a sample rate"),
            ({"SNAC_MODEL": "me/mine", "SNAC_SAMPLE_RATE": "8000"}, "24000, 32000, 44100, the rates of SNAC"),
            ({"TORCH_THREADS": "0"}, "TORCH_THREADS: expected a number of threads"),
            ({"SNAC_SAMPLE_RATE": "1" * 5_000}, "SNAC_SAMPLE_RATE: "),
        ],
    )
    def test_values_that_cannot_be(
        self, environment: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(CommandError, match=text):
            filled(".snac", "a.wav", "a.snac")
        assert run("compress", "a.wav", "a.snac") == 2
        assert text in capfd.readouterr().err

    @pytest.mark.parametrize("bitrate", ["fast", "-1", "7"])
    def test_a_bitrate_that_cannot_be(
        self, bitrate: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        monkeypatch.setenv("ENCODEC_BITRATE", bitrate)
        assert run("compress", "a.wav", "a.ecdc") == 2
        assert "a.ecdc" not in names(Path())


class TestCodecs:
    """With random weights in networks of few channels."""

    @pytest.mark.parametrize(
        ("suffix", "codec"),
        [(".ecdc", "encodec_24khz"), (".ecdc", "encodec_48khz"), (".snac", "snac_24khz"), (".dac", "dac_16khz")],
    )
    def test_there_and_back(self, folder: Path, suffix: str, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
        weights = narrow(monkeypatch, folder, codec)[codec]
        options = ["--weights", weights, "--codec", codec]
        if codec == "encodec_48khz":
            options += ["--bandwidth", "3"]
        assert run("compress", "a.wav", f"a{suffix}", *options) == 0
        codes = wavcodes.read(f"a{suffix}", framing=wavcodes.spec(codec).framing())
        assert (codes.framing.codec, codes.duration) == (codec, pytest.approx(1.01))
        assert run("decompress", f"a{suffix}", "b.wav", *options[:4]) == 0
        info, spec = soundfile.info("b.wav"), wavcodes.spec(codec)
        assert (info.samplerate, info.channels) == (spec.sample_rate, spec.channels)
        assert info.frames == round(1.01 * spec.sample_rate)

    @pytest.mark.parametrize(("bitrate", "books"), [(None, 2), ("3", 4), ("24", 32)])
    def test_encodec_bitrate(
        self, folder: Path, bitrate: str | None, books: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        weights = narrow(monkeypatch, folder, "encodec_24khz")["encodec_24khz"]
        if bitrate:
            monkeypatch.setenv("ENCODEC_BITRATE", bitrate)
        assert run("compress", "a.wav", "a.ecdc", "--weights", weights) == 0
        assert wavcodes.read("a.ecdc").num_codebooks == books

    def test_the_layout_of_the_toolkit(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        weights = narrow(monkeypatch, folder, "encodec_24khz")["encodec_24khz"]
        assert run("compress", "a.wav", "a.ecdc", "--format", "ecdc-hermes", "--weights", weights) == 0
        assert Path("a.ecdc").read_bytes()[:12] == np.int32([24_000, 1, 1]).astype("<i4").tobytes()
        assert run("decompress", "a.ecdc", "b.wav", "--weights", weights) == 0
        frames = -(-round(1.01 * 24_000) // 320)
        assert soundfile.info("b.wav").frames == 320 * frames

    def test_an_old_file_that_states_no_model(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import pickle
        import zlib

        weights = narrow(monkeypatch, folder, "snac_32khz")["snac_32khz"]
        codes = [np.zeros(4 * 2**k, np.uint16) for k in range(4)]
        Path("old.snac").write_bytes(zlib.compress(pickle.dumps({"codes": codes})))
        monkeypatch.setenv("SNAC_VARIANT", "32khz")
        assert run("decompress", "old.snac", "b.wav", "--weights", weights) == 0
        info = soundfile.info("b.wav")
        assert (info.samplerate, info.frames) == (32_000, 32 * 384)
