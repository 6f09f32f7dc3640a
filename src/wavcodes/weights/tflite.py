"""TFLite files as data: their constants and the order of their operators. Nothing is executed.

The layout is that of FlatBuffers (https://flatbuffers.dev/internals/) with the schema of TensorFlow Lite, version 3,
of which only the fields named here are read. Every position is checked against the file before it is read.
"""

import math
import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, ResourceError

_T = TypeVar("_T")

# Tables, list entries and characters that one file may make the reader visit. Tables of a FlatBuffer may be shared, so
# a small hostile file can describe a huge model; the largest real file read here needs 40,000.
_VISITS = 1_000_000

_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "|u1", 4: "<i8", 6: "|b1", 7: "<i2", 9: "|i1", 10: "<f8"}

# Operators by their number in the schema, as far as the files of Lyra v2 use them.
_OPERATORS = {
    0: "ADD",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    18: "MUL",
    22: "RESHAPE",
    36: "GATHER",
    41: "SUB",
    45: "STRIDED_SLICE",
    49: "SPLIT",
    53: "CAST",
    55: "MAXIMUM",
    56: "ARG_MAX",
    58: "LESS",
    67: "TRANSPOSE_CONV",
    72: "NOT_EQUAL",
    74: "SUM",
    79: "ARG_MIN",
    83: "PACK",
    85: "ONE_HOT",
    98: "LEAKY_RELU",
    99: "SQUARED_DIFFERENCE",
    129: "CALL_ONCE",
    142: "VAR_HANDLE",
    143: "READ_VARIABLE",
    144: "ASSIGN_VARIABLE",
}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of a subgraph.

    Attributes:
        shape: Its dimensions; () for a scalar.
        dtype: Its type, or None where numpy has none (strings, handles of variables).
        data: A constant's values, a read-only view of the file; None for a value that is computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    data: NDArray[Any] | None


@dataclass(frozen=True)
class Options:
    """What a convolution or a LeakyReLU adds to its inputs; the width is the axis of time.

    Attributes:
        padding: "SAME" or "VALID".
        activation: True if an activation is fused into the operator.
        alpha: Slope of a LeakyReLU below zero.
    """

    stride: int = 1
    dilation: int = 1
    padding: str = "VALID"
    activation: bool = False
    alpha: float = 0.0


@dataclass(frozen=True)
class Operator:
    """A step of a subgraph.

    Attributes:
        name: Such as `CONV_2D`; `BUILTIN_<number>` or `CUSTOM` for one that no supported model has.
        inputs: Indices of tensors of the subgraph; -1 for an optional input that is left out.
        outputs: Likewise.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options = Options()


@dataclass(frozen=True, eq=False)
class Subgraph:
    """Tensors, and the operators in the order in which they run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


def read(path: str | os.PathLike[str]) -> tuple[Subgraph, ...]:
    """The subgraphs of a TFLite file.

    Constants stay in the file: their arrays are views of a memory map that lives as long as they do.

    Raises:
        FormatError: The file is not TFLite, is cut short or is damaged.
        ResourceError: The file cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < 8:
                raise FormatError(f"{os.fspath(path)}: expected a TFLite file, got fewer than 8 bytes")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ResourceError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    try:
        return _model(_File(data))
    except FormatError as error:
        raise FormatError(f"{os.fspath(path)}: not a whole TFLite file: {error}; fetch it again") from error


class _File:
    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.visits = 0

    def visit(self, count: int) -> None:
        self.visits += count
        if self.visits > _VISITS:
            raise FormatError(f"expected a model of at most {_VISITS} parts, got more")

    def span(self, position: int, length: int) -> int:
        """`position`, once it is known that `length` bytes follow it."""
        if position < 0 or position + length > len(self.data):
            raise FormatError(f"expected {length} bytes at {position}, got a file of {len(self.data)} bytes")
        return position

    def number(self, kind: str, position: int) -> Any:
        return struct.unpack_from(kind, self.data, self.span(position, struct.calcsize(kind)))[0]


class _Table:
    """A table of the file; its fields are numbered as in the schema, and one that is absent has its default."""

    def __init__(self, file: _File, position: int) -> None:
        file.visit(1)
        self.file = file
        self.position = position
        self.vtable = position - file.number("<i", position)
        self.vtable_size = file.number("<H", self.vtable)

    def _field(self, index: int) -> int | None:
        if 4 + 2 * index + 2 > self.vtable_size:
            return None
        offset = self.file.number("<H", self.vtable + 4 + 2 * index)
        return self.position + offset if offset else None

    def _target(self, index: int) -> int | None:
        field = self._field(index)
        return None if field is None else field + self.file.number("<I", field)

    def number(self, index: int, kind: str, default: Any) -> Any:
        field = self._field(index)
        return default if field is None else self.file.number(kind, field)

    def block(self, index: int, item: int = 1) -> tuple[int, int]:
        """Position and number of the entries, `item` bytes each, of a list; a list that is absent has none."""
        target = self._target(index)
        if target is None:
            return 0, 0
        count = self.file.number("<I", target)
        return self.file.span(target + 4, count * item), count

    def numbers(self, index: int) -> tuple[int, ...]:
        position, count = self.block(index, 4)
        self.file.visit(count)
        return struct.unpack_from(f"<{count}i", self.file.data, position)

    def text(self, index: int) -> str:
        position, count = self.block(index)
        self.file.visit(count)
        try:
            return self.file.data[position : position + count].decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"expected a name at {position}, got bytes that are not text") from error

    def table(self, index: int) -> "_Table | None":
        target = self._target(index)
        return None if target is None else _Table(self.file, target)

    def tables(self, index: int, make: Callable[["_Table"], _T]) -> tuple[_T, ...]:
        position, count = self.block(index, 4)
        self.file.visit(count)
        at = range(position, position + 4 * count, 4)
        return tuple(make(_Table(self.file, p + self.file.number("<I", p))) for p in at)


def _model(file: _File) -> tuple[Subgraph, ...]:
    if file.data[4:8] != b"TFL3":
        raise FormatError(f"expected the mark TFL3 at 4, got {file.data[4:8]!r}")
    model = _Table(file, file.number("<I", 0))
    names = model.tables(1, _operator_name)
    blocks = model.tables(4, lambda buffer: buffer.block(0))
    return model.tables(2, lambda graph: _subgraph(graph, names, blocks))


def _operator_name(code: _Table) -> str:
    # Numbers beyond 127 did not fit the first field, so a second one was added; the larger of the two is meant.
    number = max(code.number(0, "<b", 0), code.number(3, "<i", 0))
    return "CUSTOM" if number == 32 else _OPERATORS.get(number, f"BUILTIN_{number}")


def _subgraph(graph: _Table, names: tuple[str, ...], blocks: tuple[tuple[int, int], ...]) -> Subgraph:
    tensors = graph.tables(0, lambda tensor: _tensor(tensor, blocks))
    return Subgraph(tensors, graph.tables(3, lambda operator: _operator(operator, names, len(tensors))))


def _tensor(tensor: _Table, blocks: tuple[tuple[int, int], ...]) -> Tensor:
    shape = tensor.numbers(0)
    code = tensor.number(1, "<b", 0)
    dtype = np.dtype(_DTYPES[code]) if code in _DTYPES else None
    buffer = tensor.number(2, "<I", 0)
    name = tensor.text(3)
    if min(shape, default=0) < 0 or len(shape) > 8 or buffer >= len(blocks):
        raise FormatError(f"tensor {name!r}: expected a shape and one of {len(blocks)} buffers, got {shape}, {buffer}")
    position, size = blocks[buffer]
    if dtype is None or size == 0:
        return Tensor(name, shape, dtype, None)
    count = math.prod(shape)
    if count * dtype.itemsize != size:
        raise FormatError(f"tensor {name!r}: expected {count} values of {dtype}, got {size} bytes")
    data: NDArray[Any] = np.frombuffer(tensor.file.data, dtype, count, position).reshape(shape)
    return Tensor(name, shape, dtype, data)


def _operator(operator: _Table, names: tuple[str, ...], num_tensors: int) -> Operator:
    code = operator.number(0, "<I", 0)
    inputs, outputs = operator.numbers(1), operator.numbers(2)
    if code >= len(names):
        raise FormatError(f"operator: expected one of {len(names)} kinds, got kind {code}")
    if not all(-1 <= index < num_tensors for index in inputs + outputs):
        raise FormatError(f"{names[code]}: expected tensors below {num_tensors}, got {inputs} and {outputs}")
    return Operator(names[code], inputs, outputs, _options(names[code], operator))


def _options(name: str, operator: _Table) -> Options:
    # Of each kind: its number in the union of options, and its fields for the width's stride and dilation and for a
    # fused activation; a field beyond the schema's last is absent from every file and so has its default.
    union, stride, activation, dilation = {
        "CONV_2D": (1, 1, 3, 4),
        "DEPTHWISE_CONV_2D": (2, 1, 4, 5),
        "TRANSPOSE_CONV": (49, 1, 3, 99),
        "LEAKY_RELU": (75, 99, 99, 99),
    }.get(name, (0, 0, 0, 0))
    if union == 0:
        return Options()
    options = operator.table(4)
    if options is None or operator.number(3, "<B", 0) != union:
        raise FormatError(f"{name}: expected options of kind {union}, got kind {operator.number(3, '<B', 0)}")
    if name == "LEAKY_RELU":
        return Options(alpha=options.number(0, "<f", 0.0))
    return Options(
        stride=options.number(stride, "<i", 0),
        dilation=options.number(dilation, "<i", 1),
        padding="VALID" if options.number(0, "<b", 0) == 1 else "SAME",
        activation=options.number(activation, "<b", 0) != 0,
    )
