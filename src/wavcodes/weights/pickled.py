"""Values that the pickles of PyTorch files may hold, and what the few names in them stand for."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_DIMENSIONS = 32
_KEY = re.compile("[0-9]{1,20}")


class Items(list[object]):
    """A list or a tuple; what is `sealed` does not change any more."""

    __slots__ = ("depth", "sealed")

    def __init__(self, items: list[object], depth: int, sealed: bool) -> None:
        super().__init__(items)
        self.depth = depth
        self.sealed = sealed


class Mapping(dict[str, object]):
    """A dictionary, ordered or not; what is `sealed` does not change any more."""

    __slots__ = ("depth", "sealed")

    def __init__(self) -> None:
        super().__init__()
        self.depth = 1
        self.sealed = False


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie outside the pickle: `kind` as in `torch.FloatStorage`, key (decimal digits), and their count."""

    kind: str
    key: str
    num_values: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, counted in values; no number is negative, but it may reach beyond the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str


def kind_of(value: object) -> str:
    """What messages call a value of a pickle."""
    if value is None:
        return "None"
    return _KINDS.get(type(value), f"a value of type {type(value).__name__}")


_KINDS: dict[type, str] = {
    Items: "a list or tuple",
    Mapping: "a dictionary",
    Storage: "a bare storage",
    Tensor: "a tensor",
    Symbol: "a name",
}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _counts(items: object) -> tuple[int, ...] | None:
    if not isinstance(items, Items) or len(items) > _DIMENSIONS:
        return None
    counts = tuple(item for item in items if isinstance(item, int) and _is_count(item))
    return counts if len(counts) == len(items) else None


def storage_of(identity: object) -> Storage | None:
    """The storage that a persistent id stands for; None if it stands for something else."""
    match identity:
        # In the older layout a sixth value tells of which other storage this one is a part; long unused.
        case ["storage", Symbol(name), str(key), str(), int(size), *view] if view in ([], [None]):
            if name in STORAGES and _KEY.fullmatch(key) and _is_count(size):
                return Storage(STORAGES[name], key, size)
    return None


def _ordered_dict(arguments: object) -> Mapping | None:
    return Mapping() if arguments == [] else None


def _tensor(arguments: object) -> Tensor | None:
    match arguments:
        case [Storage() as storage, int(offset), sizes, strides, bool(), Mapping() as hooks, *metadata]:
            shape, steps = _counts(sizes), _counts(strides)
            plain = not hooks and metadata in ([], [None], [{}])
            if plain and _is_count(offset) and shape is not None and steps is not None and len(shape) == len(steps):
                return Tensor(storage, offset, shape, steps)
    return None


def _parameter(arguments: object) -> Tensor | None:
    match arguments:
        case [Tensor() as tensor, bool(), Mapping() as hooks] if not hooks:
            return tensor
    return None


# What stands for the result of each function that torch.save names; None for arguments that it would not write.
REBUILT: dict[str, Callable[[object], Mapping | Tensor | None]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}

STORAGES = {
    f"torch.{kind}Storage": kind
    for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
