"""Rules of the repository that no other tool checks: who imports whom, what is exported, how errors are told."""

import ast
import builtins
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wavcodes
from wavcodes import errors, registry

PACKAGE = Path(wavcodes.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A unit is a module of the package or one of its folders. Each imports from rows above its own only.
ROWS = (
    ("errors",),
    ("values",),
    ("framing",),
    ("spec",),
    ("codes",),
    ("bits", "crc32c", "files", "graph", "memory", "tokens", "unpickle"),
    ("programs",),
    ("audio", "weights"),
    ("containers",),
    ("checkpoint", "models", "engines"),
    ("registry", "streaming"),
    ("codec",),
    ("descript", "lm", "pretrained", "provider_config"),
    ("provider",),
    ("legacy", "training"),
    ("judge",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
ROW = {unit: row for row, units in enumerate(ROWS) for unit in units}

# Libraries that one unit alone knows, so that each can be replaced in one place; the engine also folds weights.
OWNERS = {
    "soundfile": {"audio"},
    "soxr": {"audio"},
    "av": {"audio"},
    "safetensors": {"weights", "training"},
    "huggingface_hub": {"weights"},
    "torch": {"engines", "training"},
    "msgspec": {"training"},
    "pyarrow": {"training"},
    "visqol": {"judge"},
    "pystoi": {"judge"},
    "matplotlib": {"judge"},
    "wavcodes._core": {"engines", "weights"},
}
ALLOWED = {"numpy", *OWNERS}
# They run what is in a file, or are the package that this one does without.
BANNED = {"pickle", "marshal", "shelve", "torchaudio", "yaml", "joblib", "dill"}


def module_of(path: Path) -> tuple[str, ...]:
    """`("models", "encodec")` for `models/encodec.py`; `("models", "__init__")` for its `__init__.py`."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """Every module that a file imports, wherever it does so; this package's by their place in it, as
    `("wavcodes", unit, ...)`."""
    package = ("wavcodes", *module_of(path)[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(name.name.split(".")) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            full = (*base, *(node.module.split(".") if node.module else ()))
            # `from . import graph` names modules, `from .graph import Conv1d` does not.
            yield from ((*full, name.name) if is_module((*full, name.name)) else full for name in node.names)


def is_module(name: tuple[str, ...]) -> bool:
    path = PACKAGE.joinpath(*name[1:])
    return name[0] == "wavcodes" and (path.with_suffix(".py").exists() or path.is_dir() or name[-1] == "_core")


def unit_of(name: tuple[str, ...]) -> str:
    return name[1] if len(name) > 1 else "__init__"


def ids(path: Path) -> str:
    return "/".join(module_of(path))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_module_imports_only_from_rows_above(path: Path) -> None:
    unit = module_of(path)[0]
    assert unit in ROW, f"{path.name} has no place in ROWS; give it one"
    for name in imported(path):
        if name[0] != "wavcodes" or unit_of(name) in (unit, "_core"):
            continue
        assert ROW[unit_of(name)] < ROW[unit], f"{path.name} imports {'.'.join(name)}, which is not above {unit}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=ids)
def test_a_model_file_never_imports_another(path: Path) -> None:
    assert not [name for name in imported(path) if name[:2] == ("wavcodes", "models")]


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_module_imports_only_the_libraries_that_it_may(path: Path) -> None:
    if module_of(path)[0] == "legacy" and path.stem.endswith("_child"):
        return  # it runs in a process, and maybe an interpreter, of the codec that it is for
    for name in imported(path):
        library = "wavcodes._core" if name == ("wavcodes", "_core") else name[0]
        assert library not in BANNED
        if library in OWNERS:
            assert module_of(path)[0] in OWNERS[library], f"only {OWNERS[library]} may know {library}"
        elif library != "wavcodes":
            assert library in ALLOWED or library in sys.stdlib_module_names, f"{library} is not among the dependencies"


def test_the_rule_sees_imports() -> None:
    # Otherwise the tests above could pass by seeing nothing.
    assert ("wavcodes", "graph") in set(imported(PACKAGE / "models" / "encodec.py"))
    assert ("wavcodes", "_core") in set(imported(PACKAGE / "engines" / "native.py"))
    assert ("wavcodes", "weights") in set(imported(PACKAGE / "codec.py"))
    assert ("wavcodes",) in set(imported(PACKAGE / "cli" / "arguments.py"))
    assert any(name[0] == "soundfile" for path in FILES for name in imported(path))


# ---- what the source may not say


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_no_assert_and_nothing_that_runs_data(path: Path) -> None:
    # `python -O` removes asserts, so they check nothing.
    assert not [node.lineno for node in nodes(path) if isinstance(node, ast.Assert)]
    called = {node.func.id for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "__import__"}
    arguments = [node for node in nodes(path) if isinstance(node, ast.keyword) and node.arg == "allow_pickle"]
    assert all(isinstance(each.value, ast.Constant) and each.value.value is False for each in arguments)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_error_raised_is_one_of_the_package(path: Path) -> None:
    python_errors = {
        name for name, value in vars(builtins).items() if inspect.isclass(value) and issubclass(value, BaseException)
    }
    if module_of(path) == ("__init__",):
        python_errors.remove("AttributeError")  # which Python wants from a module's __getattr__
    for node in nodes(path):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            assert not (isinstance(raised, ast.Name) and raised.id in python_errors), f"line {node.lineno}: {raised.id}"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_only_the_registry_knows_codecs_by_name(path: Path) -> None:
    # Whoever asks which codec it serves must be changed for the next one. A container made for one codec may say so,
    # and so may the tokens of a model that was trained on one.
    if module_of(path) in (("registry",), ("tokens", "conventions")) or module_of(path)[0] == "containers":
        return
    texts = {node.value for node in nodes(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not texts & set(registry.list_codecs())


# ---- exports


def test_exports_are_there() -> None:
    assert len(set(wavcodes.__all__)) == len(wavcodes.__all__)
    for name in wavcodes.__all__:
        assert hasattr(wavcodes, name)


def test_every_public_name_is_exported() -> None:
    public = {name: getattr(wavcodes, name) for name in (*vars(wavcodes), *wavcodes._LATER) if not name.startswith("_")}
    defined = {name for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert defined == set(wavcodes.__all__)


@pytest.mark.parametrize("unit", ["audio", "containers", "tokens", "weights", "cli"])
def test_exports_of_the_folders_are_there(unit: str) -> None:
    module = importlib.import_module(f"wavcodes.{unit}")
    assert module.__all__
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", wavcodes.__all__)
def test_everything_exported_is_documented(name: str) -> None:
    value = getattr(wavcodes, name)
    assert value.__module__.startswith("wavcodes.")
    assert own_docstring(value)
    if inspect.isclass(value) and not issubclass(value, BaseException):
        for member, method in vars(value).items():
            if not member.startswith("_") and (callable(method) or isinstance(method, property | classmethod)):
                assert own_docstring(method), f"{name}.{member} has no docstring"


def own_docstring(value: object) -> bool:
    # A dataclass without a docstring gets its signature as one.
    text = getattr(value, "__doc__", None) or ""
    return len(text.split()) > 2 and not text.startswith(f"{getattr(value, '__name__', '')}(")


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_file_says_what_it_is_and_is_not_too_long(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body
    assert len(path.read_text().splitlines()) <= 500


# ---- errors


def drawn_tree() -> dict[str, str | None]:
    """Child and parent of every error in the drawing of errors.py."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:│   |    )*)(?:[├└]── )?(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4 + ("── " in line)
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else None
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        name: None if value is errors.CodecError else value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }
    assert drawn_tree() == real


def test_every_error_is_exported_and_is_a_codec_error() -> None:
    for name in drawn_tree():
        assert name in wavcodes.__all__
        assert issubclass(getattr(wavcodes, name), wavcodes.CodecError)


def test_errors_of_values_can_be_caught_as_python_has_them() -> None:
    assert issubclass(wavcodes.InputError, ValueError)
