"""Shared fixtures. A test that needs something this machine lacks is skipped visibly; `WAVCODES_REQUIRE=shared,peers`
turns those skips into failures, so that continuous integration cannot lose them."""

import importlib
import importlib.util
import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# A shell that starts the tests in the background lets them ignore Ctrl-C, and with them all programs that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
def peer() -> Callable[..., Any]:
    """Imports an upstream package that serves as an oracle: `peer("transformers")`.

    `peer(name, make)` gives what `make()` makes of it.
    """

    def load(name: str, make: Callable[[], Any] | None = None) -> Any:
        try:
            return importlib.import_module(name) if make is None else make()
        except ImportError:
            _missing("peers", f"the upstream package {name} is not installed; CONTRIBUTING.md says how")
            raise

    return load


@pytest.fixture(scope="session")
def random_pair(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Any]:
    """Makes upstream's codec and ours, with the same random weights: `random_pair("mimi", 1)`; see `pairs`."""
    import pairs

    folder = tmp_path_factory.mktemp("pairs")

    def make(name: str, seed: int) -> Any:
        return peer(pairs.RANDOM[name][0].package, lambda: pairs.random_pair(name, seed, folder))

    return make


@pytest.fixture(scope="session")
def meta_lm(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """encodec's modules and language models: `ecdc_lm_case.MetaLM`."""
    import ecdc_lm_case

    return peer("encodec", lambda: ecdc_lm_case.MetaLM(tmp_path_factory.mktemp("lm")))


@pytest.fixture(scope="session")
def codec2() -> None:
    """For tests that need the library libcodec2 with its LPCNet."""
    from wavcodes.legacy import codec2

    if not codec2.is_there():
        _missing("codec2", "libcodec2 is not installed (Debian: libcodec2-1.0, also with ffmpeg)")


@pytest.fixture(scope="session")
def eval_extra() -> None:
    """For tests that need the packages of the extra `eval`."""
    if missing := [name for name in ("visqol", "pystoi", "matplotlib") if importlib.util.find_spec(name) is None]:
        _missing("eval", f"{', '.join(missing)}: not installed (pip install 'wavcodes[eval]')")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab of a real browser: `browser.Browser`."""
    from browser import Browser

    program = shutil.which("chromium")
    if program is None:
        _missing("chromium", "the program chromium is not installed (Debian: chromium)")
    with Browser(str(program), tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture(scope="session")
def pyav() -> Any:
    """The module `av`."""
    if importlib.util.find_spec("av") is None:
        _missing("ffmpeg", "PyAV is not installed (pip install 'wavcodes[ffmpeg]')")
    return importlib.import_module("av")


@pytest.fixture(params=["pyav", "program"])
def ffmpeg(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with FFmpeg through PyAV, and again with the program `ffmpeg`."""
    from wavcodes.audio import ffmpeg

    if request.param == "program":
        if shutil.which("ffmpeg") is None:
            _missing("ffmpeg", "the program ffmpeg is not installed (Debian: ffmpeg)")
        monkeypatch.setattr(ffmpeg, "_pyav", lambda: None)
    else:
        request.getfixturevalue("pyav")
    return str(request.param)


@pytest.fixture
def hub_cache(tmp_path: Path) -> Any:
    """A hub's cache on disk that a test fills: `provider_case.Cache`."""
    import provider_case

    return provider_case.Cache(tmp_path / "hub")


@pytest.fixture
def cached_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub_cache: Any) -> Callable[[str], Any]:
    """A provider of a narrow codec whose weights are in `hub_cache`."""
    from narrow import narrow
    from provider_case import CONFIGS

    from wavcodes.provider import CodecProvider

    def make(name: str) -> Any:
        config = CONFIGS[name]
        hub_cache.put(config.repo_id, config.weights_filename, narrow(monkeypatch, tmp_path, name)[name])
        return CodecProvider(hub_cache.config(config), threads=1)

    return make


@pytest.fixture
def pipe() -> Iterator[tuple[io.FileIO, io.FileIO]]:
    """Its two ends, unbuffered."""
    read, write = os.pipe()
    with open(read, "rb", buffering=0) as source, open(write, "wb", buffering=0) as sink:
        yield source, sink
