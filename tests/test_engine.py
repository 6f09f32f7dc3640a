"""The native engine: right against the slow reference, and the same bits however it is run."""

import hashlib

import layer_case
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_case import instruction_sets, tensors_of

from wavcodes import graph
from wavcodes.engines.native import Engine, Stream, _core, isa
from wavcodes.errors import InputError, UnsupportedError

CONVOLUTIONS = [
    graph.Conv1d("c", 1, 32, kernel=7, left=6, padding="reflect"),
    graph.Conv1d("c", 32, 1, kernel=7, left=6, padding="reflect"),
    graph.Conv1d("c", 3, 2, kernel=5, left=2, right=2),
    graph.Conv1d("c", 32, 64, kernel=4, stride=2, left=2, padding="reflect", complete=True),
    graph.Conv1d("c", 5, 7, kernel=10, stride=5, left=5, padding="reflect", complete=True),
    graph.Conv1d("c", 4, 20, kernel=3, stride=3, left=0, padding="reflect", complete=True),
    graph.Conv1d("c", 4, 5, kernel=2, stride=3, complete=True),
    graph.Conv1d("c", 6, 4, kernel=4, stride=4, left=1, right=2, padding="reflect", complete=True),
    graph.Conv1d("c", 2, 3, kernel=1, left=2, right=2, padding="reflect"),
    graph.Conv1d("c", 2, 3, kernel=4, stride=6, left=2, right=1, padding="reflect", complete=True),
    graph.Conv1d("c", 2, 3, kernel=9, stride=6, left=8, right=9, padding="reflect", complete=True),
    graph.Conv1d("c", 2, 3, kernel=4, stride=2, complete=True),
    graph.Conv1d("c", 16, 16, kernel=7, dilation=9, left=27, right=27),
    graph.Conv1d("c", 8, 24, kernel=3, dilation=2, left=4, bias=False),
    graph.Conv1d("c", 48, 48, kernel=7, groups=48, left=6),
    graph.Conv1d("c", 20, 20, kernel=3, dilation=3, stride=2, groups=20, left=1, right=3),
    graph.Conv1d("c", 128, 192, kernel=4, stride=2, groups=2, left=2),
    graph.Conv1d("c", 12, 18, kernel=3, groups=3, left=2),
    graph.Conv1d("c", 300, 80, kernel=11, left=10),
    graph.Conv1d("c", 96, 100, kernel=1),
    graph.Conv1d("c", 24, 40, kernel=4, stride=2, left=2, padding="replicate", complete=True, bias=False),
    graph.Conv1d("c", 3, 2, kernel=5, left=1, right=3, padding="replicate"),
]
TRANSPOSED = [
    graph.ConvTranspose1d("t", 64, 32, kernel=4, stride=2, trim_right=2),
    graph.ConvTranspose1d("t", 7, 3, kernel=10, stride=5, trim_left=3, trim_right=2),
    graph.ConvTranspose1d("t", 16, 1, kernel=64, stride=16, trim_right=48),
    graph.ConvTranspose1d("t", 8, 4, kernel=7, stride=3),
    graph.ConvTranspose1d("t", 8, 6, kernel=3, stride=3),
    graph.ConvTranspose1d("t", 128, 64, kernel=4, stride=2, groups=4, trim_right=2),
    graph.ConvTranspose1d("t", 12, 6, kernel=5, stride=2, groups=3, trim_left=1, trim_right=1),
]
OTHERS = [
    graph.GroupNorm("n", 19),
    graph.LocalAttention("a", 128, window=7),
    graph.TransformerLayer("t", 64, heads=2, hidden=48, context=20),
    graph.TransformerLayer("t", 32, heads=1, hidden=100, context=1),
    graph.Noise("n", 20, number=2),
    graph.Sum(((graph.Conv1d("a", 12, 8, kernel=3, left=1, right=1), graph.GroupNorm("n", 8)),
               (graph.Conv1d("b", 12, 8, kernel=1),))),
    graph.Sum(((), (graph.Conv1d("a", 12, 12, kernel=7, left=3, right=3), graph.Snake("k", 12)))),
    graph.LayerNorm("n", 19),
    graph.LayerNorm("n", 128),
    graph.Lstm("l", 24, 2),
    graph.Lstm("l", 128, 1),
    graph.Residual((graph.Elu(), graph.Conv1d("a", 12, 6, kernel=3, left=2, padding="reflect"), graph.Elu(),
                    graph.Conv1d("b", 6, 12, kernel=1)), graph.Conv1d("s", 12, 12, kernel=1)),
    graph.Residual((graph.Conv1d("a", 64, 64, kernel=2, left=1),)),
    graph.Residual((graph.LeakyRelu(0.2), graph.Conv1d("a", 16, 16, kernel=7, dilation=9, left=27, right=27),
                    graph.Conv1d("b", 16, 16, kernel=1))),
    graph.Residual((graph.Conv1d("a", 32, 32, kernel=7, groups=32, left=6), graph.LayerNorm("n", 32),
                    graph.Conv1d("b", 32, 64, kernel=1), graph.Gelu(), graph.Conv1d("c", 64, 32, kernel=1))),
]  # fmt: skip
MINIMAL = [  # those that look ahead and are wide are filtered in tiles
    graph.Conv1d("c", 32, 40, kernel=7, left=3, right=3),
    graph.Conv1d("c", 48, 100, kernel=7, dilation=3, left=9, right=9, bias=False),
    graph.Conv1d("c", 40, 33, kernel=3, left=1, right=1, padding="reflect"),
    graph.Conv1d("c", 20, 64, kernel=4, stride=2, left=1, right=1),
    graph.Conv1d("c", 8, 80, kernel=10, stride=5, left=3, right=2, padding="replicate", complete=True),
    graph.ConvTranspose1d("t", 36, 24, kernel=4, stride=2, trim_left=1, trim_right=1),
    graph.ConvTranspose1d("t", 32, 12, kernel=10, stride=5, trim_left=3, trim_right=2),
    graph.Residual((graph.Elu(), graph.Conv1d("a", 32, 32, kernel=7, dilation=9, left=27, right=27), graph.Elu(),
                    graph.Conv1d("b", 32, 32, kernel=1))),
    graph.Residual((graph.Conv1d("a", 32, 32, kernel=3, left=1, right=1),)),
]  # fmt: skip
CAUSAL = (  # filtered in tiles too: 16 rows make one of the output, and one makes 16
    graph.Conv1d("in", 1, 64, kernel=7, left=6, padding="reflect"),
    graph.Residual((graph.Elu(), graph.Conv1d("a", 64, 48, kernel=3, left=2, padding="reflect"), graph.Elu(),
                    graph.Conv1d("b", 48, 64, kernel=1)), graph.Conv1d("s", 64, 64, kernel=1)),
    graph.Conv1d("half", 64, 40, kernel=4, stride=2, left=2, padding="reflect", complete=True),
    graph.Conv1d("eighth", 40, 80, kernel=16, stride=8, left=8, complete=True),
    graph.Conv1d("narrow", 80, 3, kernel=3, left=2),
    graph.ConvTranspose1d("up", 3, 32, kernel=16, stride=8, trim_right=8),
    graph.Residual((graph.Conv1d("c", 32, 32, kernel=3, left=2),)),
    graph.ConvTranspose1d("out", 32, 20, kernel=4, stride=2, trim_right=2),
)  # fmt: skip
NOT_IN_TILES = [  # although they are as wide
    graph.Conv1d("c", 64, 80, kernel=7, groups=2, left=5, right=1),
    graph.Conv1d("c", 64, 96, kernel=3, groups=2, left=1, right=1),
    graph.Conv1d("c", 40, 40, kernel=3, stride=2, dilation=2, left=2, right=2),
    graph.Conv1d("c", 40, 40, kernel=7, left=3, right=3, padding="reflect"),
    graph.ConvTranspose1d("t", 32, 40, kernel=7, stride=1, trim_left=3, trim_right=3),
    graph.ConvTranspose1d("t", 32, 40, kernel=13, stride=2, trim_left=5, trim_right=6),
    graph.ConvTranspose1d("t", 64, 32, kernel=4, stride=2, groups=2, trim_left=1, trim_right=1),
]
LENGTHS = [1, 2, 6, 7, 8, 9, 17, 48, 100]


def sequence(layers, tensors):
    """A stream maker for bare layers: an engine whose encoder they are."""
    quantizer = graph.EuclideanRvq("q", 0, 1, 1)
    decoder = (graph.Conv1d("unused", 1, 1, kernel=1, bias=False),)
    return Engine(
        graph.Network(layers, quantizer, decoder), {**tensors, "unused.weight": np.ones((1, 1, 1), np.float32)}
    )


def run(engine, rows, cuts=(), threads=1):
    return layer_case.run(engine.encoder(), rows, cuts, threads)


def channels(layer):
    return getattr(layer, "in_channels", None) or getattr(layer, "channels", None) or channels_of_body(layer)


def channels_of_body(layer):
    inner = getattr(layer, "body", ()) or next(filter(None, getattr(layer, "branches", ())), ())
    return next((one.in_channels for one in inner if isinstance(one, graph.Conv1d)), 1)


@pytest.mark.parametrize("layer", CONVOLUTIONS + TRANSPOSED + MINIMAL + NOT_IN_TILES + OTHERS, ids=repr)
def test_layer_matches_the_reference(layer):
    tensors = tensors_of((layer,))
    engine = sequence((layer,), tensors)
    for length in LENGTHS:
        x = np.random.default_rng(length).standard_normal((length, channels(layer))).astype(np.float32)
        expected = reference.run((layer,), tensors, x.astype(np.float64))
        for cuts in ((), range(1, length)):  # whole, and row by row
            actual = run(engine, x, cuts)
            assert actual.shape == expected.shape
            np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("layer", [graph.Elu(), graph.LeakyRelu(0.3), graph.Gelu(), graph.Tanh()], ids=repr)
def test_activation_matches_float64(layer):
    identity = graph.Conv1d("c", 1, 1, kernel=1, bias=False)
    x = np.concatenate(
        [np.linspace(-100, 100, 4001), np.linspace(-1, 1, 4001), [0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30]]
    )
    x = x.astype(np.float32)[:, np.newaxis]
    tensors = {"c.weight": np.ones((1, 1, 1), np.float32)}
    expected = reference.run((layer,), {}, x.astype(np.float64))
    for layers in ((identity, layer), (identity, graph.TrimStart(0), layer)):  # fused into the convolution, and alone
        actual = run(sequence(layers, tensors), x)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize("length", [1, 5, 319, 320, 321])
def test_the_ends_of_a_signal(length):
    x = np.arange(1, length + 1, dtype=np.float32)[:, np.newaxis]
    conv = graph.Conv1d("c", 1, 1, kernel=1, bias=False)
    layers = (conv, graph.PadEnd(320, extra=9), graph.TrimStart(3), graph.TrimEnd(2))
    y = run(sequence(layers, {"c.weight": np.ones((1, 1, 1), np.float32)}), x)
    padded = -(-length // 320) * 320 + 7
    assert y[:, 0].tolist() == [*range(1, length + 1), *[0] * (padded - length)][3:]


# ---- one answer ----

SMALL = (
    graph.PadEnd(12, extra=12),
    graph.Conv1d("in", 1, 24, kernel=7, left=6, padding="reflect"),
    graph.Residual(
        (
            graph.Elu(),
            graph.Conv1d("r.a", 24, 12, kernel=3, dilation=2, left=4, padding="reflect"),
            graph.Elu(),
            graph.Conv1d("r.b", 12, 24, kernel=1),
        ),
        graph.Conv1d("r.s", 24, 24, kernel=1),
    ),
    graph.Elu(),
    graph.Conv1d("down", 24, 40, kernel=8, stride=4, left=4, padding="reflect", complete=True),
    graph.Residual(
        (
            graph.Conv1d("x.a", 40, 40, kernel=7, groups=40, left=3, right=3),
            graph.LayerNorm("x.n", 40),
            graph.Conv1d("x.b", 40, 80, kernel=1),
            graph.Gelu(),
            graph.Conv1d("x.c", 80, 40, kernel=1),
        )
    ),
    graph.Lstm("lstm", 40, 2),
    graph.Conv1d("half", 40, 64, kernel=4, stride=2, left=2, padding="replicate", complete=True),
    graph.Snake("snake", 64),
    graph.LocalAttention("local", 64, window=5),
    graph.TransformerLayer("transformer", 64, heads=4, hidden=70, context=30),
    graph.LeakyRelu(0.3),
    graph.ConvTranspose1d("up", 64, 16, kernel=6, stride=3, trim_left=1, trim_right=2),
    graph.Residual((graph.LeakyRelu(0.3), graph.Conv1d("y.a", 16, 16, kernel=3, groups=2, left=2))),
    graph.Conv1d("out", 16, 1, kernel=7, left=3, right=3),
    graph.Tanh(),
)
SMALL_TENSORS = tensors_of(SMALL, seed=3)
JOINT = (  # recurrent layers at the beginning, side by side and at the end
    graph.Lstm("first", 20, 1),
    graph.Sum(((graph.Conv1d("a", 20, 24, kernel=3, left=1, right=1), graph.GroupNorm("n", 24)),
               (graph.Conv1d("b", 20, 24, kernel=1), graph.GroupNorm("m", 24)))),
    graph.Conv1d("half", 24, 36, kernel=4, stride=2, left=1, right=1, padding="reflect", complete=True),
    graph.Lstm("second", 36, 2),
    graph.Lstm("third", 36, 1),
    graph.Residual((graph.Elu(), graph.Conv1d("c", 36, 36, kernel=3, left=1, right=1))),
    graph.Lstm("last", 36, 1),
)  # fmt: skip
JOINT_TENSORS = tensors_of(JOINT, seed=4)


def engines(layers, tensors):
    with pytest.MonkeyPatch.context() as patch:
        for name in instruction_sets():
            patch.setenv("WAVCODES_ISA", name)
            assert isa() == name
            yield name, sequence(layers, tensors)


ENGINES = dict(engines(SMALL, SMALL_TENSORS))
JOINT_ENGINES = dict(engines(JOINT, JOINT_TENSORS))


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 400),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    name=st.sampled_from(sorted(ENGINES)),
    threads=st.sampled_from([1, 2, 4]),
)
def test_same_bits_in_any_pieces_on_any_threads_and_instruction_set(length, cuts, name, threads):
    x = np.random.default_rng(length).standard_normal((length, 1)).astype(np.float32)
    whole = run(ENGINES["generic"], x)
    pieces = run(ENGINES[name], x, cuts, threads)
    assert whole.tobytes() == pieces.tobytes()
    np.testing.assert_allclose(whole, reference.run(SMALL, SMALL_TENSORS, x.astype(np.float64)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("engines", "width"), [(ENGINES, 1), (JOINT_ENGINES, 20)], ids=["small", "joint"])
@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 300), max_size=11),
    name=st.sampled_from(sorted(ENGINES)),
    threads=st.sampled_from([1, 3]),
)
def test_whole_signals_together_are_as_each_alone(engines, width, lengths, name, threads):
    rng = np.random.default_rng(len(lengths))
    signals = [rng.standard_normal((length, width)).astype(np.float32) for length in lengths]
    together = engines[name].encode_whole(signals, threads)
    alone = [run(engines["generic"], signal) for signal in signals]
    assert [rows.shape for rows in together] == [rows.shape for rows in alone]
    assert [rows.tobytes() for rows in together] == [rows.tobytes() for rows in alone]


def test_more_whole_signals_than_a_layer_takes_rows_at_a_time():
    signals = [np.random.default_rng(i).standard_normal((1 + i % 7, 20)).astype(np.float32) for i in range(130)]
    engine = JOINT_ENGINES["generic"]
    together = engine.encode_whole(signals, 1)
    assert [rows.tobytes() for rows in together] == [run(engine, signal).tobytes() for signal in signals]


def test_joint_layers_match_the_reference():
    x = np.random.default_rng(5).standard_normal((90, 20)).astype(np.float32)
    expected = reference.run(JOINT, JOINT_TENSORS, x.astype(np.float64))
    for rows in JOINT_ENGINES["generic"].encode_whole([x, x[:5], x], 1)[::2]:
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", MINIMAL, ids=repr)
@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    first=st.integers(0, 50),
    threads=st.sampled_from([1, 3]),
)
def test_tiles_do_not_show(layer, length, cuts, first, threads):
    # Nor where in its signal a stream begins, but for the rounding of the first tile and of the last.
    tensors = tensors_of((layer,))
    engine = sequence((layer,), tensors)
    x = np.random.default_rng(length).standard_normal((length, channels(layer))).astype(np.float32)
    whole = run(engine, x)
    assert run(engine, x, cuts, threads).tobytes() == whole.tobytes()
    stream = Stream(engine._encoding(), None, first)
    rows = np.concatenate([stream.push(x, threads), stream.flush(threads)])
    np.testing.assert_allclose(rows, whole, rtol=0, atol=2e-5)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 300), cuts=st.lists(st.integers(0, 300), max_size=12), threads=st.sampled_from([1, 3]))
def test_tiles_of_a_causal_network(length, cuts, threads):
    tensors = tensors_of(CAUSAL)
    engine = sequence(CAUSAL, tensors)
    assert all(engine.samples_needed(16 * frames) == 16 * frames for frames in range(40))
    x = np.random.default_rng(length).standard_normal((length, 1)).astype(np.float32)
    whole = run(engine, x)
    assert run(engine, x, cuts, threads).tobytes() == whole.tobytes()
    np.testing.assert_allclose(whole, reference.run(CAUSAL, tensors, x.astype(np.float64)), rtol=0, atol=1e-5)


BEFORE_A_NORM = (  # filtered in tiles too: the norm waits for the whole signal anyway
    graph.ConvTranspose1d("up", 32, 36, kernel=6, stride=3),
    graph.GroupNorm("n", 36),
    graph.TrimStart(1),
    graph.TrimEnd(2),
    graph.Elu(),
    graph.Conv1d("c", 36, 32, kernel=3, left=2),
)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 300), cuts=st.lists(st.integers(0, 300), max_size=12), threads=st.sampled_from([1, 3]))
def test_tiles_before_a_norm(length, cuts, threads):
    tensors = tensors_of(BEFORE_A_NORM)
    engine = sequence(BEFORE_A_NORM, tensors)
    assert engine.samples_needed(1) == 4  # a whole tile; two would do otherwise
    x = np.random.default_rng(length).standard_normal((length, 32)).astype(np.float32)
    whole = run(engine, x)
    assert run(engine, x, cuts, threads).tobytes() == whole.tobytes()
    np.testing.assert_allclose(whole, reference.run(BEFORE_A_NORM, tensors, x.astype(np.float64)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", MINIMAL, ids=repr)
def test_tiles_have_four_rows_or_more(layer):
    engine = sequence((layer,), tensors_of((layer,)))
    assert engine.samples_needed(1) == engine.samples_needed(4)


@pytest.mark.parametrize("layers", [(each,) for each in MINIMAL] + [SMALL, CAUSAL], ids=repr)
def test_rows_come_as_soon_as_those_that_they_need(layers):
    engine = sequence(layers, tensors_of(layers))
    stream, width = engine.encoder(), channels(layers[0])
    given = 0
    for pushed in range(1, 500):
        given += len(stream.push(np.zeros((1, width), np.float32), 1))
        if pushed > 100:  # mirrored padding makes the first rows wait longer
            assert engine.samples_needed(given) <= pushed < engine.samples_needed(given + 1)


def test_sample_by_sample():
    x = np.random.default_rng(0).standard_normal((150, 1)).astype(np.float32)
    for engine in ENGINES.values():
        assert run(engine, x, range(1, 150)).tobytes() == run(ENGINES["generic"], x).tobytes()


@pytest.mark.parametrize(
    ("quantizer", "count"),
    [
        (graph.EuclideanRvq("q", 5, 100, 24), 5),
        (graph.EuclideanRvq("q", 5, 100, 24, codebook_dim=9), 4),
        (graph.CosineRvq("q", 100, 24, 6, strides=(1,) * 5), 5),
        (graph.CosineRvq("q", 100, 24, 6, strides=(8, 4, 2, 1)), 4),
        (graph.CosineRvq("q", 100, 24, 6, strides=(4, 2, 1)), 2),
        (graph.SplitRvq(graph.EuclideanRvq("a", 1, 50, 24, 16), graph.EuclideanRvq("b", 4, 50, 24, 16)), 5),
        (graph.SplitRvq(graph.EuclideanRvq("a", 1, 50, 24, 16), graph.EuclideanRvq("b", 4, 50, 24, 16)), 1),
    ],
    ids=repr,
)
def test_quantizers_give_the_same_codes_on_every_instruction_set(quantizer, count, monkeypatch):
    rng = np.random.default_rng(1)
    for length in (0, 8, 208):
        latent = rng.standard_normal((length, 24)).astype(np.float32)
        tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in quantizer.tensors()}
        network = graph.Network(SMALL, quantizer, SMALL)
        expected = reference.quantize(quantizer, tensors, latent.astype(np.float64), count)
        expected = list(expected.T) if isinstance(expected, np.ndarray) else expected
        digests = set()
        for name in ENGINES:
            monkeypatch.setenv("WAVCODES_ISA", name)
            engine = Engine(network, {**SMALL_TENSORS, **tensors})
            for threads in (1, 2, 3):
                books = engine.quantize(latent, count, threads)
                decoded = engine.dequantize(books, threads)
                digests.add(hashlib.sha256(np.concatenate(books).tobytes() + decoded.tobytes()).hexdigest())
        assert len(digests) == 1
        assert [book.tolist() for book in books] == [book.tolist() for book in expected]
        np.testing.assert_allclose(decoded, reference.dequantize(quantizer, tensors, expected), rtol=0, atol=1e-4)


def test_noise_depends_on_its_seed_number_and_position_alone():
    noise = _core.noise(3, 1, 0, 100_000)
    for first, count in ((0, 1), (1, 15), (17, 64), (63, 1000), (99_999, 1)):
        np.testing.assert_array_equal(_core.noise(3, 1, first, count), noise[first : first + count])
    assert not np.isin(noise[:100], _core.noise(3, 2, 0, 100)).any()
    assert not np.isin(noise[:100], _core.noise(4, 1, 0, 100)).any()
    # A normal distribution: of 100,000 draws, these differ from its moments by less than five standard errors.
    assert abs(noise.mean()) < 5 / 316
    assert abs(noise.var() - 1) < 5 * 2**0.5 / 316
    assert abs((noise**4).mean() - 3) < 5 * 96**0.5 / 316
    for lag in (1, 2, 16, 64):
        assert abs((noise[lag:] * noise[:-lag]).mean()) < 5 / 316


def test_a_seed_turns_noise_on():
    layers = (graph.Conv1d("c", 3, 20, kernel=1), graph.Noise("n", 20, number=2), graph.Noise("m", 20, number=0))
    tensors = tensors_of(layers)
    engine = Engine(graph.Network(layers, graph.EuclideanRvq("q", 0, 1, 1), layers), tensors)
    x = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)

    def decoded(seed, cuts):
        stream = engine.decoder(seed)
        return np.concatenate([*(stream.push(part, 1) for part in np.split(x, cuts)), stream.flush(1)])

    def source(number, count):
        return _core.noise(5, number, 0, count)

    np.testing.assert_allclose(decoded(5, []), reference.run(layers, tensors, x, source), rtol=0, atol=2e-5)
    np.testing.assert_allclose(decoded(None, []), reference.run(layers, tensors, x), rtol=0, atol=2e-5)
    assert decoded(5, []).tobytes() == decoded(5, [1, 2, 100, 299]).tobytes() != decoded(6, []).tobytes()


def test_snake_matches_float64():
    alpha = np.float32([1.0, 0.5, 3.0, -2.0, 1e-4, 0.0, 40.0, 1.5, 0.9, 1.1, 7.0, 2.0, 0.1, 0.01, 1.2, 1.3, 1.4])
    x = np.linspace(-30, 30, 17 * 500, dtype=np.float32).reshape(500, 17)
    identity = graph.Conv1d("c", 17, 17, kernel=1, bias=False)
    tensors = {"c.weight": np.eye(17, dtype=np.float32)[:, :, None], "s.alpha": alpha}
    expected = x + np.sin(alpha.astype(np.float64) * x) ** 2 / (alpha.astype(np.float64) + 1e-9)
    for layers in (  # fused into the convolution, and alone
        (identity, graph.Snake("s", 17)),
        (identity, graph.TrimStart(0), graph.Snake("s", 17)),
        (graph.Snake("s", 17), identity),
    ):
        y = run(sequence(layers, tensors), x)
        # The product alpha x is rounded to float32, which for the largest angle here, 1200, is off by up to 6e-5.
        np.testing.assert_allclose(y[:, alpha < 10], expected[:, alpha < 10], rtol=2e-6, atol=2e-5)
        np.testing.assert_allclose(y, expected, rtol=2e-6, atol=1e-4)
    wide = np.linspace(-1e30, 1e30, 17, dtype=np.float32)[None]
    assert np.isfinite(run(sequence(layers, tensors), wide)[:, alpha > 0.1]).all()


def test_equal_scores_take_the_lowest_code():
    book = np.zeros((70, 4), np.float32)
    book[[13, 50, 69]] = 1.0
    network = graph.Network(SMALL, graph.EuclideanRvq("q", 1, 70, 4), SMALL)
    codes = Engine(network, {**SMALL_TENSORS, "q.0.codebook": book}).quantize(np.ones((3, 4), np.float32), 1, 1)
    assert codes[0].tolist() == [13, 13, 13]


# ---- misuse ----


def test_an_unknown_instruction_set_is_named(monkeypatch):
    monkeypatch.setenv("WAVCODES_ISA", "mmx")
    with pytest.raises(UnsupportedError, match="WAVCODES_ISA=mmx"):
        isa()


def test_a_flushed_stream_takes_no_more():
    stream = ENGINES["generic"].encoder()
    stream.flush(1)
    with pytest.raises(InputError, match="flushed"):
        stream.push(np.zeros((4, 1), np.float32), 1)
