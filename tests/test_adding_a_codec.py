"""docs/adding-a-codec.md, done as it is written: in a copy of the repository, of which it may change nothing else."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wavcodes

ROOT = Path(__file__).parents[1]
PACKAGE = Path(wavcodes.__file__).parent
GUIDE = (ROOT / "docs" / "adding-a-codec.md").read_text()

# An installation that follows the sources finds the package before any folder does.
START = """
import os, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]
sys.path[:0] = [os.path.abspath("src"), os.path.abspath("tests")]
import wavcodes
assert wavcodes.__file__.startswith(os.getcwd())
"""

PYTEST = "import pytest\nsys.exit(pytest.main(['-p', 'no:cacheprovider', *sys.argv[1:]]))"


def block(heading: str, number: int = 0) -> str:
    """A fenced block below a heading of the guide; the first, if no number says otherwise."""
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", GUIDE, re.M | re.S)
    assert section, f"the guide has no section {heading}"
    return re.findall(r"^```\w+\n(.*?)^```$", section[1], re.M | re.S)[number]


def insert(path: Path, pattern: str, before: str = "", after: str = "") -> None:
    """Text in front of and behind the only match of `pattern`."""
    text, count = re.subn(pattern, lambda match: before + match[0] + after, path.read_text(), flags=re.M)
    assert count == 1, f"{path.name} has {count} places like {pattern}"
    path.write_text(text)


def files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*.py"))}


def added(before: str, after: str) -> list[str]:
    """Lines of `after` that `before` lacks; asserts that it lacks nothing else."""
    rest = iter(after.splitlines())
    more = []
    for line in before.splitlines():
        for other in rest:
            if other == line:
                break
            more.append(other)
        else:
            pytest.fail(f"the line is gone: {line}")
    return [*more, *rest]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after the walk."""
    root = tmp_path_factory.mktemp("walk")
    (root / "src").mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "_core.*.so", "_core.*.pyd")
    shutil.copytree(PACKAGE, root / "src" / "wavcodes", ignore=ignored)
    shutil.copy(sys.modules["wavcodes._core"].__file__ or "", root / "src" / "wavcodes")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, root)
        elif path.name not in ("src", "build", "dist") and not path.name.startswith("."):
            shutil.copytree(path, root / path.name, ignore=shutil.ignore_patterns("__pycache__", Path(__file__).name))

    (root / "tests" / "toy_upstream.py").write_text(block("Upstream"))
    (root / "src/wavcodes/models/toy.py").write_text(block("The model: `models/toy.py`"))
    registry = root / "src/wavcodes/registry.py"
    insert(registry, r"^from \.models import .*$", after=", toy")
    insert(registry, r"(?<=\n)\)\n\n_BY_NAME = ", before=block("The registry: `registry.py`"))
    (root / "toy_weights.py").write_text(block("The registry: `registry.py`", 1))
    documents = "What the documents say: `README.md`, `NOTICE`, `docs/python.md`"
    insert(root / "README.md", r"^\| `lyra_v2` \| .*\n(?=\n)", after=block(documents))
    insert(root / "docs/python.md", r"^\| `lyra_v2` \| .*\n(?=\n)", after=block(documents, 1))
    insert(root / "NOTICE", r"^lyra_v2 ", before=block(documents, 2) + "\n")
    small = root / "tests/exact.py"
    insert(small, r"^from wavcodes\.models import .*$", after=", toy")
    insert(small, r"^SMALL: .*\n", after=block("One answer: `exact.py`"))
    (root / "tests/test_parity_toy.py").write_text(block("Parity: `test_parity_toy.py`"))
    return root


@pytest.fixture(scope="module")
def run(copy: Path) -> Callable[..., str]:
    """Runs Python in the copy; what it prints. Fails with that if it fails."""

    def execute(source: str, *arguments: str) -> str:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", START + source, *arguments],
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return execute


def test_the_walk_touches_one_file_and_the_registry(copy: Path) -> None:
    before, after = files(PACKAGE), files(copy / "src" / "wavcodes")
    assert set(after) - set(before) == {"models/toy.py"}
    assert {name for name in before if after[name] != before[name]} == {"registry.py"}
    # The registry has lost nothing but the end of the line that imports the models.
    imports = next(line for line in before["registry.py"].splitlines() if line.startswith("from .models import "))
    assert added(before["registry.py"].replace(imports, f"{imports}, toy"), after["registry.py"]) == (
        block("The registry: `registry.py`").splitlines()
    )


def test_every_block_of_the_guide_is_walked(copy: Path) -> None:
    walked = "".join(
        path.read_text() for path in copy.rglob("*") if path.suffix in (".py", ".md") or path.name == "NOTICE"
    )
    guide = (copy / "docs" / "adding-a-codec.md").read_text()
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", guide, re.M | re.S):
        # All but the commands are in the guide and in the file where they belong.
        assert language == "sh" or walked.count(text) == 2, text


@pytest.fixture(scope="module")
def tested(run: Callable[..., str]) -> str:
    """What the command of the guide prints that runs the tests."""
    (command,) = re.findall(r'^pytest -k "(.*)"$', block("Run it"), re.M)
    return run(PYTEST, "-v", "-k", command)


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [
        "test_registry.py::test_facts_agree_with_each_other_and_with_the_network[toy_8khz]",
        "test_registry.py::test_weights_are_pinned_and_licensed[toy_8khz]",
        "test_layers.py::test_a_module_imports_only_from_rows_above[models/toy]",
        "test_layers.py::test_a_model_file_never_imports_another[models/toy]",
        "test_docs.py::test_the_table_agrees_with_the_registry[toy_8khz]",
        "test_docs.py::test_the_table_of_delays_agrees_with_the_engine[toy_8khz]",
        "test_docs.py::test_notice_names_the_licence_of_each_set_of_weights[toy_8khz]",
        "test_one_answer.py::test_pieces_threads_and_instruction_sets[toy]",
        "test_one_answer.py::test_a_batch_gives_each_clip_what_it_gets_alone[toy]",
        "test_one_answer.py::test_a_batch_of_32[toy]",
    ],
)
def test_the_tests_of_the_repository_pick_the_codec_up(test: str, tested: str) -> None:
    assert f"{test} PASSED" in tested, tested


@pytest.mark.slow
def test_upstream_agrees(tested: str, peer: Callable[[str], object]) -> None:
    peer("torch")
    assert len(re.findall(r"test_parity_toy\.py::\S+ PASSED", tested)) == 18, tested


def test_what_holds_for_every_codec_holds(run: Callable[..., str]) -> None:
    assert " passed" in run(PYTEST, "tests/toy_codec.py")


def test_the_commands(run: Callable[..., str], copy: Path) -> None:
    shutil.copy(ROOT / "examples" / "sample.flac", copy / "speech.flac")
    run((copy / "toy_weights.py").read_text())
    for line in block("The registry: `registry.py`", 2).splitlines():
        program, *words = line.split()
        assert program == "wavcodes"
        run("from wavcodes.cli import main\nsys.exit(main())", *words)
    import soundfile

    sound = soundfile.info(copy / "speech.wav")
    assert (sound.samplerate, sound.frames) == (8_000, round(soundfile.info(copy / "speech.flac").frames / 2))
