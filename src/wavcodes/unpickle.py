"""Pickles read as data: nothing is imported, and nothing that they name is called.

A pickle is a program for a stack machine, and Python's own machine runs whatever function the program names. This one
knows the opcodes for plain values and containers, and takes names for marks; whoever reads a kind of file says by a
subclass which names it may hold and what they stand for. A container is finished before anything else holds it, so
none can hold itself.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from .errors import FormatError, LimitError, TruncatedError

_DEPTH = 64  # levels; the checkpoints of published codecs have up to 10
_NAME = 100  # characters


class Items(list[object]):
    """A list or a tuple; what is `sealed` does not change any more."""

    __slots__ = ("depth", "sealed")
    called = "a list or tuple"

    def __init__(self, items: list[object], depth: int, sealed: bool) -> None:
        super().__init__(items)
        self.depth = depth
        self.sealed = sealed


class Table(dict[str, object]):
    """A dictionary, ordered or not; what is `sealed` does not change any more."""

    __slots__ = ("depth", "sealed")
    called = "a dictionary"

    def __init__(self) -> None:
        super().__init__()
        self.depth = 1
        self.sealed = False


@dataclass(frozen=True, slots=True)
class Symbol:
    """The name of a function or type, which nobody looks up."""

    called: ClassVar[str] = "a name"
    name: str


def kind_of(value: object) -> str:
    """What messages call a value of a pickle: as its type says by `called`, or by the name of the type."""
    if value is None:
        return "None"
    called: str = getattr(type(value), "called", f"a value of type {type(value).__name__}")
    return called


class Machine(ABC):
    """Reads one pickle; see the description of this module.

    Args:
        data: Bytes that hold it.
        start: Where it begins.

    Attributes:
        position: Behind what was read so far.
        purpose: What messages call the content, in the plural.
        protocols: Those that its writers use.
        operations: What each opcode does; `PROTOCOL_2`, or more.
        names: Those that may occur.
        most_bytes: Of a pickle.
        most_opcodes: Of a pickle.
    """

    purpose: ClassVar[str]
    protocols: ClassVar[tuple[int, ...]]
    operations: ClassVar[Mapping[bytes, Callable[[Any], None]]]
    names: ClassVar[Container[str]]
    most_bytes: ClassVar[int]
    most_opcodes: ClassVar[int]

    def __init__(self, data: memoryview, start: int) -> None:
        self.position = start
        self._data = data
        self._start = start
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    @abstractmethod
    def call(self, function: Symbol, arguments: object) -> object:
        """What stands for the result of a call that the pickle asks for; None where its writers ask for no such."""

    @abstractmethod
    def set_state(self, target: object, state: object) -> bool:
        """Gives `target` a state, as the pickle asks for; False where its writers ask for no such."""

    def run(self) -> object:
        """The value that the pickle describes: None, bool, int, float, str, bytes, `Items`, `Table` or what `call`
        gave.

        Raises:
            FormatError: It names what it may not, or is damaged.
            LimitError: It takes more opcodes, bytes or levels than such files do.
        """
        first, protocol = self.take(2)
        if first != 0x80 or protocol not in self.protocols:
            known = " or ".join(map(str, self.protocols))
            self.fail(f"expected a pickle of {self.purpose} in protocol {known}, got other bytes")
        for _ in range(self.most_opcodes):
            code = self.take(1)
            if code == b".":
                value = self.pop()
                if self._stack or self._marks:
                    self.fail("expected one value in the end, got more")
                return value
            if code not in self.operations:
                self.fail(f"expected the opcodes that {self.purpose} need, got {code!r}")
            self.operations[code](self)
        raise LimitError(f"expected a pickle of at most {self.most_opcodes:,} opcodes, got more")

    def fail(self, why: str) -> NoReturn:
        """Raises FormatError."""
        where = self.position - self._start
        raise FormatError(f"{why} (before byte {where} of a pickle, of which nothing was run)")

    # ---- bytes

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self.position + size
        if end - self._start > self.most_bytes:
            raise LimitError(f"expected a pickle of at most {self.most_bytes:,} bytes, got one that claims more")
        if end > len(self._data):
            raise TruncatedError("expected a whole pickle, got one that is cut off")
        taken = bytes(self._data[self.position : end])
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
        self._stack.append(value)

    def top(self) -> object:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            self.fail("expected another value on the stack, got none")
        return self._stack[-1]

    def pop(self) -> object:
        value = self.top()
        del self._stack[-1]
        return value

    def pop_many(self, count: int) -> list[object]:
        return [self.pop() for _ in range(count)][::-1]

    def mark(self) -> None:
        if len(self._marks) == _DEPTH:
            raise LimitError(f"expected a pickle of at most {_DEPTH} levels, got more")
        self._marks.append(len(self._stack))

    def pop_to_mark(self) -> list[object]:
        if not self._marks:
            self.fail("expected a mark on the stack, got none")
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def note(self, index: int) -> None:
        if index >= self.most_opcodes:
            raise LimitError(f"expected a pickle that notes at most {self.most_opcodes:,} values, got number {index:,}")
        self._memo[index] = self.top()

    def note_next(self) -> None:
        self.note(len(self._memo))

    def recall(self, index: int) -> None:
        if index not in self._memo:
            self.fail(f"expected a value that was noted before, got the number {index}")
        self.push(self._memo[index])

    # ---- containers

    def depth(self, values: list[object]) -> int:
        """Levels of a container that takes `values` in, each of which becomes final by that."""
        depth = 1
        for value in values:
            if isinstance(value, Items | Table):
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
        if not isinstance(target, Table) or target.sealed:
            self.fail(f"expected a dictionary that nothing else holds yet, got {kind_of(target)}")
        if len(values) % 2:
            self.fail("expected a value for each key of a dictionary, got one less")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Strings only: their hashes cannot be made to collide, and no file that is read here has others.
            if not isinstance(key, str):
                self.fail(f"expected strings as keys of a dictionary, got {kind_of(key)}")
            if key in target:
                self.fail(f"expected each key of a dictionary once, got {key[:_NAME]!r} twice")
            target[key] = value
        target.depth = max(target.depth, depth)

    # ---- names, and what Python's machine would call

    def symbol(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            self.fail(f"expected two texts as a name, got {kind_of(module)} and {kind_of(name)}")
        full = f"{module[: _NAME + 1]}.{name[: _NAME + 1]}"
        if full not in self.names:
            self.fail(f"expected nothing but {self.purpose}, got the name {full!r}")
        self.push(Symbol(full))

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Symbol):
            self.fail(f"expected a name in front of what belongs to it, got {kind_of(function)}")
        value = self.call(function, arguments)
        if value is None:
            self.fail(f"expected {function.name} with what {self.purpose} need, got other values")
        self.push(value)

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if not self.set_state(target, state):
            self.fail(f"expected no object with attributes, got {kind_of(target)} with some")


PROTOCOL_2: dict[bytes, Callable[[Machine], None]] = {
    b"(": Machine.mark,
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
    b"}": lambda m: m.push(Table()),
    b"s": lambda m: m.set_items(m.pop_many(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"q": lambda m: m.note(m.unsigned(1)),
    b"r": lambda m: m.note(m.unsigned(4)),
    b"h": lambda m: m.recall(m.unsigned(1)),
    b"j": lambda m: m.recall(m.unsigned(4)),
    b"c": lambda m: m.symbol(m.line(), m.line()),
    b"R": Machine.reduce,
    b"b": Machine.build,
}

# What protocols 3, 4 and 5 add for the same values.
PROTOCOL_5 = PROTOCOL_2 | {
    b"C": lambda m: m.push(m.take(m.unsigned(1))),
    b"B": lambda m: m.push(m.take(m.unsigned(4))),
    b"\x8e": lambda m: m.push(m.take(m.unsigned(8))),
    b"\x96": lambda m: m.push(m.take(m.unsigned(8))),
    b"\x8c": lambda m: m.push(m.text(m.take(m.unsigned(1)))),
    b"\x8d": lambda m: m.push(m.text(m.take(m.unsigned(8)))),
    b"\x93": lambda m: m.symbol(*m.pop_many(2)),
    b"\x94": Machine.note_next,
    b"\x95": lambda m: m.unsigned(8),  # a length that helps to read ahead
}
