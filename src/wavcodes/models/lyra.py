"""Lyra v2 (https://github.com/google/lyra, version 1.2): SoundStream encoder, quantizer and decoder as TFLite files.

The files describe the network only as the operators for one frame of 320 samples, with the history of each layer in
variables that start at zero. The network below was read off those operators, and `tensors` checks that they are there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..graph import Conv1d, ConvTranspose1d, EuclideanRvq, Layer, LeakyRelu, Network, PadEnd, Residual, causal
from ..weights import Tensors, tflite

_LEAKY = LeakyRelu(0.3)


def network() -> Network:
    """The network of Lyra v2: 16 kHz, 320 samples a frame, 46 books of 16 entries."""
    return Network(
        encoder=tuple(_encoder()),
        quantizer=EuclideanRvq("quantizer", num_codebooks=46, codebook_size=16, dim=64),
        decoder=tuple(_decoder()),
    )


def _encoder() -> Iterator[Layer]:
    yield PadEnd(320)
    yield causal(Conv1d("encoder.first", 1, 64, kernel=64, stride=16))
    for i, (width, stride) in enumerate(((64, 5), (128, 2), (256, 2))):
        yield from _units(f"encoder.{i}", width)
        yield _LEAKY
        yield causal(Conv1d(f"encoder.{i}.down", width, 2 * width, 2 * stride, stride, groups=width // 64))
    yield _LEAKY
    yield causal(Conv1d("encoder.last", 512, 64, kernel=3, groups=4))


def _decoder() -> Iterator[Layer]:
    yield causal(Conv1d("decoder.first", 64, 512, kernel=3, groups=4))
    for i, (width, stride) in enumerate(((256, 2), (128, 2), (64, 5))):
        yield _LEAKY
        yield ConvTranspose1d(
            f"decoder.{i}.up", 2 * width, width, 2 * stride, stride, groups=width // 64, trim_right=stride
        )
        yield from _units(f"decoder.{i}", width)
    yield _LEAKY
    yield ConvTranspose1d("decoder.last", 64, 1, kernel=64, stride=16, trim_right=48)


def _units(name: str, width: int) -> Iterator[Layer]:
    for i, dilation in enumerate((1, 3, 9)):
        yield Residual(
            (
                _LEAKY,
                causal(Conv1d(f"{name}.{i}.depthwise", width, width, kernel=3, dilation=dilation, groups=width)),
                Conv1d(f"{name}.{i}.pointwise", width, width, kernel=1),
                _LEAKY,
                Conv1d(f"{name}.{i}.out", width, width, kernel=1, groups=width // 64),
            )
        )


def tensors(paths: tuple[Path, ...]) -> Tensors:
    """Tensors of Lyra's TFLite files, by the names of the graph.

    Args:
        paths: `soundstream_encoder.tflite`, `quantizer.tflite` and `lyragan.tflite`, in this order.

    Raises:
        FormatError: A file is not whole TFLite.
        ModelError: A file holds other operators or other shapes than this network.
    """
    encoder, quantizer, decoder = paths
    return {**_layers(encoder, network().encoder), **_books(quantizer), **_layers(decoder, network().decoder)}


def _layers(path: Path, layers: tuple[Layer, ...]) -> Tensors:
    """Weights and biases of `layers`, each from the operators that apply it."""
    used = [(layer, _operator(layer)) for layer in _flat(layers)]
    expected = [operator for layer, operator in used for _ in range(_count(layer))]
    # The first subgraph is the frame; the second, run once, sets the variables to zero.
    steps = _steps(path, 0, {name for name, _ in expected})
    if [(step.name, step.options) for step in steps] != expected:
        raise _refused(path, f"{len(expected)} convolutions and LeakyReLUs with its strides and dilations", "others")
    remaining = iter(steps)
    found: Tensors = {}
    for layer, (name, _) in used:
        group = [next(remaining) for _ in range(_count(layer))]
        if isinstance(layer, LeakyRelu):
            continue
        inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // len(group)
        shape = (1, 1, layer.kernel, outputs) if name == "DEPTHWISE_CONV_2D" else (outputs, 1, layer.kernel, inputs)
        axes = (0, 2, 1) if name == "CONV_2D" else (2, 0, 1)
        weights = [step.constant(1, shape).squeeze(1).transpose(axes) for step in group]
        found[f"{layer.name}.weight"] = np.concatenate(weights)
        found[f"{layer.name}.bias"] = np.concatenate([step.constant(-1, (outputs,)) for step in group])
    return found


def _books(path: Path) -> Tensors:
    # The second subgraph encodes: book after book, each compared with what the one before left over.
    books = _steps(path, 1, {"SQUARED_DIFFERENCE"})
    return {f"quantizer.{k}.codebook": book.constant(1, (1, 16, 64))[0].copy() for k, book in enumerate(books)}


def _flat(layers: Iterable[Layer]) -> Iterator[Conv1d | ConvTranspose1d | LeakyRelu]:
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _flat(layer.body)
        elif isinstance(layer, Conv1d | ConvTranspose1d | LeakyRelu):
            yield layer


def _operator(layer: Conv1d | ConvTranspose1d | LeakyRelu) -> tuple[str, tflite.Options]:
    """The TFLite operator that applies `layer`."""
    if isinstance(layer, LeakyRelu):
        return "LEAKY_RELU", tflite.Options(alpha=float(np.float32(layer.slope)))
    if isinstance(layer, ConvTranspose1d):
        return "TRANSPOSE_CONV", tflite.Options(stride=layer.stride)
    depthwise = layer.groups == layer.in_channels > 1
    options = tflite.Options(stride=layer.stride, dilation=layer.dilation)
    return "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", options


def _count(layer: Layer) -> int:
    """Operators that apply `layer`: TFLite has no groups in transposed convolutions and lists them one by one."""
    return layer.groups if isinstance(layer, ConvTranspose1d) else 1


@dataclass(frozen=True)
class _Step:
    """An operator together with the tensors that its indices mean."""

    path: Path
    tensors: tuple[tflite.Tensor, ...]
    name: str
    options: tflite.Options
    inputs: tuple[int, ...]

    def constant(self, position: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """The constant at `position` of the inputs, which must be float32 of this shape."""
        index = self.inputs[position] if len(self.inputs) > 1 else -1
        data = self.tensors[index].data if index >= 0 else None
        if data is None or data.dtype != np.float32 or data.shape != shape:
            got = "no constant" if data is None else f"{data.dtype} {data.shape}"
            raise _refused(self.path, f"constants of float32 {shape} in its {self.name}", got)
        return data


def _steps(path: Path, subgraph: int, names: set[str]) -> list[_Step]:
    """The operators of some kinds of a subgraph, in the order in which they run."""
    subgraphs = tflite.read(path)
    if subgraph >= len(subgraphs):
        raise _refused(path, f"at least {subgraph + 1} subgraphs", f"{len(subgraphs)}")
    graph = subgraphs[subgraph]
    chosen = [operator for operator in graph.operators if operator.name in names]
    return [_Step(path, graph.tensors, step.name, step.options, step.inputs) for step in chosen]


def _refused(path: Path, expected: str, got: str) -> ModelError:
    return ModelError(
        f"{path}: expected a file of Lyra v2, version 1.2: {expected}; got {got}. Use that version's file"
    )
