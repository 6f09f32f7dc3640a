"""What `compress` and `decompress` leave where they are killed, and where the disk is full."""

import functools
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, names, run, vowel
from legacy_case import LPCNET, NESC_DEC, NESC_ENC, stand_in

import wavcodes

resource = pytest.importorskip("resource", reason="needs limits on the size of a file")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")

KILLS = [pytest.param(4, id="a few"), pytest.param(34, id="many", marks=pytest.mark.slow)]  # of each of six kinds


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with six seconds of a vowel in it; what is temporary goes to `temporary` there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "programs").mkdir()
    for variable, body in (
        ("LPCNET_ENC", LPCNET),
        ("LPCNET_DEC", LPCNET),
        ("NESC_ENC", NESC_ENC),
        ("NESC_DEC", NESC_DEC),
    ):
        monkeypatch.setenv(variable, str(stand_in(tmp_path / "programs" / variable.lower(), body)))
    soundfile.write("a.wav", vowel(6.0), RATE)
    return tmp_path


def start(*argv: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "wavcodes", *argv, "-qq"], env=environment, stdout=subprocess.DEVNULL
    )


@pytest.mark.parametrize("count", KILLS)
@pytest.mark.parametrize(
    "old", [pytest.param(None, id="new", marks=pytest.mark.slow), pytest.param(b"an older output", id="replaced")]
)
@pytest.mark.parametrize(
    ("command", "source", "target"),
    [("compress", "a.wav", "b.nac"), ("decompress", "a.nac", "b.wav"), ("compress", "a.wav", "b.lpcnet")],
)
def test_a_killed_run_leaves_all_or_nothing(
    folder: Path, command: str, source: str, target: str, old: bytes | None, count: int
) -> None:
    assert run("compress", "a.wav", "a.nac") == 0
    assert run(command, source, target) == 0
    whole = Path(target).read_bytes()
    rng = random.Random(f"{command} {old!r} {count}")
    began = time.monotonic()
    assert start(command, source, target, "-f").wait(60) == 0
    lasts = time.monotonic() - began
    seen: set[str] = set()
    for attempt in range(count):
        Path(target).unlink(missing_ok=True)
        if old is not None:
            Path(target).write_bytes(old)
        before = names(folder)
        running = start(command, source, target, "-f")
        if attempt % 2:  # while it writes
            while names(folder) <= before and running.poll() is None:
                time.sleep(0.0005)
            time.sleep(rng.uniform(0, 0.05))
        else:
            time.sleep(rng.uniform(0, lasts))
        running.kill()
        running.wait()
        left = Path(target).read_bytes() if Path(target).exists() else None
        assert left in (old, whole)
        seen.add("whole" if left == whole else "before")
        for part in names(folder) - before - {target}:
            assert part.startswith(".wavcodes-")
            assert part.endswith(".part")
            Path(part).unlink()
    assert "before" in seen


@pytest.mark.parametrize(
    ("command", "source", "target"),
    [
        ("compress", "a.wav", "b.nac"),
        ("compress", "a.wav", "b.lpcnet"),
        ("compress", "a.wav", "b.nesc"),
        ("decompress", "a.nac", "b.wav"),
        pytest.param("decompress", "a.nac", "b.flac", marks=pytest.mark.slow),
        pytest.param("decompress", "a.nac", "b.mp3", marks=pytest.mark.slow),
        pytest.param("decompress", "a.lpcnet", "b.wav", marks=pytest.mark.slow),
        pytest.param("decompress", "a.nesc", "b.ogg", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk(folder: Path, command: str, source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wavcodes.codec, "load", functools.cache(wavcodes.load))  # the same each time
    soundfile.write("a.wav", vowel(2.2), RATE)
    for name in ("a.nac", "a.lpcnet", "a.nesc"):
        assert run("compress", "a.wav", name) == 0
    assert run(command, source, target) == 0
    whole = Path(target).stat().st_size
    Path(target).write_bytes(b"an older output")
    before = names(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    codes = []
    for size in np.linspace(0, whole - 1, 50).astype(int):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), limits[1]))
            codes.append(run(command, source, target, "-f", "-qq"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert names(folder) == before
        assert names(folder / "temporary") == set()
        assert Path(target).read_bytes() == b"an older output"
    assert codes == [74] * 50
    assert run(command, source, target, "-f") == 0
    assert Path(target).stat().st_size == whole
