"""The command `wavcodes-train` without PyTorch, and with what is not as `prepare` leaves it."""

import json
import subprocess
import sys
from pathlib import Path

import exact
import pytest
import soundfile

from wavcodes import InputError
from wavcodes.cli.train import main
from wavcodes.training.corpus import Corpus, prepare

RATE = 16_000
BARE = "import sys; sys.modules.update(torch=None, msgspec=None); from wavcodes.cli.train import main; sys.exit(main())"


def bare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command where the extra `torch` is not installed."""
    return subprocess.run([sys.executable, "-c", BARE, *arguments], capture_output=True, text=True)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    for seed in range(2):
        soundfile.write(tmp_path / f"{seed}.wav", exact.signal(RATE, seed), RATE)
    prepare([tmp_path], tmp_path / "prepared", RATE, 1)
    return tmp_path / "prepared"


def test_help_needs_no_extra() -> None:
    done = bare("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(command in done.stdout for command in ("prepare", "run", "export"))


@pytest.mark.parametrize("arguments", [["run", "recipe.toml", "sound"], ["export", "run"]], ids=lambda words: words[0])
def test_a_missing_extra_is_told(arguments: list[str], tmp_path: Path) -> None:
    done = bare(*arguments, "-o", tmp_path / "own.safetensors")
    assert done.returncode == 69
    assert "pip install 'wavcodes[torch]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_sound_is_prepared_without_the_extra(prepared: Path, tmp_path: Path) -> None:
    done = bare("prepare", prepared.parent / "0.wav", "-o", tmp_path / "again")
    assert (done.returncode, Corpus(tmp_path / "again").sample_rate) == (0, RATE)


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "r", "s", "-o", "o", "--threads", "0"], ["runs"]])
def test_wrong_command_lines(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: wavcodes-train" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\xff",
        '{"sample_rate": 16000}',
        '{"sample_rate": 16000, "channels": 0, "recordings": []}',
        '{"sample_rate": 16000, "channels": 1, "recordings": []}',
        '{"sample_rate": 16000, "channels": 1, "recordings": [["a", 0]]}',
        '{"sample_rate": 16000, "channels": 1, "recordings": [["a", 0, 1e999]]}',
        '{"sample_rate": 16000, "channels": 1, "recordings": [["a", -1, 8]]}',
        '{"sample_rate": 16000, "channels": 1, "recordings": [["a", 31999, 2]]}',
    ],
)
def test_a_damaged_index_is_told(text: str, prepared: Path) -> None:
    (prepared / "index.json").write_text(text, "latin-1")
    with pytest.raises(InputError, match="run wavcodes-train prepare"):
        Corpus(prepared)


@pytest.mark.parametrize("keep", [0, 1, 32_000])
def test_samples_that_were_cut_are_told(keep: int, prepared: Path) -> None:
    samples = prepared / "samples.i16"
    samples.write_bytes(samples.read_bytes()[:keep])
    with pytest.raises(InputError, match="run wavcodes-train prepare"):
        Corpus(prepared)


@pytest.mark.parametrize("name", ["index.json", "samples.i16"])
def test_a_missing_file_is_told(name: str, prepared: Path) -> None:
    assert json.loads((prepared / "index.json").read_text())["sample_rate"] == RATE
    (prepared / name).unlink()
    with pytest.raises(InputError, match=r"holds no prepared sound.*run wavcodes-train prepare"):
        Corpus(prepared)
