"""Shared fixtures. A test that needs something this machine lacks is skipped visibly; `WAVCODES_REQUIRE=shared,peers`
turns those skips into failures, so that continuous integration cannot lose them."""

import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import peers
import pytest


def _missing(kind: str, reason: str) -> None:
    if kind in os.environ.get("WAVCODES_REQUIRE", "").split(","):
        pytest.fail(f"{reason} (required by WAVCODES_REQUIRE)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real weights and real audio that are not part of the project (`weights/`, `audio/`)."""
    folder = Path(os.environ.get("WAVCODES_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "weights").is_dir():
        _missing("shared", f"real weights and audio are not at {folder}; set WAVCODES_SHARED")
    return folder


@pytest.fixture(scope="session")
def peer() -> Callable[[str], ModuleType]:
    """Imports an upstream package that serves as an oracle: `peer("transformers")`."""

    def load(name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ImportError:
            _missing("peers", f"the upstream package {name} is not installed (pip install 'wavcodes[peers]')")
            raise

    return load


@pytest.fixture(scope="session")
def random_encodec(
    peer: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], tuple[Any, Path]]:
    """Upstream's EnCodec 24 kHz with the random weights of a seed, and the file of them: `random_encodec(seed)`."""
    peer("transformers")
    # On few cores its threads wait for each other longer than they work.
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("encodec")
    made: dict[int, tuple[Any, Path]] = {}

    def make(seed: int) -> tuple[Any, Path]:
        if seed not in made:
            made[seed] = peers.encodec_peer(seed, folder)
        return made[seed]

    return make


@pytest.fixture(scope="session")
def cross() -> tuple[str, str]:
    """Commands that compile C++ for 64-bit Arm and that run the result here."""
    compiler = shutil.which("aarch64-linux-gnu-g++")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if not (compiler and emulator and shutil.which("cmake")):
        _missing("cross", "cmake, aarch64-linux-gnu-g++ and qemu-aarch64 (qemu-user) are not all installed")
    return str(compiler), str(emulator)
