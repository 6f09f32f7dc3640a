"""Configs of the asynchronous provider: where weights come from, and which network they belong to."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback_hub import COMMIT, LoopbackHub, Reply
from narrow import narrow
from provider_case import Cache, MakeProvider, audio, raises

import wavcodes
from wavcodes import CodecError, InputError, ModelError, UnsupportedError, registry
from wavcodes.errors import DownloadError, FormatError
from wavcodes.provider import CodecProvider
from wavcodes.provider_config import DacConfig, EncodecConfig, MimiConfig, ProviderConfig, SnacConfig

# ---- other repositories


@pytest.mark.parametrize("pinned", [False, True], ids=["no revision", "the pinned one"])
def test_the_published_file_must_have_the_pinned_hash(
    hub_cache: Cache, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    published = registry.spec("encodec_24khz").weights
    hub_cache.put(str(published.repo), "model.safetensors", b"something else")
    snapshots = hub_cache.folder / "models--facebook--encodec_24khz" / "snapshots"
    (snapshots / COMMIT).rename(snapshots / str(published.revision))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = hub_cache.config(EncodecConfig(), revision=published.revision if pinned else None)
    raises("with SHA-256 37a7cb100f71", CodecProvider(config).load(), ModelError)
    # Another revision or file may hold anything that fits; here it does not.
    for changes in ({"revision": published.revision, "weights_filename": "copy"}, {"revision": COMMIT}):
        hub_cache.put(str(published.repo), "model.safetensors", b"something else")
        (snapshots / str(published.revision) / "copy").write_bytes(b"something else")
        raises(
            "safetensors|8 bytes|header", CodecProvider(hub_cache.config(EncodecConfig(), **changes)).load(), CodecError
        )


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
    hub_cache: Cache,
    config: ProviderConfig,
    facts: dict[str, Any],
    name: str,
) -> None:
    hub_cache.put("owner/tuned", "facts.json", json.dumps(facts).encode())
    hub_cache.put("owner/tuned", "other.safetensors", narrow(monkeypatch, tmp_path, name)[name])
    changes = {"repo_id": "owner/tuned", "weights_filename": "other.safetensors", "config_filename": "facts.json"}
    codec = CodecProvider(hub_cache.config(config, **changes))
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
    hub_cache: Cache, text: bytes, error: type[Exception], says: str
) -> None:
    hub_cache.put("owner/tuned", "config.json", text)
    raises(says, CodecProvider(hub_cache.config(SnacConfig(), repo_id="owner/tuned")).load(), error)


def test_weights_of_another_network_are_refused(cached_provider: MakeProvider, hub_cache: Cache) -> None:
    cached_provider("encodec_24khz")
    hub_cache.put("owner/tuned", "config.json", b'{"sampling_rate": 24000}')
    hub_cache.put("owner/tuned", "model.safetensors", next(hub_cache.folder.rglob("model.safetensors")))
    raises("missing: ", CodecProvider(hub_cache.config(MimiConfig(), repo_id="owner/tuned")).load(), ModelError)


def test_a_published_repository_of_another_family_is_refused() -> None:
    raises(
        "holds encodec_24khz; expected a codec of the family SNAC",
        CodecProvider(SnacConfig("facebook/encodec_24khz")).load(),
    )


def test_a_checkpoint_of_no_repository_goes_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub_cache: Cache
) -> None:
    name = "dac_44khz_16kbps"
    file = registry.spec(name).weights.files[0].name
    codec = CodecProvider(DacConfig(name, cache_dir=hub_cache.folder), threads=1)
    assert (codec.id, codec.sample_rate, codec.num_codebooks) == (f"dac:{name}", 44_100, 18)
    weights = narrow(monkeypatch, tmp_path, name)[name]
    (hub_cache.folder / name).mkdir(parents=True)
    (hub_cache.folder / name / file).hardlink_to(weights)  # where it would be kept once it is fetched
    tokens = asyncio.run(codec.encode_pcm(audio(0.1, 44_100), 44_100))
    expected = wavcodes.load(name, weights).encode(audio(0.1, 44_100), 44_100)
    assert np.array_equal(tokens, expected.to_flat())
    asyncio.run(CodecProvider(DacConfig(name, weights_filename=file, cache_dir=hub_cache.folder)).load())


@pytest.mark.parametrize("change", [{"revision": "main"}, {"weights_filename": "other.pth"}])
def test_a_checkpoint_of_no_repository_has_one_file_and_no_revisions(change: dict[str, Any]) -> None:
    provider = CodecProvider(DacConfig("dac_44khz_16kbps", **change))
    raises("has the one file weights_44khz_16kbps.pth; leave out revision and weights_filename", provider.load())


def test_a_name_of_another_family_is_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    raises("config.json of dac_44khz_16kbps", CodecProvider(SnacConfig("dac_44khz_16kbps")).load(), DownloadError)


def test_stereo_is_not_there_yet() -> None:
    raises("has 2 channels", CodecProvider(EncodecConfig("facebook/encodec_48khz")).load(), UnsupportedError)


_CLIENT = """
import asyncio, sys
from pathlib import Path
import numpy as np
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
