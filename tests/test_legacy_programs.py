"""NESC, SemantiCodec, SAC and scripts of one's own, through stand-ins that follow the same rules."""

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, names, run, vowel
from legacy_case import NESC_DEC, NESC_ENC, stand_in

from wavcodes.crc32c import crc32c


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("NESC_", "SAC_", "SNAC_", "ENCODEC_", "TORCH_")):
            monkeypatch.delenv(name)
    soundfile.write("a.wav", vowel(1.01), RATE)
    return tmp_path


class TestNesc:
    @pytest.fixture(autouse=True)
    def _programs(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable, body in (("NESC_ENC", NESC_ENC), ("NESC_DEC", NESC_DEC)):
            monkeypatch.setenv(variable, str(stand_in(folder / variable.lower(), body)))

    @pytest.mark.parametrize("num_samples", [1, 640, 16_100])
    def test_there_and_back(self, num_samples: int) -> None:
        soundfile.write("b.wav", np.full(num_samples, 5 * 256, np.int16), RATE)
        assert run("compress", "b.wav", "b.nesc") == 0
        padded = -(-num_samples // 640) * 640
        data = Path("b.nesc").read_bytes()
        assert len(data) == padded // 80
        assert run("decompress", "b.nesc", "out.wav") == 0
        read, rate = soundfile.read("out.wav", dtype="int16")
        assert (len(read), rate, read[0]) == (padded, RATE, 5 * 256)

    @pytest.mark.parametrize(
        ("body", "text", "code"),
        [
            ("sys.exit(2)", "exit code 2", 70),
            ("sys.exit('no licence')", "no licence", 70),
            ("", "there is none", 70),
            ("open(argv[-1], 'wb').write(b'xy' * 4)", "got ", 70),
            ("time.sleep(60)", "within 0.4 s", 70),
            ("os.kill(os.getpid(), 11)", "ended by signal 11", 70),
            ("sys.exit('write: No space left on device')", "free some space", 74),
        ],
    )
    @pytest.mark.parametrize("command", [("compress", "a.wav", "b.nesc"), ("decompress", "a.nesc", "b.wav")])
    def test_failures(
        self, folder: Path, command: tuple[str, ...], body: str, text: str, code: int, capfd: pytest.CaptureFixture
    ) -> None:
        Path("a.nesc").write_bytes(bytes(200))
        before = names(folder)
        for name in ("nesc_enc", "nesc_dec"):
            stand_in(Path(name), body)
        assert run(*command, *(["--timeout", "0.4"] if "sleep" in body else [])) == code
        assert text in capfd.readouterr().err
        assert names(folder) == before

    def test_an_empty_file(self, capfd: pytest.CaptureFixture) -> None:
        Path("a.nesc").touch()
        assert run("decompress", "a.nesc", "b.wav") == 65
        assert "the file is empty" in capfd.readouterr().err

    @pytest.mark.parametrize("variable", ["NESC_ENC", "NESC_DEC"])
    def test_a_missing_program_is_named(
        self, variable: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        monkeypatch.delenv(variable)
        Path("a.nesc").write_bytes(bytes(200))
        command = ("compress", "a.wav", "b.nesc") if variable == "NESC_ENC" else ("decompress", "a.nesc", "b.wav")
        assert run(*command) == 69
        said = capfd.readouterr().err
        assert f"{variable} is not set, and /opt/nesc/{variable.lower()} is not there" in said
        assert "Fraunhofer" in said


# A package that keeps the loudest sample of each 160 ms as a token, beside its number.
SEMANTICODEC = """
import os
import numpy as np
import soundfile
import torch

print("Loading SemantiCodec encoder")

class SemantiCodec:
    def __init__(self, token_rate, semantic_vocab_size):
        assert (token_rate, semantic_vocab_size) == (100, 16384)

    def encode(self, path):
        sound, rate = soundfile.read(path, dtype="int16")
        assert rate == 16000
        steps = np.pad(sound, (0, -len(sound) % 160)).reshape(-1, 160)
        loudest = np.abs(steps.astype(np.int64)).max(axis=1)
        return torch.from_numpy(np.stack([np.arange(len(loudest)), loudest >> 2], axis=1)[np.newaxis])

    def decode(self, tokens):
        assert tokens.dtype == torch.int64 and tokens.shape[::2] == (1, 2)
        return np.repeat(tokens.numpy()[0, :, 1] << 2, 160)[np.newaxis, np.newaxis] / 32768
"""


class TestSemantiCodec:
    @pytest.fixture
    def package(self, folder: Path, monkeypatch: pytest.MonkeyPatch, peer: object) -> None:
        peer("torch")  # type: ignore[operator]
        (folder / "packages").mkdir()
        (folder / "packages/semanticodec.py").write_text(SEMANTICODEC)
        monkeypatch.syspath_prepend(folder / "packages")
        paths = [str(folder / "packages"), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    @pytest.mark.slow
    @pytest.mark.usefixtures("package")
    def test_there_and_back(self) -> None:
        assert run("compress", "a.wav", "a.semanticodec") == 0
        data, sound = Path("a.semanticodec").read_bytes(), vowel(1.01)
        head = b"\x89TOK\r\n\x1a\n" + struct.pack("<BBHHQI", 1, 1, 100, 16384, len(sound), 2 * 101)
        assert data[:26] == head
        assert data[26:30] == struct.pack("<I", crc32c(head + data[30:]))
        loudest = np.abs(np.pad(sound, (0, 101 * 160 - len(sound))).reshape(-1, 160).astype(int)).max(axis=1) >> 2
        np.testing.assert_array_equal(np.frombuffer(data[30:], "<u2").reshape(-1, 2)[:, 1], loudest)
        assert run("decompress", "a.semanticodec", "b.wav") == 0
        back, rate = soundfile.read("b.wav", dtype="int16")
        assert rate == RATE
        np.testing.assert_array_equal(back, np.repeat(loudest << 2, 160)[: len(sound)])

    def test_every_damage_is_found(self) -> None:
        head = b"\x89TOK\r\n\x1a\n" + struct.pack("<BBHHQI", 1, 1, 100, 16384, 1_600, 20)
        tokens = bytes(range(40))
        data = head + struct.pack("<I", crc32c(head + tokens)) + tokens
        Path("b.semanticodec").write_bytes(data)
        assert run("decompress", "b.semanticodec", "b.wav", "-qq") == 69  # nothing but the package is missing
        cases = [data[:n] for n in (0, 7, 25, 29, 30, len(data) - 1)] + [data + b"\0"]
        cases += [bytes([*data[:at], data[at] ^ 1 << at % 8, *data[at + 1 :]]) for at in range(0, len(data), 5)]
        for case in cases:
            Path("b.semanticodec").write_bytes(case)
            assert run("decompress", "b.semanticodec", "b.wav", "-qq") == 65

    def test_without_the_package(self, capfd: pytest.CaptureFixture) -> None:
        assert run("compress", "a.wav", "a.semanticodec") == 69
        assert "pip install git+https://github.com/haoheliu/SemantiCodec-inference" in capfd.readouterr().err


SAC_ENCODE = """
import argparse, json, os, soundfile, torch
parser = argparse.ArgumentParser()
for name in ("config", "ckpt", "jsonfile", "device", "semantic_tokenizer_path", "save_dir", "batch-size"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
assert os.path.exists("models/codec/sac/pipelines") and given.device == "cpu"
entry = json.loads(open(given.jsonfile).read())
sound, rate = soundfile.read(entry["wav_path"], dtype="int16")
os.makedirs(f"{given.save_dir}/sac_token")
torch.save(torch.arange(3 * -(-len(sound) // 1280)), f"{given.save_dir}/sac_token/{entry['index']}.pt")
"""

SAC_DECODE = """
import argparse, numpy, os, soundfile, torch
parser = argparse.ArgumentParser()
for name in ("config", "ckpt", "input", "device", "sem_per_acu", "save_dir"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
tokens = torch.load(given.input, weights_only=True).numpy()
assert given.sem_per_acu == "2" and (tokens == numpy.arange(len(tokens))).all()
name = os.path.splitext(os.path.basename(given.input))[0]
soundfile.write(f"{given.save_dir}/{name}.wav", numpy.repeat(tokens[::3], 1280).astype("int16"), 16000)
"""


class TestSac:
    @pytest.fixture
    def checkout(self, folder: Path, monkeypatch: pytest.MonkeyPatch, peer: object) -> Path:
        peer("torch")  # type: ignore[operator]
        scripts = folder / "SAC/models/codec/sac/pipelines"
        scripts.mkdir(parents=True)
        (scripts / "encode_tokens.py").write_text(SAC_ENCODE)
        (scripts / "decode_tokens.py").write_text(SAC_DECODE)
        for variable in ("CONFIG", "CKPT", "TOKENIZER"):
            monkeypatch.setenv(f"SAC_{variable}", variable.lower())
        monkeypatch.setenv("SAC_HOME", "SAC")
        monkeypatch.setenv("SAC_PYTHON", sys.executable)
        return scripts

    @pytest.mark.slow
    @pytest.mark.usefixtures("checkout")
    def test_there_and_back(self) -> None:
        assert run("compress", "a.wav", "a.sac") == 0
        sound, count = vowel(1.01), 3 * 13
        expected = b"\x89TOK\r\n\x1a\n" + struct.pack("<BBHHQI", 1, 2, 2, 0, len(sound), count)
        assert Path("a.sac").read_bytes()[:26] == expected
        assert run("decompress", "a.sac", "b.wav") == 0
        back, _ = soundfile.read("b.wav", dtype="int16")
        np.testing.assert_array_equal(back, np.repeat(np.arange(0, count, 3), 1280)[: len(sound)])

    def test_a_failure_that_is_only_a_warning(self, checkout: Path, capfd: pytest.CaptureFixture) -> None:
        (checkout / "encode_tokens.py").write_text("print('[WARN] batch failed')")
        assert run("compress", "a.wav", "a.sac") == 70
        assert "sound.pt" in capfd.readouterr().err

    @pytest.mark.parametrize("variable", ["SAC_HOME", "SAC_CONFIG", "SAC_CKPT", "SAC_TOKENIZER"])
    @pytest.mark.usefixtures("checkout")
    def test_what_is_not_set_up(
        self, variable: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
    ) -> None:
        monkeypatch.delenv(variable)
        assert run("compress", "a.wav", "a.sac") == 69
        said = capfd.readouterr().err
        assert f"{variable} is not set" in said
        assert "git clone https://github.com/Soul-AILab/SAC" in said


# Writes its arguments in place of codes, and reads them back as loudness.
SCRIPT = """
import json, shutil, soundfile, sys
source, target, *rest = sys.argv[1:]
if source.endswith(".wav"):
    sound, rate = soundfile.read(source, dtype="int16")
    json.dump([rest, rate, len(sound)], open(target, "w"))
else:
    stated = json.load(open(source))
    assert json.load(open(source))[0][:2] == rest[:2]
    soundfile.write(target, [[0.5]] * stated[2], stated[1])
"""


class TestOwnScripts:
    @pytest.fixture(autouse=True)
    def _scripts(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("script.py").write_text(SCRIPT)
        for variable in ("ENCODEC_ENC", "ENCODEC_DEC"):
            monkeypatch.setenv(variable, str(folder / "script.py"))
        monkeypatch.setenv("PYTHON_BIN", sys.executable)

    @pytest.mark.parametrize(
        ("variables", "output", "arguments", "rate"),
        [
            ({}, "a.ecdc", "--codec encodec --bitrate 1.5 --threads 1", 24_000),
            (
                {"ENCODEC_BITRATE": "6", "TORCH_THREADS": "4"},
                "a.ecdc",
                "--codec encodec --bitrate 6.0 --threads 4",
                24_000,
            ),
            (
                {},
                "a.snac",
                "--codec snac --snac-model hubertsiuzdak/snac_24khz --snac-sample-rate 24000 --threads 1",
                24_000,
            ),
            (
                {"SNAC_VARIANT": "44khz"},
                "a.snac",
                "--codec snac --snac-model hubertsiuzdak/snac_44khz --snac-sample-rate 44100 --threads 1",
                44_100,
            ),
            (
                {"SNAC_MODEL": "me/mine", "SNAC_SAMPLE_RATE": "8000"},
                "a.snac",
                "--codec snac --snac-model me/mine --snac-sample-rate 8000 --threads 1",
                8_000,
            ),
        ],
    )
    def test_are_called_as_by_the_toolkit(
        self, variables: dict[str, str], output: str, arguments: str, rate: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        import json

        assert run("compress", "a.wav", output) == 0
        assert json.loads(Path(output).read_text()) == [arguments.split(), rate, round(len(vowel(1.01)) * rate / RATE)]
        assert run("decompress", output, "b.wav") == 0
        assert soundfile.info("b.wav").samplerate == rate

    def test_serve_no_other_suffix(self) -> None:
        assert run("compress", "a.wav", "a.nac") == 0
        assert Path("a.nac").read_bytes()[1:2] != b"["

    def test_one_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
        monkeypatch.setenv("ENCODEC_ENC", "nowhere.py")
        assert run("compress", "a.wav", "a.ecdc") == 69
        assert "ENCODEC_ENC names nowhere.py, which is not there" in capfd.readouterr().err

    @pytest.mark.parametrize(
        ("line", "option"),
        [
            ("a.ecdc --codec encodec_48khz", "codec"),
            ("a.ecdc --format ecdc-crc32c", "format"),
            ("a.snac --bandwidth 1", "bandwidth"),
        ],
    )
    def test_options_that_they_do_not_get(self, line: str, option: str, capfd: pytest.CaptureFixture) -> None:
        assert run("compress", "a.wav", *line.split()) == 2
        assert f"--{option}: expected wavcodes to do the work" in capfd.readouterr().err
        assert names(Path()) == {"a.wav", "script.py"}

    def test_options_that_they_get(self) -> None:
        assert run("compress", "a.wav", "a.ecdc", "--format", "ecdc-hermes", "--bandwidth", "3") == 0
        assert "--bitrate" in Path("a.ecdc").read_text()
        assert '"3.0"' in Path("a.ecdc").read_text()
