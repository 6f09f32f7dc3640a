"""The asynchronous provider: what it computes, what it refuses and in which words, how it fails and is cancelled."""

import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from provider_case import CONFIGS, Cache, MakeProvider, audio, raises

import wavcodes
from wavcodes import Codes, InputError, ResourceError, registry
from wavcodes.errors import EngineError
from wavcodes.provider import CodecProvider
from wavcodes.provider_config import EncodecConfig, SnacConfig

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
    cached_provider: MakeProvider, name: str, seconds: float, hub_cache: Cache
) -> None:
    async def main() -> None:
        codec = cached_provider(name)
        samples = audio(seconds, codec.sample_rate)
        tokens = await codec.encode_pcm(samples, codec.sample_rate)
        assert codec.is_loaded
        weights = next(hub_cache.folder.rglob(codec.config.weights_filename))
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


def test_fewer_books_of_plain_rvq_decode(cached_provider: MakeProvider) -> None:
    async def main() -> None:
        codec = cached_provider("encodec_24khz")
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


def test_messages_of_plain_rvq(cached_provider: MakeProvider) -> None:
    codec = cached_provider("dac_44khz")
    raises(r"^expected sample rate 44100 Hz, got 24000 Hz -- resample first$", codec.encode_pcm([0.0], 24_000))
    raises(r"^token count 10 is not a positive multiple of num_codebooks 9$", codec.decode_tokens([0] * 10, 9))
    raises(r"^token count 10 is not a positive multiple of num_codebooks 11$", codec.decode_tokens([0] * 10, 11))
    raises(r"^expected num_codebooks of 1 to 9, got 10$", codec.decode_tokens([0] * 10, 10))
    raises(r"codebook 0, position 3: code 1024 is out of range", codec.decode_tokens([0, 0, 0, 1024] * 9, 9))
    raises(r"expected a flat sequence of codes, got shape \(9, 2\)", codec.decode_tokens(np.zeros((9, 2), int), 9))
    raises(r"expected a 1-D array of integers", codec.decode_tokens([0.5] * 9, 9))
    raises(r"mono PCM of shape \(samples,\), got \(2, 50\)", codec.encode_pcm(np.zeros((2, 50)), 44_100))
    raises(r"expected samples as an array", codec.encode_pcm([[0.1], [0.1, 0.2]], 44_100))
    raises(r"expected finite samples", codec.encode_pcm([0.0, math.nan], 44_100))
    raises(r"expected floats in \[-1, 1\], got int", codec.encode_pcm([1, 2], 44_100))


def test_messages_of_several_rates(cached_provider: MakeProvider) -> None:
    codec = cached_provider("snac_24khz")
    raises(r"^expected num_codebooks 3 \(from loaded model\), got 2$", codec.decode_tokens([0] * 14, 2))
    raises(r"^expected num_codebooks 3 \(from loaded model\), got 4$", codec.decode_tokens([0] * 8, 4))
    for count in (1, 6, 8, 13):
        raises(
            rf"^token count {count} is not a positive multiple of the SNAC multi-scale step 7 "
            r"\(vq_strides = \[4, 2, 1\], lcm = 4\)$",
            codec.decode_tokens([0] * count, 3),
        )


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
    cached_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    codec = cached_provider("encodec_24khz")
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
    cached_provider: MakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    error: type[Exception],
    says: str,
) -> None:
    codec = cached_provider("encodec_24khz")

    def fail() -> None:
        raise raised

    with monkeypatch.context() as patch:
        Pushes(patch, fail)
        raises(says, codec.encode_pcm(audio(1, 24_000), 24_000), error)
        raises(says, codec.decode_tokens([0] * 8, 8), error)
    assert asyncio.run(codec.decode_tokens([0] * 8, 8)).shape == (320,)


def test_the_event_loop_stays_responsive(hub_cache: Cache, tmp_path: Path) -> None:
    hub_cache.put(
        "facebook/encodec_24khz",
        "model.safetensors",
        exact.weights(registry.checkpoint("encodec_24khz").network(), tmp_path),
    )
    codec = CodecProvider(hub_cache.config(EncodecConfig()), threads=1)

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
