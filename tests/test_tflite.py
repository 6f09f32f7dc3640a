"""The TFLite reader against files built by hand, against the schema's own generated reader, and against damage."""

import json
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest

from wavcodes.errors import FormatError, ResourceError
from wavcodes.weights import tflite
from wavcodes.weights.tflite import Operator, Options

LYRA = ["soundstream_encoder", "quantizer", "lyragan"]


def build(node) -> bytes:
    """A FlatBuffer marked TFL3: a dict is a table (field number to value), a list a vector of tables, a tuple a vector
    of int32, a str a string, a bytearray a vector of bytes, and bytes a number in place."""
    out = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", out, 0, _put(out, node))
    return bytes(out)


def _put(out: bytearray, node) -> int:
    if isinstance(node, dict):
        return _put_table(out, node)
    position = len(out)
    out += struct.pack("<I", len(node))
    if isinstance(node, list):
        out += bytes(4 * len(node))
        _put_children(out, {position + 4 + 4 * i: child for i, child in enumerate(node)})
    elif isinstance(node, tuple):
        out += struct.pack(f"<{len(node)}i", *node)
    else:
        out += node.encode() if isinstance(node, str) else node
    return position


def _put_table(out: bytearray, fields: dict) -> int:
    vtable = len(out)
    entries = max(fields, default=-1) + 1
    position = vtable + 4 + 2 * entries
    out += struct.pack("<HH", 4 + 2 * entries, 0) + bytes(2 * entries) + struct.pack("<i", position - vtable)
    children = {}
    for index, value in fields.items():
        struct.pack_into("<H", out, vtable + 4 + 2 * index, len(out) - position)
        if not isinstance(value, bytes):
            children[len(out)] = value
        out += value if isinstance(value, bytes) else bytes(4)
    _put_children(out, children)
    return position


def _put_children(out: bytearray, children: dict) -> None:
    placed: dict[int, int] = {}
    for at, child in children.items():
        if id(child) not in placed:
            placed[id(child)] = _put(out, child)
        struct.pack_into("<I", out, at, placed[id(child)] - at)


def i32(value: int) -> bytes:
    return struct.pack("<i", value)


def small_model() -> dict:
    """One subgraph: a convolution of stride 3 and dilation 2, a LeakyReLU, an unknown operator, a custom one."""
    convolution = {0: b"\1", 1: i32(3), 4: i32(2)}
    operators = [
        {0: i32(0), 1: (0, 1, -1), 2: (2,), 3: b"\1", 4: convolution},
        {0: i32(1), 1: (2,), 2: (3,), 3: b"\x4b", 4: {0: struct.pack("<f", 0.25)}},
        {0: i32(2), 1: (3,), 2: (3,)},
        {0: i32(3)},
    ]
    tensors = [
        {0: (1, 5), 3: "in"},
        {0: (2, 1, 3), 2: i32(1), 3: "weight"},
        {3: "a scalar that is computed"},
        {0: (2,), 1: b"\5", 2: i32(1), 3: "strings"},
    ]
    codes = [{0: b"\3"}, {0: b"\x62"}, {0: b"\x7f", 3: i32(200)}, {0: b"\x20", 1: "mine"}]
    buffers = [{}, {0: bytearray(np.arange(6, dtype="<f4").tobytes())}]
    return {0: i32(3), 1: codes, 2: [{0: tensors, 3: operators, 4: "main"}], 4: buffers}


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "model.tflite"

    def write_and_read(data: bytes):
        path.write_bytes(data)
        return tflite.read(path)

    return write_and_read


def test_reads_a_file_built_by_hand(read):
    (graph,) = read(build(small_model()))
    assert graph.operators == (
        Operator("CONV_2D", (0, 1, -1), (2,), Options(stride=3, dilation=2, padding="VALID")),
        Operator("LEAKY_RELU", (2,), (3,), Options(alpha=0.25)),
        Operator("BUILTIN_200", (3,), (3,)),
        Operator("CUSTOM", (), ()),
    )
    assert [tensor.name for tensor in graph.tensors] == ["in", "weight", "a scalar that is computed", "strings"]
    assert [tensor.shape for tensor in graph.tensors] == [(1, 5), (2, 1, 3), (), (2,)]
    assert [tensor.dtype for tensor in graph.tensors] == [np.float32, np.float32, np.float32, None]
    assert [tensor.data is None for tensor in graph.tensors] == [True, False, True, True]
    np.testing.assert_array_equal(graph.tensors[1].data, [[[0, 1, 2]], [[3, 4, 5]]])


def test_constants_cannot_be_written(read):
    (graph,) = read(build(small_model()))
    with pytest.raises(ValueError, match="read-only"):
        graph.tensors[1].data[0] = 1


@pytest.mark.parametrize("name", LYRA)
def test_real_files_agree_with_their_dump(name, shared):
    folder = shared / "weights" / "lyra_v2_1.2"
    graphs = tflite.read(folder / f"{name}.tflite")
    names = [[f"g{g}/t{t}/{tensor.name}" for t, tensor in enumerate(graph.tensors)] for g, graph in enumerate(graphs)]
    operators = [
        {
            "graph": g,
            "i": i,
            "op": operator.name,
            "in": [names[g][t] for t in operator.inputs],
            "out": [names[g][t] for t in operator.outputs],
        }
        for g, graph in enumerate(graphs)
        for i, operator in enumerate(graph.operators)
    ]
    assert operators == json.loads((folder / f"{name}_ops.json").read_text())
    constants = {
        names[g][t]: tensor.data
        for g, graph in enumerate(graphs)
        for t, tensor in enumerate(graph.tensors)
        if tensor.data is not None
    }
    with np.load(folder / f"{name}_tensors.npz") as dump:
        assert set(constants) == set(dump.files)
        for key in dump.files:
            assert constants[key].dtype == dump[key].dtype
            np.testing.assert_array_equal(constants[key], dump[key])


@pytest.mark.parametrize("name", LYRA)
def test_options_agree_with_the_generated_reader(name, shared, peer):
    schema = peer("ai_edge_litert.schema_py_generated")
    path = shared / "weights" / "lyra_v2_1.2" / f"{name}.tflite"
    theirs = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    for graph, upstream in zip(tflite.read(path), theirs.subgraphs, strict=True):
        for operator, other in zip(graph.operators, upstream.operators, strict=True):
            options = other.builtinOptions
            if operator.name == "LEAKY_RELU":
                assert operator.options == Options(alpha=options.alpha)
            elif operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
                dilation = getattr(options, "dilationWFactor", 1)
                padding = "VALID" if options.padding == schema.Padding.VALID else "SAME"
                activation = options.fusedActivationFunction != 0
                assert operator.options == Options(options.strideW, dilation, padding, activation)
            else:
                assert operator.options == Options()


def with_change(change) -> bytes:
    model = small_model()
    change(model, model[2][0])
    return build(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model, graph: graph[0][1].update({0: (2, 1, 4)}), "8 values"),
        (lambda model, graph: graph[0][1].update({0: (-2, -3)}), "shape"),
        (lambda model, graph: graph[0][1].update({0: (1,) * 9}), "shape"),
        (lambda model, graph: graph[0][1].update({2: i32(2)}), "buffers"),
        (lambda model, graph: graph[0][0].update({3: bytearray(b"\xff\xfe")}), "not text"),
        (lambda model, graph: graph[3][0].update({0: i32(4)}), "kind 4"),
        (lambda model, graph: graph[3][0].update({1: (0, 4)}), "tensors below 4"),
        (lambda model, graph: graph[3][0].update({1: (0, -2)}), "tensors below 4"),
        (lambda model, graph: graph[3][0].update({3: b"\2"}), "options of kind 1"),
        (lambda model, graph: graph[3][1].pop(4), "options of kind 75"),
    ],
)
def test_faults_are_named(change, message, read):
    with pytest.raises(FormatError, match=message):
        read(with_change(change))


def test_other_files_are_refused(read, tmp_path):
    for data in (b"", b"\0\0\0\0TFL", b"RIFF\x24\0\0\0WAVEfmt ", b'{"a": 1}' * 20, bytes(100)):
        with pytest.raises(FormatError):
            read(data)
    with pytest.raises(ResourceError, match="No such file"):
        tflite.read(tmp_path / "absent.tflite")


def survives(read, data: bytes) -> bool:
    """True if `data` is read; anything but FormatError fails the test."""
    try:
        read(data)
    except FormatError:
        return False
    return True


def test_every_cut_of_a_file_is_refused(read):
    whole = build(small_model())
    assert not any(survives(read, whole[:length]) for length in range(len(whole)))


def test_any_changed_byte_is_harmless(read):
    whole = build(small_model())
    outcomes = []
    for position in range(len(whole)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            data = bytearray(whole)
            data[position] = value
            outcomes.append(survives(read, bytes(data)))
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.parametrize("name", LYRA)
def test_damaged_real_files_give_format_errors_quickly(name, read, shared):
    whole = (shared / "weights" / "lyra_v2_1.2" / f"{name}.tflite").read_bytes()
    dice = random.Random(name)
    start = time.perf_counter()
    for _ in range(30):
        assert not survives(read, whole[: dice.randrange(len(whole))])
        data = bytearray(whole)
        for _ in range(200):
            data[dice.randrange(len(data))] = dice.randrange(256)
        survives(read, bytes(data))
    assert time.perf_counter() - start < 30


def test_a_small_file_cannot_describe_a_huge_model(read):
    # 1000 subgraphs that are all the same one, of 1000 operators that are all the same one, of 1000 inputs.
    data = build({1: [{0: b"\0"}], 2: [{3: [{1: (-1,) * 1000}] * 1000}] * 1000, 4: [{}]})
    assert len(data) < 20_000
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="at most"):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
