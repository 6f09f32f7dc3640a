"""The pickles inside PyTorch files: tensors and plain values, read by `Machine`, which runs nothing."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..unpickle import PROTOCOL_2, Items, Machine, Symbol, Table

# The checkpoints of published codecs need at most 100 kB and 30,000 opcodes.
_BYTES = 1 << 22
_OPCODES = 1 << 18
_DIMENSIONS = 32
_KEY = re.compile("[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie outside the pickle: `kind` as in `torch.FloatStorage`, key (decimal digits), and their count."""

    called: ClassVar[str] = "a bare storage"
    kind: str
    key: str
    num_values: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, counted in values; no number is negative, but it may reach beyond the storage."""

    called: ClassVar[str] = "a tensor"
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Pickle:
    """What a pickle says.

    Attributes:
        value: None, bool, int, float, str, `Items`, `Table` or `Tensor`.
        storages: All storages that it names, by their keys.
        end: Position behind it.
    """

    value: object
    storages: dict[str, Storage]
    end: int


def unpickle(data: memoryview, start: int = 0) -> Pickle:
    """The pickle that begins at byte `start` of `data`.

    Raises:
        FormatError: It names anything but tensors and plain values, or is damaged.
        LimitError: It takes more opcodes, bytes or levels than tensors do.
    """
    machine = _Tensors(data, start)
    value = machine.run()
    return Pickle(value, machine.storages, machine.position)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _counts(items: object) -> tuple[int, ...] | None:
    if not isinstance(items, Items) or len(items) > _DIMENSIONS:
        return None
    counts = tuple(item for item in items if isinstance(item, int) and _is_count(item))
    return counts if len(counts) == len(items) else None


def _storage_of(identity: object) -> Storage | None:
    """The storage that a persistent id stands for; None if it stands for something else."""
    match identity:
        # In the older layout a sixth value tells of which other storage this one is a part; long unused.
        case ["storage", Symbol(name), str(key), str(), int(size), *view] if view in ([], [None]):
            if name in _STORAGES and _KEY.fullmatch(key) and _is_count(size):
                return Storage(_STORAGES[name], key, size)
    return None


def _ordered_dict(arguments: object) -> Table | None:
    return Table() if arguments == [] else None


def _tensor(arguments: object) -> Tensor | None:
    match arguments:
        case [Storage() as storage, int(offset), sizes, strides, bool(), Table() as hooks, *metadata]:
            shape, steps = _counts(sizes), _counts(strides)
            plain = not hooks and metadata in ([], [None], [{}])
            if plain and _is_count(offset) and shape is not None and steps is not None and len(shape) == len(steps):
                return Tensor(storage, offset, shape, steps)
    return None


def _parameter(arguments: object) -> Tensor | None:
    match arguments:
        case [Tensor() as tensor, bool(), Table() as hooks] if not hooks:
            return tensor
    return None


# What stands for the result of each function that torch.save names; None for arguments that it would not write.
_REBUILT: dict[str, Callable[[object], Table | Tensor | None]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}

_STORAGES = {
    f"torch.{kind}Storage": kind
    for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}


class _Tensors(Machine):
    purpose = "tensors"
    protocols = (2,)
    operations = PROTOCOL_2 | {b"Q": lambda m: m.persistent()}
    names = frozenset((*_REBUILT, *_STORAGES))
    most_bytes = _BYTES
    most_opcodes = _OPCODES

    def __init__(self, data: memoryview, start: int) -> None:
        super().__init__(data, start)
        self.storages: dict[str, Storage] = {}

    def persistent(self) -> None:
        storage = _storage_of(self.pop())
        if storage is None:
            self.fail("expected the type, key, place and size of a storage, got other values")
        if self.storages.setdefault(storage.key, storage) != storage:
            self.fail(f"expected one type and size of storage {storage.key}, got two")
        self.push(storage)

    def call(self, function: Symbol, arguments: object) -> object:
        """See `Machine.call`."""
        rebuild = _REBUILT.get(function.name)
        if rebuild is None:
            self.fail("expected a kind of tensor in front of its parts, got a name")
        return rebuild(arguments)

    def set_state(self, target: object, state: object) -> bool:
        """See `Machine.set_state`."""
        # Which a module's state dict carries along: versions of its layers.
        return isinstance(target, Table) and isinstance(state, Table) and set(state) == {"_metadata"}
