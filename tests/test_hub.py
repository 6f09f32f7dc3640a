"""Weights from a hub and from plain addresses: verified, fetched again once, never half there, never online when told
not to be. Everything on the loopback interface."""

import errno
import hashlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_hub import COMMIT, LoopbackHub, Outcome, Reply, finish, make_spec, start_client

from wavcodes.errors import IntegrityError, ModelError, ResourceError
from wavcodes.spec import WeightFile
from wavcodes.weights import Located, locate
from wavcodes.weights.download import cache_folder, download

GOOD = bytes(range(256)) * 1200  # more than one chunk of a download
BAD = GOOD[:-1] + b"\x00"  # of the same length
SHA = hashlib.sha256(GOOD).hexdigest()
BAD_SHA = hashlib.sha256(BAD).hexdigest()
NAME = "model.safetensors"
PINNED = WeightFile(NAME, sha256=SHA, size=len(GOOD))


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


def fetch(hub: LoopbackHub, folder: Path, file: WeightFile = PINNED, weights: str | None = None, **env: str) -> Outcome:
    return finish(start_client(folder, [file], weights, HF_ENDPOINT=hub.url, **env))


# ---- the hub


def test_no_network_is_one_error_at_once_and_no_noise(tmp_path: Path) -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        client = start_client(tmp_path, [PINNED], HF_ENDPOINT=f"http://127.0.0.1:{bound.getsockname()[1]}")
        out, err = client.communicate(timeout=15)  # 23 s of waiting between attempts otherwise
    assert err == ""
    assert "Connection refused; try again while online" in out


def test_file_is_fetched_verified_and_then_taken_from_the_cache_without_a_request(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(GOOD))
    first = fetch(hub, tmp_path, HF_TOKEN="hf_test_token")
    assert first.verified == (True,)
    assert first.paths[0].read_bytes() == GOOD
    assert first.paths[0].is_relative_to(tmp_path / "hub")
    assert {headers["authorization"] for _, _, headers in hub.requests} == {"Bearer hf_test_token"}
    hub.requests.clear()
    assert fetch(hub, tmp_path) == first
    assert fetch(hub, tmp_path, HF_HUB_OFFLINE="1") == first
    assert hub.requests == []


def test_wrong_content_is_fetched_again_once(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(BAD), Reply(GOOD))
    outcome = fetch(hub, tmp_path)
    assert outcome.verified == (True,)
    assert outcome.paths[0].read_bytes() == GOOD
    assert len(hub.gets()) == 2


def test_content_that_stays_wrong_is_an_error_with_both_hashes(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(BAD))
    outcome = fetch(hub, tmp_path)
    assert outcome.error == "ModelError"
    assert SHA in outcome.message
    assert BAD_SHA in outcome.message
    assert len(hub.gets()) == 2


def test_a_damaged_cache_is_an_error_with_both_hashes_when_offline(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(GOOD))
    fetch(hub, tmp_path).paths[0].write_bytes(BAD)
    hub.requests.clear()
    outcome = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert outcome.error == "ModelError"
    assert SHA in outcome.message
    assert BAD_SHA in outcome.message
    assert "HF_HUB_OFFLINE" in outcome.message
    assert hub.requests == []


def test_a_file_of_unknown_hash_is_reported_as_unverified(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(BAD))
    outcome = fetch(hub, tmp_path, WeightFile(NAME))
    assert outcome.verified == (False,)
    assert outcome.paths[0].read_bytes() == BAD


@pytest.mark.parametrize(("weights", "revision"), [("some.one/fine-tune", "main"), ("some.one/fine-tune@v1", "v1")])
def test_another_repository_is_used_as_it_is(hub: LoopbackHub, tmp_path: Path, weights: str, revision: str) -> None:
    hub.serve_file("some.one/fine-tune", revision, NAME, Reply(BAD))
    outcome = fetch(hub, tmp_path, weights=weights)
    assert outcome.verified == (False,)
    assert outcome.paths[0].read_bytes() == BAD


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=404, reason="EntryNotFound"), "no such file"),
        (Reply(status=404, reason="RevisionNotFound"), "no such revision"),
        (Reply(status=404, reason="RepoNotFound"), "no such repository"),
        (Reply(status=403, reason="GatedRepo"), "HF_TOKEN"),
        (Reply(status=418), "418"),
        (Reply(status=401), "401"),
    ],
)
def test_refusals_name_the_file_the_repository_and_a_remedy(
    hub: LoopbackHub, tmp_path: Path, reply: Reply, says: str
) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, reply)
    outcome = fetch(hub, tmp_path)
    assert outcome.error == "DownloadError"
    for part in (says, NAME, "owner/toy", "toy_8khz"):
        assert part in outcome.message


def test_offline_without_a_cached_file_sends_no_request(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(GOOD))
    outcome = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert outcome.error == "DownloadError"
    assert "HF_HUB_OFFLINE" in outcome.message
    assert "wavcodes download toy_8khz" in outcome.message
    assert hub.requests == []


def test_a_dropped_connection_is_resumed(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(GOOD, cut=100_000), Reply(GOOD))
    outcome = fetch(hub, tmp_path)
    assert outcome.verified == (True,)
    assert outcome.paths[0].read_bytes() == GOOD


def test_two_processes_fetch_the_same_file_at_once(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.serve_file("owner/toy", COMMIT, NAME, Reply(GOOD))
    clients = [start_client(tmp_path, [PINNED], HF_ENDPOINT=hub.url) for _ in range(2)]
    outcomes = [finish(client) for client in clients]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].verified == (True,)
    assert outcomes[0].paths[0].read_bytes() == GOOD


# ---- plain addresses

PATH = "/owner/toy/model.bin"


def addressed(sha256: str | None = SHA, size: int | None = len(GOOD)) -> WeightFile:
    return WeightFile("model.bin", sha256=sha256, size=size, url=f"https://files.invalid{PATH}")


@pytest.fixture
def mirror(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopbackHub:
    monkeypatch.setenv("WAVCODES_MIRROR", hub.url)
    monkeypatch.setenv("WAVCODES_CACHE", str(tmp_path / "cache"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return hub


def cached(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_address_is_fetched_once_and_then_taken_from_the_cache(
    mirror: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.serve(PATH, Reply(GOOD))
    expected = (Located(tmp_path / "cache/toy_8khz/model.bin", verified=True),)
    assert locate(make_spec([addressed()])) == expected
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert locate(make_spec([addressed()])) == expected
    assert expected[0].path.read_bytes() == GOOD
    assert cached(tmp_path) == [expected[0].path]
    assert mirror.gets() == [PATH]


@pytest.mark.parametrize(
    "first",
    [Reply(BAD), Reply(GOOD, cut=300_000), Reply(GOOD + b"more")],
    ids=["wrong", "short", "long"],
)
def test_address_that_gives_something_else_is_fetched_again_once(
    mirror: LoopbackHub, tmp_path: Path, first: Reply
) -> None:
    mirror.serve(PATH, first, Reply(GOOD))
    (found,) = locate(make_spec([addressed()]))
    assert found.verified
    assert found.path.read_bytes() == GOOD
    assert len(mirror.gets()) == 2
    assert cached(tmp_path) == [found.path]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(BAD), (SHA, BAD_SHA)),
        (Reply(GOOD, cut=300_000), ("307,200 bytes", "300,000")),
        (Reply(GOOD + b"more"), ("307,200 bytes", "more")),
        (Reply(status=404), ("404",)),
        (Reply(location="http://files.invalid/model.bin"), ("https",)),
    ],
    ids=["wrong", "short", "long", "missing", "redirected to plain http"],
)
def test_address_that_never_gives_the_file_leaves_nothing_behind(
    mirror: LoopbackHub, tmp_path: Path, reply: Reply, says: tuple[str, ...]
) -> None:
    mirror.serve(PATH, reply)
    with pytest.raises(ModelError) as caught:
        locate(make_spec([addressed()]))
    for part in says:
        assert part in str(caught.value)
    assert cached(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_replaced(mirror: LoopbackHub, tmp_path: Path) -> None:
    mirror.serve(PATH, Reply(GOOD))
    (found,) = locate(make_spec([addressed()]))
    found.path.write_bytes(BAD)
    assert locate(make_spec([addressed()])) == (found,)
    assert found.path.read_bytes() == GOOD
    assert len(mirror.gets()) == 2


def test_address_without_hash_is_unverified_but_must_be_whole(mirror: LoopbackHub, tmp_path: Path) -> None:
    mirror.serve(PATH, Reply(GOOD, cut=300_000), Reply(GOOD))
    (found,) = locate(make_spec([addressed(sha256=None, size=None)]))
    assert not found.verified
    assert found.path.read_bytes() == GOOD


def test_redirect_to_an_allowed_address_is_followed(mirror: LoopbackHub) -> None:
    mirror.serve(PATH, Reply(location=f"{mirror.url}/elsewhere"))
    mirror.serve("/elsewhere", Reply(GOOD))
    assert locate(make_spec([addressed()]))[0].path.read_bytes() == GOOD


def test_offline_opens_no_connection(mirror: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.serve(PATH, Reply(GOOD))
    monkeypatch.setenv("HF_HUB_OFFLINE", "yes")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        locate(make_spec([addressed()]))
    assert mirror.requests == []


def test_nobody_listening_is_a_model_error(
    mirror: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackHub() as gone:
        monkeypatch.setenv("WAVCODES_MIRROR", gone.url)
    with pytest.raises(ModelError, match="Connection refused; try again while online"):
        locate(make_spec([addressed()]))
    assert cached(tmp_path) == []


@pytest.mark.parametrize("address", ["https://[foo", f"https://{'x' * 64}.invalid"])
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> None:
    monkeypatch.setenv("WAVCODES_MIRROR", address)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(ModelError, match=re.escape(address)):
        download(addressed(), tmp_path / "x")


def test_plain_http_beyond_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WAVCODES_MIRROR", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(ModelError, match="https"):
        download(WeightFile("x", url="http://files.invalid/x"), tmp_path / "x")


def test_two_processes_in_the_middle_of_the_same_download(mirror: LoopbackHub, tmp_path: Path) -> None:
    together = threading.Barrier(2)
    mirror.serve(PATH, Reply(GOOD, meet=together))
    clients = [start_client(tmp_path, [addressed()], WAVCODES_MIRROR=mirror.url) for _ in range(2)]
    outcomes = [finish(client) for client in clients]
    assert [outcome.verified for outcome in outcomes] == [(True,), (True,)]
    assert len(mirror.gets()) == 2  # both were past the look into the cache
    assert cached(tmp_path) == [tmp_path / "cache/toy_8khz/model.bin"]
    assert cached(tmp_path)[0].read_bytes() == GOOD


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_download_that_breaks_off_leaves_nothing_behind(
    mirror: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(_: int) -> None:
        raise error

    mirror.serve(PATH, Reply(GOOD))
    monkeypatch.setattr(os, "fsync", fail)
    expected: type[BaseException] = ResourceError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        download(addressed(), tmp_path / "cache/model.bin")
    assert cached(tmp_path) == []


def test_a_cache_that_cannot_be_written_names_the_remedy(
    mirror: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("WAVCODES_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="WAVCODES_CACHE"):
        locate(make_spec([addressed()]))
    assert mirror.requests == []


def test_wrong_content_is_an_integrity_error_of_the_download(mirror: LoopbackHub, tmp_path: Path) -> None:
    mirror.serve(PATH, Reply(BAD))
    with pytest.raises(IntegrityError):
        download(addressed(), tmp_path / "model.bin")
    assert list(tmp_path.iterdir()) == []


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WAVCODES_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "wavcodes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/wavcodes"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == tmp_path / "Library/Caches/wavcodes"
