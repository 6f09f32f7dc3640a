"""PyTorch checkpoints put together byte by byte, good and hostile ones; no pickle is made by Python's own pickler.

Opcodes are those of Python's documentation of `pickletools`, the archive comes from `zipfile`.
"""

import io
import struct
import warnings
import zipfile

PROTO, MARK, STOP, TUPLE, REDUCE = b"\x80\x02", b"(", b".", b"t", b"R"
VALUES = struct.pack("<4f", 1.5, -2.0, 0.25, 3.0)


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values: tuple[int, ...]) -> bytes:
    return MARK + b"".join(map(number, values)) + TUPLE


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + MARK + b"".join(arguments) + TUPLE + REDUCE


def storage(kind: str = "Float", key: str = "0", size: bytes = number(4), extra: bytes = b"") -> bytes:
    return (
        MARK + text("storage") + name("torch", f"{kind}Storage") + text(key) + text("cpu") + size + extra + TUPLE + b"Q"
    )


ORDERED = name("collections", "OrderedDict") + b")R"


def tensor(
    shape: bytes = numbers((2, 2)),
    steps: bytes = numbers((2, 1)),
    offset: bytes = number(0),
    store: bytes = storage(),
    tail: bytes = b"\x89" + ORDERED,
) -> bytes:
    """By default two rows of two values."""
    return call("torch._utils", "_rebuild_tensor_v2", store, offset, shape, steps, tail)


def state(**values: bytes) -> bytes:
    return ORDERED + MARK + b"".join(text(key) + value for key, value in values.items()) + b"u"


def archive(pickle: bytes, storages: dict[str, bytes] | None = None, **members: bytes) -> bytes:
    """A checkpoint in the newer layout; `members` are further ones, or replace `version` and `byteorder`."""
    files = {"data.pkl": pickle, "byteorder": b"little"}
    files |= {f"data/{key}": content for key, content in ({"0": VALUES} if storages is None else storages).items()}
    files |= {"version": b"3\n"} | members
    return zipped(*((f"archive/{member}", content) for member, content in files.items()))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as file:
        warnings.simplefilter("ignore")  # of names that occur twice
        for member, content in members:
            file.writestr(zipfile.ZipInfo(member), content, method)
    return buffer.getvalue()


SYSTEM = (
    b"}" + MARK + text("protocol_version") + number(1001) + text("little_endian") + b"\x88" + text("type_sizes") + b"}u"
)


def sequence(
    pickle: bytes,
    keys: tuple[str, ...] = ("0",),
    storages: bytes = struct.pack("<Q", 4) + VALUES,
    magic: bytes = number(0x1950A86A20F9469CFC6C),
    protocol: bytes = number(1001),
    system: bytes = SYSTEM,
) -> bytes:
    """A checkpoint in the older layout."""
    listed = b"]" + MARK + b"".join(map(text, keys)) + b"e"
    return b"".join(PROTO + part + STOP for part in (magic, protocol, system, pickle, listed)) + storages


GOOD = PROTO + state(weight=tensor(), bias=tensor(numbers((2,)), numbers((2,)), number(1))) + STOP
