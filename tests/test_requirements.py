"""The snippets of a document that users have for a codec library of another package run here, with the changes that
`docs/migrating.md` names and no others."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from narrow import narrow

import wavcodes
from wavcodes import pretrained, registry

GUIDE = (Path(__file__).parents[1] / "docs" / "migrating.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
CODECS = ("encodec_24khz", "encodec_32khz", "encodec_48khz")
SNIPPETS = 12


def rules() -> list[tuple[str, str]]:
    """The rows of the table of changes: text in the snippets, and what stands in its place."""
    rows = re.findall(r"^\| `(.+?)` \| `(.*?)` \|", GUIDE, re.M)
    return [(old.replace("\\n", "\n"), new.replace("\\n", "\n")) for old, new in rows]


def changed(source: str) -> str:
    for old, new in rules():
        source = source.replace(old, new)
    return source


@pytest.fixture(scope="module")
def snippets(shared: Path) -> list[str]:
    """All Python of the document."""
    (document,) = (shared / "requirements").glob("003_*.txt")
    return BLOCK.findall(document.read_text())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Runs a snippet with random weights and what its text takes for granted; the names that it leaves behind."""
    weights = narrow(monkeypatch, tmp_path, *CODECS)
    load = pretrained.load
    monkeypatch.setattr(pretrained, "load", lambda name, _, threads: load(name, weights[name], threads))
    rng = np.random.default_rng(0)

    def execute(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {
            "audio_array": rng.uniform(-0.5, 0.5, 24_000),
            "audio": rng.uniform(-0.5, 0.5, (1, 25 * 24_000)),
            "original_sr": 44_100,
            "musicgen_tokens": rng.integers(0, 2048, (1, 4, 50)),
            "codec": wavcodes.EnCodec.from_pretrained("encodec-24khz"),
        }
        exec(compile(source, "snippet", "exec"), names)
        return names

    return execute


def test_the_document_has_the_snippets_that_are_tested(snippets: list[str]) -> None:
    assert len(snippets) == SNIPPETS
    text = "".join(snippets)
    for old, _ in rules():
        assert old in text, f"docs/migrating.md changes {old!r}, which no snippet has"
    assert "mlx" not in changed(text)
    assert not re.search(r"\b(mx|ma)\.", changed(text))


@pytest.mark.parametrize("number", range(SNIPPETS))
def test_a_snippet_runs(snippets: list[str], number: int, run: Callable[[str], dict[str, Any]]) -> None:
    run(changed(snippets[number]))


def find(snippets: list[str], part: str) -> str:
    (found,) = (snippet for snippet in snippets if part in snippet)
    return changed(found)


def test_shapes_are_those_of_the_comments(
    snippets: list[str], run: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = run(find(snippets, "24000 * 5"))
    assert names["tokens"].shape == (1, 8, 375)  # [batch, codebooks, time], at the default of 6 kbps
    assert names["reconstructed"].shape == (1, 1, 24_000 * 5)
    assert capsys.readouterr().out.splitlines() == ["Token shape: (1, 8, 375)", "Audio shape: (1, 1, 120000)"]
    names = run(find(snippets, "tokens_low"))
    assert (names["tokens_low"].shape[1], names["tokens_high"].shape[1]) == (2, 32)
    names = run(find(snippets, "encode_continuous"))
    assert names["embeddings"].shape[::2] == (1, 25 * 75)  # [batch, channels, time]
    names = run(find(snippets, "original_sr"))
    assert names["audio_24k"].shape == (1, round(25 * 24_000 * 24_000 / 44_100))


def test_codebooks_of_each_bandwidth_are_those_of_the_document(snippets: list[str]) -> None:
    table = re.findall(r"^# - ([\d.]+) kbps: (\d+) codebooks", "".join(snippets), re.M)
    assert len(table) == 5
    spec = registry.spec("encodec_24khz")
    for bandwidth, books in table:
        assert spec.resolve_codebooks(bandwidth=float(bandwidth)) == int(books)


def test_encoding_in_chunks_gives_the_tokens_of_the_whole(
    snippets: list[str], run: Callable[[str], dict[str, Any]]
) -> None:
    names = run(find(snippets, "chunk_size"))
    whole = names["codec"].encode(names["audio"])
    assert np.array_equal(names["all_tokens"][np.newaxis], whole)
    chunks = [names["audio"][:, i : i + names["chunk_size"]] for i in range(0, 25 * 24_000, names["chunk_size"])]
    apart = np.concatenate([names["codec"].encode(chunk) for chunk in chunks], axis=-1)
    assert apart.shape == whole.shape
    assert not np.array_equal(apart, whole)  # why the guide changes that snippet


def test_musicgen_tokens_become_music(snippets: list[str], run: Callable[[str], dict[str, Any]]) -> None:
    assert run(find(snippets, "MusicGen"))["result"].shape == (1, 1, 50 * 640)
    assert not hasattr(wavcodes, "generate")
