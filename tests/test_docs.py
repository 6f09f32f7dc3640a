"""What the documents say is so: code runs, commands parse, links lead somewhere, tables agree with the registry."""

import argparse
import ast
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import wavcodes
from wavcodes import errors, registry
from wavcodes.cli import arguments, train
from wavcodes.cli.report import size
from wavcodes.containers import FORMATS
from wavcodes.engines.native import Engine
from wavcodes.engines.segments import delays
from wavcodes.graph import tensor_shapes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON_PAGE, CLI_PAGE, EVAL_PAGE, FORMATS_PAGE, PARITY_PAGE, TRAINING_PAGE = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("python", "cli", "eval", "formats", "parity", "training")
)
MADE = ("build", "dist")
"""Folders that commands write."""
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in MADE for part in path.relative_to(ROOT).parts)
)


def from_root(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


DOWNLOAD = "<!-- needs: download -->"
"""Stands before a block that fetches weights, which is compiled but not run."""

FRAGMENT = "# A fragment"
"""Begins a line of a block that takes names for granted or stands in a coroutine."""


def blocks(language: str, text: str) -> list[tuple[str, bool]]:
    """Fenced blocks in a language, and whether each needs a download."""
    pattern = rf"(^{re.escape(DOWNLOAD)}\n+)?^```{language}\n(.*?)^```$"
    return [(match[2], bool(match[1])) for match in re.finditer(pattern, text, re.M | re.S)]


PYTHON = blocks("python", README) + blocks("python", PYTHON_PAGE)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with copies of the examples."""
    shutil.copytree(ROOT / "examples", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- code


def test_the_documents_have_code() -> None:
    assert blocks("python", README)
    assert len(PYTHON) >= 5
    assert sum(download for _, download in PYTHON) == (README + PYTHON_PAGE).count(DOWNLOAD)


@pytest.mark.parametrize("number", range(len(PYTHON)))
@pytest.mark.usefixtures("examples")
def test_python_runs(number: int) -> None:
    source, download = PYTHON[number]
    code = compile(source, f"README.md and docs/python.md, block {number + 1}", "exec")
    if download:
        return
    names: dict[str, object] = {}
    exec(code, names)
    # `expression  # (12, 260): books, frames` says what shape a reader will see.
    for expression, shape in re.findall(r"^(\S[^#\n]*?) *# (?:float32 )?\((\d+, \d+)\)", source, re.M):
        assert np.shape(eval(expression, names)) == tuple(map(int, shape.split(", "))), expression


def test_the_first_block_has_six_lines() -> None:
    assert "Six lines of Python" in README
    assert len([line for line in PYTHON[0][0].splitlines() if line]) == 6


@pytest.mark.parametrize("page", ["provider", "migrating", "tokens"])
def test_python_of_other_pages_runs_or_is_called_a_fragment(page: str) -> None:
    for source, _ in blocks("python", (ROOT / "docs" / f"{page}.md").read_text()):
        code = compile(source, f"docs/{page}.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if not re.search(f"^{FRAGMENT}", source, re.M):
            exec(code, {})


@pytest.mark.parametrize(
    "script", [path for path in (ROOT / "examples").glob("*.py") if path.stem != "make_sample"], ids=from_root
)
@pytest.mark.usefixtures("examples")
def test_examples_run(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [script.name])
    runpy.run_path(script.name, run_name="__main__")


# ---- commands


def commands(text: str, program: str = "wavcodes") -> Iterator[list[str]]:
    """Every command of a program in a shell block."""
    for source, _ in blocks("sh", text):
        for line in source.splitlines():
            for part in line.split("|"):
                words = shlex.split(part, comments=True)
                if words[:1] == [program]:
                    yield words[1:]


@pytest.mark.parametrize("command", [*commands(README), *commands(CLI_PAGE), *commands(EVAL_PAGE)], ids=" ".join)
def test_commands_parse(command: list[str]) -> None:
    parsed = arguments.parser().parse_args(command)
    for name in ("codec", "names"):
        for codec in np.atleast_1d(getattr(parsed, name, None) or []):
            assert codec in registry.list_codecs()
    if getattr(parsed, "bandwidth", None) is not None and parsed.command == "encode":
        assert parsed.bandwidth in registry.spec(parsed.codec or registry.DEFAULT_CODEC).bandwidths


def test_commands_of_training_parse() -> None:
    found = [train.parser().parse_args(command) for command in commands(TRAINING_PAGE, "wavcodes-train")]
    assert [each.command for each in found] == [*2 * ["prepare", "run", "export"], "prepare", "run"]


def test_every_command_is_in_the_readme() -> None:
    assert {command[0] for command in commands(README)} == set(subcommands())


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (each for each in arguments.parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


def options() -> list[tuple[str, ...]]:
    """Every option of every command, in all its spellings."""
    parsers = [arguments.parser(), *subcommands().values()]
    found = {tuple(action.option_strings) for parser in parsers for action in parser._actions}
    return sorted(found - {()})


@pytest.mark.parametrize("spellings", options(), ids=" ".join)
def test_every_option_is_documented(spellings: tuple[str, ...]) -> None:
    text = README + CLI_PAGE
    assert any(re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text) for option in spellings)


@pytest.mark.parametrize("path", DOCUMENTS, ids=from_root)
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", path.read_text(), re.M)) <= (
        {(target, "") for target in targets} | {("", target) for target in targets}
    )


# ---- tables and names


def table_of_codecs() -> dict[str, dict[str, str]]:
    """The rows of README's first table by the name of the codec; each by the heads of the columns."""
    table = re.search(r"^\| codec .*?(?=\n\n)", README, re.M | re.S)
    assert table
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines())
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in rows}


def test_the_table_has_all_codecs() -> None:
    assert sorted(table_of_codecs()) == sorted(registry.list_codecs())


@pytest.mark.parametrize("name", registry.list_codecs())
def test_the_table_agrees_with_the_registry(name: str) -> None:
    spec, row = registry.spec(name), table_of_codecs()[name]
    assert (int(row["Hz"]), float(row["frames/s"])) == (spec.sample_rate, round(spec.frame_rate, 2))
    bandwidths = row["bandwidths in kbps"].split()
    assert tuple(float(each.strip("*")) for each in bandwidths) == spec.bandwidths
    assert [float(each.strip("*")) for each in bandwidths if "*" in each] == [spec.default_bandwidth]
    assert row["licence of the weights"] == spec.weights.licence
    total = sum(file.size or 0 for file in spec.weights.files)
    assert row["download"] == ("none" if spec.weights.packaged else size(total) if total else "size unknown")
    assert ("default" in row["what"]) == (name == registry.DEFAULT_CODEC)


def test_the_sentence_below_the_table_agrees_with_the_registry() -> None:
    stereo, causal = re.findall(r"((?:`\w+`,? ?(?:and )?)+) (?:is stereo|are causal)", README.replace("\n", " "))
    specs = [registry.spec(name) for name in registry.list_codecs()]
    assert set(re.findall(r"`(\w+)`", stereo)) == {spec.name for spec in specs if spec.channels == 2}
    assert set(re.findall(r"`(\w+)`", causal)) == {spec.name for spec in specs if spec.causal}


@pytest.mark.parametrize("name", registry.list_codecs())
def test_notice_names_the_licence_of_each_set_of_weights(name: str) -> None:
    notice = (ROOT / "NOTICE").read_text()
    assert name in notice
    (identifier,) = re.findall(r"Apache-2\.0|CC-BY[\w.-]*\w|^MIT$", registry.spec(name).weights.licence)
    assert identifier in notice


def test_environment_variables_are_those_that_the_source_reads() -> None:
    source = "".join(path.read_text() for path in Path(wavcodes.__file__).parent.rglob("*.py"))
    pattern = r"\bWAVCODES_[A-Z][A-Z0-9]*\b"
    assert set(re.findall(pattern, CLI_PAGE)) == set(re.findall(pattern, source))


def test_unverified_weights_are_those_without_a_hash() -> None:
    (names,) = re.findall(r"source states that of (.*?), which `wavcodes download`", README.replace("\n", " "))
    specs = map(registry.spec, registry.list_codecs())
    without = {spec.name for spec in specs if not all(file.sha256 for file in spec.weights.files)}
    assert set(re.findall(r"`(\w+)`", names)) == without


@pytest.mark.parametrize("name", registry.list_codecs())
def test_the_table_of_delays_agrees_with_the_engine(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| (\d+) \| (\d+) \| ([\d.]+) \|$", PYTHON_PAGE, re.M)
    network, spec = registry.checkpoint(name).network(), registry.spec(name)
    tensors = {key: np.zeros(shape, np.float32) for key, shape in tensor_shapes(network).items()}
    found = delays(Engine(network, tensors, "both"), spec.framing())
    assert row == (str(found[0]), str(found[1]), f"{sum(found) / spec.sample_rate:.2f}")


def test_the_table_of_errors_has_all_of_them() -> None:
    rows = "".join(re.findall(r"^\| `\w+Error` \|.*$", PYTHON_PAGE, re.M))
    named = {name for name in re.findall(r"`(\w+Error)`", rows) if hasattr(errors, name)}
    assert named == {name for name in vars(errors) if name.endswith("Error")} - {"CodecError"}


def test_parity_is_as_the_readme_says() -> None:
    (share,) = re.findall(r"at least ([\d.]+) %", README)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PARITY_PAGE.splitlines() if line[:3] == "| `"]
    assert {row[0].strip("`") for row in rows} == set(registry.list_codecs()) - {registry.DEFAULT_CODEC}
    for _, _, _, _, equal, differ, ties, margin, *_, agrees in rows:
        assert float(equal.strip("%")) >= float(share)
        assert agrees == "yes"
        assert (int(ties) > 0) == (int(differ) > 0)
        assert float(margin or 0) <= 1e-5


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("benchmarks.md", r"encodes more than ([\d.]+) times and decodes more than ([\d.]+) times .* `transformers`"),
        ("benchmarks-amd.md", r"and more than ([\d.]+) and ([\d.]+) times on an AMD"),
    ],
)
def test_speed_is_as_the_readme_says(page: str, said: str) -> None:
    (numbers,) = re.findall(said, " ".join(README.split()))
    row = r"^\| `encodec_24khz`, 6 kbps \| transformers \| {} \|.*\*\*([\d.]+)\*\*"
    for number, direction in zip(numbers, ("encode", "decode"), strict=True):
        (measured,) = re.findall(row.format(direction), (ROOT / "docs" / page).read_text(), re.M)
        assert float(measured) > float(number)


def test_the_version_is_one() -> None:
    (stated,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert stated == wavcodes.__version__
    assert re.search(rf"^## .*{re.escape(stated)}", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_table_of_formats_agrees_with_them() -> None:
    rows = re.findall(r"^\| (`[\w`, -]+) \| `(\.\w+)` \|.*\| (yes|no) \| (yes|no)", FORMATS_PAGE, re.M)
    told = {name: row[1:] for row in rows for name in re.findall(r"`([\w-]+)`", row[0])}
    words = {True: "yes", False: "no"}
    written = {each.name: (each.suffix, words[each.lengths], "yes") for each in FORMATS if each.writer}
    assert told == written | {each.name: (each.suffix, "no", "no") for each in FORMATS if not each.writer}
    digests = re.findall(r"Only `(\w+)` and `(\w+)` have a place for a digest", FORMATS_PAGE)
    assert digests == [tuple(each.name for each in FORMATS if each.digests)]


# ---- links


@pytest.mark.parametrize("path", DOCUMENTS, ids=from_root)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), f"{path.name} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{path.name} links to {link}, which has no such heading"


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=from_root)
def test_files_named_in_code_type_exist(path: Path) -> None:
    # `docs/engine.md`, `tests/test_layers.py`: a path of this repository, from its root.
    names = [each.name for each in ROOT.iterdir() if each.is_dir()]
    folders = "|".join(name for name in names if name not in MADE and not name.startswith("."))
    for name in re.findall(rf"`((?:{folders}|\.ci)/[\w./-]*)`", path.read_text()):
        assert (ROOT / name).exists(), f"{path.name} names {name}, which is not there"
