"""What all tests of training need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import exact
import pytest
import soundfile as sf
from runs import RATE


@pytest.fixture(scope="module", autouse=True)
def torch(peer: Callable[..., Any]) -> Any:
    peer("msgspec")
    torch = peer("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared sound: 12 recordings of 3 s."""
    from wavcodes.training.corpus import prepare

    folder = tmp_path_factory.mktemp("sound")
    for seed in range(12):
        sf.write(folder / f"{seed:02}.flac", exact.signal(3 * RATE, seed), RATE)
    prepare([folder], folder / "prepared", RATE, 1)
    return folder / "prepared"
