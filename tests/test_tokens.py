"""Tokens: inversion, what models really generate, streams, refusals."""

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrow import narrow
from numpy.typing import NDArray
from token_cases import (
    ALL,
    MONO,
    ORPHEUS_TOKENS,
    PLAIN,
    SPECS,
    check,
    generated,
    like,
    lists,
    parallel,
    random_books,
    spec_for,
)

import wavcodes
from wavcodes import Codes, InputError
from wavcodes import tokens as tk
from wavcodes.tokens import Delayed, Flat, Stereo

TAILED = wavcodes.spec("wavcodes_16khz")  # one frame more than the samples fill

# ---- inversion

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", MONO)
@given(cycles=st.integers(0, 40), seed=seeds)
def test_every_convention_inverts(name: str, cycles: int, seed: int) -> None:
    layout, spec = MONO[name], spec_for(MONO[name])
    books = random_books(layout, cycles, seed)
    tokens = layout.encode(books)
    assert lists(layout.books(tokens)) == lists(books)
    frames = layout.order.count(0) * cycles * spec.strides[0]
    codes = Codes.of(spec, books, max(0, frames * spec.hop_length - seed % 512))
    assert layout.encode(codes).tolist() == tokens.tolist()
    assert layout.decode(tokens, spec, codes.num_samples) == codes
    assert layout.decode(tokens, spec).num_samples == frames * spec.hop_length


@given(frames=st.integers(0, 20), seed=seeds)
def test_stereo_inverts(frames: int, seed: int) -> None:
    spec = SPECS["encodec_32khz"]
    left, right = (Codes.of(spec, random_books(tk.MUSICGEN, frames, seed + i), frames * 640) for i in range(2))
    tokens = tk.MUSICGEN_STEREO.encode(left, right)
    assert tk.MUSICGEN_STEREO.decode(tokens, spec) == (left, right)
    assert tokens[0::2].tolist() == tk.MUSICGEN.encode(left).tolist()
    assert tokens[1::2].tolist() == tk.MUSICGEN.encode(right).tolist()


layouts = st.builds(
    lambda delays, step, **facts: parallel(len(delays), delays, step=min(step, max(delays) + 1), **facts),
    delays=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    step=st.integers(1, 4),
    lead=st.integers(0, 2),
) | st.builds(
    lambda delays, **facts: parallel(len(delays), delays, **facts),
    delays=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    lead=st.integers(0, 2),
    end=st.sampled_from([90, 91, 99]),
)


@given(layout=layouts, cycles=st.integers(0, 9), seed=seeds)
def test_any_delayed_layout_inverts(layout: Delayed, cycles: int, seed: int) -> None:
    books = random_books(layout, cycles, seed)
    check(layout, books, layout.encode(books))


@given(layout=layouts, shape=st.integers(0, 12), seed=seeds)
def test_what_decodes_is_what_encodes_to_it(layout: Delayed, shape: int, seed: int) -> None:
    # Mostly refused; what is not must be the only tokens of its codes.
    generator = np.random.default_rng(seed)
    valid = layout.encode(random_books(layout, shape, seed))
    tokens = valid.copy()
    place = tuple(generator.integers(0, size) for size in tokens.shape) if tokens.size else ()
    if place:
        tokens[place] = generator.choice([-1, 0, 5, 89, 90, 91, 99, 100])
    if tokens.tolist() == valid.tolist():
        return
    try:
        assert layout.encode(layout.books(tokens)).tolist() == tokens.tolist()
    except InputError as error:
        if not str(error).startswith(f"row {place[0]}, column {place[1]}: "):
            raise


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int64"])
def test_integers_of_any_size(dtype: str) -> None:
    books = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    tokens = tk.BARK.encode(books)
    assert tokens.dtype == np.int64
    assert lists(tk.BARK.books(tokens.astype(dtype))) == books.tolist()
    matrix = parallel(2, (0, 1)).encode(books)
    assert lists(parallel(2, (0, 1)).books(matrix.astype(dtype))) == books.tolist()


# ---- what models generate


@pytest.mark.parametrize("name", MONO)
@given(cycles=st.integers(1, 20), seed=seeds)
def test_extract_finds_all_of_a_whole_clip(name: str, cycles: int, seed: int) -> None:
    layout = MONO[name]
    tokens = layout.encode([np.maximum(book, 1) for book in random_books(layout, cycles, seed)])
    found = layout.extract(generated(layout, tokens))
    assert (found.tokens.tolist(), found.dropped) == (tokens.tolist(), 0)
    assert found.ended == (isinstance(layout, Delayed) and layout.end is not None)


@pytest.mark.parametrize("missing", range(1, 7))
def test_a_truncated_frame_is_left_out_and_counted(missing: int) -> None:
    found = tk.ORPHEUS.extract(ORPHEUS_TOKENS[:-missing])
    assert (found.tokens.tolist(), found.dropped) == (ORPHEUS_TOKENS[:7], 7 - missing)
    with pytest.raises(InputError, match=rf"multiple of 7 tokens, got {14 - missing}; extract reads"):
        tk.ORPHEUS.books(ORPHEUS_TOKENS[:-missing])


def test_text_an_end_and_what_follows_it() -> None:
    one, two = ORPHEUS_TOKENS[:7], ORPHEUS_TOKENS[7:]
    output = [128261, 128257, *one, 42, *two, 128258, 128262, *one]
    found = tk.ORPHEUS.extract(output)
    assert (found.tokens.tolist(), found.dropped, found.ended) == (ORPHEUS_TOKENS, 7, True)
    found = tk.ORPHEUS.extract([*one[:3], 42, *one[3:]])
    assert (found.tokens.tolist(), found.dropped, found.ended) == (one, 0, False)


def test_tokens_out_of_order_cost_their_own_frame_only() -> None:
    one, two = ORPHEUS_TOKENS[:7], ORPHEUS_TOKENS[7:]
    for broken in (one[:3] + one[4:], [*one[:3], one[2], *one[3:]], one[::-1], [one[0], *one[2:]]):
        found = tk.ORPHEUS.extract([*two, *broken, *one])
        assert (found.tokens.tolist(), found.dropped) == ([*two, *one], len(broken))


def brute(layout: Flat, output: list[int]) -> tuple[list[int], int]:
    """Token after token: the whole cycles before the end, and how many other codes there are."""
    kept: list[int] = []
    held: list[int] = []
    total, over = 0, False
    for token in output:
        over = over or token in layout.end
        slot = next((i for i, low in enumerate(layout.first) if low <= token < low + layout.codebook_size), None)
        if slot is None:
            continue
        total += 1
        if over:
            continue
        held = [*held, token] if slot == len(held) else [token] if slot == 0 else []
        if len(held) == len(layout.first):
            kept, held = kept + held, []
    return kept, total - len(kept)


THREE = Flat(codebook_size=4, order=(0, 1, 1), first=(10, 20, 30), end=(1,))
three_tokens = st.lists(st.sampled_from([10, 13, 20, 23, 30, 33, 5, 14] * 5 + [10, 20, 30] * 10 + [1]), max_size=60)


@given(output=three_tokens, cuts=st.lists(st.integers(0, 60), max_size=8))
def test_any_output_of_a_flat_layout_whole_or_in_pieces(output: list[int], cuts: list[int]) -> None:
    tokens, dropped = brute(THREE, output)
    found = THREE.extract(output)
    assert (found.tokens.tolist(), found.dropped, found.ended) == (tokens, dropped, 1 in output)
    spec = like("another", 24_000, 100, 4, (2, 1))
    stream = THREE.stream(spec)
    edges = [0, *sorted(cuts), len(output)]
    parts = [stream.push(output[start:stop]) for start, stop in itertools.pairwise(edges)]
    assert Codes.concat([*parts, stream.flush()]) == THREE.decode(tokens, spec)
    assert (stream.dropped, stream.ended) == (dropped, 1 in output)


@given(layout=layouts, columns=st.integers(0, 25), cuts=st.lists(st.integers(0, 25), max_size=6), seed=seeds)
def test_any_output_of_a_delayed_layout_whole_or_in_pieces(
    layout: Delayed, columns: int, cuts: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.integers(0, 90, (len(layout.order), columns))
    matrix[generator.random(matrix.shape) < generator.choice([0, 0.02, 0.2])] = 99
    matrix[:, :1] = 1  # a start column is refused
    last = max(layout.delays)
    starts = range(0, max(0, columns - last), layout.step)
    cycles = [[int(matrix[k, at + delay]) for k, delay in enumerate(layout.delays)] for at in starts]
    good = list(itertools.takewhile(lambda cycle: max(cycle) < 90, cycles))
    found = layout.extract(matrix)
    assert lists(layout.books(found.tokens)) == [[cycle[k] for cycle in good] for k in range(len(layout.order))]
    assert found.ended == (len(good) < len(cycles))
    if layout.step == 1:
        possible = sum(int((matrix[k, delay:] < 90).sum()) for k, delay in enumerate(layout.delays))
        assert found.dropped == possible - len(good) * len(layout.order)
    spec = like("another", 24_000, 100, 90, (1,) * len(layout.order))
    stream = layout.stream(spec)
    edges = [0, *sorted(min(cut, columns) for cut in cuts), columns]
    parts = [stream.push(matrix[:, start:stop]) for start, stop in itertools.pairwise(edges)]
    assert Codes.concat([*parts, stream.flush()]) == layout.decode(found.tokens, spec)
    assert (stream.ended, stream.dropped) == (found.ended, found.dropped)


def test_a_start_column_is_not_generated() -> None:
    for layout in (tk.MUSICGEN, tk.DIA, tk.MOSHI, tk.PARLER):
        start = np.full((len(layout.order), 1), layout.left)
        with pytest.raises(InputError, match=rf"the first holds {layout.left} alone; leave out the start column"):
            layout.stream(spec_for(layout)).push(start)


# ---- streams


@pytest.mark.parametrize("name", MONO)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_in_pieces_is_the_whole(name: str, size: int) -> None:
    layout, spec = MONO[name], spec_for(MONO[name])
    codes = layout.decode(layout.encode([np.maximum(book, 1) for book in random_books(layout, 9)]), spec)
    output = generated(layout, layout.encode(codes))
    stream = layout.stream(spec)
    parts = [stream.push(output[..., start : start + size]) for start in range(0, output.shape[-1], size)]
    assert Codes.concat([*parts, stream.flush()]) == codes
    assert stream.dropped == 0


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stereo_stream_in_pieces_is_the_whole(size: int) -> None:
    spec = SPECS["encodec_32khz"]
    pair = [Codes.of(spec, random_books(tk.MUSICGEN, 9, seed), 9 * 640) for seed in range(2)]
    output = tk.MUSICGEN_STEREO.encode(*pair)[:, 1:]
    assert tk.MUSICGEN_STEREO.extract(output).tokens[:, 1:].tolist() == output.tolist()
    stream = tk.MUSICGEN_STEREO.stream(spec)
    parts = [stream.push(output[:, start : start + size]) for start in range(0, output.shape[1], size)]
    parts.append(stream.flush())
    assert [Codes.concat([part[channel] for part in parts]) for channel in range(2)] == pair


@pytest.mark.parametrize(
    "layout",
    [
        Flat(codebook_size=1024, order=(0, 1, 2), first=(5, 5000, 2000), end=(1,)),
        Delayed(codebook_size=1024, order=(0, 1, 2), delays=(0, 2, 5), left=1024, end=1025, right=1026),
    ],
    ids=["flat", "delayed"],
)
@pytest.mark.parametrize("size", [1, 7])
def test_a_stream_decoder_gives_the_samples_of_the_whole_clip(layout: Flat | Delayed, size: int) -> None:
    codec = wavcodes.load(TAILED.name)
    whole = codec.decode(layout.decode(layout.encode(random_books(layout, 30)), TAILED))
    assert whole.shape == (1, 29 * 320)
    output = layout.encode(random_books(layout, 30))
    found, decoder = layout.stream(TAILED), codec.stream_decoder()
    heard = [decoder.push(found.push(output[..., i : i + size])) for i in range(0, output.shape[-1], size)]
    heard += [decoder.push(found.flush()), decoder.flush()]
    assert np.array_equal(np.concatenate(heard, axis=1), whole)


def test_snac_hears_every_sample_without_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    codec = wavcodes.load("snac_24khz", weights=narrow(monkeypatch, tmp_path, "snac_24khz")["snac_24khz"])
    layout: Flat | Delayed
    for layout in (tk.ORPHEUS, tk.MINI_OMNI):
        codes = layout.decode(layout.encode(random_books(layout, 5)), codec.spec)
        found, decoder = layout.stream(codec.spec), codec.stream_decoder()
        heard = [decoder.push(found.push(step)) for step in layout.encode(codes).T]
        heard += [decoder.push(found.flush()), decoder.flush()]
        assert np.array_equal(np.concatenate(heard, axis=1), codec.decode(codes))
        assert sum(piece.shape[1] for piece in heard) == 5 * 2048


def test_after_flush_a_stream_is_over() -> None:
    stream = tk.ORPHEUS.stream(SPECS["snac_24khz"])
    assert stream.push(ORPHEUS_TOKENS[0]).num_frames == 0
    assert stream.flush().num_frames == 0
    assert stream.dropped == 1
    with pytest.raises(InputError, match="after flush"):
        stream.push(ORPHEUS_TOKENS)
    with pytest.raises(InputError, match="one flush"):
        stream.flush()


# ---- what is refused


@pytest.mark.parametrize(
    ("position", "token", "message"),
    [
        (9, 128258, "position 9: expected a token of slot 2, 136458 to 140553, got 128258, which is no code"),
        (9, 140554, "position 9: expected a token of slot 2, 136458 to 140553, got 140554, which is one of slot 3"),
        (0, 128265, "position 0: expected a token of slot 0, 128266 to 132361, got 128265, which is no code"),
        (13, 156938, "position 13: expected a token of slot 6, 152842 to 156937, got 156938, which is no code"),
        (4, -1, "position 4: expected a token of slot 4, 144650 to 148745, got -1, which is no code"),
    ],
)
def test_a_flat_token_out_of_place(position: int, token: int, message: str) -> None:
    tokens = [*ORPHEUS_TOKENS]
    tokens[position] = token
    with pytest.raises(InputError, match=re.escape(message)):
        tk.ORPHEUS.decode(tokens, SPECS["snac_24khz"])


@pytest.mark.parametrize(
    ("row", "column", "token", "message"),
    [
        (0, 0, 5, "row 0, column 0: expected 1026, got 5"),
        (2, 3, 1024, "row 2, column 3: expected 1026, got 1024"),
        (2, 4, 1024, "row 2, column 4: expected a code, 0 to 1023, got 1024"),
        (1, 4, -1, "row 1, column 4: expected a code, 0 to 1023, got -1"),
        (0, 5, 3, "row 0, column 5: expected 1024, got 3"),
        (0, 8, 1024, "row 0, column 8: expected 1025, got 1024"),
    ],
)
def test_a_delayed_token_out_of_place(row: int, column: int, token: int, message: str) -> None:
    three = replace(tk.DIA, order=(0, 1, 2), delays=(0, 2, 3))
    matrix = three.encode([[1, 2, 3, 4]] * 3)
    matrix[row, column] = token
    with pytest.raises(InputError, match=re.escape(message)):
        three.books(matrix)


def test_ids_in_messages_are_those_of_the_vocabulary() -> None:
    matrix = tk.MINI_OMNI_INPUTS.encode([[5], [5, 5], [5, 5, 5, 5]])
    matrix[1, 2] = 3
    with pytest.raises(InputError, match=r"row 1, column 2: expected a code, 156160 to 160255, got 3"):
        tk.MINI_OMNI_INPUTS.books(matrix)


def codes_of(name: str, num_codebooks: int, frames: int = 4) -> Codes:
    return Codes.of(SPECS[name], [[0] * (frames // s) for s in SPECS[name].strides[:num_codebooks]], 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: tk.ORPHEUS.encode(codes_of("encodec_24khz", 3)),
            "expected snac_24khz, which these tokens are made for",
        ),
        (lambda: tk.MOSHI.encode(codes_of("mimi", 32)), "expected 8 codebooks, got 32; codes.codebooks(8)"),
        (lambda: tk.MOSHI.encode([[1]] * 7), "expected 8 codebooks, got 7"),
        (lambda: tk.KANI.encode(codes_of("mimi", 4)), "expected books of 4032 entries, but those of mimi have 2048"),
        (lambda: tk.ORPHEUS.stream(SPECS["mimi"]), "expected snac_24khz"),
        (lambda: tk.ORPHEUS.decode(ORPHEUS_TOKENS, SPECS["mimi"]), "expected snac_24khz"),
        (lambda: tk.MUSICGEN_STEREO.decode([[0]] * 8, SPECS["mimi"]), "expected encodec_32khz"),
        (
            lambda: replace(tk.ORPHEUS, codec=None).stream(like("plain", 24_000, 512, 4096, (1, 1, 1))),
            "expected strides that fit the order",
        ),
        (lambda: tk.MOSHI.stream(replace(SPECS["mimi"], num_codebooks=4)), "expected a codec of 8 codebooks"),
        (lambda: tk.BARK.encode([[1, 2], [3, 1024]]), "codebook 1, position 1: code 1024 is out of range"),
        (lambda: tk.BARK.encode([[1, 2], [-1, 3]]), "codebook 1, position 0: code -1 is out of range"),
        (lambda: tk.BARK.encode([[1, 2], [3]]), "expected books of 1, 1 codes or a multiple of that, got 2, 1"),
        (lambda: tk.ORPHEUS.encode([[1], [1, 2], [1, 2]]), "expected books of 1, 2, 4 codes or a multiple"),
        (lambda: tk.BARK.encode([[1.5], [2.0]]), "codebook 0 as integers of shape (codes)"),
        (lambda: tk.BARK.encode([[[1]], [[2]]]), "codebook 0 as integers of shape (codes), got shape (1, 1)"),
        (lambda: tk.BARK.books([[10000, 11024]]), "tokens as integers of shape (n), got shape (1, 2)"),
        (lambda: tk.BARK.books([True, False]), "got shape (2,) of bool"),
        (lambda: tk.BARK.extract([[1], [2, 3]]), "expected tokens as an array: "),
        (lambda: tk.DIA.books([1, 2]), "tokens as integers of shape (rows, columns)"),
        (lambda: tk.DIA.books([[1], [2]]), "expected 9 rows of tokens, got 2"),
        (lambda: tk.DIA.books(np.zeros((9, 16), int)), "expected 17 columns or more, got 16"),
        (lambda: tk.DIA.extract([[1], [2, 3]]), "expected tokens as an array: "),
        (lambda: parallel(2, (0, 1), step=2).books(np.zeros((2, 5), int)), "expected 0 + a multiple of 2 columns"),
        (
            lambda: tk.MUSICGEN_STEREO.encode([[1]] * 4, [[1, 2]] * 4),
            "channels of equal duration, got tokens of 5 and 6",
        ),
        (lambda: tk.ORPHEUS.without_repeats(ORPHEUS_TOKENS, 0), "expected 1 to 7 slots, got 0"),
        (lambda: tk.ORPHEUS.without_repeats(ORPHEUS_TOKENS[1:], 1), "position 0: expected a token of slot 0"),
        (lambda: tk.convention("nobody"), "expected one of the conventions bark, csm"),
        (lambda: replace(tk.BARK, first=(10_000, 11_023)), "first ids at least 1024 apart"),
        (lambda: replace(tk.BARK, first=(10_000,)), "one first id for each of 2 slots, got 1"),
        (lambda: replace(tk.BARK, order=(0, 2)), "an order that has every book from 0 on"),
        (lambda: replace(tk.BARK, codebook_size=0), "expected a positive codebook_size"),
        (
            lambda: replace(tk.DIA, delays=(0, 1)),
            "a delay for each of 9 rows, and as many offsets or none, got 2 and 0",
        ),
        (lambda: replace(tk.DIA, lead=-1), "expected a lead and delays of 0 or more, got -1"),
        (lambda: replace(tk.DIA, step=2), "of 1 where there is an end, got 2"),
        (lambda: parallel(2, (0, 1), step=3), "expected a step of 1 to max(delays) + 1, and"),
        (lambda: replace(tk.DIA, offsets=(1,)), "as many offsets or none, got 9 and 1"),
        (lambda: replace(tk.DIA, left=5), "expected left and right to be no codes, or the end, got 5 and 1025"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()


def test_codes_with_scales_are_refused() -> None:
    segmented = replace(PLAIN, name="segmented", segment=wavcodes.framing.Segment(48_000, 47_520))
    two = replace(tk.BARK, codec=None)
    with pytest.raises(InputError, match="codes without scales"):
        two.stream(segmented)
    codes = Codes.of(segmented, [[1, 2], [3, 4]], 640, segments=[2], scales=[0.5])
    with pytest.raises(InputError, match="codes without scales"):
        two.encode(codes)


# ---- names and documents


def test_names_are_sorted_and_are_those_of_the_constants() -> None:
    assert tk.conventions() == sorted(ALL)
    assert all(getattr(tk, name.upper()) is layout for name, layout in ALL.items())
    assert all(hasattr(tk, name) for name in tk.__all__)


DOCUMENT = (Path(__file__).parents[1] / "docs" / "tokens.md").read_text()


def test_the_table_of_the_document() -> None:
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.splitlines()
        if line.startswith("| `")
    ]
    assert [row[0].strip("`") for row in table] == [name.upper() for name in ALL]
    for name, _, codec, books, kind, _ in table:
        layout = ALL[name.strip("`").lower()]
        mono = layout.mono if isinstance(layout, Stereo) else layout
        assert codec == (f"`{mono.codec}`" if mono.codec else codec)
        assert int(books.split()[-1]) == mono.num_codebooks
        assert kind == ("flat" if isinstance(layout, Flat) else "delayed")


def test_the_examples_of_the_document_run() -> None:
    plain, streamed = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.M | re.S)
    exec(compile(plain, "docs/tokens.md", "exec"), {})
    # The second one on the codec that is in the package.
    codec, layout = wavcodes.load(TAILED.name), Flat(codebook_size=1024, order=(0, 1), first=(5, 5000), end=(1,))
    books = random_books(layout, 20)
    played: list[NDArray[np.float32]] = []
    names = {"ORPHEUS": layout, "codec": codec, "model": [*layout.encode(books), 1], "play": played.append}
    exec(compile(streamed, "docs/tokens.md", "exec"), names)
    assert np.array_equal(np.concatenate(played, axis=1), codec.decode(Codes.of(TAILED, books, 19 * 320)))
