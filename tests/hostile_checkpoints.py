"""Checkpoints that attack whoever reads them: `CASES`, by name, each with a part of the message that refuses it."""

import io
import struct
import zipfile
from collections.abc import Iterator

import torch_files as make
from torch_files import MARK, ORDERED, PROTO, REDUCE, STOP, TUPLE, name, number, numbers, tensor, text

# What a call that gets through would do.
COMMAND = text("touch canary")
SYSTEM = name("os", "system") + COMMAND + b"\x85" + REDUCE

Case = tuple[bytes, str]


def pickled(*parts: bytes) -> bytes:
    return make.archive(PROTO + b"".join(parts) + STOP)


def holding(value: bytes) -> bytes:
    """A state dict with one value."""
    return pickled(make.state(x=value))


def _names() -> Iterator[tuple[str, Case]]:
    for module, attribute in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("importlib", "import_module"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "FloatStorage.from_file"),
        ("torch.hub", "load"),
        ("collections", "OrderedDict.fromkeys"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("__main__", "Model"),
        ("wavcodes.weights", "read"),
    ]:
        yield f"calls {module}.{attribute}", (pickled(make.call(module, attribute, COMMAND)), f"{module}.{attribute}")
    yield "calls in the state dict", (holding(SYSTEM), "os.system")
    yield (
        "calls beside the state dict",
        (
            pickled(b"}", MARK, text("state_dict"), make.state(), text("metadata"), SYSTEM, b"u"),
            "os.system",
        ),
    )
    yield "names without an end", (pickled(b"c" + b"a" * 1_000_000), "at most 100 characters")
    yield "names that are no text", (pickled(b"c\xff\n\xfe\n"), "UTF-8")
    yield "calls a text", (pickled(text("os.system"), COMMAND, b"\x85", REDUCE), "got a value of type str")
    yield "calls a storage type", (pickled(make.call("torch", "FloatStorage", number(1 << 40))), "got a name")
    yield (
        "fills a dictionary by arguments",
        (
            pickled(make.call("collections", "OrderedDict", b"]")),
            "got other values",
        ),
    )
    yield (
        "sets attributes of a dictionary",
        (
            pickled(ORDERED, b"}", text("__class__"), name("torch", "FloatStorage"), b"sb"),
            "no object with attributes",
        ),
    )
    yield "sets slots of a dictionary", (pickled(ORDERED, b"N}\x86b"), "no object with attributes")
    yield "sets attributes of a tensor", (pickled(tensor(), b"}", text("_metadata"), b"}sb"), "got a tensor")


def _opcodes() -> Iterator[tuple[str, Case]]:
    system = text("os") + text("system")
    for title, code in {
        "STACK_GLOBAL": system + b"\x93",
        "INST": MARK + COMMAND + b"ios\nsystem\n",
        "OBJ": MARK + name("collections", "OrderedDict") + COMMAND + b"o",
        "NEWOBJ": name("collections", "OrderedDict") + b")\x81",
        "NEWOBJ_EX": name("collections", "OrderedDict") + b")}\x92",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "PERSID": b"Pstorage\n",
        "POP": b"N0",
        "POP_MARK": b"(N1",
        "DUP": b"]2a",
        "LONG4": b"\x8b" + struct.pack("<i", (1 << 31) - 1),
        "LONG4 of negative length": b"\x8b" + struct.pack("<i", -1),
        "LONG": b"L" + b"9" * 1_000_000 + b"L\n",
        "INT": b"I01\n",
        "FLOAT": b"F1e999999999\n",
        "STRING": b"S'" + b"a" * 1_000_000 + b"'\n",
        "UNICODE": b"V" + b"\\u0041" * 100_000 + b"\n",
        "BINSTRING": b"T" + struct.pack("<i", -1),
        "BINUNICODE8": b"\x8d" + struct.pack("<Q", 1 << 60),
        "BINBYTES": b"B" + struct.pack("<I", (1 << 32) - 1),
        "BINBYTES8": b"\x8e" + struct.pack("<Q", 1 << 60),
        "BYTEARRAY8": b"\x96" + struct.pack("<Q", 1 << 60),
        "NEXT_BUFFER": b"\x97",
        "FRAME": b"\x95" + struct.pack("<Q", 1 << 62),
        "EMPTY_SET": b"\x8f",
        "FROZENSET": b"(\x91",
        "a second PROTO": b"\x80\x02N",
        "no opcode": b"\xff",
    }.items():
        yield f"opcode {title}", (pickled(code), "expected the opcodes that tensors need")
    for protocol in (0, 1, 3, 4, 5, 255):
        content = bytes([0x80, protocol]) + system + b"\x93" + COMMAND + b"\x85R."
        yield f"protocol {protocol}", (make.archive(content), "protocol 2")
    yield "protocol 0 without saying so", (make.archive(b"cos\nsystem\n(S'touch canary'\ntR."), "protocol 2")


def _structure() -> Iterator[tuple[str, Case]]:
    deep = "at most 64 levels"
    held = "nothing else holds yet"
    yield "marks within marks", (pickled(MARK * 200_000), deep)
    yield "tuples within tuples", (pickled(b")", b"\x85" * 200_000), deep)
    yield "lists within lists", (pickled(b"]" * 100, b"a" * 99), deep)
    yield "dictionaries within dictionaries", (pickled((b"}" + text("x")) * 100, b"N", b"s" * 100), deep)
    yield "a list in itself", (pickled(b"]q\x00h\x00a"), held)
    yield "a dictionary in itself", (pickled(b"}q\x00", text("state_dict"), b"h\x00s"), held)
    yield "two lists in each other", (pickled(b"]q\x00]q\x01h\x00aa"), held)
    yield "a list in a tuple in itself", (pickled(b"]q\x00h\x00\x85a"), held)
    yield "a list that grows once held", (pickled(b"]q\x00\x85q\x01]h\x00Na"), held)
    yield "a billion laughs", (pickled(text("ha") + b"\x85q\x00" + b"h\x00h\x00\x86q\x00" * 1000), deep)
    laughs = b"]" + MARK + b"h\x00" * 5_000 + b"e"
    yield "a list of laughs", (pickled(text("ha") + b"q\x00" + laughs * 50), "one value in the end")
    yield "a note of a high number", (pickled(b"Nr" + struct.pack("<I", (1 << 32) - 1)), "at most 262,144 values")
    yield "a note of nothing", (pickled(b"h\x07"), "noted before")
    yield "more opcodes than tensors need", (pickled(b"]" * 300_000), "at most 262,144 opcodes")
    yield "more bytes than tensors need", (pickled((text("a" * 1_000_000) + b"q\x00") * 5), "at most 4,194,304 bytes")
    yield "a text of 4 GiB", (pickled(b"X" + struct.pack("<I", (1 << 32) - 1)), "at most 4,194,304 bytes")
    yield "a text that is none", (pickled(b"X\x02\x00\x00\x00\xff\xfe"), "UTF-8")
    yield "an empty stack", (pickled(), "another value on the stack")
    yield "two values", (pickled(b"NN"), "one value in the end")
    yield "a mark that stays", (pickled(b"N("), "another value on the stack")
    yield "a value from below a mark", (pickled(b"]N(a"), "another value on the stack")
    yield "a tuple without a mark", (pickled(b"NNt"), "expected a mark")
    yield "a value appended to a dictionary", (pickled(b"}Na"), "expected a list")
    yield "a value appended to a tuple", (pickled(b")Na"), "expected a list")
    yield "a key in a list", (pickled(b"]", text("x"), b"Ns"), "expected a dictionary")
    yield "a key without a value", (pickled(b"}(", text("x"), b"u"), "one less")
    yield "a number as key", (pickled(b"}", number(1), tensor(), b"s"), "expected strings as keys")
    yield "a tuple as key", (pickled(b"}]\x85", tensor(), b"s"), "expected strings as keys")
    yield "a key twice", (pickled(b"}(", text("x"), tensor(), text("x"), tensor(), b"u"), "'x' twice")
    yield "bytes behind the pickle", (make.archive(make.GOOD + b"cos\nsystem\n"), "nothing behind the pickle")
    for title, value in {"None": b"N", "a number": number(7), "a list": b"]", "a tensor": tensor()}.items():
        yield f"{title} in place of a state dict", (pickled(value), "expected tensors by name")
    for title, value in {
        "a text": text("x"),
        "a list": b"]",
        "a dictionary": b"}",
        "a storage": make.storage(),
    }.items():
        yield f"{title} in place of a tensor", (holding(value), "nothing but tensors by name")
    yield "a wrapped state dict with a text", (pickled(b"}", text("model"), make.state(x=text("y")), b"s"), "as 'x'")


def _tensors() -> Iterator[tuple[str, Case]]:
    other, outside, storage = "got other values", "within its storage", "expected the type, key, place and size"
    for title, value, part in [
        ("a storage of 2**62 values", tensor(store=make.storage(size=number(1 << 62))), "bytes in data/0"),
        ("a storage of 2**600 values", tensor(store=make.storage(size=number(1 << 600))), storage),
        ("a storage of -1 values", tensor(store=make.storage(size=number(-1))), storage),
        ("a storage of half a value", tensor(store=make.storage(size=b"G" + struct.pack(">d", 0.5))), storage),
        ("a storage of True values", tensor(store=make.storage(size=b"\x88")), storage),
        ("a storage that is not there", tensor(store=make.storage(key="7")), "bytes in data/7"),
        ("a storage outside the archive", tensor(store=make.storage(key="../../../etc/passwd")), storage),
        ("a storage of a type unknown", tensor(store=make.storage("ComplexFloat")), "torch.ComplexFloatStorage"),
        ("a storage that is part of another", tensor(store=make.storage(extra=numbers((0, 0, 1)))), storage),
        ("a storage longer than its member", tensor(store=make.storage(size=number(5))), "bytes in data/0"),
        ("a storage shorter than its member", tensor(store=make.storage(size=number(3))), "bytes in data/0"),
        ("a storage of other values", tensor(store=make.storage("Double")), "bytes in data/0"),
        ("a persistent id that is a text", tensor(store=text("storage") + b"Q"), storage),
        ("a storage of a type that is called", tensor(store=MARK + text("storage") + ORDERED + TUPLE + b"Q"), storage),
        ("a size below zero", tensor(shape=numbers((-2, 2))), other),
        ("a step below zero", tensor(steps=numbers((-2, 1)), offset=number(2)), other),
        ("an offset below zero", tensor(offset=number(-1)), other),
        ("an offset of True", tensor(offset=b"\x88"), other),
        ("a size that is a text", tensor(shape=text("22")), other),
        ("sizes that are tensors", tensor(shape=tensor() + tensor() + b"\x86"), other),
        ("more sizes than steps", tensor(shape=numbers((2, 2, 1))), other),
        ("a hundred dimensions", tensor(numbers((1,) * 100), numbers((1,) * 100)), other),
        ("hooks", tensor(tail=b"\x89" + make.state(hook=SYSTEM)), "os.system"),
        ("hooks that are plain", tensor(tail=b"\x89" + make.state(hook=text("x"))), other),
        ("properties of a tensor", tensor(tail=b"\x89" + ORDERED + b"}" + text("neg") + b"\x88s"), other),
        ("a tensor of no storage", tensor(store=text("0")), other),
        ("a tensor of a tensor", tensor(store=tensor()), other),
        ("a parameter of no tensor", make.call("torch._utils", "_rebuild_parameter", b"N", b"\x88", ORDERED), other),
        ("a first value outside", tensor(numbers((1,)), numbers((1,)), number(4)), outside),
        ("a last value outside", tensor(offset=number(1)), outside),
        ("a step outside", tensor(steps=numbers((3, 1))), outside),
        ("a step of 2**62", tensor(steps=numbers((1 << 62, 1))), outside),
        ("no values outside", tensor(numbers((0,)), numbers((1,)), number(5)), outside),
        ("2**64 values in one place", tensor(numbers((1 << 32, 1 << 32)), numbers((0, 0))), "at most 1,048,576 values"),
        ("2**40 values in one place", tensor(numbers((1 << 40,)), numbers((0,))), "at most 1,048,576 values"),
        ("no values of a huge shape", tensor(numbers((0, 1 << 62)), numbers((0, 0))), "at most 1,048,576 values"),
    ]:
        yield title, (holding(value), part)
    many = make.state(**{f"x{i}": tensor(numbers((1024, 1024)), numbers((0, 0))) for i in range(64)})
    yield "many tensors of one value", (pickled(many), "at most 1,048,576 values")
    double = make.state(x=tensor(), y=tensor(store=make.storage("Double")))
    yield "a storage of two types", (pickled(double), "one type and size of storage 0")


GOOD = make.archive(make.GOOD)
LOCAL, ENTRY, END, LOCATOR, WIDE = (
    b"PK" + code for code in (b"\x03\x04", b"\x01\x02", b"\x05\x06", b"\x06\x07", b"\x06\x06")
)


def patched(signature: bytes, position: int, layout: str, *values: int, content: bytes = GOOD, which: int = 0) -> bytes:
    """`content` with other numbers at `position` of the record number `which` that has this signature."""
    begin = -1
    for _ in range(which + 1):
        begin = content.index(signature, begin + 1)
    changed = bytearray(content)
    struct.pack_into("<" + layout, changed, begin + position, *values)
    return bytes(changed)


def wide(count: int = 4, size: int | None = None, begin: int | None = None, place: int | None = None) -> bytes:
    """`GOOD` with a 64-bit directory, which says what is right or what it is told to."""
    end = len(GOOD) - 22
    begin = GOOD.index(ENTRY) if begin is None else begin
    size = end - begin if size is None else size
    record = WIDE + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, size, begin)
    locator = LOCATOR + struct.pack("<LQL", 0, end if place is None else place, 1)
    return GOOD[:end] + record + locator + END + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def _compressed(method: int, size: int) -> bytes:
    return make.zipped(("a/data.pkl", make.GOOD + bytes(size)), ("a/version", b"3\n"), method=method)


def _nested() -> bytes:
    """An archive in which the content of one member holds another member."""
    inner = make.zipped(("archive/data/0", make.VALUES))
    outer = make.archive(make.GOOD, {"0": make.VALUES, "1": inner})
    # The directory's entry of data/0 now points into data/1.
    position = outer.index(inner)
    changed = bytearray(outer)
    entry = outer.index(b"archive/data/0", outer.rindex(inner) + len(inner)) - 46
    struct.pack_into("<L", changed, entry + 42, position)
    return bytes(changed)


def _archives() -> Iterator[tuple[str, Case]]:
    begin = GOOD.index(ENTRY)
    cut, entries, compressed = "cut off", "directory", "which is compressed"
    yield "a bomb of zeros", (_compressed(zipfile.ZIP_DEFLATED, 1 << 27), compressed)
    yield "a bomb in bzip2", (_compressed(zipfile.ZIP_BZIP2, 1 << 22), compressed)
    yield "another method", (patched(ENTRY, 10, "H", 99), compressed)
    yield "another method at the member", (patched(LOCAL, 8, "H", 8), "where the directory says")
    yield "an encrypted member", (patched(ENTRY, 8, "H", 1), "which is encrypted")
    yield "two lengths", (patched(ENTRY, 24, "L", 7), compressed)
    yield "a member beyond the file", (patched(ENTRY, 20, "2L", 1 << 31, 1 << 31, which=2), "side by side")
    yield "a member that runs into the next", (patched(ENTRY, 20, "2L", 1000, 1000), "side by side")
    yield "a member of 2**63 bytes", (wide_entries(1 << 63), "side by side")
    yield "a place beyond the file", (patched(ENTRY, 42, "L", 1 << 31), cut)
    yield "a place in the directory", (patched(ENTRY, 42, "L", begin), "where the directory says")
    yield "another name at the member", (patched(LOCAL, 30, "B", ord("b")), "where the directory says")
    yield "a longer name at the member", (patched(LOCAL, 26, "H", 60_000), "where the directory says")
    yield "another disk", (patched(ENTRY, 34, "H", 1), entries)
    yield "another checksum", (patched(ENTRY, 16, "L", 0), "CRC-32")
    yield "another value", (GOOD.replace(make.VALUES, make.VALUES[::-1]), "CRC-32")
    yield "another opcode", (GOOD.replace(ORDERED, ORDERED[:-1] + b"b", 1), "CRC-32")
    yield (
        "two members of one name",
        (
            make.zipped(("a/data.pkl", make.GOOD), ("a/version", b"3"), ("a/data.pkl", pickled(SYSTEM))),
            "twice",
        ),
    )
    yield "one member, two entries", (patched(ENTRY, 42, "L", 0, content=_twins(), which=1), "side by side")
    yield "a member in another", (_nested(), "side by side")
    yield "names that are no text in UTF-8", (GOOD.replace(b"archive/version", b"archive/\xff\xfersion"), "UTF-8")
    yield "20,000 members", (_many(), "at most 16,384 members")
    yield "more members than there are", (patched(END, 8, "2H", 5, 5), entries)
    yield "fewer members than there are", (patched(END, 8, "2H", 3, 3), "another number")
    yield "65,535 members", (patched(END, 8, "2H", 65_535, 65_535), "at most 16,384 members")
    yield "a longer directory", (patched(END, 12, "L", 1 << 30), "fills the end")
    yield "a directory elsewhere", (patched(END, 16, "L", 0), "fills the end")
    yield "two disks", (patched(END, 4, "2H", 1, 1), "fills the end")
    yield "bytes behind the archive", (GOOD + bytes(3), "at the end of the file")
    yield "a comment", (patched(END, 20, "H", 2) + b"PK", "at the end of the file")
    yield "an archive that is cut", (GOOD[: len(GOOD) // 2], "at the end of the file")
    yield "only the beginning of an archive", (LOCAL, cut)
    yield "an archive of nothing", (LOCAL + make.zipped(), "fills the end")
    yield "2**63 members", (wide(count=1 << 63), "at most 16,384 members")
    yield "a 64-bit directory elsewhere", (wide(size=1 << 62, begin=(1 << 64) - (1 << 62)), "fills the end")
    yield "a 64-bit record elsewhere", (wide(place=1 << 63), "64-bit")
    yield "two directories", (patched(END, 8, "2H", 3, 3, content=wide()), "two that differ")
    yield "no pickle", (make.zipped(("archive/version", b"3\n")), "got 0")
    yield "a pickle elsewhere", (make.zipped(("data.pkl", make.GOOD)), "got 0")
    yield "two pickles", (make.zipped(("a/data.pkl", make.GOOD), ("b/data.pkl", make.GOOD)), "got 2")
    yield "no version", (make.zipped(("a/data.pkl", make.GOOD), ("a/data/0", make.VALUES)), "version b''")
    for version in (b"0\n", b"11\n", b"three", b"9" * 100_000):
        yield f"version {version[:9]!r}", (make.archive(make.GOOD, version=version), "version")
    for order in (b"big", b"", b"little-endian"):
        yield f"byte order {order!r}", (make.archive(make.GOOD, byteorder=order), "little-endian")


def wide_entries(extra: int = 0) -> bytes:
    """The members of `GOOD`, whose entries say in 64-bit fields how long they are and how much longer that is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            content, info = source.read(name), zipfile.ZipInfo(name)
            info.extra = struct.pack("<2H2Q", 1, 16, len(content) + extra, len(content) + extra)
            target.writestr(info, content)
    changed = buffer.getvalue()
    for which in range(changed.count(ENTRY)):
        changed = patched(ENTRY, 20, "2L", 0xFFFFFFFF, 0xFFFFFFFF, content=changed, which=which)
    return changed


def _twins() -> bytes:
    return make.zipped(("a/data.pkl", make.GOOD), ("a/data.pkl", make.GOOD))


def _many() -> bytes:
    return make.zipped(*((f"a/{i}", b"") for i in range(20_000)))


def _sequences() -> Iterator[tuple[str, Case]]:
    pickle = make.GOOD[2:-1]
    whole, listed = make.sequence(pickle), "each storage once"
    count = struct.pack("<Q", 4)
    yield "another magic number", (make.sequence(pickle, magic=number(7)), "checkpoint of torch.save")
    yield "no magic number", (PROTO + text("x") + STOP, "checkpoint of torch.save")
    yield "a call as magic number", (make.sequence(pickle, magic=SYSTEM), "os.system")
    yield "a call as protocol", (make.sequence(pickle, protocol=SYSTEM), "os.system")
    yield "a call about the machine", (make.sequence(pickle, system=SYSTEM), "os.system")
    yield "a call as state dict", (make.sequence(SYSTEM), "os.system")
    yield (
        "a call as list of storages",
        (
            whole.replace(b"]" + MARK + text("0") + b"e", SYSTEM),
            "os.system",
        ),
    )
    yield "another protocol", (make.sequence(pickle, protocol=number(1002)), "protocol 1001")
    yield "the other byte order", (make.sequence(pickle, system=make.SYSTEM.replace(b"\x88", b"\x89")), "little-endian")
    yield "no byte order", (make.sequence(pickle, system=b"}"), "little-endian")
    yield "a machine that is a text", (make.sequence(pickle, system=text("x")), "protocol 1001")
    yield "no list of storages", (make.sequence(pickle, ()), listed)
    yield "a storage listed twice", (make.sequence(pickle, ("0", "0"), 2 * (count + make.VALUES)), listed)
    yield "a storage that no tensor has", (make.sequence(pickle, ("0", "1"), 2 * (count + make.VALUES)), listed)
    yield "another number of values", (make.sequence(pickle, storages=struct.pack("<Q", 3) + make.VALUES), "got 3")
    yield "2**64 - 1 values", (make.sequence(pickle, storages=struct.pack("<q", -1) + make.VALUES), "4 values")
    yield "a storage that is cut", (whole[:-1], "bytes and more, got")
    yield "no storages", (make.sequence(pickle, storages=b""), "bytes and more, got")
    yield "bytes behind the storages", (whole + b"\0", "nothing behind the storages")
    huge = make.state(x=tensor(store=make.storage(size=number(1 << 62))))
    yield "2**62 values announced", (make.sequence(huge), "bytes and more, got")
    yield "a pickle without a checkpoint", (PROTO + SYSTEM + STOP, "os.system")
    yield "a dictionary without a checkpoint", (PROTO + b"}" + text("x") + SYSTEM + b"s.", "os.system")
    yield "nothing but a byte", (b"\x80", "cut off")
    yield "an empty file", (b"", "safetensors")
    yield "a text", (b"import os; os.system('touch canary')", "safetensors")
    yield "a pickle of protocol 0", (b"cos\nsystem\n(S'touch canary'\ntR.", "safetensors")
    yield "a tar archive", (b"./sys_info".ljust(1024, b"\0"), "safetensors")
    yield "numpy's format", (b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'shape': ()}", "safetensors")


CASES: dict[str, Case] = {
    title: case for cases in (_names, _opcodes, _structure, _tensors, _archives, _sequences) for title, case in cases()
}
