"""Files coded with a language model on the command line, against encodec's, and its weights from the network."""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import floats, names, pcm16, run, vowel
from ecdc_lm_case import MetaLM, clip, shape_of
from loopback_hub import LoopbackHub, Reply
from narrow import narrow

import wavcodes
from wavcodes import containers, registry
from wavcodes.containers import ecdc


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("ENCODEC_ENC", "ENCODEC_DEC", "ENCODEC_BITRATE", "HF_HUB_OFFLINE", "TORCH_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


SOUNDS = [
    pytest.param("encodec_24khz", 1.5, 0.5, id="24 kHz"),
    pytest.param("encodec_48khz", 3, 1.2, id="48 kHz", marks=pytest.mark.slow),
    pytest.param("encodec_24khz", 6, 10, id="24 kHz, 10 s", marks=pytest.mark.slow),
    pytest.param("encodec_48khz", 6, 10, id="48 kHz, 10 s", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "bandwidth", "seconds"), SOUNDS)
def test_commands_write_and_read_what_encodec_does(
    name: str,
    bandwidth: float,
    seconds: float,
    meta_lm: MetaLM,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, path = meta_lm.weights(shape_of(name))
    options = ["--codec", name, "--weights", narrow(monkeypatch, folder, name)[name], "--lm-weights", path]
    codec = wavcodes.load(name, weights=options[3])
    rate, channels = codec.spec.sample_rate, codec.spec.channels
    soundfile.write("a.wav", np.stack([vowel(seconds, rate)] * channels, axis=1), rate)
    codes = codec.encode(floats(Path("a.wav")).reshape(-1, channels).T, rate, bandwidth=bandwidth)

    assert run("compress", "a.wav", "a.ecdc", "--lm", "--bandwidth", bandwidth, *options) == 0
    data = Path("a.ecdc").read_bytes()
    assert data == meta_lm.file(theirs, codes)
    frames = meta_lm.frames(theirs, name, data, monkeypatch)
    assert np.array_equal(np.concatenate([part[0].numpy() for part, _ in frames], axis=1), np.asarray(codes))

    assert run("decompress", "a.ecdc", "b.wav", *options[2:]) == 0
    assert np.array_equal(soundfile.read("b.wav", dtype="int16", always_2d=True)[0], pcm16(codec.decode(codes)).T)
    assert run("convert", "a.ecdc", "a.nac", *options[4:]) == 0
    assert wavcodes.read("a.nac") == codes


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("compress a.wav a.nac --lm", 2, "expected an .ecdc file"),
        ("compress a.wav a.ecdc --lm --codec mimi", 65, "encodec_24khz or encodec_48khz, got mimi"),
        ("compress a.wav a.nac --lm --codec encodec_24khz --bandwidth 3", 2, "expected an .ecdc file"),
        ("compress a.wav a.ecdc --lm --format ecdc-crc32c", 2, "no --format, got ecdc-crc32c"),
        ("compress a.wav a.ecdc --lm-weights lm.th", 2, "--lm-weights names what --lm codes with"),
        ("compress a.wav a.nesc --lm", 2, "--lm: expected"),
    ],
)
def test_what_has_no_language_model(
    line: str,
    code: int,
    text: str,
    meta_lm: MetaLM,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--weights", narrow(monkeypatch, folder, "encodec_24khz")["encodec_24khz"]]
    if "--lm " in f"{line} ":
        options += ["--lm-weights", meta_lm.weights(shape_of("encodec_24khz"))[1]]
    soundfile.write("a.wav", vowel(0.1), 16_000)
    before = names(folder)
    assert run(*line.split(), *options) == code
    assert text in capsys.readouterr().err
    assert names(folder) == before


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
def test_published_weights_are_those_of_the_collected_facts(name: str, shared: Path) -> None:
    facts = json.loads((shared / "facts/weights/registry.json").read_text())["artifacts"]
    published = {fact["file"]: (fact["url"], fact["sha256_prefix"]) for fact in facts if fact["family"] == "EnCodec-LM"}
    source = registry.checkpoint(name).language_model
    assert source is not None
    (file,) = source.files
    assert published[file.name] == (file.url, file.sha256)
    assert (file.pinned, file.size) == (False, None)


class TestDownload:
    """From Meta's address, with another host."""

    NAME = "encodec_24khz"
    PATH = "/encodec/v0/encodec_lm_24khz-1608e3c0.th"

    @pytest.fixture(autouse=True)
    def _file(self, meta_lm: MetaLM, folder: Path) -> None:
        _, self.weights = meta_lm.weights(shape_of(self.NAME))
        self.codes = clip(self.NAME, 2, 1_000)
        ours = wavcodes.language_model(self.NAME, self.weights)
        containers.write("a.ecdc", self.codes, format=ecdc.coded_with(ours))

    @pytest.fixture
    def hub(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
        with LoopbackHub() as server:
            for variable in ("NO_PROXY", "no_proxy"):
                monkeypatch.setenv(variable, "127.0.0.1")
            monkeypatch.setenv("WAVCODES_MIRROR", server.url)
            monkeypatch.setenv("WAVCODES_CACHE", str(folder / "cache"))
            yield server

    def pin(self, monkeypatch: pytest.MonkeyPatch, digits: str) -> None:
        entry = registry.checkpoint(self.NAME)
        assert entry.language_model is not None
        file = replace(entry.language_model.files[0], sha256=digits)
        source = replace(entry.language_model, files=(file,))
        monkeypatch.setitem(registry._BY_NAME, self.NAME, replace(entry, language_model=source))

    def test_once_and_then_from_the_cache(
        self, hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = self.weights.read_bytes()
        hub.serve(self.PATH, Reply(body))
        self.pin(monkeypatch, hashlib.sha256(body).hexdigest()[:8])
        assert run("convert", "a.ecdc", "a.nac") == 0
        assert wavcodes.read("a.nac") == self.codes
        assert wavcodes.read("a.ecdc", language_model=wavcodes.language_model) == self.codes
        assert hub.gets() == [self.PATH]
        assert names(folder / "cache" / self.NAME) == {self.PATH.rpartition("/")[2]}

    def test_other_content_is_refused(self, hub: LoopbackHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub.serve(self.PATH, Reply(self.weights.read_bytes()))
        assert run("convert", "a.ecdc", "a.nac") == 69
        assert "with SHA-256 1608e3c0..., got" in capsys.readouterr().err
        assert len(hub.gets()) == 2
        assert names(folder) == {"a.ecdc", "cache"}

    def test_a_header_needs_no_model(self, hub: LoopbackHub) -> None:
        assert run("info", "a.ecdc") == 0
        assert hub.requests == []

    def test_nothing_is_fetched_where_pytorch_is_not_there(
        self, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        assert run("convert", "a.ecdc", "a.nac") == 69
        assert "pip install 'wavcodes[torch]'" in capsys.readouterr().err
        assert hub.requests == []
