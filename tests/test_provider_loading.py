"""The asynchronous provider loads once, however many wait, and gives the memory back."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from provider_case import Cache, MakeProvider, audio

from wavcodes import ModelError, provider, registry
from wavcodes.provider_config import DacConfig, EncodecConfig, MimiConfig, SnacConfig

# ---- loading


def slow_load(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.2, fail: int = 0) -> list[float]:
    """Loading takes a while, and fails the first `fail` times; when each began."""
    began: list[float] = []
    real = provider.load

    def load(*args: Any) -> Any:
        began.append(time.monotonic())
        time.sleep(seconds)
        if len(began) <= fail:
            raise ModelError("not this time")
        return real(*args)

    monkeypatch.setattr(provider, "load", load)
    return began


def test_twenty_first_calls_load_once(cached_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    began = slow_load(monkeypatch)
    codec = cached_provider("encodec_24khz")

    async def main() -> list[Any]:
        return await asyncio.gather(*(codec.encode_pcm(audio(0.3, 24_000, seed % 3), 24_000) for seed in range(20)))

    results = asyncio.run(main())
    assert len(began) == 1
    assert all(np.array_equal(result, results[seed % 3]) for seed, result in enumerate(results))


def test_event_loops_in_several_threads_share_one_loading(
    cached_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch)
    codec = cached_provider("encodec_24khz")
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(asyncio.run(codec.encode_pcm(audio(0.3, 24_000), 24_000))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(began) == 1
    assert len(results) == 6
    assert all(np.array_equal(result, results[0]) for result in results)


def test_who_stops_waiting_does_not_stop_the_others(
    cached_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch)
    codec = cached_provider("encodec_24khz")

    async def main() -> None:
        first, second = asyncio.create_task(codec.load()), asyncio.create_task(codec.load())
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not codec.is_loaded
        await second
        assert codec.is_loaded

    asyncio.run(main())
    assert len(began) == 1


def test_a_failure_reaches_all_who_wait_and_the_next_call_tries_again(
    cached_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch, fail=1)
    codec = cached_provider("encodec_24khz")

    async def main() -> None:
        async def one(patience: float) -> str:
            try:
                await codec.load()
            except ModelError as error:
                await asyncio.sleep(patience)  # what the others do with the same error leaves this one alone
                return str(error)
            return "loaded"

        assert await asyncio.gather(*map(one, (0.05, 0.0, 0.02, 0.0, 0.01))) == ["not this time"] * 5
        assert not codec.is_loaded
        await codec.load()
        assert codec.is_loaded
        await codec.load()

    asyncio.run(main())
    assert len(began) == 2


def test_unload_waits_for_calls_and_a_later_call_loads_again(
    cached_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch, 0.0)
    codec = cached_provider("encodec_24khz")

    async def main() -> None:
        await codec.unload()  # nothing to do
        expected = await codec.encode_pcm(audio(20, 24_000), 24_000)
        under_way = asyncio.create_task(codec.encode_pcm(audio(20, 24_000), 24_000))
        await asyncio.sleep(0)
        await codec.unload()
        assert under_way.done()
        assert np.array_equal(under_way.result(), expected)
        assert not codec.is_loaded
        await asyncio.gather(codec.unload(), codec.unload())
        assert np.array_equal(await codec.encode_pcm(audio(20, 24_000), 24_000), expected)
        assert codec.is_loaded

    asyncio.run(main())
    assert len(began) == 2


# ---- memory

_MEMORY = """
import asyncio, json, os, sys
from huggingface_hub import errors, hf_hub_download  # libraries stay once they are imported
from safetensors import safe_open
import numpy as np
from pathlib import Path
from wavcodes import provider_config
from wavcodes.provider import CodecProvider

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def main():
    family, facts, how = sys.argv[1:]
    codec = CodecProvider(getattr(provider_config, family)(**json.loads(facts)), threads=2)
    before = resident()
    await codec.load()
    loaded = resident()
    kept, rate = [], codec.sample_rate
    if how == "used":
        await codec.encode_pcm(np.zeros(rate, np.float32), rate)
        task = asyncio.create_task(codec.encode_pcm(np.zeros(100 * rate, np.float32), rate))
        await asyncio.sleep(0.3)
        task.cancel()
        kept += [task, *await asyncio.gather(task, codec.encode_pcm([2000.0] * 9, rate), return_exceptions=True)]
    used = resident()
    await codec.unload()
    print(before, loaded, used, resident(), *(type(each).__name__ for each in kept[1:]))

asyncio.run(main())
"""


WIDE = {
    "encodec_24khz": EncodecConfig(),
    "encodec_32khz": EncodecConfig("facebook/encodec_32khz"),
    "dac_24khz": DacConfig("descript/dac_24khz"),
    "snac_24khz": SnacConfig(),
    "snac_44khz": SnacConfig("hubertsiuzdak/snac_44khz"),
    "mimi": MimiConfig(),
}


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
@pytest.mark.parametrize("how", ["loaded", "used"])
@pytest.mark.parametrize(
    "name", [name if name == "encodec_24khz" else pytest.param(name, marks=pytest.mark.slow) for name in WIDE]
)
def test_unload_gives_the_memory_back(hub_cache: Cache, tmp_path: Path, name: str, how: str) -> None:
    weights = exact.weights(registry.checkpoint(name).network(), tmp_path)
    config = hub_cache.config(WIDE[name])
    hub_cache.put(config.repo_id, config.weights_filename, weights)
    client = subprocess.run(
        [sys.executable, "-c", _MEMORY, type(config).__name__, json.dumps(asdict(config), default=str), how],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    before, loaded, used, unloaded, *kept = client.stdout.split()
    assert kept == (["CancelledError", "InputError"] if how == "used" else [])
    added = int(loaded) - int(before)
    assert added > 0.9 * weights.stat().st_size
    assert int(used) - int(unloaded) >= 0.9 * added
