"""`precision="bf16"`: the same bits with and without AMX, and how near they are to those of float32."""

from pathlib import Path

import exact
import numpy as np
import pytest
import reference
from layer_case import has, instruction_sets, network, run, tensors_of
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, registry
from wavcodes.engines.native import Engine, _core, isa
from wavcodes.errors import InputError, UnsupportedError
from wavcodes.graph import Conv1d, ConvTranspose1d, Elu, Layer, LocalAttention, Lstm, Residual, TransformerLayer

# The matrix unit, as an empty name, and instruction sets that do what it does.
SETS = [*([""] if has("amx-bf16") else []), *instruction_sets("-bf16")]
LAYERS: list[Layer] = [
    Conv1d("c", 32, 1, kernel=1),
    Conv1d("c", 5, 17, kernel=7, left=6),
    Conv1d("c", 33, 32, kernel=3, left=2),
    Conv1d("c", 40, 50, kernel=7, dilation=3, left=18),
    Conv1d("c", 64, 33, kernel=4, stride=2, left=1, right=1),
    Conv1d("c", 24, 31, kernel=5, stride=3, left=2, right=2),
    Conv1d("c", 40, 24, kernel=3, stride=2, dilation=2, left=4),
    ConvTranspose1d("c", 40, 24, kernel=8, stride=4, trim_left=2, trim_right=2),
    ConvTranspose1d("c", 20, 3, kernel=7, stride=3, trim_right=4),
    Residual(
        (Elu(), Conv1d("a", 48, 24, kernel=3, left=2), Elu(), Conv1d("b", 24, 40, kernel=1)),
        Conv1d("s", 48, 40, kernel=1),
    ),
    Residual((Elu(), Conv1d("a", 40, 40, kernel=3, left=2))),
    Lstm("l", 40, 2),
    TransformerLayer("t", channels=64, heads=2, hidden=72, context=20),
    LocalAttention("a", 64, 8),
]


def engine(layers: tuple[Layer, ...], tensors: dict[str, NDArray[np.float32]], name: str) -> Engine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVCODES_ISA", name)
        return Engine(network(layers), tensors, "decode", "bf16")


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_give_the_same_bits_on_every_set_in_all_pieces(layer: Layer) -> None:
    tensors = tensors_of((layer,))
    engines = [engine((layer,), tensors, name) for name in SETS]
    channels = layer.in_channels if isinstance(layer, Conv1d | ConvTranspose1d) else getattr(layer, "channels", None)
    if isinstance(layer, Residual):
        channels = layer.body[1].in_channels
    rng = np.random.default_rng(1)
    for length in (3, 15, 33, 130):
        rows = rng.standard_normal((length, channels)).astype(np.float32)
        whole = run(engines[0].decoder(), rows)
        expected = reference.run((layer,), tensors, rows)
        np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
        for one in engines:
            for cuts, threads in (([], 1), (rng.integers(0, length + 1, 6).tolist(), 2), ([length // 2], 3)):
                assert run(one.decoder(), rows, cuts, threads).tobytes() == whole.tobytes()


def parts(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The high and the low part of numbers, as float32."""

    def rounded(y: NDArray[np.float32]) -> NDArray[np.float32]:
        bits = y.view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)

    x = np.where(np.abs(x) < 2.0**-48, np.float32(0), x)
    high = rounded(x)
    return high, rounded(x - high)


@pytest.mark.parametrize("name", SETS, ids=lambda name: name or "amx")
def test_the_order_of_a_sum_is_that_of_the_matrix_unit(name: str) -> None:
    rng = np.random.default_rng(2)

    def numbers(*shape: int) -> NDArray[np.float32]:  # of very different sizes, some of them below what counts
        return np.ldexp(rng.standard_normal(shape), rng.integers(-60, 4, shape)).astype(np.float32)

    inputs, outputs = 70, 18
    tensors = {"c.weight": numbers(outputs, inputs, 1), "c.bias": numbers(outputs)}
    rows, weight = numbers(40, inputs), tensors["c.weight"][:, :, 0].T
    sums = np.broadcast_to(tensors["c.bias"], (40, outputs)).astype(np.float32)
    (high, low), (weight_high, weight_low) = parts(rows), parts(weight)
    for block in range(0, inputs, 32):
        for x, w in ((high, weight_low), (high, weight_high), (low, weight_high)):
            chains = np.zeros((2, 40, outputs), np.float32)
            for i in range(block, min(block + 32, inputs)):
                # Exact but for sums far apart, whose rounding to float64 is all but never a tie of float32.
                chains[i % 2] = x[:, i, None].astype(np.float64) * w[i] + chains[i % 2]
            sums = sums + (chains[0] + chains[1])
    layers = (Conv1d("c", inputs, outputs, kernel=1),)
    assert run(engine(layers, tensors, name).decoder(), rows).tobytes() == sums.tobytes()


def ratio(signal: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Signal to noise, dB."""
    difference = signal.astype(np.float64) - other
    return float(10 * np.log10(np.mean(signal.astype(np.float64) ** 2) / np.mean(difference**2)))


@pytest.mark.parametrize("name", exact.SMALL)
def test_narrow_codecs_sound_the_same_and_give_one_answer(name: str, tmp_path: Path) -> None:
    checkpoint, weights = exact.small(name, tmp_path)
    exactly = Codec(checkpoint, weights)
    audio = exact.clip(checkpoint.spec, 3000)
    codes = exactly.encode(audio, checkpoint.spec.sample_rate)
    given = set()
    with pytest.MonkeyPatch.context() as patch:
        for isa_name in SETS:
            patch.setenv("WAVCODES_ISA", isa_name)
            codec = Codec(checkpoint, weights, precision="bf16")
            for threads in (1, 2):
                sound = codec.decode(codes, threads=threads)
                own = codec.encode(audio, checkpoint.spec.sample_rate, threads=threads)
                given.add((sound.tobytes(), own.to_flat().tobytes()))
    assert len(given) == 1
    assert ratio(exactly.decode(codes), sound) >= 40
    assert np.mean(own.to_flat() == codes.to_flat()) > 0.9


@pytest.mark.slow
@pytest.mark.skipif("" not in SETS, reason="this machine has no AMX, and without it this takes too long")
@pytest.mark.parametrize("name", ["snac_24khz", "encodec_24khz", "mimi", "dac_16khz"])
def test_codecs_sound_the_same(name: str, tmp_path: Path) -> None:
    path = exact.weights(registry.checkpoint(name).network(), tmp_path)
    exactly = wavcodes.load(name, path)
    nearly = wavcodes.load(name, path, precision="bf16")
    path.unlink()  # hundreds of megabytes
    rate = exactly.spec.sample_rate
    audio = exact.signal(rate)
    codes = exactly.encode(audio, rate)
    assert ratio(exactly.decode(codes), nearly.decode(codes)) >= 40
    assert np.mean(nearly.encode(audio, rate).to_flat() == codes.to_flat()) > 0.95


def test_a_machine_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernels(name: str) -> str:
        if name == "amx-bf16":
            raise ValueError
        return name

    monkeypatch.delenv("WAVCODES_ISA", raising=False)
    monkeypatch.setattr(_core, "kernels", kernels)
    with pytest.raises(UnsupportedError, match=r'needs a processor with AMX.*use precision="float32"'):
        wavcodes.load("wavcodes_16khz", precision="bf16")


def test_precision_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match='expected precision of "float32" or "bf16", got \'int8\''):
        wavcodes.load("wavcodes_16khz", precision="int8")  # type: ignore[arg-type]
    monkeypatch.setenv("WAVCODES_ISA", "generic-bf16")  # which nobody would have asked for in words
    with pytest.raises(UnsupportedError, match="WAVCODES_ISA=generic-bf16 is not available"):
        isa()
