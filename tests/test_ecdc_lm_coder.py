"""The arithmetic coder of `.ecdc` files with a language model, against encodec's, and what damage and other arithmetic
do to the segments that it codes."""

import io
import itertools

import numpy as np
import pytest
from ecdc_lm_case import MetaLM, segment
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavcodes import EngineError, UnsupportedError
from wavcodes.containers.arithmetic import Decoder, Encoder, edges
from wavcodes.containers.ecdc_lm import Predict, read_segment, segment_bytes
from wavcodes.errors import FormatError, InputError, IntegrityError, TruncatedError

Pdfs = NDArray[np.float32]


def softmax(seed: int, count: int, symbols: int, spread: float) -> Pdfs:
    """(count, symbols), from nearly uniform to nearly one-hot with the spread of its exponents."""
    exponents = np.random.default_rng(seed).normal(0, spread, (count, symbols))
    odds = np.exp(exponents - exponents.max(1, keepdims=True))
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


pdfs = st.builds(
    softmax,
    seed=st.integers(0, 1 << 32),
    count=st.integers(1, 60),
    symbols=st.sampled_from([1, 2, 3, 10, 1000, 1024]),
    spread=st.sampled_from([0.0, 0.1, 1.0, 4.0, 30.0, 300.0]),
)


def drawn(pdfs: Pdfs, seed: int) -> list[int]:
    """A symbol for each row: any, its likeliest or its least likely."""
    rng = np.random.default_rng(seed)
    choices = [rng.integers(0, pdfs.shape[1], len(pdfs)), pdfs.argmax(1), pdfs.argmin(1)]
    return np.choose(rng.integers(0, 3, len(pdfs)), choices).tolist()


def coded(symbols: list[int], rows: NDArray[np.int64]) -> bytes:
    encoder = Encoder()
    for symbol, row in zip(symbols, rows, strict=True):
        encoder.push(symbol, row)
    return encoder.finish()


def no_room(symbols: list[int], rows: NDArray[np.int64]) -> bool:
    """True if rounding moves the share of one of the symbols over the end of the range."""
    return any(symbol == len(row) - 1 and row[-1] > 1 << 24 for symbol, row in zip(symbols, rows, strict=True))


def decoder_of(data: bytes) -> tuple[Decoder, io.BytesIO]:
    file = io.BytesIO(data)

    def next_byte() -> int:
        byte = file.read(1)
        if not byte:
            raise TruncatedError("end")
        return byte[0]

    return Decoder(next_byte), file


@settings(deadline=None)
@given(pdfs, st.integers(0, 1 << 32))
def test_the_coder_is_metas(meta_lm: MetaLM, pdfs: Pdfs, seed: int) -> None:
    import torch

    rows, symbols = edges(pdfs), drawn(pdfs, seed)
    their_rows = [meta_lm.coder.build_stable_quantized_cdf(torch.from_numpy(pdf), 24, check=False) for pdf in pdfs]
    assert [row.tolist() for row in their_rows] == rows.tolist()
    if no_room(symbols, rows):
        with pytest.raises(UnsupportedError, match="no room"):
            coded(symbols, rows)
        return
    file = io.BytesIO()
    theirs = meta_lm.coder.ArithmeticCoder(file)
    for symbol, row in zip(symbols, their_rows, strict=True):
        theirs.push(symbol, row)
    theirs.flush()

    data = coded(symbols, rows)
    assert data == file.getvalue()

    decoder, ours = decoder_of(data + b"more")
    assert [decoder.pull(row) for row in rows] == symbols
    decoder.finish()
    assert ours.read() == b"more"
    theirs = meta_lm.coder.ArithmeticDecoder(io.BytesIO(data))
    assert [theirs.pull(row) for row in their_rows] == symbols


@given(pdfs, st.binary(max_size=200))
def test_what_passes_is_what_an_encoder_writes(pdfs: Pdfs, data: bytes) -> None:
    rows = edges(pdfs)
    decoder, file = decoder_of(data)
    try:
        symbols = [decoder.pull(row) for row in rows]
    except FormatError:
        return
    if no_room(symbols, rows):
        return
    written = coded(symbols, rows)
    assert len(written) == file.tell()
    try:
        decoder.finish()
    except IntegrityError:
        assert written != data[: file.tell()]
    else:
        assert written == data[: file.tell()]


def test_numbers_do_not_grow_without_end(meta_lm: MetaLM) -> None:
    # The middle symbol straddles the middle of the range forever: no bit of it is ever certain.
    import torch

    row = np.array([1 << 22, 3 << 22, 1 << 24])
    their_row = torch.from_numpy(row)
    encoder, theirs = Encoder(), meta_lm.coder.ArithmeticCoder(io.BytesIO())
    for _ in range(39):
        encoder.push(1, row)
        theirs.push(1, their_row)
    with pytest.raises(AssertionError):
        theirs.push(1, their_row)
    with pytest.raises(UnsupportedError, match="62 bits"):
        encoder.push(1, row)
    decoder, _ = decoder_of(b"\xfe" + b"\xff" * 100)  # the number just below the middle
    for _ in range(39):
        assert decoder.pull(row) == 1
    with pytest.raises(IntegrityError, match="never written"):
        decoder.pull(row)


@pytest.mark.parametrize("values", [[0.5, np.nan], [0.5, -0.1], [1.5, 0.0], [np.inf, 0.0]])
def test_values_that_are_no_probabilities(values: list[float]) -> None:
    with pytest.raises(EngineError, match="no probabilities"):
        edges(np.array(values, np.float32))


class Toy:
    """A language model of a few symbols, whose probabilities depend on all codes before.

    Args:
        changed: (frame, book, symbol) of a probability that is a millionth larger than it should be.
    """

    def __init__(self, symbols: int = 64, changed: tuple[int, int, int] | None = None) -> None:
        self.symbols = symbols
        self.changed = changed

    def start(self, num_codebooks: int) -> Predict:
        seed, frames = 0, itertools.count()

        def predict(before: NDArray[np.int64] | None) -> Pdfs:
            nonlocal seed
            for code in [-1] if before is None else before.tolist():
                seed = (seed * 1_000_003 + code + 2) % (1 << 61)
            result = softmax(seed, num_codebooks, self.symbols, 2.0)
            if self.changed is not None and next(frames) == self.changed[0]:
                result[self.changed[1:]] += np.float32(1e-6)
            return result

        return predict


def read_whole(data: bytes, shape: tuple[int, int], model: Toy) -> NDArray[np.uint32]:
    """As a container reads its only segment: nothing may follow it."""
    file = io.BytesIO(data)
    codes = read_segment(file, *shape, model)
    if file.read(1):
        raise FormatError("the file goes on")
    return codes


@pytest.mark.parametrize("shape", [(1, 0), (1, 1), (3, 1), (1, 50), (5, 21)])
def test_segments_come_back(shape: tuple[int, int]) -> None:
    codes = segment(1, *shape)
    data = segment_bytes(codes, Toy())
    assert np.array_equal(read_whole(data, shape, Toy()), codes)


def test_every_truncation_is_told() -> None:
    codes = segment(2)
    data = segment_bytes(codes, Toy())
    assert len(data) > 100
    for size in range(len(data)):
        with pytest.raises(TruncatedError, match=r"frame \d+ of 60"):
            read_whole(data[:size], codes.shape, Toy())


def test_every_flipped_bit_is_told() -> None:
    # Of this segment. The check at the end is one of at most 24 bits, and weak against flips in a last code that is
    # unlikely: docs/format-ecdc-lm.md says how often a flip goes unnoticed.
    codes = segment(3, num_frames=20)
    data = segment_bytes(codes, Toy())
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            read_whole(bytes(flipped), codes.shape, Toy())


def test_other_arithmetic_gives_the_codes_or_an_error() -> None:
    codes = segment(4, num_codebooks=2, num_frames=20)
    data = segment_bytes(codes, Toy())
    right = wrong = 0
    for frame, book, symbol in itertools.product(range(20), range(2), range(0, 64, 5)):
        try:
            assert np.array_equal(read_whole(data, codes.shape, Toy(changed=(frame, book, symbol))), codes)
            right += 1
        except FormatError:
            wrong += 1
    assert right > 50
    assert wrong > 50


def test_another_language_model_gives_an_error() -> None:
    codes = segment(5)
    with pytest.raises(FormatError, match="language model"):
        read_whole(segment_bytes(codes, Toy()), codes.shape, Toy(symbols=65))


def test_memory_grows_with_what_is_there() -> None:
    with pytest.raises(TruncatedError):
        read_segment(io.BytesIO(b"\x55" * 300), 2, 1 << 60, Toy())


@pytest.mark.parametrize("code", [-1, 64])
def test_codes_that_the_model_does_not_know(code: int) -> None:
    with pytest.raises(InputError, match=r"0 \.\.< 64"):
        segment_bytes(np.array([[1, code]]), Toy())
