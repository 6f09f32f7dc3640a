"""Checkpoints that attack their reader: each is refused for the right reason, runs nothing and takes little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch_files as make
from hostile_checkpoints import CASES, GOOD, wide, wide_entries

import wavcodes
from wavcodes.weights import read

# What reading a file takes: mapping it. (The reader leaves out the events of opening it.)
ALLOWED = {"mmap.__new__"}
MEMORY = 64 << 20  # bytes; the longest pickle that is read takes half of it

if sys.platform != "linux":
    pytest.skip("the limit of memory is set as Linux has it", allow_module_level=True)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each case, by its name; all are read by one process."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good").write_bytes(make.archive(make.GOOD))
    (folder / "text").write_bytes(b"no weights")
    for i, (content, _) in enumerate(CASES.values()):
        (folder / f"case{i:03}").write_bytes(content)
    # What a good file gives goes through the same watch, which shows that it sees.
    (folder / "case_good").write_bytes(make.archive(make.GOOD))
    reader = Path(__file__).with_name("hostile_reader.py")
    environment = os.environ | {"PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, reader, folder, "wavcodes.weights"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert not (folder / "canary").exists()
    return {"good": found["case_good"]} | {name: found[f"case{i:03}"] for i, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_and_nothing_happens(name: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[name]
    assert "CodecError" in outcome["family"], outcome
    assert CASES[name][1] in outcome["message"]
    assert len(outcome["message"]) < 1_000
    assert set(outcome["events"]) <= ALLOWED
    assert outcome["memory"] < MEMORY


def test_a_good_file_passes_the_same_watch(outcomes: dict[str, Any]) -> None:
    assert outcomes["good"]["family"] == []
    assert outcomes["good"]["events"] == ["mmap.__new__"]


def test_there_are_many_cases() -> None:
    assert len({content for content, _ in CASES.values()}) == len(CASES) >= 60


@pytest.mark.parametrize("content", [GOOD, wide(), wide_entries()], ids=["GOOD", "wide", "wide_entries"])
def test_what_the_cases_are_made_from_is_good(content: bytes, tmp_path: Path) -> None:
    # Otherwise they could be refused for what they have in common.
    (tmp_path / "x.pth").write_bytes(content)
    assert list(read(tmp_path / "x.pth")) == ["weight", "bias"]
