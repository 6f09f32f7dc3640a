"""The reference interpreter against PyTorch, layer by layer, at sizes where padding and remainders matter."""

import math
from dataclasses import replace

import numpy as np
import pytest
import reference

from wavcodes.graph import (
    Conv1d,
    ConvTranspose1d,
    CosineRvq,
    Elu,
    EuclideanRvq,
    Gelu,
    GroupNorm,
    Layer,
    LayerNorm,
    LeakyRelu,
    Lstm,
    PadEnd,
    Residual,
    Snake,
    Sum,
    Tanh,
    TrimEnd,
    TrimStart,
    causal,
)

CLOSE = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def drawn(layer: Layer, rng) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in layer.tensors()}


def columns(torch, x):
    """(T, C) as PyTorch's (1, C, T)."""
    return torch.from_numpy(np.ascontiguousarray(x.T))[None]


CONVS = [
    Conv1d("c", 1, 3, kernel=1),
    Conv1d("c", 3, 5, kernel=7, bias=False),
    Conv1d("c", 4, 6, kernel=3, stride=2, dilation=3, groups=2, left=4, right=1),
    Conv1d("c", 5, 5, kernel=7, groups=5, left=6),
    Conv1d("c", 6, 12, kernel=3, groups=6, right=2),
    Conv1d("c", 2, 3, kernel=2, stride=5),
]


@pytest.mark.parametrize("conv", CONVS)
@pytest.mark.parametrize("length", [1, 2, 6, 7, 8, 31])
def test_conv_with_zeros_around_it(conv, length, rng, peer):
    torch = peer("torch")
    if length + conv.left + conv.right < conv.span:
        length += conv.span
    tensors, x = drawn(conv, rng), rng.standard_normal((length, conv.in_channels))
    weights = {name: torch.from_numpy(value).double() for name, value in tensors.items()}
    padded = torch.nn.functional.pad(columns(torch, x), (conv.left, conv.right))
    expected = torch.nn.functional.conv1d(
        padded, weights["c.weight"], weights.get("c.bias"), conv.stride, 0, conv.dilation, conv.groups
    )
    np.testing.assert_allclose(reference.run([conv], tensors, x), expected[0].T.numpy(), **CLOSE)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(7, 1, 1), (3, 1, 2), (4, 2, 1), (16, 8, 1), (10, 5, 1)])
def test_conv_that_mirrors_and_completes_as_encodec_does(kernel, stride, dilation, is_causal, rng, peer):
    torch = peer("torch")
    upstream = peer("transformers.models.encodec.modeling_encodec")
    config = upstream.EncodecConfig(use_causal_conv=is_causal, pad_mode="reflect", norm_type="weight_norm")
    theirs = upstream.EncodecConv1d(config, 2, 3, kernel, stride, dilation).double()
    ours = causal(Conv1d("c", 2, 3, kernel, stride, dilation, padding="reflect", complete=True))
    if not is_causal:
        ours = replace(ours, left=ours.left - ours.left // 2, right=ours.left // 2)
    tensors = {"c.weight": theirs.conv.weight.detach().numpy(), "c.bias": theirs.conv.bias.detach().numpy()}
    for length in range(1, 3 * kernel):
        x = rng.standard_normal((length, 2))
        with torch.no_grad():
            expected = theirs(columns(torch, x))[0].T.numpy()
        assert len(expected) == math.ceil(length / stride)
        np.testing.assert_allclose(reference.run([ours], tensors, x), expected, **CLOSE)


@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_conv_with_copies_of_the_outermost_row_around_it(length, rng, peer):
    torch = peer("torch")
    conv = Conv1d("c", 3, 2, kernel=4, stride=2, left=3, right=1, padding="replicate", complete=True)
    tensors, x = drawn(conv, rng), rng.standard_normal((length, 3))
    weight, bias = (torch.from_numpy(value).double() for value in tensors.values())
    padded = torch.nn.functional.pad(columns(torch, x), (3, 1 + length % 2), mode="replicate")
    expected = torch.nn.functional.conv1d(padded, weight, bias, stride=2)
    np.testing.assert_allclose(reference.run([conv], tensors, x), expected[0].T.numpy(), **CLOSE)


TRANSPOSED = [
    ConvTranspose1d("c", 3, 2, kernel=4, stride=4),
    ConvTranspose1d("c", 4, 6, kernel=10, stride=5, groups=2, trim_right=5),
    ConvTranspose1d("c", 2, 1, kernel=7, stride=3, bias=False, trim_left=2, trim_right=1),
]


@pytest.mark.parametrize("conv", TRANSPOSED)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_conv_transpose(conv, length, rng, peer):
    torch = peer("torch")
    tensors, x = drawn(conv, rng), rng.standard_normal((length, conv.in_channels))
    weights = {name: torch.from_numpy(value).double() for name, value in tensors.items()}
    full = torch.nn.functional.conv_transpose1d(
        columns(torch, x), weights["c.weight"], weights.get("c.bias"), conv.stride, groups=conv.groups
    )
    expected = full[0].T.numpy()[conv.trim_left :]
    expected = expected[: len(expected) - conv.trim_right]
    np.testing.assert_allclose(reference.run([conv], tensors, x), expected, **CLOSE)


@pytest.mark.parametrize(
    ("layer", "theirs", "arguments"),
    [
        (Elu(), "elu", {}),
        (LeakyRelu(0.3), "leaky_relu", {"negative_slope": 0.3}),
        (Gelu(), "gelu", {}),
        (Tanh(), "tanh", {}),
    ],
)
def test_activation(layer, theirs, arguments, peer):
    torch = peer("torch")
    x = np.concatenate([np.linspace(-9, 9, 1001), [0.0, -0.0, 1e-300, -1e-300, 800.0, -800.0]])[:, None]
    expected = getattr(torch.nn.functional, theirs)(torch.from_numpy(x), **arguments)
    np.testing.assert_allclose(reference.run([layer], {}, x), expected.numpy(), rtol=1e-13, atol=1e-15)


def test_layer_norm(rng, peer):
    torch = peer("torch")
    layer = LayerNorm("n", 11, eps=1e-3)
    tensors, x = drawn(layer, rng), rng.standard_normal((5, 11)) * 0.05 + 3
    weight, bias = (torch.from_numpy(value).double() for value in tensors.values())
    expected = torch.nn.functional.layer_norm(torch.from_numpy(x), (11,), weight, bias, 1e-3)
    np.testing.assert_allclose(reference.run([layer], tensors, x), expected.numpy(), **CLOSE)


def test_snake(rng, peer):
    torch = peer("torch")
    theirs = peer("transformers.models.dac.modeling_dac").Snake1d(7).double()
    layer = Snake("s", 7)
    tensors, x = drawn(layer, rng), rng.standard_normal((30, 7)) * 5
    tensors["s.alpha"][2] = 0  # where only the 1e-9 is left to divide by
    with torch.no_grad():
        theirs.alpha.copy_(torch.from_numpy(tensors["s.alpha"])[None, :, None])
        expected = theirs(columns(torch, x))[0].T.numpy()
    np.testing.assert_allclose(reference.run([layer], tensors, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 13])
def test_group_norm_sees_the_whole_signal(length, rng, peer):
    torch = peer("torch")
    layer = GroupNorm("n", 6, eps=1e-3)
    tensors, x = drawn(layer, rng), rng.standard_normal((length, 6)) * 0.05 + 3
    weight, bias = (torch.from_numpy(value).double() for value in tensors.values())
    expected = torch.nn.functional.group_norm(columns(torch, x), 1, weight, bias, 1e-3)
    np.testing.assert_allclose(reference.run([layer], tensors, x), expected[0].T.numpy(), **CLOSE)


def test_lstm_adds_its_input(rng, peer):
    torch = peer("torch")
    layer = Lstm("l", 6, layers=3)
    tensors, x = drawn(layer, rng), rng.standard_normal((40, 6))
    theirs = torch.nn.LSTM(6, 6, 3).double()
    theirs.load_state_dict({name.removeprefix("l."): torch.from_numpy(value) for name, value in tensors.items()})
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x))[0].numpy() + x
    np.testing.assert_allclose(reference.run([layer], tensors, x), expected, **CLOSE)


def test_residual_with_and_without_shortcut(rng):
    body, shortcut = (LeakyRelu(0.5), Conv1d("b", 2, 2, 1)), Conv1d("s", 2, 2, 1)
    tensors, x = drawn(body[1], rng) | drawn(shortcut, rng), rng.standard_normal((4, 2))
    inner = np.where(x > 0, x, x / 2) @ tensors["b.weight"][:, :, 0].T + tensors["b.bias"]
    outer = x @ tensors["s.weight"][:, :, 0].T + tensors["s.bias"]
    np.testing.assert_allclose(reference.run([Residual(body)], tensors, x), inner + x, **CLOSE)
    np.testing.assert_allclose(reference.run([Residual(body, shortcut)], tensors, x), inner + outer, **CLOSE)


def test_sum_of_branches(rng):
    first, second = Conv1d("b", 2, 2, 1), Conv1d("s", 2, 2, 1)
    tensors, x = drawn(first, rng) | drawn(second, rng), rng.standard_normal((4, 2))
    body = (LeakyRelu(0.5), first)
    expected = reference.run([Residual(body, second)], tensors, x)
    np.testing.assert_array_equal(reference.run([Sum((body, (second,)))], tensors, x), expected)
    np.testing.assert_array_equal(reference.run([Sum(((), (), ()))], {}, x), x + x + x)


def test_padding_and_trimming_of_the_signal():
    x = np.arange(1.0, 6.0)[:, None]
    assert reference.run([PadEnd(3)], {}, x)[:, 0].tolist() == [1, 2, 3, 4, 5, 0]
    assert reference.run([PadEnd(5, extra=2)], {}, x)[:, 0].tolist() == [1, 2, 3, 4, 5, 0, 0]
    assert reference.run([TrimStart(2)], {}, x)[:, 0].tolist() == [3, 4, 5]
    assert reference.run([TrimEnd(2)], {}, x)[:, 0].tolist() == [1, 2, 3]
    assert reference.run([TrimEnd(6)], {}, x)[:, 0].tolist() == []


def test_euclidean_quantizer_takes_the_lower_of_equal_entries():
    books = {"q.0.codebook": [[0, 0], [4, 0], [4, 0]], "q.1.codebook": [[0, 1], [1, 0], [-1, 0]]}
    tensors = {name: np.array(book, np.float32) for name, book in books.items()}
    quantizer = EuclideanRvq("q", 2, 3, 2)
    latent = np.array([[3.2, 0.1], [2.0, 0.0], [0.0, 0.9]])
    codes = reference.quantize(quantizer, tensors, latent, 2)
    # 3.2 is nearest to 4 (two entries: the first), which leaves -0.8; 2 lies midway between 0 and 4.
    assert codes.tolist() == [[1, 2], [0, 1], [0, 0]]
    assert reference.dequantize(quantizer, tensors, codes).tolist() == [[3, 0], [1, 0], [0, 1]]
    # Row 0: distances 0.65 and 0.65 to the equal entries; then 0.05 against 1.45 to the second best.
    np.testing.assert_allclose(reference.margins(quantizer, tensors, latent, codes)[0], [0, 1.40], atol=1e-6)


def test_cosine_quantizer_searches_by_angle_and_subtracts_the_whole_entry():
    tensors = {
        "q.0.in_proj.weight": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        "q.0.in_proj.bias": np.array([0, 0.5], np.float32),
        "q.0.out_proj.weight": np.array([[2, 0], [0, 2], [0, 0]], np.float32),
        "q.0.out_proj.bias": np.array([0, 0, 7], np.float32),
        "q.0.codebook": np.array([[5, 0.1], [0.1, 0.1], [0, -3]], np.float32),
    }
    quantizer = CosineRvq("q", 3, 3, 2, strides=(1,))
    # The projection (1, 1.2) is far from all entries; its angle is that of the second, the shortest one.
    codes = reference.quantize(quantizer, tensors, np.array([[1.0, 0.7, 9.0]]), 1)
    assert codes.tolist() == [[1]]
    np.testing.assert_allclose(reference.dequantize(quantizer, tensors, codes), [[0.2, 0.2, 7.0]], atol=1e-7)
