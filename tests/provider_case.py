"""What the tests of the provider share: codecs in a hub's cache, and calls from outside of an event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback_hub import COMMIT
from numpy.typing import NDArray

from wavcodes import InputError
from wavcodes.provider import CodecProvider
from wavcodes.provider_config import DacConfig, EncodecConfig, MimiConfig, ProviderConfig, SnacConfig

CONFIGS = {
    "encodec_24khz": EncodecConfig(),
    "dac_44khz": DacConfig(),
    "snac_24khz": SnacConfig(),
    "mimi": MimiConfig(),
}


MakeProvider = Callable[[str], CodecProvider]


class Cache:
    """A hub's cache on disk, so that nothing is fetched: a repository at `COMMIT`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, repo: str, name: str, source: Path | bytes) -> None:
        file = self.folder / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path):
            file.hardlink_to(source)
        else:
            file.write_bytes(source)

    def config(self, config: ProviderConfig, **changes: Any) -> ProviderConfig:
        known = {field.name: getattr(config, field.name) for field in fields(config)}
        return type(config)(**known | {"revision": COMMIT, "cache_dir": self.folder} | changes)


def audio(seconds: float, rate: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def raises(match: str, call: Awaitable[Any], error: type[Exception] = InputError) -> None:
    async def main() -> None:
        await call

    with pytest.raises(error, match=match):
        asyncio.run(main())
