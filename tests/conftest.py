"""Shared fixtures. A test that needs something this machine lacks is skipped visibly; `WAVCODES_REQUIRE=shared,peers`
turns those skips into failures, so that continuous integration cannot lose them."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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
