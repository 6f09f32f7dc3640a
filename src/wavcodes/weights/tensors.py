"""From the tensors of a weights file to the float32 tensors that a graph names: fold, rename, check, identify."""

import hashlib
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import _core
from ..errors import ModelError


class Deferred:
    """A tensor whose values are made each time that `np.asarray` asks for them, and take no memory in between.

    Attributes:
        shape, dtype: Those of the values.
    """

    def __init__(self, shape: Sequence[int], dtype: DTypeLike, make: Callable[[], NDArray[Any]]) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self._make = make

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._make(), dtype)


Tensor = NDArray[Any] | Deferred
Tensors = dict[str, Tensor]

# The spellings of weight normalisation (magnitude, direction): torch.nn.utils.weight_norm and
# torch.nn.utils.parametrizations.weight_norm. Published checkpoints use both, sometimes for the same model.
_WEIGHT_NORM = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)

_PIECE = 1 << 17  # bytes; hashing waits longer for memory than copying it into the cache takes
_NAMED = 6  # tensors of one kind that a message names before it only counts


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of the same shape that bfloat16 values of these bits stand for, exactly."""
    shifted: NDArray[np.uint32] = np.left_shift(bits, 16, dtype=np.uint32)
    return np.asarray(shifted).view(np.float32)


def fold_weight_norm(tensors: Mapping[str, Tensor]) -> Tensors:
    """`X.weight` from its magnitude and direction, `g * v / |v|`, in either spelling; all else passes through.

    The norm is taken over all axes but the first, as both PyTorch functions do by default.

    Raises:
        ModelError: A magnitude does not fit its direction, or `X.weight` is there as well.
    """
    folded: Tensors = dict(tensors)
    for magnitude, direction in _WEIGHT_NORM:
        for stem in [name.removesuffix(magnitude) for name in folded if name.endswith(magnitude)]:
            if stem + direction not in folded:
                continue
            if f"{stem}.weight" in folded:
                raise ModelError(f"{stem}.weight is stored both folded and as {magnitude[1:]}; expected one of the two")
            g, v = folded.pop(stem + magnitude), folded.pop(stem + direction)
            folded[f"{stem}.weight"] = _folded(stem, g, v)
    return folded


def _folded(stem: str, g: Tensor, v: Tensor) -> Deferred:
    if {g.dtype, v.dtype} != {np.dtype("f4")} or v.ndim * v.size == 0 or g.shape != v.shape[:1] + (1,) * (v.ndim - 1):
        raise ModelError(
            f"{stem}: expected a float32 direction and one magnitude for each of its first axis, "
            f"got {v.dtype} {v.shape} and {g.dtype} {g.shape}"
        )

    def weight() -> NDArray[np.float32]:
        return _core.fold(np.ascontiguousarray(g), np.ascontiguousarray(v)).reshape(v.shape)

    return Deferred(v.shape, np.float32, weight)


def rename(tensors: Mapping[str, Tensor], rules: Iterable[tuple[str, str | None]]) -> Tensors:
    r"""Names of a checkpoint to names of a graph.

    Args:
        tensors: Tensors under the checkpoint's names.
        rules: Pairs of a regular expression for the whole name and its replacement (`\1` for a group); the first that
            matches decides. None as replacement drops a tensor that is known not to be needed, such as the running
            averages of training. A name that no rule matches stays, so that `check` can report it.

    Raises:
        ModelError: Two tensors get the same name.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    renamed: Tensors = {}
    origin: dict[str, str] = {}
    for name, value in tensors.items():
        target: str | None = name
        for pattern, replacement in compiled:
            match = pattern.fullmatch(name)
            if match is not None:
                target = None if replacement is None else match.expand(replacement)
                break
        if target is None:
            continue
        if target in renamed:
            raise ModelError(f"the weights hold {target} twice, as {origin[target]} and as {name}; expected it once")
        renamed[target], origin[target] = value, name
    return renamed


def squeeze(tensors: Mapping[str, Tensor]) -> Tensors:
    """Without the axes of one entry that PyTorch's modules store: Snake's `alpha` (1, C, 1), projections (D, E, 1).

    What has another shape stays as it is, for `check` to report.
    """
    squeezed: Tensors = dict(tensors)
    for name, value in tensors.items():
        if name.endswith(".alpha") and value.ndim == 3 and value.shape[::2] == (1, 1):
            squeezed[name] = _reshaped(value, value.shape[1:2])
        elif name.endswith("_proj.weight") and value.ndim == 3 and value.shape[2] == 1:
            squeezed[name] = _reshaped(value, value.shape[:2])
    return squeezed


def _reshaped(value: Tensor, shape: tuple[int, ...]) -> Deferred:
    return Deferred(shape, value.dtype, lambda: np.asarray(value).reshape(shape))


class Checked(Mapping[str, NDArray[np.float32]]):
    """The tensors that a graph names, C-contiguous and float32, each made when it is asked for and not kept.

    Asking for one that holds NaN or infinities raises the `ModelError` of `check`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], source: str) -> None:
        self._tensors = tensors
        self._source = source

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        tensor = self._tensors[name]
        value = np.ascontiguousarray(tensor, dtype=np.float32).reshape(tensor.shape)
        if not _finite(value):
            raise _unusable([_not_finite(self._tensors)], self._source)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def check(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], source: str) -> Checked:
    """Exactly the expected tensors, in the order of `expected`. Values are looked at when they are asked for.

    Args:
        tensors: Tensors under the names of the graph.
        expected: Names and shapes, as `graph.tensor_shapes` gives them.
        source: Where they come from, for the message.

    Raises:
        ModelError: Tensors are missing, unexpected, misshapen or not float32; all of them are reported together, with
            those that hold NaN or infinities.
    """
    both = [name for name in expected if name in tensors]
    misshapen = [name for name in both if tensors[name].shape != tuple(expected[name])]
    mistyped = [name for name in both if tensors[name].dtype != np.float32]
    faults = [
        _listed("missing", [f"{name} {tuple(expected[name])}" for name in expected if name not in tensors]),
        _listed("unexpected", [name for name in tensors if name not in expected]),
        _listed("misshapen", [f"{name} {tensors[name].shape}, expected {tuple(expected[name])}" for name in misshapen]),
        _listed("not float32", [f"{name} ({tensors[name].dtype})" for name in mistyped]),
    ]
    if any(faults):
        raise _unusable([*faults, _not_finite({n: tensors[n] for n in both if n not in mistyped})], source)
    return Checked({name: tensors[name] for name in expected}, source)


def _unusable(faults: Sequence[str], source: str) -> ModelError:
    return ModelError(
        f"{source} does not hold the weights that this codec needs; {'; '.join(filter(None, faults))}. "
        "Pass the weights of the same codec and version"
    )


def _not_finite(tensors: Mapping[str, Tensor]) -> str:
    return _listed("NaN or infinite", [name for name in tensors if not _finite(np.asarray(tensors[name]))])


def _finite(values: NDArray[np.float32]) -> bool:
    # Of a NaN both are NaN. No array of truth values, whose memory costs more than to look twice.
    with np.errstate(invalid="ignore"):
        return not values.size or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _listed(kind: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return f"{len(items)} {kind}: {', '.join(items[:_NAMED])}{more}"


def digest(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Identity of a set of weights, whatever file layout it came from: 32 bytes of SHA-256.

    Over the tensors in order of their names' code points: length of the name (uint32) and the name in UTF-8, number of
    dimensions (uint32) and the dimensions (uint64 each), the values as float32 in C order; all little-endian.
    """
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        value, shape = np.ascontiguousarray(tensor, dtype="<f4"), tensor.shape
        encoded = name.encode()
        hasher.update(struct.pack(f"<I{len(encoded)}sI{len(shape)}Q", len(encoded), encoded, len(shape), *shape))
        content = value.reshape(-1).view(np.uint8).data
        for i in range(0, len(content), _PIECE):
            hasher.update(bytes(content[i : i + _PIECE]))
    return hasher.digest()
