"""Weights on this machine: found, read without running anything, folded the same everywhere, checked by name."""

import hashlib
import json
import math
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch_files
from hypothesis import given
from hypothesis import strategies as st
from loopback_hub import make_spec
from numpy.typing import NDArray

from wavcodes import registry
from wavcodes.errors import FormatError, ModelError, ResourceError
from wavcodes.spec import WeightFile
from wavcodes.weights import (
    Deferred,
    Located,
    check,
    digest,
    fold_weight_norm,
    locate,
    read,
    read_safetensors,
    rename,
)
from wavcodes.weights.torch_file import read_torch

# ---- locate


@pytest.fixture
def one() -> WeightFile:
    return WeightFile("model.safetensors", sha256="0" * 64, size=3)


def test_packaged_file_is_found_and_verified() -> None:
    spec = registry.spec("wavcodes_16khz")
    (found,) = locate(spec)
    content = found.path.read_bytes()
    assert found.verified
    assert hashlib.sha256(content).hexdigest() == spec.weights.files[0].sha256
    assert len(content) == spec.weights.files[0].size


@pytest.mark.parametrize("name", ["wavcodes_16khz.safetensors", "absent.safetensors"])
def test_packaged_file_that_is_damaged_or_gone_is_a_model_error(name: str) -> None:
    spec = registry.spec("wavcodes_16khz")
    damaged = replace(spec, weights=replace(spec.weights, files=(WeightFile(name, sha256="0" * 64),)))
    with pytest.raises(ModelError, match="install wavcodes again"):
        locate(damaged)


def test_a_given_file_or_folder_is_used_as_it_is(tmp_path: Path, one: WeightFile) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"own")
    renamed = tmp_path / "mine"
    renamed.write_bytes(b"own")
    spec = make_spec([one])
    assert locate(spec, path) == (Located(path, verified=False),)
    assert locate(spec, str(renamed)) == (Located(renamed, verified=False),)
    assert locate(spec, tmp_path) == (Located(path, verified=False),)


def test_a_folder_gives_the_files_in_the_order_of_the_registry(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"")
    spec = make_spec([WeightFile("c"), WeightFile("a")])
    assert [found.path.name for found in locate(spec, tmp_path)] == ["c", "a"]


def test_what_exists_here_goes_before_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: WeightFile
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner/toy").mkdir(parents=True)
    (tmp_path / "owner/toy/model.safetensors").write_bytes(b"own")
    assert locate(make_spec([one]), "owner/toy") == (Located(Path("owner/toy/model.safetensors"), verified=False),)


@pytest.mark.parametrize("weights", ["no such file", "/nowhere/model.safetensors", "a/b/c", "~/x/y", "\0", "a" * 5000])
def test_what_is_neither_here_nor_a_repository_is_a_model_error(weights: str, one: WeightFile) -> None:
    with pytest.raises(ModelError, match=r"does not exist; leave weights out"):
        locate(make_spec([one]), weights)


def test_a_path_object_is_never_a_repository(one: WeightFile) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        locate(make_spec([one]), Path("owner/toy"))


def test_missing_files_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    spec = make_spec([WeightFile("a"), WeightFile("b"), WeightFile("c")])
    with pytest.raises(ModelError, match="lacks b, c"):
        locate(spec, tmp_path)
    with pytest.raises(ModelError, match="expected a folder with a, b, c"):
        locate(spec, tmp_path / "a")


def test_unpublished_weights_must_be_passed(one: WeightFile) -> None:
    with pytest.raises(ModelError, match="name a folder with it as the weights"):
        locate(make_spec([one]))


# ---- reading


def safetensors(header: dict[str, object] | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A file built by hand from the published layout: length of the header, JSON, data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


WHOLE = safetensors(
    {
        "__metadata__": {"format": "pt"},
        "a.weight": entry("F32", [2, 2], 0, 16),
        "b": entry("F16", [3], 16, 22),
        "steps": entry("I64", [], 22, 30),
    },
    struct.pack("<4f", 1.5, -2.0, 0.0, 3.25) + b"\x00\x3c\x00\xc0\x01\x00" + struct.pack("<q", 7),
)


def test_tensors_of_a_file_built_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(WHOLE)
    tensors = read_safetensors(path)
    assert list(tensors) == ["a.weight", "b", "steps"]
    np.testing.assert_array_equal(tensors["a.weight"], np.array([[1.5, -2.0], [0.0, 3.25]], np.float32), strict=True)
    np.testing.assert_array_equal(tensors["b"], np.array([1.0, -2.0, 2.0**-24], np.float32), strict=True)
    np.testing.assert_array_equal(tensors["steps"], np.array(7, np.int64), strict=True)


def test_a_header_that_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    text = json.dumps({"a": entry("F32", [1], 0, 4)}).encode().ljust(0x80)
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(text, struct.pack("<f", 2.5)))
    assert path.read_bytes()[0] == 0x80
    assert read(path)["a"] == np.float32(2.5)


def test_a_file_cut_anywhere_is_a_format_error(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    for length in range(len(WHOLE)):
        path.write_bytes(WHOLE[:length])
        with pytest.raises(FormatError, match="fetch it again"):
            read_safetensors(path)


@pytest.mark.parametrize(
    "content",
    [
        b"no weights, only a few words of text",
        safetensors(b"{", length=1 << 40),
        safetensors({"a": entry("F32", [1 << 40], 0, 4)}, bytes(4)),
        safetensors({"a": entry("F32", [1 << 62, 1 << 62], 0, 4)}, bytes(4)),
        safetensors({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 2, 6)}, bytes(6)),
        safetensors({"a": entry("F32", [1], 4, 0)}, bytes(4)),
        safetensors({"a": entry("Q4", [1], 0, 4)}, bytes(4)),
        safetensors(b'{"a": ['),
        WHOLE + b"more",
    ],
)
def test_a_file_that_is_not_what_it_says_is_a_format_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="expected an intact safetensors file"):
        read_safetensors(path)


@pytest.mark.parametrize("shape", [[1] * 65, [0, (1 << 63) - 1], [0, (1 << 64) - 1]], ids=["65", "2^63", "2^64"])
def test_a_shape_that_numpy_does_not_take_is_a_format_error(tmp_path: Path, shape: list[int]) -> None:
    size = 0 if 0 in shape else 4
    path = tmp_path / "bad"
    path.write_bytes(safetensors({"a": entry("F32", shape, 0, size)}, bytes(size)))
    with pytest.raises(FormatError, match="expected tensor a in a shape that numpy takes"):
        read_safetensors(path)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    patterns = np.arange(1 << 16, dtype="<u2")
    header = {
        "a": entry("F32", [1], 0, 4),
        "b": entry("BF16", [256, 256], 4, 131_076),
        "c": entry("BF16", [], 131_076, 131_078),
    }
    path.write_bytes(safetensors(header, bytes(4) + patterns.tobytes() + b"\xc0\x3f"))
    tensors = read_safetensors(path)
    by_hand = b"".join(b"\0\0" + pattern.tobytes() for pattern in patterns)
    assert np.asarray(tensors["b"]).tobytes() == by_hand  # bits, for NaN among them
    assert (tensors["b"].dtype, tensors["b"].shape) == (np.float32, (256, 256))
    np.testing.assert_array_equal(tensors["c"], np.array(1.5, np.float32), strict=True)


def test_a_type_that_numpy_lacks_is_a_format_error_that_names_the_tensor(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors({"name": entry("F8_E4M3", [2], 0, 2)}, bytes(2)))
    with pytest.raises(FormatError, match="tensor name is of type F8_E4M3"):
        read_safetensors(path)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth", "x"])
def test_the_content_decides_how_a_file_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(WHOLE)
    assert list(read(path)) == ["a.weight", "b", "steps"]
    path.write_bytes(torch_files.archive(torch_files.GOOD))
    assert list(read(path)) == ["weight", "bias"]
    path.write_bytes(torch_files.sequence(torch_files.GOOD[2:-1]))
    assert list(read(path)) == ["weight", "bias"]


class Trap:
    """Leaves a file behind if anything unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (self.mark.touch, ())


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, zipped: bool) -> None:
    content = pickle.dumps(Trap(tmp_path / "mark"), protocol=2)
    path = tmp_path / "model.th"
    path.write_bytes(torch_files.archive(content) if zipped else content)
    with pytest.raises(FormatError, match="nothing was run"):
        read(path)
    with pytest.raises(FormatError, match="expected an intact safetensors file"):
        read_safetensors(path)
    assert not (tmp_path / "mark").exists()
    pickle.loads(content)
    assert (tmp_path / "mark").exists()  # the trap works


def test_a_file_that_cannot_be_opened_is_a_resource_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ResourceError, match="cannot read"):
            read_safetensors(path)
        with pytest.raises(ResourceError, match="cannot read"):
            read(path)
        with pytest.raises(ResourceError, match="cannot read"):
            read_torch(path)


# ---- weight normalisation


def sequential_norm(row: NDArray[np.float32]) -> np.float32:
    """Euclidean norm with the order of every operation fixed: Python's own float64, one addition after the other."""
    total = 0.0
    for value in row.ravel().tolist():
        total += value * value
    return np.float32(math.sqrt(total))


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    inner=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
    spelling=st.sampled_from(
        [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")]
    ),
)
def test_folding_equals_the_sum_in_sequence_bit_by_bit(
    shape: list[int], inner: int, seed: int, spelling: tuple[str, str]
) -> None:
    rng = np.random.default_rng(seed)
    v = (rng.standard_normal([*shape, inner]) * 10.0 ** rng.integers(-6, 6)).astype(np.float32)
    g = rng.standard_normal([shape[0]] + [1] * len(shape)).astype(np.float32)
    folded = fold_weight_norm({f"x.{spelling[0]}": g, f"x.{spelling[1]}": v, "x.bias": g})
    assert list(folded) == ["x.bias", "x.weight"]
    norms = np.array([sequential_norm(row) for row in v], np.float32).reshape(g.shape)
    np.testing.assert_array_equal(folded["x.weight"], v * (g / norms), strict=True)


def test_folding_agrees_with_pytorch(peer: Callable[[str], ModuleType]) -> None:
    torch = peer("torch")
    torch.manual_seed(0)
    old, new = (torch.nn.ConvTranspose1d(12, 7, 5) for _ in range(2))
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(old)
    torch.nn.utils.parametrizations.weight_norm(new)
    for module in (old, new):
        module.load_state_dict({k: torch.randn_like(v) for k, v in module.state_dict().items()})
        with torch.no_grad():
            module(torch.zeros(1, 12, 3))  # the older function computes the weight in front of a pass
        folded = fold_weight_norm({f"up.{k}": v.numpy() for k, v in module.state_dict().items()})
        assert set(folded) == {"up.weight", "up.bias"}
        # Its float32 norm of 35 values may be off by a few units in the last place; each is 2**-23 of the value.
        np.testing.assert_allclose(folded["up.weight"], module.weight.detach().numpy(), rtol=4 * 2.0**-23, atol=0)


def test_folded_weights_and_single_halves_pass_through() -> None:
    tensors = {"a.weight": np.ones(2, np.float32), "b.weight_g": np.ones(2, np.float32)}
    assert fold_weight_norm(tensors) == tensors


@pytest.mark.parametrize(
    ("g", "v"),
    [
        (np.ones((2, 1), np.float32), np.ones((3, 2), np.float32)),
        (np.ones((3,), np.float32), np.ones((3, 2), np.float32)),
        (np.ones((2, 1), np.float32), np.ones((2, 0), np.float32)),
        (np.ones((0, 1), np.float32), np.ones((0, 2), np.float32)),
        (np.float32(1), np.float32(1)),
        (np.ones((2, 1), np.float64), np.ones((2, 2), np.float64)),
        (np.ones((2, 1), np.int64), np.ones((2, 2), np.float32)),
    ],
)
def test_halves_that_do_not_fit_are_a_model_error(g: NDArray[np.float32], v: NDArray[np.float32]) -> None:
    with pytest.raises(ModelError, match=r"^x: expected a float32 direction"):
        fold_weight_norm({"x.weight_g": g, "x.weight_v": v})


def test_a_weight_stored_twice_is_a_model_error() -> None:
    one = np.ones((1, 1), np.float32)
    with pytest.raises(ModelError, match=r"x\.weight is stored both"):
        fold_weight_norm({"x.weight": one, "x.weight_g": one, "x.weight_v": one})


def test_a_zero_direction_is_found_by_the_check() -> None:
    zero = {"x.weight_g": np.ones((1, 1), np.float32), "x.weight_v": np.zeros((1, 2), np.float32)}
    with pytest.raises(ModelError, match=r"1 NaN or infinite: x\.weight"):
        check(fold_weight_norm(zero), {"x.weight": (1, 2)}, "test")["x.weight"]


# ---- names, shapes, identity


def test_the_first_rule_that_matches_the_whole_name_decides() -> None:
    tensors = {name: np.array(i) for i, name in enumerate(["enc.0.w", "enc.1.w", "q.3.inited", "other.enc.0.w"])}
    rules = [(r"enc\.0\.(.+)", r"first.\1"), (r"enc\.(\d+)\.(.+)", r"body.\2.\1"), (r".+\.inited", None)]
    assert {name: int(value) for name, value in rename(tensors, rules).items()} == {
        "first.w": 0,
        "body.w.1": 1,
        "other.enc.0.w": 3,
    }


def test_two_tensors_of_one_name_are_a_model_error() -> None:
    with pytest.raises(ModelError, match="x twice, as a and as b"):
        rename({"a": np.zeros(1), "b": np.zeros(1)}, [("[ab]", "x")])


def test_all_that_is_wrong_is_reported_at_once() -> None:
    tensors = {
        "right": np.zeros((1, 2), np.float32),
        "shape": np.zeros((2, 1), np.float32),
        "type": np.zeros(3, np.float64),
        "nan": np.array([0, np.nan], np.float32),
        "inf": np.array([-np.inf], np.float32),
        **{f"extra{i}": np.zeros(1, np.float32) for i in range(20)},
    }
    expected = {"right": (1, 2), "shape": (1, 2), "type": (3,), "nan": (2,), "inf": (1,), "gone": (4, 5)}
    with pytest.raises(ModelError) as caught:
        check(tensors, expected, "FILE")
    message = str(caught.value)
    for part in (
        "FILE does not hold",
        "1 missing: gone (4, 5)",
        "20 unexpected: extra0, extra1, extra2, extra3, extra4, extra5 and 14 more",
        "1 misshapen: shape (2, 1), expected (1, 2)",
        "1 not float32: type (float64)",
        "2 NaN or infinite: nan, inf",
    ):
        assert part in message
    assert "right" not in message


def test_values_are_looked_at_when_they_are_asked_for() -> None:
    made: list[str] = []

    def tensor(name: str, value: float) -> Deferred:
        return Deferred((2,), np.float32, lambda: made.append(name) or np.array([0, value], np.float32))

    values = {"a": 1, "b": np.nan, "c": 2, "d": -np.inf}
    checked = check({name: tensor(name, value) for name, value in values.items()}, dict.fromkeys(values, (2,)), "FILE")
    assert made == []
    np.testing.assert_array_equal(checked["a"], np.array([0, 1], np.float32), strict=True)
    np.testing.assert_array_equal(checked["c"], np.array([0, 2], np.float32), strict=True)
    assert made == ["a", "c"]
    for name in ("b", "d"):
        with pytest.raises(ModelError, match=r"^FILE does not hold .*; 2 NaN or infinite: b, d\. Pass"):
            checked[name]


def test_checked_tensors_are_contiguous_float32_in_the_order_of_the_graph() -> None:
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(3, 2).T, "a": np.float32(4) * np.ones((), np.float32)}
    checked = check(tensors, {"a": (), "b": (2, 3)}, "test")
    assert list(checked) == ["a", "b"]
    assert checked["a"].shape == ()
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in checked.values())
    np.testing.assert_array_equal(checked["b"], [[0, 2, 4], [1, 3, 5]])


def test_digest_of_bytes_built_by_hand() -> None:
    tensors = {"b": np.array([[1.0], [-2.0]], np.float32), "aé": np.array(0.5, np.float32)}
    by_hand = (
        b"\x03\0\0\0a\xc3\xa9" + b"\0\0\0\0" + b"\0\0\0\x3f"
        b"\x01\0\0\0b" + b"\x02\0\0\0" + b"\x02\0\0\0\0\0\0\0" + b"\x01\0\0\0\0\0\0\0" + b"\0\0\x80\x3f\0\0\0\xc0"
    )  # fmt: skip
    assert digest(tensors) == hashlib.sha256(by_hand).digest()


def test_digest_does_not_depend_on_the_layout_but_on_names_shapes_and_values() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = digest({"a": values, "b": values})
    assert digest({"b": np.asfortranarray(values), "a": values.astype(">f4")}) == same
    for other in (
        {"a": values, "c": values},
        {"a": values, "b": values.reshape(3, 2)},
        {"a": values, "b": values + np.float32(1e-6)},
        {"a": values},
    ):
        assert digest(other) != same
