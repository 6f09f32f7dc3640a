"""The reference's attention against upstream's modules, at sizes where windows and contexts end."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from wavcodes.graph import Layer, LocalAttention, Noise, TransformerLayer

Peer = Callable[[str], ModuleType]

# Upstream's package does what newer versions of PyTorch warn of, as it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def drawn(layer: Layer) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    return {name: 0.3 * rng.standard_normal(shape).astype(np.float32) for name, shape in layer.tensors()}


def signal(rows: int, channels: int) -> NDArray[np.float64]:
    return np.random.default_rng(rows).standard_normal((rows, channels))


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_local_attention(windows: int, peer: Peer) -> None:
    torch = peer("torch")
    theirs = peer("snac.attention").LocalMHA(dim=128, window_size=8).double()
    layer = LocalAttention("a", 128, window=8)
    tensors, x = drawn(layer), signal(8 * windows, 128)
    state = {name.removeprefix("a."): torch.from_numpy(value) for name, value in tensors.items()}
    theirs.load_state_dict(state | {"rel_pos.inv_freq": theirs.rel_pos.inv_freq})
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x.T.copy())[None])[0].T.numpy()
    np.testing.assert_allclose(reference.run([layer], tensors, x), expected, rtol=0, atol=1e-6)


def test_the_last_window_may_be_shorter() -> None:
    layer = LocalAttention("a", 64, window=8)
    tensors, x = drawn(layer), signal(11, 64)
    whole = reference.run([layer], tensors, x)
    np.testing.assert_array_equal(whole[8:], reference.run([layer], tensors, x[8:]))


@pytest.mark.parametrize("rows", [1, 4, 5, 6, 17])
def test_transformer_layer(rows: int, peer: Peer) -> None:
    torch, upstream = peer("torch"), peer("moshi.modules.transformer")
    theirs = upstream.StreamingTransformer(
        d_model=16,
        num_heads=2,
        num_layers=1,
        dim_feedforward=24,
        causal=True,
        context=5,
        positional_embedding="rope_concat",
        layer_scale=0.1,
        dtype=torch.float64,
    )
    layer = TransformerLayer("t", 16, heads=2, hidden=24, context=5)
    tensors, x = drawn(layer), signal(rows, 16)
    names = {
        "qkv.weight": "self_attn.in_projs.0.weight",
        "out.weight": "self_attn.out_projs.0.weight",
        "scale1": "layer_scale_1.scale",
        "scale2": "layer_scale_2.scale",
    }
    plain = {name.removeprefix("t."): torch.from_numpy(value) for name, value in tensors.items()}
    theirs.load_state_dict({f"layers.0.{names.get(name, name)}": value for name, value in plain.items()})
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(reference.run([layer], tensors, x), expected, rtol=0, atol=1e-6)


def test_noise_is_scaled_by_what_a_convolution_makes_of_the_signal() -> None:
    tensors = {"n.weight": np.array([[[1.0], [2.0]], [[0.0], [3.0]]], np.float32)}
    layer, x = Noise("n", 2, number=4), np.array([[1.0, 10.0], [2.0, 20.0]])
    assert reference.run([layer], tensors, x).tolist() == x.tolist()
    # Row 0: (1, 10) + 40 * (1 + 20, 30); row 1: (2, 20) + 41 * (2 + 40, 60).
    noisy = reference.run([layer], tensors, x, lambda number, count: 10 * number + np.arange(count))
    assert noisy.tolist() == [[841, 1210], [1724, 2480]]
