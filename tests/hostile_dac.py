"""`.dac` files that attack whoever reads them: `CASES`, by name, each with a part of the message that refuses it."""

import struct
from collections.abc import Iterator

from torch_files import MARK, REDUCE, STOP, TUPLE, call, name, number, numbers, text

from wavcodes.containers.dac_pickle import dump

Case = tuple[bytes, str]

HEADER = dump({})[:128]
COMMAND = text("touch canary")
SYSTEM = name("os", "system") + COMMAND + b"\x85" + REDUCE
BUILD, FALSE, TRUE = b"b", b"\x89", b"\x88"
NEW = call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), numbers((0,)), b"C\x01b")


def kind(code: str = "u2", order: bytes = text("<"), extra: bytes = b"NNN", sizes: int = -1) -> bytes:
    state = MARK + number(3) + order + extra + 2 * number(sizes) + number(0) + TUPLE
    return call("numpy", "dtype", text(code), FALSE, TRUE) + state + BUILD


def content(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def array(
    shape: bytes = numbers((1, 2, 3)), kind: bytes = kind(), data: bytes = content(bytes(12)), fortran: bytes = FALSE
) -> bytes:
    return NEW + MARK + number(1) + shape + kind + fortran + data + TUPLE + BUILD


def table(**values: bytes) -> bytes:
    return b"}" + MARK + b"".join(text(key) + value for key, value in values.items()) + b"u"


def metadata(**values: bytes) -> bytes:
    facts = {
        "input_db": array(numbers((1,)), kind("f4"), content(struct.pack("<f", -20))),
        "original_length": number(1_500),
        "sample_rate": number(44_100),
        "chunk_length": number(3),
        "channels": number(1),
        "padding": TRUE,
        "dac_version": text("1.0.0"),
    }
    return table(**{key: value for key, value in (facts | values).items() if value})


def whole(value: bytes) -> bytes:
    """A file with `value` where the dictionary should be."""
    return (
        HEADER
        + b"\x80\x03"
        + NEW
        + MARK
        + number(1)
        + b")"
        + kind("O8", text("|"))
        + FALSE
        + b"]"
        + value
        + b"a"
        + (TUPLE + BUILD + STOP)
    )


def file(codes: bytes = array(), metadata: bytes = metadata(), **more: bytes) -> bytes:
    return whole(table(codes=codes, metadata=metadata, **more))


def bare(*parts: bytes) -> bytes:
    return HEADER + b"\x80\x04" + b"".join(parts) + STOP


GOOD = file()


def _names() -> Iterator[tuple[str, Case]]:
    for module, attribute in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("importlib", "import_module"),
        ("numpy", "load"),
        ("numpy", "memmap"),
        ("numpy", "frombuffer"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("numpy._core.numeric", "fromfunction"),
        ("_codecs", "lookup"),
        ("_codecs", "decode"),
        ("collections", "OrderedDict"),
        ("torch", "load"),
        ("wavcodes.containers", "read"),
    ]:
        yield f"calls {module}.{attribute}", (whole(call(module, attribute, COMMAND)), f"{module}.{attribute}")
    stacked = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in ("os", "system")) + b"\x93"
    yield "calls a name from the stack", (bare(stacked, COMMAND, b"\x85", REDUCE), "os.system")
    yield "a name of two numbers", (bare(number(1), number(2), b"\x93"), "two texts")
    yield "calls as codes", (file(codes=SYSTEM), "os.system")
    yield "calls as metadata", (file(metadata=SYSTEM), "os.system")
    yield "calls in metadata", (file(metadata=metadata(original_length=SYSTEM)), "os.system")
    yield "calls as the numbers of an array", (file(codes=array(data=SYSTEM)), "os.system")
    yield "calls as a shape", (file(codes=array(shape=SYSTEM)), "os.system")
    yield "calls beside the codes", (file(more=SYSTEM), "os.system")
    yield "names without an end", (bare(b"c" + b"a" * 1_000_000), "at most 100 characters")
    yield "a long name from the stack", (bare(text("a" * 1_000_000) * 2, b"\x93"), "got the name")
    yield "calls a text", (whole(text("os.system") + COMMAND + b"\x85" + REDUCE), "got a value of type str")
    yield "calls an array", (whole(array() + b")" + REDUCE), "got an array")
    yield "calls a name with nothing", (whole(name("numpy", "dtype") + b")" + REDUCE), "got other values")


def _opcodes() -> Iterator[tuple[str, Case]]:
    for title, code in {
        "INST": b"(ios\nsystem\n",
        "OBJ": b"(" + name("numpy", "ndarray") + b"o",
        "NEWOBJ": name("numpy", "ndarray") + b")\x81",
        "NEWOBJ_EX": name("numpy", "ndarray") + b")}\x92",
        "EXT1": b"\x82\x01",
        "PERSID": b"Pcanary\n",
        "BINPERSID": COMMAND + b"Q",
        "STRING": b"S'touch canary'\n",
        "LONG": b"L9999999999L\n",
        "NEXT_BUFFER": b"\x97",
        "READONLY_BUFFER": b"\x98",
        "EMPTY_SET": b"\x8f",
        "FROZENSET": b"(\x91",
        "DUP": b"NNN2",
    }.items():
        yield f"opcode {title}", (bare(code), "expected the opcodes that arrays")
    for protocol in (0, 1, 6, 255):
        yield f"protocol {protocol}", (HEADER + b"\x80" + bytes([protocol]) + b"N.", "in protocol 2 or 3")


def _structure() -> Iterator[tuple[str, Case]]:
    itself = NEW + b"q\x00" + MARK + number(1) + b")" + kind("O8", text("|")) + FALSE + b"]h\x00a" + TUPLE + BUILD
    yield "an array in itself", (HEADER + b"\x80\x03" + itself + STOP, "no object with attributes")
    yield "a list in itself", (whole(b"]q\x00h\x00a"), "that nothing else holds yet")
    yield "a state for an array that has one", (file(codes=array() + array()[len(NEW) :]), "got an array with some")
    yield "a state for a dictionary", (whole(b"}}b"), "got a dictionary with some")
    yield "a state for a name", (whole(name("numpy", "ndarray") + b"}b"), "got a name with some")
    yield "marks within marks", (bare(MARK * 100_000), "at most 64 levels")
    yield "lists within lists", (bare(b"]" * 100, b"a" * 99), "at most 64 levels")
    yield "a billion laughs", (bare(text("ha") + b"\x85q\x00" + b"h\x00h\x00\x86q\x00" * 1_000), "at most 64 levels")
    yield "more opcodes than codes need", (bare(b"]" * 5_000), "at most 4,096 opcodes")
    yield "a text of 4 GiB", (bare(b"X" + struct.pack("<I", (1 << 32) - 1)), "at most 1,073,741,824 bytes")
    yield "bytes of 2**63", (bare(b"\x8e" + struct.pack("<Q", 1 << 63)), "at most 1,073,741,824 bytes")
    yield "a buffer of 2**63", (bare(b"\x96" + struct.pack("<Q", 1 << 63)), "at most 1,073,741,824 bytes")
    yield "a text of 1 GB", (bare(b"X" + struct.pack("<I", 1_000_000_000)), "cut off")
    yield "a number of 255 bytes", (file(metadata=metadata(sample_rate=b"\x8a\xff" + b"\x7f" * 255)), "Hz")
    yield "bytes behind the pickle", (GOOD + b"N", "nothing behind the pickle")
    yield "a text in place of the dictionary", (whole(text("x")), "no object with attributes")
    yield "a dictionary without an array", (bare(table(codes=array())), "one dictionary in an array")
    yield "an array in place of the dictionary", (bare(array()), "one dictionary in an array")
    yield "an empty dictionary", (whole(b"}"), "expected an array of integers as codes")
    yield "two codes", (whole(b"}" + MARK + 2 * (text("codes") + array()) + b"u"), "twice")


def _arrays() -> Iterator[tuple[str, Case]]:
    other = "no object with attributes, got an array with some"
    yield "a larger shape", (file(codes=array(numbers((1, 2, 4)))), other)
    yield "2**60 values", (file(codes=array(numbers((1, 1 << 30, 1 << 30)))), other)
    yield "a shape that overflows", (file(codes=array(numbers((1 << 62, 1 << 62, 6)))), other)
    yield "a shape below zero", (file(codes=array(numbers((-1, -2, 3)))), other)
    yield "a shape of texts", (file(codes=array(MARK + text("1") * 3 + TUPLE)), other)
    yield "a shape that is a number", (file(codes=array(number(6))), other)
    yield "a hundred dimensions", (file(codes=array(numbers((1,) * 97 + (1, 2, 3)))), other)
    yield "no values", (file(codes=array(numbers((1, 0, 3)), data=content(b""))), other)
    yield "a text as numbers", (file(codes=array(data=text("x" * 12))), other)
    yield "objects", (file(codes=array(kind=kind("O8"), data=b"]" + COMMAND + b"a")), other)
    yield "objects that are bytes", (file(codes=array(numbers((1,)), kind("O8"), content(bytes(8)))), other)
    yield "a type without an order", (file(codes=array(kind=call("numpy", "dtype", text("u2"), FALSE, TRUE))), other)
    for code in ("V16", "U3", "O4", "M8[s]", "u2,u2", "{'names': ['a']}", "c" * 1_000_000):
        yield f"type {code[:9]}", (file(codes=array(kind=kind(code))), "numpy.dtype with what arrays")
    yield "an order of bytes that is none", (file(codes=array(kind=kind(order=text("x")))), "got a data type")
    yield "fields", (file(codes=array(kind=kind(extra=b"N" + table(a=number(1)) + b"N"))), "got a data type")
    yield "a type that overlaps", (file(codes=array(kind=kind(sizes=1 << 40))), "got a data type")
    yield (
        "another class of array",
        (
            whole(call("numpy.core.multiarray", "_reconstruct", name("numpy", "dtype"), numbers((0,)), b"C\x01b")),
            "got other values",
        ),
    )
    yield "another codec of text", (whole(call("_codecs", "encode", text("x"), text("idna"))), "got other values")
    yield (
        "a buffer of another size",
        (
            file(codes=call("numpy._core.numeric", "_frombuffer", content(bytes(9)), kind(), numbers((6,)), text("C"))),
            "got other values",
        ),
    )


def _facts() -> Iterator[tuple[str, Case]]:
    for key in ("codes", "metadata"):
        yield (
            f"no {key}",
            (whole(table(**{"codes": array(), "metadata": metadata()} | {key: b"N"})), "got other values"),
        )
    for key in ("original_length", "sample_rate", "chunk_length", "channels"):
        yield f"no {key}", (file(metadata=metadata(**{key: b""})), f"an integer as {key}")
        yield f"{key} of 0", (file(metadata=metadata(**{key: number(0)})), "got")
        yield f"{key} of 2**64", (file(metadata=metadata(**{key: number(1 << 64)})), "18446744073709551616")
        yield f"{key} as a text", (file(metadata=metadata(**{key: text("1")})), f"an integer as {key}")
    yield "no version", (file(metadata=metadata(dac_version=b"")), "version '1.0.0'")
    yield "a long version", (file(metadata=metadata(dac_version=text("x" * 1_000_000))), "version '1.0.0'")
    yield "a number as padding", (file(metadata=metadata(padding=number(1))), "True or False")
    yield "more facts", (file(metadata=metadata(more=number(1))), "what Descript's package saves")
    yield "more beside the codes", (file(more=number(1)), "what Descript's package saves")
    for title, level in {"nan": float("nan"), "inf": float("inf"), "1e30": 1e30}.items():
        loud = array(numbers((1,)), kind("f4"), content(struct.pack("<f", level)))
        yield f"a loudness of {title}", (file(metadata=metadata(input_db=loud)), "LUFS")
    two = array(numbers((2,)), kind("f4"), content(bytes(8)))
    yield "two loudnesses", (file(metadata=metadata(input_db=two)), "one number")
    yield "no loudness", (file(metadata=metadata(input_db=b"N")), "one number")
    yield "codes as floats", (file(codes=array(numbers((1, 1, 3)), kind("f4"))), "integers as codes")
    yield "codes in two dimensions", (file(codes=array(numbers((2, 3)))), "three dimensions")
    yield "codes below zero", (file(codes=array(kind=kind("i2"), data=content(b"\xff" * 12))), "16 bits")
    yield "codes of 32 bits", (file(codes=array(numbers((1, 1, 3)), kind("u4"), content(b"\xff" * 12))), "16 bits")
    yield (
        "six channels",
        (
            file(codes=array(numbers((6, 1, 1))), metadata=metadata(channels=number(6), chunk_length=number(1))),
            "1 to 5",
        ),
    )
    yield "half a window", (file(metadata=metadata(chunk_length=number(2), padding=FALSE)), "whole windows")
    yield "two padded windows", (file(metadata=metadata(chunk_length=number(1))), "whole windows")


def _headers() -> Iterator[tuple[str, Case]]:
    yield "an empty file", (b"", "cut")
    yield "a header of 4 GiB", (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD[10:], "at most 10,000 bytes")
    yield "version 9", (GOOD.replace(b"NUMPY\x01", b"NUMPY\x09"), "version 1, 2 or 3")
    yield "an array of numbers", (GOOD.replace(b"'|O'", b"'u2'"), "the header of one dictionary")
    yield "another shape", (GOOD.replace(b"()", b"2,", 1), "the header of one dictionary")
    expression = b"{'descr': __import__('os').system('touch canary')}"
    yield "a header that is a program", (HEADER[:10] + expression.ljust(117) + b"\n" + GOOD[128:], "the header of one")
    yield "a pickle alone", (GOOD[128:], "begins with")
    yield "a text", (b"import os; os.system('touch canary')", "begins with")


CASES: dict[str, Case] = {
    title: case for cases in (_names, _opcodes, _structure, _arrays, _facts, _headers) for title, case in cases()
}
