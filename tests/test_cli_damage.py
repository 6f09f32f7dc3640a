"""The command line with files that are damaged, cut, or of other codecs and weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, enter_folder, floats, names, pcm16, run, vowel
from container_case import clip

import wavcodes
from wavcodes.containers import Header, open_writer


@pytest.fixture(scope="module")
def codec() -> wavcodes.Codec:
    return wavcodes.load("wavcodes_16khz")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


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
