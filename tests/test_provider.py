"""The asynchronous provider: what it promises about loading, unloading, cancelling, its layout and its messages."""

import asyncio
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from loopback_hub import COMMIT, LoopbackHub, Reply
from narrow import narrow
from numpy.typing import NDArray

import wavcodes
from wavcodes import CodecError, Codes, InputError, ModelError, ResourceError, UnsupportedError, provider, registry
from wavcodes.errors import DownloadError, EngineError, FormatError
from wavcodes.provider import CodecProvider
from wavcodes.provider_config import DacConfig, EncodecConfig, MimiConfig, ProviderConfig, SnacConfig

CONFIGS = {
    "encodec_24khz": EncodecConfig(),
    "dac_44khz": DacConfig(),
    "snac_24khz": SnacConfig(),
    "mimi": MimiConfig(),
}


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


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "hub")


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Cache) -> Callable[[str], CodecProvider]:
    """A provider of a narrow codec whose weights are in the cache."""

    def made(name: str) -> CodecProvider:
        config = CONFIGS[name]
        cache.put(config.repo_id, config.weights_filename, narrow(monkeypatch, tmp_path, name)[name])
        return CodecProvider(cache.config(config), threads=1)

    return made


def audio(seconds: float, rate: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def raises(match: str, call: Awaitable[Any], error: type[Exception] = InputError) -> None:
    async def main() -> None:
        await call

    with pytest.raises(error, match=match):
        asyncio.run(main())


# ---- what is known without loading


def test_facts_need_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "stat", lambda *_, **__: pytest.fail("a file was touched"))
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("a file was opened"))
    known = {
        (each.id, each.provider_kind, each.sample_rate, each.num_codebooks, each.is_loaded)
        for each in map(CodecProvider, CONFIGS.values())
    }
    monkeypatch.undo()
    assert known == {
        ("encodec:facebook/encodec_24khz", "codec", 24_000, 8, False),
        ("dac:descript/dac_44khz", "codec", 44_100, 9, False),
        ("snac:hubertsiuzdak/snac_24khz", "codec", 24_000, 3, False),
        ("mimi:kyutai/mimi", "codec", 24_000, 8, False),
    }


def test_configs_are_frozen_and_have_the_fields_that_callers_know() -> None:
    names = ["repo_id", "revision", "weights_filename", "config_filename", "cpu_only", "cache_dir"]
    for name, config in CONFIGS.items():
        assert [field.name for field in fields(config)] == names
        assert (config.revision, config.config_filename, config.cpu_only, config.cache_dir) == (
            None,
            "config.json",
            False,
            None,
        )
        assert config.weights_filename == registry.spec(name).weights.files[0].name  # else nothing would be verified
        with pytest.raises(FrozenInstanceError):
            config.repo_id = "x"  # type: ignore[misc]
    assert CodecProvider(SnacConfig("hubertsiuzdak/snac_32khz", revision="main")).id == "snac:hubertsiuzdak/snac_32khz"
    assert CodecProvider(SnacConfig("hubertsiuzdak/snac_32khz")).num_codebooks == 4


# ---- encoding and decoding


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seconds", [0.01, 9.7])  # less than a frame; several blocks
def test_codes_and_samples_are_those_of_the_codec(
    make: Callable[[str], CodecProvider], name: str, seconds: float, cache: Cache
) -> None:
    async def main() -> None:
        codec = make(name)
        samples = audio(seconds, codec.sample_rate)
        tokens = await codec.encode_pcm(samples, codec.sample_rate)
        assert codec.is_loaded
        weights = next(cache.folder.rglob(codec.config.weights_filename))
        expected = wavcodes.load(name, weights)
        codes = expected.encode(samples, codec.sample_rate)
        assert tokens.dtype == np.uint32
        assert np.array_equal(tokens, np.concatenate(codes.books))
        decoded = await codec.decode_tokens(tokens, codec.num_codebooks)
        assert decoded.dtype == np.float32
        whole = Codes.of(codec.spec, codes.books, codec.spec.framing().longest(codes.num_frames))
        assert np.array_equal(decoded, expected.decode(whole)[0])
        assert np.array_equal(await codec.decode_tokens(tokens.tolist(), codec.num_codebooks), decoded)
        assert np.array_equal(await codec.encode_pcm(samples.tolist(), codec.sample_rate), tokens)

    asyncio.run(main())


def test_fewer_books_of_plain_rvq_decode(make: Callable[[str], CodecProvider]) -> None:
    async def main() -> None:
        codec = make("encodec_24khz")
        tokens = await codec.encode_pcm(audio(1, 24_000), 24_000)
        coarse = await codec.decode_tokens(tokens.reshape(8, -1)[:2].ravel(), 2)
        assert coarse.shape == (24_000,)
        assert not np.array_equal(coarse, await codec.decode_tokens(tokens, 8))

    asyncio.run(main())


@pytest.mark.parametrize(("name", "strides", "step"), [("snac_24khz", [4, 2, 1], 7), ("snac_32khz", [8, 4, 2, 1], 15)])
def test_the_layout_of_several_rates(name: str, strides: list[int], step: int) -> None:
    spec = registry.spec(name)
    framing = spec.framing()
    assert (framing.cycle, framing.cycle_codes, list(framing.strides)) == (strides[0], step, strides)
    for cycles in (1, 2, 3):
        codes = Codes.from_flat(np.arange(cycles * step), spec)
        assert [len(book) for book in codes.books] == [cycles * strides[0] // stride for stride in strides]
        assert np.array_equal(codes.to_flat(), np.arange(cycles * step))
    for count in range(1, 3 * step):
        if count % step:
            with pytest.raises(InputError, match=f"{count} codes do not divide into"):
                Codes.from_flat(np.zeros(count, int), spec)


# ---- messages


def test_what_is_empty_or_zero_is_refused_before_anything_is_loaded() -> None:
    for config in CONFIGS.values():
        codec = CodecProvider(config)  # its weights are nowhere
        raises(r"^PCM input is empty$", codec.encode_pcm([], 1))
        raises(r"^PCM input is empty$", codec.encode_pcm(np.zeros(0, np.float32), codec.sample_rate))
        raises(r"^num_codebooks must be > 0$", codec.decode_tokens([], 0))
        raises(r"^num_codebooks must be > 0$", codec.decode_tokens([1, 2, 3], 0))
        raises(r"^num_codebooks must be > 0$", codec.decode_tokens([1, 2, 3], -1))
        raises(r"^tokens input is empty", codec.decode_tokens([], 3))
        raises(r"token count 0 is not a positive multiple of num_codebooks 3$", codec.decode_tokens([], 3))
        raises(r"a sequence, got float", codec.encode_pcm(0.5, 24_000))
        raises(r"a sequence, got int", codec.decode_tokens(5, 1))
        raises(r"an integer as num_codebooks", codec.decode_tokens([1], 1.5))  # type: ignore[arg-type]
        assert not codec.is_loaded


def test_messages_of_plain_rvq(make: Callable[[str], CodecProvider]) -> None:
    codec = make("dac_44khz")
    raises(r"^expected sample rate 44100 Hz, got 24000 Hz -- resample first$", codec.encode_pcm([0.0], 24_000))
    raises(r"^token count 10 is not a positive multiple of num_codebooks 9$", codec.decode_tokens([0] * 10, 9))
    raises(r"^token count 10 is not a positive multiple of num_codebooks 11$", codec.decode_tokens([0] * 10, 11))
    raises(r"^expected num_codebooks of 1 to 9, got 10$", codec.decode_tokens([0] * 10, 10))
    raises(r"codebook 0, position 3: code 1024 is out of range", codec.decode_tokens([0, 0, 0, 1024] * 9, 9))
    raises(r"expected a flat sequence of codes, got shape \(9, 2\)", codec.decode_tokens(np.zeros((9, 2), int), 9))
    raises(r"expected a 1-D array of integers", codec.decode_tokens([0.5] * 9, 9))
    raises(r"mono PCM of shape \(samples,\), got \(2, 50\)", codec.encode_pcm(np.zeros((2, 50)), 44_100))
    raises(r"expected finite samples", codec.encode_pcm([0.0, math.nan], 44_100))
    raises(r"expected floats in \[-1, 1\], got int", codec.encode_pcm([1, 2], 44_100))


def test_messages_of_several_rates(make: Callable[[str], CodecProvider]) -> None:
    codec = make("snac_24khz")
    raises(r"^expected num_codebooks 3 \(from loaded model\), got 2$", codec.decode_tokens([0] * 14, 2))
    raises(r"^expected num_codebooks 3 \(from loaded model\), got 4$", codec.decode_tokens([0] * 8, 4))
    for count in (1, 6, 8, 13):
        raises(
            rf"^token count {count} is not a positive multiple of the SNAC multi-scale step 7 "
            r"\(vq_strides = \[4, 2, 1\], lcm = 4\)$",
            codec.decode_tokens([0] * count, 3),
        )


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


def test_twenty_first_calls_load_once(make: Callable[[str], CodecProvider], monkeypatch: pytest.MonkeyPatch) -> None:
    began = slow_load(monkeypatch)
    codec = make("encodec_24khz")

    async def main() -> list[Any]:
        return await asyncio.gather(*(codec.encode_pcm(audio(0.3, 24_000, seed % 3), 24_000) for seed in range(20)))

    results = asyncio.run(main())
    assert len(began) == 1
    assert all(np.array_equal(result, results[seed % 3]) for seed, result in enumerate(results))


def test_event_loops_in_several_threads_share_one_loading(
    make: Callable[[str], CodecProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch)
    codec = make("encodec_24khz")
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
    make: Callable[[str], CodecProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch)
    codec = make("encodec_24khz")

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
    make: Callable[[str], CodecProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch, fail=1)
    codec = make("encodec_24khz")

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
    make: Callable[[str], CodecProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = slow_load(monkeypatch, 0.0)
    codec = make("encodec_24khz")

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


# ---- other repositories


@pytest.mark.parametrize("pinned", [False, True], ids=["no revision", "the pinned one"])
def test_the_published_file_must_have_the_pinned_hash(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    published = registry.spec("encodec_24khz").weights
    cache.put(str(published.repo), "model.safetensors", b"something else")
    snapshots = cache.folder / "models--facebook--encodec_24khz" / "snapshots"
    (snapshots / COMMIT).rename(snapshots / str(published.revision))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = cache.config(EncodecConfig(), revision=published.revision if pinned else None)
    raises("with SHA-256 37a7cb100f71", CodecProvider(config).load(), ModelError)
    # Another revision or file may hold anything that fits; here it does not.
    for changes in ({"revision": published.revision, "weights_filename": "copy"}, {"revision": COMMIT}):
        cache.put(str(published.repo), "model.safetensors", b"something else")
        (snapshots / str(published.revision) / "copy").write_bytes(b"something else")
        raises("safetensors|8 bytes|header", CodecProvider(cache.config(EncodecConfig(), **changes)).load(), CodecError)


@pytest.mark.parametrize(
    ("config", "facts", "name"),
    [
        (EncodecConfig(), {"sampling_rate": 24_000, "hop_length": 512}, "encodec_24khz"),
        (DacConfig(), {"sampling_rate": 44_100, "n_codebooks": 9}, "dac_44khz"),
        (DacConfig(), {"sampling_rate": 44_100, "n_codebooks": 18}, "dac_44khz_16kbps"),
        (SnacConfig(), {"sampling_rate": 32_000, "vq_strides": [8, 4, 2, 1]}, "snac_32khz"),
    ],
)
def test_the_config_of_another_repository_says_which_network_it_holds(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cache: Cache,
    config: ProviderConfig,
    facts: dict[str, Any],
    name: str,
) -> None:
    cache.put("owner/tuned", "facts.json", json.dumps(facts).encode())
    cache.put("owner/tuned", "other.safetensors", narrow(monkeypatch, tmp_path, name)[name])
    changes = {"repo_id": "owner/tuned", "weights_filename": "other.safetensors", "config_filename": "facts.json"}
    codec = CodecProvider(cache.config(config, **changes))
    assert codec.id == f"{name.partition('_')[0]}:owner/tuned"
    with pytest.raises(InputError, match="known once it is loaded"):
        _ = codec.sample_rate

    async def main() -> None:
        await codec.load()
        assert codec.spec == registry.spec(name)
        await codec.unload()
        await codec.load()

    asyncio.run(main())
    assert (codec.sample_rate, codec.num_codebooks) == (
        facts["sampling_rate"],
        registry.spec(name).resolve_codebooks(),
    )


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (
            b'{"sampling_rate": 22050}',
            UnsupportedError,
            r"states sampling_rate 22050 in config.json.*snac_24khz \(24000",
        ),
        (b'{"n_codebooks": 5, "sampling_rate": 24000}', UnsupportedError, "and n_codebooks 5"),
        (b"{}", UnsupportedError, "sampling_rate None"),
        (b"[1]", FormatError, "expected a JSON object"),
        (b"{", FormatError, "expected a JSON object"),
        (b"\xff\xfe", FormatError, "expected a JSON object"),
        (b"[" * 100_000, FormatError, "expected a JSON object"),
        (b" " * (1 << 20) + b"{}", FormatError, "less than 1,048,576 bytes"),
    ],
)
def test_a_config_that_says_nothing_known_is_refused(
    cache: Cache, text: bytes, error: type[Exception], says: str
) -> None:
    cache.put("owner/tuned", "config.json", text)
    raises(says, CodecProvider(cache.config(SnacConfig(), repo_id="owner/tuned")).load(), error)


def test_weights_of_another_network_are_refused(make: Callable[[str], CodecProvider], cache: Cache) -> None:
    make("encodec_24khz")
    cache.put("owner/tuned", "config.json", b'{"sampling_rate": 24000}')
    cache.put("owner/tuned", "model.safetensors", next(cache.folder.rglob("model.safetensors")))
    raises("missing: ", CodecProvider(cache.config(MimiConfig(), repo_id="owner/tuned")).load(), ModelError)


def test_a_published_repository_of_another_family_is_refused() -> None:
    raises(
        "holds encodec_24khz; expected a codec of the family SNAC",
        CodecProvider(SnacConfig("facebook/encodec_24khz")).load(),
    )


def test_stereo_is_not_there_yet() -> None:
    raises("has 2 channels", CodecProvider(EncodecConfig("facebook/encodec_48khz")).load(), UnsupportedError)


_CLIENT = """
import asyncio, sys
from pathlib import Path
import pytest
from narrow import narrow
from wavcodes.errors import DownloadError
from wavcodes.provider import CodecProvider
from wavcodes.provider_config import SnacConfig

folder = Path(sys.argv[1])
with pytest.MonkeyPatch.context() as patch:
    narrow(patch, folder, "snac_24khz")
    codec = CodecProvider(SnacConfig("owner/tuned", cache_dir=folder / "chosen"))
    tokens = asyncio.run(codec.encode_pcm([0.25] * 5000, 24_000))
    print(len(tokens), codec.spec.name)
    try:
        asyncio.run(CodecProvider(SnacConfig("owner/none")).load())
    except DownloadError as error:
        print(error)
"""


def test_files_come_from_the_hub_into_the_chosen_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = narrow(monkeypatch, tmp_path, "snac_24khz")["snac_24khz"].read_bytes()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "WAVCODES_"))}
    with LoopbackHub() as hub:
        hub.serve_file("owner/tuned", "main", "config.json", Reply(b'{"sampling_rate": 24000}'))
        hub.serve_file("owner/tuned", "main", "pytorch_model.bin", Reply(weights))
        client = subprocess.run(
            [sys.executable, "-c", _CLIENT, str(tmp_path)],
            env=kept | {"PYTHONPATH": os.pathsep.join(sys.path), "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        fetched = [path for path in hub.gets() if path.startswith("/owner/")]
    assert sorted(fetched) == [f"/owner/tuned/resolve/main/{file}" for file in ("config.json", "pytorch_model.bin")]
    loaded, refused = client.stdout.splitlines()
    assert loaded == "21 snac_24khz"
    assert "config.json of owner/none@main" in refused
    assert any((tmp_path / "chosen").rglob("pytorch_model.bin"))
    assert isinstance(DownloadError("x"), ModelError)


# ---- cancelling, failing, staying out of the way


class Pushes:
    """Counts the blocks that streams are given, and may do something at each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None) -> None:
        self.count = 0
        for stream in (wavcodes.StreamEncoder, wavcodes.StreamDecoder):
            monkeypatch.setattr(stream, "push", self._counting(stream.push, then))

    def _counting(self, push: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            self.count += 1
            then()
            return push(*args)

        return counted


@pytest.mark.parametrize("way", ["encode", "decode"])
def test_a_cancelled_call_ends_with_its_block(
    make: Callable[[str], CodecProvider], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    codec = make("encodec_24khz")
    pushes = Pushes(monkeypatch, lambda: time.sleep(0.02))

    async def main() -> None:
        await codec.load()
        call = (
            codec.encode_pcm(audio(400, 24_000), 24_000)  # 100 blocks
            if way == "encode"
            else codec.decode_tokens(np.zeros(8 * 400 * 75, int), 8)
        )
        task = asyncio.create_task(call)
        while pushes.count < 3:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        begun = pushes.count
        assert begun < 10
        tokens = await codec.encode_pcm(audio(1, 24_000), 24_000)  # the provider goes on
        assert pushes.count <= begun + 1
        assert tokens.shape == (8 * 75,)
        await codec.unload()
        assert not codec.is_loaded

    asyncio.run(main())


@pytest.mark.parametrize(
    ("raised", "error", "says"),
    [
        (RuntimeError("odd"), EngineError, "encodec:facebook/encodec_24khz failed: RuntimeError: odd"),
        (MemoryError(), ResourceError, "not enough memory for encodec:facebook/encodec_24khz"),
        (InputError("as it is"), InputError, "^as it is$"),
    ],
)
def test_every_failure_is_one_of_the_package(
    make: Callable[[str], CodecProvider],
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    error: type[Exception],
    says: str,
) -> None:
    codec = make("encodec_24khz")

    def fail() -> None:
        raise raised

    with monkeypatch.context() as patch:
        Pushes(patch, fail)
        raises(says, codec.encode_pcm(audio(1, 24_000), 24_000), error)
        raises(says, codec.decode_tokens([0] * 8, 8), error)
    assert asyncio.run(codec.decode_tokens([0] * 8, 8)).shape == (320,)


def test_the_event_loop_stays_responsive(cache: Cache, tmp_path: Path) -> None:
    cache.put(
        "facebook/encodec_24khz",
        "model.safetensors",
        exact.weights(registry.checkpoint("encodec_24khz").network(), tmp_path),
    )
    codec = CodecProvider(cache.config(EncodecConfig()), threads=1)

    async def main() -> list[float]:
        ticks = []

        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.005)

        ticker = asyncio.create_task(tick())
        tokens = await codec.encode_pcm(audio(12, 24_000), 24_000)
        await codec.decode_tokens(tokens, 8)
        ticker.cancel()
        return ticks

    ticks = np.array(asyncio.run(main()))
    assert ticks[-1] - ticks[0] > 0.2  # there was something to wait for
    assert np.diff(ticks).max() < (ticks[-1] - ticks[0]) / 4


_MEMORY = """
import asyncio, gc, sys, threading
from huggingface_hub import errors, hf_hub_download  # libraries stay once they are imported
import numpy as np
from pathlib import Path
from wavcodes.provider import CodecProvider
from wavcodes.provider_config import EncodecConfig

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

async def main():
    codec = CodecProvider(EncodecConfig(revision=sys.argv[2], cache_dir=sys.argv[1]), threads=2)
    before = resident()
    await codec.load()
    loaded = resident()
    kept = []
    if sys.argv[3] == "used":
        await codec.encode_pcm(np.zeros(30_000, np.float32), 24_000)
        task = asyncio.create_task(codec.encode_pcm(np.zeros(100 * 24_000, np.float32), 24_000))
        await asyncio.sleep(0.3)
        task.cancel()
        kept += [task, *await asyncio.gather(task, codec.encode_pcm([2000.0] * 9, 24_000), return_exceptions=True)]
    used = resident()
    await codec.unload()
    print(before, loaded, used, resident(), *(type(each).__name__ for each in kept[1:]))

asyncio.run(main())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
@pytest.mark.parametrize("how", ["loaded", "used"])
def test_unload_gives_the_memory_back(cache: Cache, tmp_path: Path, how: str) -> None:
    cache.put(
        "facebook/encodec_24khz",
        "model.safetensors",
        exact.weights(registry.checkpoint("encodec_24khz").network(), tmp_path),
    )
    client = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(cache.folder), COMMIT, how],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    before, loaded, used, unloaded, *kept = client.stdout.split()
    assert kept == (["CancelledError", "InputError"] if how == "used" else [])
    page = os.sysconf("SC_PAGE_SIZE")
    added = (int(loaded) - int(before)) * page
    assert added > 80_000_000  # 93 MB of weights
    assert (int(used) - int(unloaded)) * page >= 0.9 * added


# ---- one Codec, many threads


def test_eight_threads_on_shared_codecs_give_what_one_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("encodec_24khz", "encodec_48khz", "dac_44khz", "snac_32khz", "mimi")
    weights = narrow(monkeypatch, tmp_path, *names)
    codecs = [wavcodes.load(name, path, threads=1) for name, path in weights.items()] + [wavcodes.load(threads=1)]
    clips = [
        audio(0.08 + k / 60, codec.spec.sample_rate * codec.spec.channels, k).reshape(codec.spec.channels, -1)
        for k in range(5)
        for codec in codecs
    ]

    def call(n: int) -> tuple[Codes, NDArray[np.float32]]:
        codec, clip = codecs[n % len(codecs)], clips[n % len(clips)]
        codes = codec.encode(clip, codec.spec.sample_rate)
        return codes, codec.decode(codes)

    expected = [call(n) for n in range(len(clips))]
    wrong: list[int] = []

    def work(thread: int) -> None:
        for step in range(50):
            n = (thread * 7 + step) % len(clips)
            codes, decoded = call(n)
            if codes != expected[n][0] or not np.array_equal(decoded, expected[n][1]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
