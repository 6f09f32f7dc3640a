"""The native engine on random networks of all layers: right against the reference, and the same bits in any pieces, on
any threads and on every instruction set."""

import random

import numpy as np
import pytest
import reference
from layer_case import instruction_sets, network, run, tensors_of

from wavcodes import graph
from wavcodes.engines.native import Engine, _core
from wavcodes.graph import Layer

CHANNELS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 20, 33, 48, 64, 65)
PADDINGS: tuple[graph.Padding, ...] = ("zeros", "reflect", "replicate")
SEED = 2**64 - 1


class Draw:
    """A random network that leaves no signal empty; the layers inside residuals and sums keep the length."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        self.in_channels = channels = self.one_of(*CHANNELS)
        layers: list[Layer] = [self.one_of(graph.PadEnd(3, extra=2), self.activation(channels))]
        for _ in range(self.random.randint(2, 6)):
            wanted = self.one_of(*CHANNELS)
            changes = (self.conv, self.strided, self.transposed)
            layers.append(self.random.choice(changes)(channels, wanted))
            channels = wanted
            for _ in range(self.random.randint(0, 3)):
                layers += self.ends(channels) if self.random.random() < 0.15 else [self.keeping(channels, 0)]
        self.layers = tuple(layers)

    def one_of(self, *choices):
        return self.random.choice(choices)

    def name(self) -> str:
        self.count += 1
        return f"layer{self.count}"

    def groups(self, channels: int, outputs: int) -> int:
        return self.one_of(1, *(g for g in (2, 3, channels) if channels % g == 0 and outputs % g == 0))

    def conv(self, channels: int, outputs: int) -> graph.Conv1d:
        kernel, dilation = self.one_of(1, 2, 3, 7), self.one_of(1, 1, 2, 9)
        padding = (kernel - 1) * dilation
        left = self.one_of(padding, padding // 2, 0)
        groups = self.groups(channels, outputs)
        arguments = {"padding": self.one_of(*PADDINGS), "bias": self.one_of(True, False)}
        return graph.Conv1d(
            self.name(), channels, outputs, kernel, 1, dilation, groups, left=left, right=padding - left, **arguments
        )

    def strided(self, channels: int, outputs: int) -> graph.Conv1d:
        arguments = {"left": self.random.randrange(9), "right": self.random.randrange(9), "complete": True}
        groups, padding = self.groups(channels, outputs), self.one_of(*PADDINGS)
        kernel, stride = self.one_of(1, 2, 4, 10), self.one_of(2, 3, 5)
        return graph.Conv1d(self.name(), channels, outputs, kernel, stride, groups=groups, padding=padding, **arguments)

    def transposed(self, channels: int, outputs: int) -> graph.ConvTranspose1d:
        stride = self.one_of(1, 2, 3, 5)
        more = self.one_of(0, 1, stride, 2 * stride + 1)
        right = self.random.randint(0, more)
        groups = self.groups(channels, outputs)
        return graph.ConvTranspose1d(
            self.name(), channels, outputs, stride + more, stride, groups, trim_left=more - right, trim_right=right
        )

    def ends(self, channels: int) -> list[Layer]:
        return [
            graph.PadEnd(self.one_of(1, 7), extra=9),
            self.one_of(graph.TrimStart(8), graph.TrimEnd(8), graph.Noise(self.name(), channels, number=1)),
        ]

    def activation(self, channels: int) -> Layer:
        return self.one_of(
            graph.Elu(), graph.LeakyRelu(0.3), graph.Gelu(), graph.Tanh(), graph.Snake(self.name(), channels)
        )

    def keeping(self, channels: int, depth: int) -> Layer:
        kinds = [self.activation, self.activation, self.norm]
        kinds += [self.local_attention] if channels % 64 == 0 else []
        kinds += [self.transformer] if channels % 16 == 0 else []
        kinds += [self.lstm] if channels < 40 else []
        kinds += [lambda c: self.residual(c, depth), lambda c: self.sum(c, depth)] if depth < 2 else []
        return self.random.choice(kinds)(channels)

    def norm(self, channels: int) -> Layer:
        return self.one_of(graph.LayerNorm, graph.GroupNorm)(self.name(), channels, eps=0.1)

    def local_attention(self, channels: int) -> Layer:
        return graph.LocalAttention(self.name(), channels, window=self.one_of(1, 2, 16, 65, 129, 1000))

    def transformer(self, channels: int) -> Layer:
        heads = self.one_of(*(h for h in (1, 2, 3, 4) if channels % (16 * h) == 0))
        context = self.one_of(1, 2, 64, 65, 128, 129, 1000)
        return graph.TransformerLayer(self.name(), channels, heads, self.one_of(1, 5, 70), context, eps=0.1)

    def lstm(self, channels: int) -> Layer:
        return graph.Lstm(self.name(), channels, self.one_of(1, 2))

    def residual(self, channels: int, depth: int) -> Layer:
        inner = self.one_of(channels, 6)
        first = () if inner == channels else (self.conv(channels, inner),)
        body = [self.keeping(inner, depth + 1) for _ in range(self.random.randrange(3))]
        shortcut = graph.Conv1d(self.name(), channels, channels, kernel=1) if self.random.random() < 0.5 else None
        return graph.Residual((*first, *body, self.conv(inner, channels)), shortcut)

    def sum(self, channels: int, depth: int) -> Layer:
        branches = ([self.keeping(channels, depth + 1) for _ in range(self.random.randrange(3))] for _ in range(3))
        return graph.Sum(tuple(map(tuple, branches)))


@pytest.mark.parametrize("seed", range(40))
def test_random_network(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Draw(seed)
    layers, tensors = drawn.layers, tensors_of(drawn.layers, 7)
    engines = []
    for isa in instruction_sets():
        monkeypatch.setenv("WAVCODES_ISA", isa)
        engines.append(Engine(network(layers), tensors, "decode"))
    rng = np.random.default_rng(seed)
    for length in (1, 2, int(rng.integers(3, 20)), int(rng.integers(129, 300))):
        rows = rng.standard_normal((length, drawn.in_channels)).astype(np.float32)
        whole = run(engines[0].decoder(SEED), rows)
        expected = reference.run(layers, tensors, rows, lambda number, n: _core.noise(SEED, number, 0, n))
        assert whole.shape == expected.shape
        np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
        random_cuts = rng.integers(0, length + 1, 8).tolist()
        for engine in engines:
            for cuts, threads in (([129, 129], 1), (random_cuts, 2), (list(range(1, min(length, 40))), 3)):
                assert run(engine.decoder(SEED), rows, cuts, threads).tobytes() == whole.tobytes()


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize(
    "layer",
    [
        graph.Conv1d("c", 3, 3, kernel=3, left=2),  # narrow: several rows are computed as one
        graph.Conv1d("c", 3, 20, kernel=3, left=2),
        graph.Conv1d("c", 3, 3, kernel=3, left=2, groups=3),
        graph.ConvTranspose1d("c", 3, 5, kernel=4, stride=2),
        graph.Residual((graph.Conv1d("c", 3, 3, kernel=3, left=2),)),
        graph.GroupNorm("c", 3),
    ],
    ids=repr,
)
def test_only_the_first_of_two_activations_becomes_part_of_a_layer(
    layer: Layer, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVCODES_ISA", isa)
    layers = (layer, graph.Elu(), graph.Tanh())
    tensors, rows = tensors_of(layers, 7), np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    engine = Engine(network(layers), tensors, "decode")
    for cuts in ([], list(range(40))):
        np.testing.assert_allclose(
            run(engine.decoder(SEED), rows, cuts), reference.run(layers, tensors, rows), rtol=0, atol=1e-5
        )
