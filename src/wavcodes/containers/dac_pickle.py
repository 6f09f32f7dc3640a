"""What Descript's package saves: `np.save` of one dictionary, which is a pickle inside a `.npy` file.

It is read by `Machine`, which runs nothing, and written opcode by opcode. The names are those of numpy 1 and 2; the
layouts of their states are those of `ndarray.__reduce__`, `dtype.__reduce__` and `numpy.format`.
"""

import math
import re
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, TruncatedError
from ..unpickle import PROTOCOL_5, Machine, Symbol, Table, kind_of

MAGIC = b"\x93NUMPY"
MOST_BYTES = 1 << 30
"""Of a file: a day of stereo at the highest rate of codes is a third of it."""

Value = str | bool | int | float | NDArray[np.uint16] | NDArray[np.float32] | Mapping[str, "Value"]

_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}  # of the header, by version of the format
_HEADER = re.compile(rb"\{'descr': '\|O', 'fortran_order': (?:False|True), 'shape': \(\), \} *\n")
_MOST_HEADER = 10_000  # what numpy itself takes
_KINDS = frozenset(("b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"))
_DIMENSIONS = 32


class Kind:
    """A data type of numpy: its code, such as `u2`, and the order of its bytes once that is stated."""

    called = "a data type"

    def __init__(self, code: str) -> None:
        self.code = code
        self.order: str | None = None

    def dtype(self) -> np.dtype[np.generic] | None:
        """As numpy has it; None where it is none of numbers, or without an order."""
        return np.dtype(self.order + self.code) if self.order and self.code in _KINDS else None


class Array:
    """An array of numpy: empty, then with numbers, or with the one object that it holds."""

    called = "an array"

    def __init__(self, numbers: NDArray[np.generic] | None = None) -> None:
        self.numbers = numbers
        self.item: object = None

    @property
    def is_new(self) -> bool:
        """True until its state is set."""
        return self.numbers is None and self.item is None


class Arrays(Machine):
    """Reads a pickle of `Array` and plain values."""

    purpose = "arrays and plain values"
    protocols = (2, 3, 4, 5)
    operations = PROTOCOL_5
    most_bytes = MOST_BYTES
    most_opcodes = 1 << 12  # Descript's package needs about 150
    names = frozenset(
        (
            *("numpy.ndarray", "numpy.dtype", "_codecs.encode"),
            *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
            *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
        )
    )

    def call(self, function: Symbol, arguments: object) -> object:
        """See `Machine.call`."""
        match function.name.rpartition(".")[2], arguments:
            case "_reconstruct", [Symbol("numpy.ndarray"), [0], b"b"]:
                return Array()
            case "dtype", [str(code), 0, 1] if code in _KINDS or code == "O8":
                return Kind(code)
            case "encode", [str(text), "latin1"] if text.isascii() or max(text) < "\u0100":
                return text.encode("latin-1")  # how protocol 2 spells bytes
            case "scalar", [Kind() as kind, bytes(data)]:
                numbers = _numbers(kind, [], False, data)
                return None if numbers is None else numbers.item()
            case "_frombuffer", [bytes(data), Kind() as kind, shape, "C" | "F" as order]:
                numbers = _numbers(kind, shape, order == "F", data)
                return None if numbers is None else Array(numbers)
        return None

    def set_state(self, target: object, state: object) -> bool:
        """See `Machine.set_state`."""
        match target, state:
            # version, order, parts (three), size and alignment (where they are not the usual ones), flags (63: objects)
            case Kind(order=None), [3, "<" | ">" | "|" | "=" as order, None, None, None, -1, -1, 0 | 63]:
                target.order = "<" if order == "=" else order
                return True
            case Array(is_new=True), [1, [], Kind(code="O8"), bool(), [Table() as item]]:
                target.item = item
                return True
            case Array(is_new=True), [1, shape, Kind() as kind, bool(fortran), bytes(data)]:
                target.numbers = _numbers(kind, shape, fortran, data)
                return target.numbers is not None
        return False


def _numbers(kind: Kind, shape: object, fortran: bool, data: bytes) -> NDArray[np.generic] | None:
    """The array of that shape in `data`; None unless it is there, whole and alone, and not empty."""
    dtype = kind.dtype()
    if dtype is None or not data or not isinstance(shape, list) or len(shape) > _DIMENSIONS:
        return None
    sizes = [size for size in shape if type(size) is int and 0 <= size < 1 << 63]  # no bool, which numpy refuses
    if len(sizes) != len(shape) or math.prod(sizes) * dtype.itemsize != len(data):
        return None
    return np.frombuffer(data, dtype).reshape(sizes, order="F" if fortran else "C")


def load(data: bytes) -> Table:
    """The dictionary in the bytes of a file.

    Raises:
        FormatError: It is no such file, is damaged, or names anything but arrays and plain values. Nothing is run.
        LimitError: It claims more than such files have.
        TruncatedError: It ends too early.
    """
    if not data.startswith(MAGIC[: len(data)]):
        raise FormatError(
            f"expected a .dac file, which begins with {MAGIC!r}, got {data[:8]!r}; check which file it is"
        )
    length = _LENGTHS.get(data[6] if len(data) > 6 else 1)
    if length is None:
        raise FormatError(f"expected version 1, 2 or 3 of numpy's format, got {data[6]}")
    begin = 8 + struct.calcsize(length)
    end = begin + (struct.unpack_from(length, data, 8)[0] if len(data) >= begin else 0)
    if end - begin > _MOST_HEADER:
        raise FormatError(f"expected a header of at most {_MOST_HEADER:,} bytes, got {end - begin:,}")
    if not begin < end < len(data):
        raise TruncatedError("the file ends inside its header; it was cut, fetch or copy it again")
    if not _HEADER.fullmatch(data, begin, end):
        raise FormatError(f"expected the header of one dictionary, got {data[begin : min(end, begin + 60)]!r}")
    machine = Arrays(memoryview(data), end)
    value = machine.run()
    if machine.position != len(data):
        raise FormatError(f"expected nothing behind the pickle, got {len(data) - machine.position:,} bytes")
    item = value.item if isinstance(value, Array) else None
    if not isinstance(item, Table):
        raise FormatError(f"expected one dictionary in an array, got {kind_of(value)}")
    return item


# ---- writing


def dump(table: Mapping[str, Value]) -> bytes:
    """The bytes of a file that holds `table`; the same for the same content. numpy 1 and 2 read it."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    state = _tuple(_int(1), b")", _kind("O8", "|", 63), b"\x89", b"]" + _value(table) + b"a")
    return MAGIC + struct.pack("<2BH", 1, 0, len(header)) + header + b"\x80\x03" + _NEW_ARRAY + state + b"b."


def _value(value: Value) -> bytes:
    if isinstance(value, Mapping):
        return b"}(" + b"".join(_text(key) + _value(each) for key, each in value.items()) + b"u"
    if isinstance(value, np.ndarray):
        shape = _tuple(*(_int(size) for size in value.shape))
        code = f"{value.dtype.kind}{value.dtype.itemsize}"
        data = value.astype(value.dtype.newbyteorder("<")).tobytes()
        content = b"B" + struct.pack("<I", len(data)) + data
        return _NEW_ARRAY + _tuple(_int(1), shape, _kind(code, "<", 0), b"\x89", content) + b"b"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    return _int(value) if isinstance(value, int) else b"G" + struct.pack(">d", value)


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes((len(data),)) + data


def _tuple(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def _kind(code: str, order: str, flags: int) -> bytes:
    state = _tuple(_int(3), _text(order), b"NNN", _int(-1), _int(-1), _int(flags))
    return b"cnumpy\ndtype\n" + _text(code) + b"\x89\x88\x87R" + state + b"b"


# numpy 2 knows this name of numpy 1, too.
_NEW_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + _int(0) + b"\x85C\x01b\x87R"
