"""PyTorch checkpoints read without PyTorch: the same tensors as PyTorch's own loader, whatever their views and layout.
Hostile files have a test file of their own."""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch_files as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavcodes.errors import CodecError, ModelError
from wavcodes.weights import Tensors, read
from wavcodes.weights.pickled import unpickle

Peer = Callable[[str], ModuleType]
LAYOUTS = pytest.mark.parametrize("archive", [True, False], ids=["archive", "sequence"])


def read_bytes(folder: Path, content: bytes) -> Tensors:
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read(path)


def assert_equal(ours: Tensors, theirs: dict[str, Any]) -> None:
    """Same names in the same order, same dtypes, shapes and values."""
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        wide = tensor.float() if str(tensor.dtype) in ("torch.float16", "torch.bfloat16") else tensor
        np.testing.assert_array_equal(ours[name], wide.detach().numpy(), strict=True)
        assert ours[name].flags.aligned


# ---- built by hand


@pytest.mark.parametrize(
    "content", [make.archive(make.GOOD), make.sequence(make.GOOD[2:-1])], ids=["archive", "sequence"]
)
def test_tensors_of_a_file_built_by_hand(tmp_path: Path, content: bytes) -> None:
    tensors = read_bytes(tmp_path, content)
    assert list(tensors) == ["weight", "bias"]
    np.testing.assert_array_equal(tensors["weight"], np.array([[1.5, -2.0], [0.25, 3.0]], np.float32), strict=True)
    np.testing.assert_array_equal(tensors["bias"], np.array([-2.0, 3.0], np.float32), strict=True)


def test_older_archives_do_not_say_their_byte_order(tmp_path: Path) -> None:
    content = make.zipped(("a/data.pkl", make.GOOD), ("a/version", b"2\n"), ("a/data/0", make.VALUES))
    assert set(read_bytes(tmp_path, content)) == {"weight", "bias"}


@pytest.mark.parametrize("wrapper", ["state_dict", "best_state", "model"])
def test_a_state_dict_is_found_in_its_wrapping(tmp_path: Path, wrapper: str) -> None:
    rates = make.text("rates") + b"]" + make.number(2) + b"a"
    dropout = make.text("dropout") + b"G" + struct.pack(">d", 0.5)
    metadata = make.text("metadata") + b"}" + make.MARK + rates + dropout + b"u"
    content = make.PROTO + b"}" + make.MARK + metadata + make.text(wrapper) + make.state(weight=make.tensor()) + b"u."
    assert list(read_bytes(tmp_path, make.archive(content))) == ["weight"]


@pytest.mark.parametrize("layout", [make.archive, make.sequence, None])
def test_a_pointer_names_the_repository_to_use(tmp_path: Path, layout: Callable[[bytes], bytes] | None) -> None:
    value = b"}" + make.text("pretrained") + make.text("facebook/encodec_32khz") + b"s"
    whole = make.PROTO + value + make.STOP
    content = {None: whole, make.archive: make.archive(whole, {}), make.sequence: make.sequence(value, (), b"")}[layout]
    with pytest.raises(ModelError, match="facebook/encodec_32khz"):
        read_bytes(tmp_path, content)


# ---- as PyTorch writes them


def saved(torch: ModuleType, value: Any, path: Path, archive: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=archive)
    return path


@LAYOUTS
def test_every_dtype_is_what_pytorch_loads(peer: Peer, tmp_path: Path, archive: bool) -> None:
    torch = peer("torch")
    names = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    rng = np.random.default_rng(0)
    # Every bit pattern of 16, so that infinities, NaN and denormals are among them.
    patterns = torch.from_numpy(np.arange(1 << 16, dtype=np.uint16).view(np.int16))
    values = {name: torch.from_numpy(rng.integers(-100, 100, (3, 5))).to(getattr(torch, name)) for name in names}
    values |= {"half": patterns.clone().view(torch.float16), "brain": patterns.clone().view(torch.bfloat16)}
    path = saved(torch, values, tmp_path / "x.pt", archive)
    assert_equal(read(path), torch.load(path, weights_only=True))


@LAYOUTS
def test_views_parameters_and_modules(peer: Peer, tmp_path: Path, archive: bool) -> None:
    torch = peer("torch")
    base = torch.arange(120.0).reshape(4, 5, 6)
    values = {
        "transposed": base.permute(2, 0, 1),
        "part": base[1:3, ::2, 5:2],
        "some": base[1:4:2, 3, 1:],
        "row": base[2, 3],
        "expanded": torch.tensor([1.0, 2.0])[:, None].expand(2, 7),
        "scalar": torch.tensor(2.5),
        "one": base[3, 4, 5],
        "empty": torch.zeros(0, 3),
        "nothing": torch.zeros(0),
        "parameter": torch.nn.Parameter(torch.ones(2, 3)),
        "tied": base.view(-1)[7:11],
    }
    path = saved(torch, values, tmp_path / "x.pt", archive)
    tensors = read(path)
    assert_equal(tensors, torch.load(path, weights_only=True))
    if archive:  # whose members are aligned: mapped and not copied
        assert not any(values.flags.writeable or values.flags.owndata for values in tensors.values())
        assert np.shares_memory(tensors["transposed"], tensors["tied"])

    module = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(3), torch.nn.LSTM(3, 4))
    path = saved(torch, module.state_dict(), tmp_path / "module.pt", archive)
    assert_equal(read(path), torch.load(path, weights_only=True))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dims=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=4),
    offset=st.integers(0, 9),
    archive=st.booleans(),
)
def test_any_view_is_what_pytorch_loads(
    peer: Peer, tmp_path: Path, dims: list[tuple[int, int]], offset: int, archive: bool
) -> None:
    torch = peer("torch")
    shape, steps = [size for size, _ in dims], [step for _, step in dims]
    view = torch.arange(150).as_strided(shape, steps, offset)
    path = saved(torch, {"x": view}, tmp_path / "x.pt", archive)
    assert_equal(read(path), torch.load(path, weights_only=True))


# ---- damaged


def outcome(folder: Path, content: bytes) -> Tensors | None:
    """What is read; None for an error of the package, while all others come through."""
    try:
        return read_bytes(folder, content)
    except CodecError:
        return None


def is_good(tensors: Tensors) -> bool:
    return (
        list(tensors) == ["weight", "bias"]
        and np.array_equal(tensors["weight"], [[1.5, -2.0], [0.25, 3.0]])
        and np.array_equal(tensors["bias"], [-2.0, 3.0])
    )


@pytest.mark.parametrize(
    "content", [make.archive(make.GOOD), make.sequence(make.GOOD[2:-1])], ids=["archive", "sequence"]
)
def test_a_file_cut_anywhere_is_an_error(tmp_path: Path, content: bytes) -> None:
    for length in range(len(content)):
        assert outcome(tmp_path, content[:length]) is None, length


def test_a_pickle_cut_anywhere_is_an_error_in_an_intact_archive(tmp_path: Path) -> None:
    for length in range(len(make.GOOD) - 1):
        assert outcome(tmp_path, make.archive(make.GOOD[:length])) is None, length
        assert not outcome(tmp_path, make.archive(make.GOOD[:length] + make.STOP)), length  # at most no tensors


def test_any_changed_byte_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    content = make.archive(make.GOOD)
    found = 0
    for position in range(len(content)):
        for mask in (0x01, 0xFF):
            changed = bytearray(content)
            changed[position] ^= mask
            tensors = outcome(tmp_path, bytes(changed))
            assert tensors is None or is_good(tensors), (position, mask)
            found += tensors is None
    assert found > len(content)


EDITS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=4)


def edited(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for position, removed, inserted in edits:
        position %= len(content) + 1
        content = content[:position] + inserted + content[position + removed :]
    return content


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_any_edit_of_an_archive_is_an_error_or_changes_nothing(
    tmp_path: Path, edits: list[tuple[int, int, bytes]]
) -> None:
    tensors = outcome(tmp_path, edited(make.archive(make.GOOD), edits))
    assert tensors is None or is_good(tensors)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, archive=st.booleans())
def test_any_edit_of_a_pickle_gives_tensors_or_an_error_of_the_package(
    tmp_path: Path, edits: list[tuple[int, int, bytes]], archive: bool
) -> None:
    # What is edited here carries no checksum, so other tensors may come; nothing else may.
    changed = edited(make.GOOD, edits)
    tensors = outcome(tmp_path, make.archive(changed) if archive else make.sequence(changed[2:-1]))
    assert tensors is None or all(isinstance(values, np.ndarray) for values in tensors.values())


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 1000), 1 << 1000) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@given(value=PLAIN)
def test_plain_values_are_what_python_pickled(value: object) -> None:
    content = memoryview(pickle.dumps(value, protocol=2))
    found = unpickle(content)
    assert found.value == value
    assert type(found.value) is type(value) or isinstance(value, list | dict)
    assert found.end == len(content)
