"""The pickles inside PyTorch files, read as data: nothing is imported and nothing that they name is called.

A pickle is a program for a stack machine, and Python's own machine runs whatever function the program names. This one
knows the opcodes that `torch.save` writes for tensors and plain values, and takes names for marks. A container is
finished before anything else holds it, so none can hold itself.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from ..errors import FormatError, LimitError, TruncatedError
from .pickled import REBUILT, STORAGES, Items, Mapping, Storage, Symbol, kind_of, storage_of

# The checkpoints of published codecs need at most 30,000 opcodes, 100 kB and 10 levels.
_OPCODES = 1 << 18
_BYTES = 1 << 22
_DEPTH = 64
_NAME = 100  # characters


@dataclass(frozen=True)
class Pickle:
    """What a pickle says.

    Attributes:
        value: None, bool, int, float, str, `Items`, `Mapping` or `Tensor`.
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
    machine = _Machine(data, start)
    value = machine.run()
    return Pickle(value, machine.storages, machine.position)


class _Machine:
    def __init__(self, data: memoryview, start: int) -> None:
        self.data = data
        self.start = start
        self.position = start
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.storages: dict[str, Storage] = {}

    def run(self) -> object:
        if self.take(2) != b"\x80\x02":
            self.fail("expected a pickle of protocol 2, as torch.save writes it, got other bytes")
        for _ in range(_OPCODES):
            code = self.take(1)
            if code == b".":
                value = self.pop()
                if self.stack or self.marks:
                    self.fail("expected one value in the end, got more")
                return value
            if code not in _OPERATIONS:
                self.fail(f"expected the opcodes that tensors need, got {code!r}")
            _OPERATIONS[code](self)
        raise LimitError(f"expected a pickle of at most {_OPCODES:,} opcodes, got more")

    def fail(self, why: str) -> NoReturn:
        raise FormatError(f"{why} (before byte {self.position - self.start} of a pickle, of which nothing was run)")

    # ---- bytes

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end - self.start > _BYTES:
            raise LimitError(f"expected a pickle of at most {_BYTES:,} bytes, got one that claims more")
        if end > len(self.data):
            raise TruncatedError("expected a whole pickle, got one that is cut off")
        taken = bytes(self.data[self.position : end])
        self.position = end
        return taken

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little", signed=True)

    def text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.fail("expected text in UTF-8, got other bytes")

    def line(self) -> str:
        taken = b""
        while len(taken) <= _NAME:
            if (byte := self.take(1)) == b"\n":
                return self.text(taken)
            taken += byte
        return self.fail(f"expected names of at most {_NAME} characters, got {taken!r}...")

    # ---- the stack

    def push(self, value: object) -> None:
        self.stack.append(value)

    def top(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self.fail("expected another value on the stack, got none")
        return self.stack[-1]

    def pop(self) -> object:
        value = self.top()
        del self.stack[-1]
        return value

    def pop_many(self, count: int) -> list[object]:
        return [self.pop() for _ in range(count)][::-1]

    def mark(self) -> None:
        if len(self.marks) == _DEPTH:
            raise LimitError(f"expected a pickle of at most {_DEPTH} levels, got more")
        self.marks.append(len(self.stack))

    def pop_to_mark(self) -> list[object]:
        if not self.marks:
            self.fail("expected a mark on the stack, got none")
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def note(self, index: int) -> None:
        if index >= _OPCODES:
            raise LimitError(f"expected a pickle that notes at most {_OPCODES:,} values, got number {index:,}")
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            self.fail(f"expected a value that was noted before, got the number {index}")
        self.push(self.memo[index])

    # ---- containers

    def depth(self, values: list[object]) -> int:
        """Levels of a container that takes `values` in, each of which becomes final by that."""
        depth = 1
        for value in values:
            if isinstance(value, Items | Mapping):
                value.sealed = True
                depth = max(depth, 1 + value.depth)
        if depth > _DEPTH:
            raise LimitError(f"expected a pickle of at most {_DEPTH} levels, got more")
        return depth

    def tuple_of(self, values: list[object]) -> None:
        self.push(Items(values, self.depth(values), sealed=True))

    def append(self, values: list[object]) -> None:
        depth, target = self.depth(values), self.top()
        if not isinstance(target, Items) or target.sealed:
            self.fail(f"expected a list that nothing else holds yet, got {kind_of(target)}")
        target.extend(values)
        target.depth = max(target.depth, depth)

    def set_items(self, values: list[object]) -> None:
        depth, target = self.depth(values), self.top()
        if not isinstance(target, Mapping) or target.sealed:
            self.fail(f"expected a dictionary that nothing else holds yet, got {kind_of(target)}")
        if len(values) % 2:
            self.fail("expected a value for each key of a dictionary, got one less")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Strings only: their hashes cannot be made to collide, and no checkpoint of a codec has others.
            if not isinstance(key, str):
                self.fail(f"expected strings as keys of a dictionary, got {kind_of(key)}")
            if key in target:
                self.fail(f"expected each key of a dictionary once, got {key[:_NAME]!r} twice")
            target[key] = value
        target.depth = max(target.depth, depth)

    # ---- names, and what Python's machine would call

    def symbol(self) -> None:
        module, name = self.line(), self.line()
        full = f"{module}.{name}"
        if full not in REBUILT and full not in STORAGES:
            self.fail(f"expected nothing but tensors, got the name {full!r}")
        self.push(Symbol(full))

    def persistent(self) -> None:
        storage = storage_of(self.pop())
        if storage is None:
            self.fail("expected the type, key, place and size of a storage, got other values")
        if self.storages.setdefault(storage.key, storage) != storage:
            self.fail(f"expected one type and size of storage {storage.key}, got two")
        self.push(storage)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        rebuild = REBUILT.get(function.name) if isinstance(function, Symbol) else None
        if rebuild is None:
            self.fail(f"expected a kind of tensor in front of its parts, got {kind_of(function)}")
        value = rebuild(arguments)
        if value is None:
            self.fail("expected the parts of a tensor as torch.save writes them, got other values")
        self.push(value)

    def build(self) -> None:
        state, target = self.pop(), self.top()
        # Which a module's state dict carries along: versions of its layers.
        if not (isinstance(target, Mapping) and isinstance(state, Mapping) and set(state) == {"_metadata"}):
            self.fail(f"expected no object with attributes, got {kind_of(target)} with some")


_OPERATIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"(": _Machine.mark,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.unsigned(1)),
    b"M": lambda m: m.push(m.unsigned(2)),
    b"J": lambda m: m.push(m.signed(4)),
    b"\x8a": lambda m: m.push(m.signed(m.unsigned(1))),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"X": lambda m: m.push(m.text(m.take(m.unsigned(4)))),
    b")": lambda m: m.tuple_of([]),
    b"\x85": lambda m: m.tuple_of(m.pop_many(1)),
    b"\x86": lambda m: m.tuple_of(m.pop_many(2)),
    b"\x87": lambda m: m.tuple_of(m.pop_many(3)),
    b"t": lambda m: m.tuple_of(m.pop_to_mark()),
    b"]": lambda m: m.push(Items([], depth=1, sealed=False)),
    b"a": lambda m: m.append(m.pop_many(1)),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"}": lambda m: m.push(Mapping()),
    b"s": lambda m: m.set_items(m.pop_many(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"q": lambda m: m.note(m.unsigned(1)),
    b"r": lambda m: m.note(m.unsigned(4)),
    b"h": lambda m: m.recall(m.unsigned(1)),
    b"j": lambda m: m.recall(m.unsigned(4)),
    b"c": _Machine.symbol,
    b"Q": _Machine.persistent,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
