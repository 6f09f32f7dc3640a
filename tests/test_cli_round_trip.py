"""The command line from sound to codes and back, whole and in stretches, against the library; with the codec that the
package brings along."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, enter_folder, floats, pcm16, run, vowel

import wavcodes
from wavcodes.audio import AudioReader
from wavcodes.cli import arguments
from wavcodes.containers import open_reader


@pytest.fixture(scope="module")
def codec() -> wavcodes.Codec:
    return wavcodes.load("wavcodes_16khz")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


def levels(clip: np.ndarray) -> np.ndarray:
    """Of bands of 250 Hz in frames of 32 ms, dB."""
    frames = np.lib.stride_tricks.sliding_window_view(clip, 512)[::256] * np.hanning(512)
    bands = np.abs(np.fft.rfft(frames))[:, :256].reshape(len(frames), 32, 8).sum(2)
    return 20 * np.log10(bands + 0.05).ravel()


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
        # The codec makes up phases: what is heard is there, in bands of 250 Hz and frames of 32 ms.
        assert np.corrcoef(levels(before), levels(after))[0, 1] > 0.95

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
