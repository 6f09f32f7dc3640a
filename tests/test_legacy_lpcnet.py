"""LPCNet files: the speech that libcodec2 gives back, our layout of it, and packets through a program."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, floats, names, run, vowel
from exact import numbers
from legacy_case import LPCNET, stand_in

from wavcodes import resample
from wavcodes.crc32c import crc32c
from wavcodes.legacy import CODECS, Scratch, codec2

SPEECH = (
    "speech_f_de_48k_kerstin_a.flac",
    pytest.param("speech_f_en_16k_libri_1088.flac", marks=pytest.mark.slow),
    pytest.param("speech_m_en_16k_arctic_aew.wav", marks=pytest.mark.slow),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a second and a bit of a vowel in it, and no variable set."""
    monkeypatch.chdir(tmp_path)
    for name in ("LPCNET_ENC", "LPCNET_DEC", "WAVCODES_CODEC2"):
        monkeypatch.delenv(name, raising=False)
    soundfile.write("a.wav", vowel(1.01), RATE)
    codec2.is_there.cache_clear()
    return tmp_path


@pytest.fixture
def demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for lpcnet_demo, which both variables name."""
    path = stand_in(folder / "lpcnet_demo", LPCNET)
    monkeypatch.setenv("LPCNET_ENC", str(path))
    monkeypatch.setenv("LPCNET_DEC", str(path))
    return path


def envelope(audio: np.ndarray) -> np.ndarray:
    """Energy of frames of 20 ms in dB, down to -60 dB of the loudest, without its mean."""
    frames = audio[: len(audio) // 320 * 320].reshape(-1, 320)
    energy = (frames.astype(np.float64) ** 2).mean(axis=1)
    level = 10 * np.log10(np.maximum(energy, energy.max() * 1e-6))
    return level - level.mean()


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of the envelopes."""
    a, b = envelope(first), envelope(second)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.usefixtures("codec2")
class TestLibrary:
    @pytest.mark.parametrize("name", SPEECH)
    def test_speech_comes_back(self, shared: Path, name: str) -> None:
        audio, rate = soundfile.read(shared / "audio/test" / name, dtype="float32", stop=8 * 48_000)
        audio = audio[: 5 * rate]
        soundfile.write("speech.wav", audio, rate)
        assert run("compress", "speech.wav", "speech.lpcnet", "-q") == 0
        assert run("decompress", "speech.lpcnet", "out.wav") == 0
        back = floats(Path("out.wav"))
        original = resample(audio, rate, RATE)
        assert len(back) == len(original)
        assert likeness(original, back) >= 0.9
        assert abs(likeness(original, numbers(1, len(original)))) <= 0.3
        # 52 bits for each 30 ms: 1733 b/s, for the audio and the delay of the codec
        frames = -(-(len(original) + 920) // 480)
        assert Path("speech.lpcnet").stat().st_size == 22 + -(-frames * 52 // 8)
        assert round(52 / 0.030) == 1733

    @pytest.mark.parametrize("num_samples", [1, 479, 480, 481, 40, 960])
    def test_the_length_is_true(self, num_samples: int) -> None:
        soundfile.write("b.wav", vowel(0.5)[2_000 : 2_000 + num_samples], RATE)
        assert run("compress", "b.wav", "b.lpcnet") == 0
        assert run("decompress", "b.lpcnet", "out.wav") == 0
        assert len(floats(Path("out.wav"))) == num_samples

    def test_the_same_sound_makes_the_same_file(self) -> None:
        for name in ("one.lpcnet", "two.lpcnet"):
            assert run("compress", "a.wav", name) == 0
        assert Path("one.lpcnet").read_bytes() == Path("two.lpcnet").read_bytes()
        for name in ("one.wav", "two.wav"):
            assert run("decompress", "one.lpcnet", name) == 0
        assert Path("one.wav").read_bytes() == Path("two.wav").read_bytes()

    def test_the_layout(self) -> None:
        run("compress", "a.wav", "a.lpcnet")
        data = Path("a.lpcnet").read_bytes()
        num_samples = len(vowel(1.01))
        assert data[:18] == b"\x89LPC2\r\n\x1a\x01\x00" + struct.pack("<Q", num_samples)
        assert data[18:22] == struct.pack("<I", crc32c(data[:18] + data[22:]))
        frames = -(-(num_samples + 920) // 480)
        assert len(data) == 22 + -(-52 * frames // 8)
        assert data[-1] & 15 == 0 if frames % 2 else True

    def test_every_damage_is_found(self, folder: Path) -> None:
        run("compress", "a.wav", "a.lpcnet")
        data = Path("a.lpcnet").read_bytes()
        cases = [data[:-1], data[:30], data[:9], data[:22], data + b"\0"]
        cases += [bytes([*data[:at], data[at] ^ 1 << at % 8, *data[at + 1 :]]) for at in range(8, len(data), 7)]
        before = {*names(folder), "b.lpcnet"}
        for case in cases:
            Path("b.lpcnet").write_bytes(case)
            assert run("decompress", "b.lpcnet", "b.wav", "-qq") == 65
        assert names(folder) == before

    def test_the_program_goes_before_the_library(self, demo: Path) -> None:
        assert run("compress", "a.wav", "a.lpcnet") == 0
        assert not Path("a.lpcnet").read_bytes().startswith(codec2.MAGIC)

    def test_a_file_of_the_library_needs_no_program(self, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LPCNET_ENC")
        run("compress", "a.wav", "a.lpcnet")
        assert Path("a.lpcnet").read_bytes().startswith(codec2.MAGIC)
        stand_in(demo, "sys.exit('not me')")
        assert run("decompress", "a.lpcnet", "b.wav") == 0

    def test_packets_are_not_for_the_library(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        Path("a.lpcnet").write_bytes(bytes(80))
        assert run("decompress", "a.lpcnet", "b.wav") == 69
        assert "LPCNET_DEC is not set" in (said := capfd.readouterr().err)
        assert "libcodec2 cannot decode" in said


class TestWithoutLibrary:
    @pytest.fixture(autouse=True)
    def _no_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAVCODES_CODEC2", "none-such.so")

    def test_compress_says_what_is_missing(self, folder: Path, capfd: pytest.CaptureFixture) -> None:
        assert run("compress", "a.wav", "a.lpcnet") == 69
        said = capfd.readouterr().err
        assert all(text in said for text in ("LPCNET_ENC", "lpcnet_demo", "libcodec2-1.0"))
        assert names(folder) == {"a.wav"}

    def test_decompress_says_what_is_missing(self, capfd: pytest.CaptureFixture) -> None:
        head = b"\x89LPC2\r\n\x1a\x01\x00" + struct.pack("<Q", 40)
        frames = bytes(13)  # of 960 samples: 40 and the delay
        Path("a.lpcnet").write_bytes(head + struct.pack("<I", crc32c(head + frames)) + frames)
        assert run("decompress", "a.lpcnet", "b.wav") == 69
        assert "WAVCODES_CODEC2" in capfd.readouterr().err


class TestProgram:
    @pytest.mark.parametrize("num_samples", [1, 639, 640, 641, 16_000])
    def test_nothing_is_dropped(self, demo: Path, num_samples: int) -> None:
        sound = np.full(num_samples, 1_000, np.int16)
        sound[-1] = 9_000
        soundfile.write("b.wav", sound, RATE)
        assert run("compress", "b.wav", "b.lpcnet") == 0
        packets = -(-num_samples // 640)
        expected = [k.to_bytes(4, "big") + (1_000).to_bytes(4, "big") for k in range(packets - 1)]
        last = (packets - 1).to_bytes(4, "big") + (9_000).to_bytes(4, "big")
        assert Path("b.lpcnet").read_bytes() == b"".join([*expected, last])
        assert run("decompress", "b.lpcnet", "out.wav") == 0
        read, rate = soundfile.read("out.wav", dtype="int16")
        assert (len(read), rate, int(read[-1])) == (640 * packets, RATE, 9_000)

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ("sys.exit(3)", "failed with exit code 3"),
            ("sys.exit('cannot open x')", "exit code 1: cannot open x"),
            ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
            ("", "there is none"),
            ("open(argv[2], 'wb')", "got 0"),
            ("open(argv[2], 'wb').write(b'1234567')", "got "),
            ("time.sleep(60)", "within 0.5 s"),
        ],
    )
    @pytest.mark.parametrize("command", [("compress", "a.wav", "b.lpcnet"), ("decompress", "a.lpcnet", "b.wav")])
    def test_failures(
        self, folder: Path, demo: Path, command: tuple[str, ...], body: str, text: str, capfd: pytest.CaptureFixture
    ) -> None:
        Path("a.lpcnet").write_bytes(bytes(16))
        before = names(folder)
        stand_in(demo, body)
        assert run(*command, *(["--timeout", "0.5"] if "sleep" in body else [])) == 70
        assert text in capfd.readouterr().err
        assert names(folder) == before

    @pytest.mark.slow
    def test_what_hangs_is_ended_with_all_that_it_started(self, folder: Path, demo: Path) -> None:
        stand_in(demo, "if os.fork():\n    time.sleep(60)\ntime.sleep(2)\nopen('late', 'w')")
        assert run("compress", "a.wav", "b.lpcnet", "--timeout", "0.4", "-qq") == 70
        time.sleep(2.2)
        assert names(folder) == {"a.wav", "lpcnet_demo"}

    @pytest.mark.parametrize("size", [0, 1, 7, 9, 15])
    def test_broken_packets(self, demo: Path, size: int, capfd: pytest.CaptureFixture) -> None:
        Path("a.lpcnet").write_bytes(bytes(size))
        assert run("decompress", "a.lpcnet", "b.wav") == 65
        assert "packets of 8 bytes" in capfd.readouterr().err

    @pytest.mark.parametrize("variable", ["LPCNET_ENC", "LPCNET_DEC"])
    def test_a_variable_that_names_no_program(
        self, demo: Path, variable: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        Path("a.lpcnet").write_bytes(bytes(16))
        command = ("compress", "a.wav", "b.lpcnet") if variable == "LPCNET_ENC" else ("decompress", "a.lpcnet", "b.wav")
        for name, state in (("/none/such", "is not there"), (str(Path("a.wav").absolute()), "no program")):
            monkeypatch.setenv(variable, name)
            assert run(*command) == 69
            said = capfd.readouterr().err
            assert f"{variable} names {name}" in said
            assert state in said


def test_a_codec_can_be_used_without_the_command(demo: Path, folder: Path) -> None:
    sound = vowel(0.2)
    (folder / "sound.pcm").write_bytes(sound.astype("<i2").tobytes())
    codec, scratch = CODECS[".lpcnet"], Scratch(folder)
    with open("b.lpcnet", "wb") as out:
        codec.compress(folder / "sound.pcm", len(sound), out, scratch)
    with open("b.lpcnet", "rb") as file:
        given = codec.decompress(file, "b", scratch)
        assert (given.sample_rate, given.channels) == (RATE, 1)
        assert sum(block.shape[1] for block in given.blocks) == 3_200
