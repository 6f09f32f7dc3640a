"""`compress_audio.sh` and `decompress_audio.sh`: arguments, variables, messages and exit codes, as processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from cli_case import RATE, names, vowel
from legacy_case import LPCNET, NESC_DEC, NESC_ENC, stand_in

import wavcodes

SCRIPTS = Path(__file__).parents[1] / "scripts"
KNOWN = ("NESC_", "LPCNET_", "SNAC_", "ENCODEC_", "TORCH_", "PYTHON_BIN", "input_file", "output_file")

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", vowel(1.01), RATE)
    return tmp_path


def script(name: str, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(KNOWN)}
    package = {"PYTHONPATH": str(Path(wavcodes.__file__).parents[1]), "PYTHON_BIN": sys.executable}
    return subprocess.run(
        [SCRIPTS / name, *argv], env={**inherited, **package, **variables}, capture_output=True, text=True
    )


def test_there_and_back(folder: Path) -> None:
    done = script("compress_audio.sh", "a.wav", "a.nac")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Final file size: {Path('a.nac').stat().st_size}\n"
    done = script("decompress_audio.sh", "a.nac", "b.wav")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Final file size: {Path('b.wav').stat().st_size}\n"
    assert soundfile.info("b.wav").frames == len(vowel(1.01))
    assert names(folder) == {"a.wav", "a.nac", "b.wav"}


def test_an_older_output_is_replaced() -> None:
    Path("a.nac").write_bytes(b"old")
    assert script("compress_audio.sh", "a.wav", "a.nac").returncode == 0
    assert Path("a.nac").read_bytes() != b"old"


@pytest.mark.parametrize("suffix", ["lpcnet", "nesc"])
def test_programs_that_variables_name(folder: Path, suffix: str) -> None:
    lpcnet = str(stand_in(folder / "lpcnet_demo", LPCNET))
    variables = {
        "LPCNET_ENC": lpcnet,
        "LPCNET_DEC": lpcnet,
        "NESC_ENC": str(stand_in(folder / "nesc_enc", NESC_ENC)),
        "NESC_DEC": str(stand_in(folder / "nesc_dec", NESC_DEC)),
    }
    assert script("compress_audio.sh", "a.wav", f"a.{suffix}", **variables).returncode == 0
    assert Path(f"a.{suffix}").stat().st_size == 26 * 8
    done = script("decompress_audio.sh", f"a.{suffix}", "b.wav", **variables)
    assert done.stdout.splitlines()[-1] == f"Final file size: {44 + 2 * 640 * 26}"


def test_input_and_output_may_be_variables() -> None:
    done = script("compress_audio.sh", "other.wav", "other.nac", input_file="a.wav", output_file="b.nac")
    assert done.returncode == 0
    assert Path("b.nac").exists()
    assert script("compress_audio.sh", input_file="a.wav", output_file="c.nac").returncode == 0


def test_names_with_spaces_and_dashes() -> None:
    shutil.copy("a.wav", "-my sound's.wav")
    assert script("compress_audio.sh", "-my sound's.wav", "--my codes.nac").returncode == 0
    assert script("decompress_audio.sh", "--my codes.nac", "-x.flac").returncode == 0
    assert Path("-x.flac").exists()


@pytest.mark.parametrize(
    ("name", "argv", "variables", "code", "text"),
    [
        ("compress_audio.sh", ["a.wav"], {}, 1, "usage: "),
        ("compress_audio.sh", [], {}, 1, "usage: "),
        ("decompress_audio.sh", ["a.nac"], {}, 1, "usage: "),
        ("compress_audio.sh", ["a.wav", "a.foo"], {}, 1, "Unsupported extension: foo."),
        ("decompress_audio.sh", ["a.wav", "a.foo"], {}, 1, "Unsupported extension: foo."),
        ("compress_audio.sh", ["a.wav", "a.snac"], {"SNAC_VARIANT": "8khz"}, 1, "SNAC_VARIANT: expected one of"),
        ("compress_audio.sh", ["a.wav", "a.ecdc"], {"ENCODEC_BITRATE": "2"}, 1, "1.5, 3, 6, 12, 24 kbps"),
        ("compress_audio.sh", ["none.wav", "a.nac"], {}, 66, "none.wav"),
        ("compress_audio.sh", ["a.wav", "a.nesc"], {"NESC_ENC": "/none/enc"}, 69, "NESC_ENC names /none/enc"),
        ("compress_audio.sh", ["a.wav", "a.lpcnet"], {"LPCNET_ENC": "/none/enc"}, 69, "LPCNET_ENC names /none/enc"),
        ("decompress_audio.sh", ["a.nesc", "a.wav"], {}, 69, "NESC_DEC is not set"),
        ("compress_audio.sh", ["a.wav", "a.ecdc"], {"ENCODEC_ENC": "/none.py"}, 69, "ENCODEC_ENC names /none.py"),
    ],
)
def test_failures(name: str, argv: list[str], variables: dict[str, str], code: int, text: str) -> None:
    Path("a.nesc").write_bytes(bytes(200))
    done = script(name, *argv, **variables)
    assert done.returncode == code
    assert text in done.stderr
    assert done.stdout == ""
    assert names(Path()) == {"a.wav", "a.nesc"}


ECHO = "print(*argv, 'threads', os.environ.get('TORCH_THREADS'))\nsys.exit(7)"


def test_what_python_bin_is_asked_to_do(folder: Path) -> None:
    python = str(stand_in(folder / "my python", ECHO))
    for name, argv, said in (
        ("compress_audio.sh", ("a.wav", "a.snac"), "-m wavcodes compress -f -- a.wav a.snac threads 1"),
        ("compress_audio.sh", ("a", "b.ECDC"), "-m wavcodes compress -f --format ecdc-hermes -- a b.ECDC threads 1"),
        ("decompress_audio.sh", ("a.snac", "b.wav"), "-m wavcodes decompress -f -- a.snac b.wav threads 1"),
    ):
        done = script(name, *argv, PYTHON_BIN=python)
        assert (done.stdout, done.returncode) == (f"{said}\n", 7)
    done = script("compress_audio.sh", "a.wav", "a.snac", PYTHON_BIN=python, TORCH_THREADS="5")
    assert done.stdout.endswith("threads 5\n")


def test_which_wavcodes_is_called(folder: Path) -> None:
    (folder / "bin").mkdir()
    for name in ("wavcodes", "python3"):
        stand_in(folder / "bin" / name, f"print({name!r}, *argv)")
        path = f"{folder / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        expected = "wavcodes" if name == "wavcodes" else "python3 -m wavcodes"
        for action in ("compress", "decompress"):
            done = script(f"{action}_audio.sh", "a.wav", "a.flac", PYTHON_BIN="", PATH=path)
            assert done.stdout == f"{expected} {action} -f -- a.wav a.flac\n"
        (folder / "bin" / name).unlink()
