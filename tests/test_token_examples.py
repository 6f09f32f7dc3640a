"""Tokens of published models against published numbers.

The numbers come from the models' own code, most of them from running it. `S` stands for a special id.
"""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from token_cases import ORPHEUS_BOOKS, ORPHEUS_TOKENS, SPECS, check, lists, parallel, random_books

from wavcodes import Codes, InputError
from wavcodes import tokens as tk
from wavcodes.tokens import Delayed, Flat


def rows(text: str, **names: int) -> list[list[int]]:
    """`"S 11, S S"` as lists of integers, names replaced by ids."""
    return [[names[word] if word in names else int(word) for word in row.split()] for row in text.split(",")]


def numbered(num_codebooks: int, frames: int) -> list[list[int]]:
    """`11 12 13 ...`, `21 22 23 ...`: book k + 1, frame t + 1."""
    return [[10 * k + t for t in range(1, frames + 1)] for k in range(1, num_codebooks + 1)]


# ---- Orpheus

ORPHEUS_NUMBERS = [17, 4116, 8222, 12319, 16405, 20512, 24609, 18, 4118, 8226, 12323, 16407, 20516, 24613]


def test_orpheus() -> None:
    check(tk.ORPHEUS, ORPHEUS_BOOKS, ORPHEUS_TOKENS)
    check(tk.ORPHEUS.starting_at(10), ORPHEUS_BOOKS, ORPHEUS_NUMBERS)
    assert [token - 128256 for token in ORPHEUS_TOKENS] == ORPHEUS_NUMBERS
    top = tk.ORPHEUS.encode([[4095], [4095] * 2, [4095] * 4])
    assert top[-1] == 156937
    assert tk.ORPHEUS.end == (128258,)
    assert tk.ORPHEUS.starting_at(10).end == (2,)


def test_orpheus_of_codes_has_their_strides_and_length() -> None:
    codes = Codes.of(SPECS["snac_24khz"], ORPHEUS_BOOKS, 4000)
    tokens = tk.ORPHEUS.encode(codes)
    assert tokens.tolist() == ORPHEUS_TOKENS
    assert tk.ORPHEUS.decode(tokens, SPECS["snac_24khz"], 4000) == codes
    assert tk.ORPHEUS.decode(tokens, SPECS["snac_24khz"]).num_samples == 2 * 2048


def test_a_code_of_zero_is_a_code() -> None:
    numbers = [*ORPHEUS_NUMBERS[:3], 12298, *ORPHEUS_NUMBERS[4:]]
    books = [[7, 8], [10, 11, 12, 13], [20, 0, *range(22, 28)]]
    check(tk.ORPHEUS.starting_at(10), books, numbers)
    assert tk.ORPHEUS.starting_at(10).extract(numbers).tokens.tolist() == numbers


@pytest.mark.parametrize("slot", range(7))
def test_no_chunk_is_lost_to_a_zero(slot: int) -> None:
    # Upstream's decoder loses 5 of 37 chunks to one in slots 0 to 5, and 1 to one in slot 6.
    books = [1 + np.minimum(book, 4000) for book in random_books(tk.ORPHEUS, 40)]
    tokens = tk.ORPHEUS.encode(books)
    tokens[7 * 20 + slot] = 128266 + 4096 * slot
    stream = tk.ORPHEUS.stream(SPECS["snac_24khz"])
    parts = [stream.push(token) for token in tokens]
    assert sum(part.num_samples for part in parts) == 40 * 2048
    assert tk.ORPHEUS.encode(Codes.concat(parts)).tolist() == tokens.tolist()


@pytest.mark.parametrize("cycles", [3, 4, 10])
def test_the_stream_gives_the_first_frame_and_the_last_ones_too(cycles: int) -> None:
    # Upstream's windows of four give cycles - 3 chunks: 0, 2048 and 14336 samples.
    stream = tk.ORPHEUS.stream(SPECS["snac_24khz"])
    part = stream.push(tk.ORPHEUS.encode(random_books(tk.ORPHEUS, cycles)))
    assert part.num_samples == cycles * 2048


def test_orpheus_was_trained_without_repeats() -> None:
    books = [[5, 5, 6, 5], list(range(8)), list(range(16))]
    kept = tk.ORPHEUS.books(tk.ORPHEUS.without_repeats(tk.ORPHEUS.encode(books), slots=1))
    assert lists(kept) == [[5, 6, 5], [0, 1, 4, 5, 6, 7], [*range(4), *range(8, 16)]]


# ---- mini-omni


def test_mini_omni_shifts_each_row_into_its_own_range() -> None:
    shifted = tk.MINI_OMNI_INPUTS.encode([[5], [5, 5], [5, 5, 5, 5]])
    assert [int(shifted[row, row + 1]) for row in range(7)] == [
        *(152005, 156165, 160325, 164485, 168645, 172805, 176965)
    ]
    assert shifted[0, 2] == 156096  # the end, 4096, in row 0
    assert shifted[6, 0] == 181057  # the pad, 4097, in row 6
    assert tk.MINI_OMNI_INPUTS.order == tk.MINI_OMNI.order


def test_mini_omni_targets() -> None:
    # The clip "# 10 11 12 13 14 15 16 # 20 21 22 23 24 25 26".
    slots = np.array([range(10, 17), range(20, 27)])
    matrix = tk.MINI_OMNI.encode([slots[:, 0], slots[:, [1, 4]].reshape(-1), slots[:, [2, 3, 5, 6]].reshape(-1)])
    assert matrix.shape == (7, 10)
    assert matrix[0].tolist() == [4097, 10, 20, 4096, *[4097] * 6]
    assert matrix[6].tolist() == [*[4097] * 7, 16, 26, 4096]
    for row in range(7):
        assert matrix[row].tolist() == [*[4097] * (row + 1), 10 + row, 20 + row, 4096, *[4097] * (6 - row)]


def test_mini_omni_to_books() -> None:
    matrix = np.full((7, 10), 4097)
    for row in range(7):
        matrix[row, row + 1 : row + 4] = [100 + row, 200 + row, 4096]
    books = [[100, 200], [101, 104, 201, 204], [102, 103, 105, 106, 202, 203, 205, 206]]
    assert lists(tk.MINI_OMNI.books(matrix)) == books
    # The step in which row 6 gives the end is not kept by the model's own code.
    found = tk.MINI_OMNI.extract(matrix[:, :-1])
    assert (lists(tk.MINI_OMNI.books(found.tokens)), found.dropped) == (books, 0)


def test_order_of_the_books_of_four_levels() -> None:
    names = ["L0", "L1a", "L2a", "L3a", "L3b", "L2b", "L3c", "L3d", "L1b", "L2c", "L3e", "L3f", "L2d", "L3g", "L3h"]
    order = tuple(int(name[1]) for name in names)
    layout = Flat(codebook_size=8, order=order, first=tuple(8 * slot for slot in range(15)))
    tokens = layout.encode([range(2**k) for k in range(4)])
    assert [f"L{k}" + ("abcdefgh"[code] if k else "") for k, code in zip(order, tokens % 8, strict=True)] == names


# ---- other flat ones


def test_llasa() -> None:
    llasa = Flat(codebook_size=65536, order=(0,), first=(128264,), end=(128261,))
    assert [128260, *llasa.encode([[5, 0, 65535]]), *llasa.end] == [128260, 128269, 128264, 193799, 128261]
    found = llasa.extract([128260, 128269, 128264, 193799, 128261])
    assert (lists(llasa.books(found.tokens)), found.dropped, found.ended) == ([[5, 0, 65535]], 0, True)
    # Upstream always takes the last id for the end, and loses a code where the length ended the clip.
    found = llasa.extract([128260, 128269, 128264, 193799])
    assert (lists(llasa.books(found.tokens)), found.ended) == ([[5, 0, 65535]], False)


def spelled(tokens: NDArray[np.int64]) -> str:
    return "".join(
        f"<|c1_{token - 128256}|>" if token < 129281 else f"<|c2_{token - 129281}|>" for token in tokens.tolist()
    )


def test_outetts() -> None:
    tokens = tk.OUTETTS.encode([[3, 4], [9, 8]])
    assert spelled(tokens) == "<|c1_3|><|c2_9|><|c1_4|><|c2_8|>"
    assert tk.OUTETTS.starting_at(151669).first == (151669, 152694)
    with pytest.raises(InputError, match=r"position 0.*129280, which is no code"):
        tk.OUTETTS.books([129280, 129281])  # <|c1_1024|>


def test_outetts_gets_back_into_step() -> None:
    c1, c2, word = (128256 + np.arange(8)).tolist(), (129281 + np.arange(8)).tolist(), 400
    lone_last = tk.OUTETTS.extract([c1[1], c2[2], word, c1[3], c2[4], c1[5]])
    assert (lists(tk.OUTETTS.books(lone_last.tokens)), lone_last.dropped) == ([[1, 3], [2, 4]], 1)
    # All c1 beside all c2, as upstream has them, would pair 3 with 5 and so on.
    lone_amid = tk.OUTETTS.extract([c1[1], c2[2], c1[3], word, c1[4], c2[5], c1[6], c2[7]])
    assert (lists(tk.OUTETTS.books(lone_amid.tokens)), lone_amid.dropped) == ([[1, 4, 6], [2, 5, 7]], 1)


def test_bark() -> None:
    check(tk.BARK, [[1, 2, 3], [4, 5, 6]], [10001, 11028, 10002, 11029, 10003, 11030])


def test_kani() -> None:
    books = [[1, 2], [3, 4], [5, 6], [7, 8]]
    check(tk.KANI, books, [64411, 68445, 72479, 76513, 64412, 68446, 72480, 76514])
    assert tk.KANI.encode([[4031]] * 4)[-1] == 80537
    repeats = tk.KANI.encode([[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 5]])
    assert tk.KANI.without_repeats(repeats, slots=4).tolist() == repeats[4:].tolist()
    assert tk.KANI.without_repeats(repeats, slots=3).tolist() == repeats[:4].tolist()


def test_yue() -> None:
    yue = Flat(codebook_size=1024, order=(0, 1), first=(45334, 45334 + 1024))
    check(yue, [[1, 2], [3, 4]], [45335, 46361, 45336, 46362])


def test_soundstorm() -> None:
    soundstorm = Flat(codebook_size=1024, order=(0, 1), first=(0, 1025), end=(1024,))
    check(soundstorm, [[1, 2], [3, 4]], [1, 3 + 1025, 2, 4 + 1025])


def test_audiolm_has_an_end_that_is_a_code() -> None:
    # Its tables have 1025 rows per book, but its offsets are multiples of 1024.
    with pytest.raises(InputError, match=r"end that is no code, got 1024"):
        Flat(codebook_size=1024, order=(0, 1), first=(0, 1024), end=(1024,))


def test_fish() -> None:
    row = Flat(codebook_size=4096, order=(0,), first=(1000,), end=(4,))
    assert [9, *row.encode([[5, 6]]), 4] == [9, 1005, 1006, 4]
    assert lists(row.books(row.extract([9, 1005, 1006, 4]).tokens)) == [[5, 6]]


def test_fish_repeats_the_first_book_beside_the_others() -> None:
    # Its other rows hold the codes as they are, and zeros beside the text and the end.
    codes = [[5, 6], [7, 8]]
    below = parallel(2, codebook_size=1024, lead=1, left=0, end=0, right=0)
    check(below, codes, [[0, 5, 6, 0], [0, 7, 8, 0]])


def test_cosyvoice() -> None:
    speech = parallel(1, codebook_size=6561, left=6561, right=6563, end=6561)
    assert speech.encode([[7, 8]]).tolist() == [[7, 8, 6561]]
    flat = Flat(codebook_size=6561, order=(0,), first=(0,), end=(6561, 6562, 6563))
    for stop in flat.end:
        assert flat.extract([7, 8, stop, 9]).tokens.tolist() == [7, 8]


# ---- Parler


def test_parler() -> None:
    four = replace(tk.PARLER, order=(0, 1, 2, 3), delays=(0, 1, 2, 3))
    stored = [
        [11, 12, 1024, 1024, 1024, 1024],
        [1025, 21, 22, 1024, 1024, 1024],
        [1025, 1025, 31, 32, 1024, 1024],
        [1025, 1025, 1025, 41, 42, 1024],
    ]
    check(four, numbered(4, 2), stored)
    assert tk.PARLER.encode(random_books(tk.PARLER, 20)).shape == (9, 20 + 9)


# ---- audiocraft

S = 99
NUMBERED = numbered(3, 4)


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (parallel(3, (0, 1, 2), lead=1), "S 11 12 13 14 S S, S S 21 22 23 24 S, S S S 31 32 33 34"),
        (parallel(3, (0, 0, 1), lead=1), "S 11 12 13 14 S, S 21 22 23 24 S, S S 31 32 33 34"),
        (parallel(3, (0, 1, 2), lead=2), "S S 11 12 13 14 S S, S S S 21 22 23 24 S, S S S S 31 32 33 34"),
        (parallel(3, (0, 1, 2), lead=0), "11 12 13 14 S S, S 21 22 23 24 S, S S 31 32 33 34"),
        (parallel(3, lead=1), "S 11 12 13 14, S 21 22 23 24, S 31 32 33 34"),
        (
            parallel(3, (0, 1, 2), lead=1, step=3),  # unroll, all books apart
            "S 11 S S 12 S S 13 S S 14 S S, S S 21 S S 22 S S 23 S S 24 S, S S S 31 S S 32 S S 33 S S 34",
        ),
        (
            parallel(3, (0, 1, 1), lead=1, step=2),  # unroll, the first book apart
            "S 11 S 12 S 13 S 14 S, S S 21 S 22 S 23 S 24, S S 31 S 32 S 33 S 34",
        ),
        (parallel(3, (0, 4, 4), lead=1), "S 11 12 13 14 S S S S, S S S S S 21 22 23 24, S S S S S 31 32 33 34"),
        (parallel(3, (0, 4, 5), lead=1), "S 11 12 13 14 S S S S S, S S S S S 21 22 23 24 S, S S S S S S 31 32 33 34"),
    ],
)
def test_audiocraft_patterns(layout: Delayed, text: str) -> None:
    check(layout, NUMBERED, rows(text, S=S))


def test_audiocraft_valid_steps_alone_hold_the_first_frames() -> None:
    layout = parallel(3, (0, 1, 2), lead=1)
    found = layout.extract(layout.encode(NUMBERED)[:, 1:5])
    assert (lists(layout.books(found.tokens)), found.dropped) == ([[11, 12], [21, 22], [31, 32]], 3)


def test_audiocraft_pattern_that_is_delayed_and_then_unrolled() -> None:
    # Once the delayed books begin, each column is two: theirs, then that of the first book.
    text = "S 11 12 13 S 14 S S S S S S, S S S S 21 S 22 S 23 S 24 S, S S S S 31 S 32 S 33 S 34 S"
    layout = parallel(3, (0, 3, 3), lead=1)
    early, late = np.split(layout.encode(NUMBERED), [1 + 3], axis=1)
    is_first = np.array([True, False, False])[:, None]
    unrolled = np.stack([np.where(is_first, S, late), np.where(is_first, late, S)], axis=2).reshape(3, -1)
    assert np.concatenate([early, unrolled], axis=1).tolist() == rows(text, S=S)
    early, unrolled = np.split(np.array(rows(text, S=S)), [1 + 3], axis=1)
    late = np.where(is_first, unrolled[:, 1::2], unrolled[:, 0::2])
    assert lists(layout.books(np.concatenate([early, late], axis=1))) == NUMBERED


def test_audiocraft_pattern_that_flattens_the_first_frames() -> None:
    # Two frames unrolled, then the others delayed.
    text = "S 11 S S 12 S S 13 14 S S, S S 21 S S 22 S S 23 24 S, S S S 31 S S 32 S S 33 34"
    first, rest = parallel(3, (0, 1, 2), lead=1, step=3), parallel(3, (0, 1, 2))
    both = [first.encode(np.array(NUMBERED)[:, :2]), rest.encode(np.array(NUMBERED)[:, 2:])]
    assert np.concatenate(both, axis=1).tolist() == rows(text, S=S)


def test_audiocraft_unrolled_into_one_sequence() -> None:
    flat = Flat(codebook_size=100, order=(0, 1, 2), first=(0, 100, 200))
    assert (flat.encode(NUMBERED) % 100).tolist()[:6] == [11, 21, 31, 12, 22, 32]


def test_audiocraft_musiclm_groups_of_two() -> None:
    # (t, k): all steps of the first two books, then all of the other two.
    flat = Flat(codebook_size=8, order=(0, 1), first=(0, 8))
    names = np.array([[f"{t}{k}" for t in range(2)] for k in range(4)])
    steps = [names[2 * group :][slot, t] for group in range(2) for t, slot in places(flat, 2)]
    assert steps == ["00", "01", "10", "11", "02", "03", "12", "13"]


def places(flat: Flat, frames: int) -> list[tuple[int, int]]:
    """Time and slot of each token."""
    tokens = flat.encode([range(frames)] * 2)
    return [(int(token) % 8, int(token) // 8) for token in tokens]


def test_musicgen_undelay() -> None:
    books = [[1, 2, 3], [11, 12, 13], [21, 22, 23], [31, 32, 33]]
    text = "P 1 2 3 P P P, P P 11 12 13 P P, P P P 21 22 23 P, P P P P 31 32 33"
    check(tk.MUSICGEN, books, rows(text, P=2048))
    matrix = tk.MUSICGEN.encode(books)
    assert all(matrix[k, 1 + t + k] == books[k][t] for k in range(4) for t in range(3))


def test_musicgen_stereo() -> None:
    left, right = [[1], [2], [3], [4]], [[5], [6], [7], [8]]
    matrix = tk.MUSICGEN_STEREO.encode(left, right)
    assert [matrix[row, 1 + row // 2] for row in range(8)] == [1, 5, 2, 6, 3, 7, 4, 8]
    assert matrix.shape == (8, 1 + 4)  # T + C columns, C = 4
    assert [lists(books) for books in tk.MUSICGEN_STEREO.books(matrix)] == [left, right]
    eight = parallel(8, (0, 0, 1, 1, 2, 2, 3, 3), lead=1, codebook_size=2048, left=2048, right=2048)
    assert matrix.tolist() == eight.encode([[1], [5], [2], [6], [3], [7], [4], [8]]).tolist()


@pytest.mark.parametrize(("new_tokens", "frames"), [(6, 3), (7, 4), (8, 5), (12, 9), (6 + 8, 11), (256, 253)])
def test_musicgen_frames_of_new_tokens(new_tokens: int, frames: int) -> None:
    matrix = np.random.default_rng(0).integers(0, 2048, (4, new_tokens))
    found = tk.MUSICGEN.extract(matrix)
    codes = tk.MUSICGEN.decode(found.tokens, SPECS["encodec_32khz"])
    assert (codes.num_frames, codes.num_samples) == (frames, 640 * frames)


@pytest.mark.parametrize("new_tokens", range(1, 6))
def test_musicgen_without_room_for_its_delays_has_none(new_tokens: int) -> None:
    # transformers applies no delay to 2 C - 2 tokens and fewer, and so gives a frame for each.
    matrix = np.random.default_rng(0).integers(0, 2048, (4, new_tokens))
    undelayed = replace(tk.MUSICGEN, delays=(0, 0, 0, 0))
    codes = undelayed.decode(undelayed.extract(matrix).tokens, SPECS["encodec_32khz"])
    assert np.asarray(codes).tolist() == matrix.tolist()


# ---- VALL-E, Higgs


@pytest.mark.parametrize(("lead", "source"), [(0, [7, 8, 9]), (1, [1025, 7, 8, 9])])
def test_valle(lead: int, source: list[int]) -> None:
    layout = parallel(1, codebook_size=1024, lead=lead, left=1025, end=1024, right=1024)
    (row,) = layout.encode([[7, 8, 9]]).tolist()
    assert row[:-1] == source
    assert row[1:] == [7, 8, 9, 1024][1 - lead :]


HIGGS = parallel(3, (0, 1, 2), codebook_size=1024, lead=1, left=1024, end=1025, right=1025)
HIGGS_TEXT = "B 11 12 13 E E E, B B 21 22 23 E E, B B B 31 32 33 E"


def test_higgs() -> None:
    check(HIGGS, numbered(3, 3), rows(HIGGS_TEXT, B=1024, E=1025))


def test_higgs_needs_f_plus_k_minus_1_columns_and_leaves_no_ramp() -> None:
    matrix = np.array(rows(HIGGS_TEXT, B=1024, E=1025))[:, 1:]
    for columns in range(matrix.shape[1] + 1):
        found = HIGGS.extract(matrix[:, :columns])
        assert HIGGS.books(found.tokens)[0].size == min(3, max(0, columns - 2))
    assert HIGGS.extract(matrix).ended
    assert HIGGS.extract(matrix).dropped == 0


# ---- Moshi and CSM


def test_moshi_training() -> None:
    text = parallel(1, codebook_size=32_000, lead=1, left=32_000, right=32_000)
    audio = replace(tk.MOSHI, order=(0, 1), delays=(0, 1))
    books = [[11, 12, 13, 14], [21, 22, 23, 24]]
    matrix = audio.encode(books)
    frames = 4
    assert np.vstack([text.encode([[1, 2, 3, 4]]), matrix[:, : 1 + frames]]).tolist() == [
        [32000, 1, 2, 3, 4],
        [2048, 11, 12, 13, 14],
        [2048, 2048, 21, 22, 23],
    ]
    # Cut to that length, as the model does, book 1 lacks its last code; the frames that are whole come back.
    found = audio.extract(matrix[:, 1 : 1 + frames])
    assert (lists(audio.books(found.tokens)), found.dropped) == ([[11, 12, 13], [21, 22, 23]], 1)
    check(audio, books, matrix)


def test_moshi_generation() -> None:
    # Step s gives a code for every row; that of the delayed row in step 0 belongs to nothing.
    audio = replace(tk.MOSHI, order=(0, 1), delays=(0, 1))
    stream = audio.stream(SPECS["mimi"])
    parts = [stream.push([100 + step, 500 + step]) for step in range(4)]
    assert [lists(part.books) for part in parts] == [
        [[], []],
        [[100], [501]],
        [[101], [502]],
        [[102], [503]],
    ]
    assert tk.MOSHI.delays == (0, 1, 1, 1, 1, 1, 1, 1)


@pytest.mark.parametrize("text", [[3, 0, 50, 51, 3, 3], [50, 60, 3, 3, 3, 3]])
def test_moshi_finetune_stacks_text_the_model_and_the_user(text: list[int]) -> None:
    # On disk nothing is delayed; the model delays all but the text and the first book of either speaker.
    disk = np.vstack([text, np.random.default_rng(0).integers(0, 2048, (16, 6))])
    delays = [0, 0, *[1] * 7, 0, *[1] * 7]
    expected = [
        [start, *[start] * delay, *row[: 6 - delay]]
        for start, delay, row in zip([32_000, *[2048] * 16], delays, disk.tolist(), strict=True)
    ]
    words = parallel(1, codebook_size=32_000, lead=1, left=32_000, right=32_000)
    speakers = [tk.MOSHI.encode(list(disk[first : first + 8]))[:, :7] for first in (1, 9)]
    assert np.vstack([words.encode([text]), *speakers]).tolist() == expected
    assert lists(words.books(expected[:1])) == [text]
    for first in (1, 9):
        found = tk.MOSHI.extract(np.array(expected)[first : first + 8, 1:])
        assert np.array_equal(tk.MOSHI.books(found.tokens), disk[first : first + 8, :5])


def test_csm() -> None:
    two = replace(tk.CSM, order=(0, 1), delays=(0, 0))
    audio = two.encode([[5, 6], [7, 8]])
    text = [[0, 0, 100], [0, 0, 101]]
    upstream = [[0, 0, 100], [0, 0, 101], [5, 7, 0], [6, 8, 0], [0, 0, 0]]
    assert np.vstack([text, np.pad(audio.T, ((0, 0), (0, 1)))]).tolist() == upstream
    assert lists(two.books(np.array(upstream)[2:, :2].T)) == [[5, 6], [7, 8]]


def test_csm_ends_with_a_frame_of_zeros_and_not_with_a_code_of_zero() -> None:
    matrix = np.array([[5] * 32, [0] * 31 + [1], [0] * 32, [7] * 32]).T
    found = tk.CSM.extract(matrix)
    assert (found.tokens.T[:-1].tolist(), found.ended, found.dropped) == (matrix.T[:2].tolist(), True, 32)
    # Data may hold such a frame: there the length tells the end.
    check(tk.CSM, [[5, 0, 7]] * 32, np.array([[5] * 32, [0] * 32, [7] * 32, [0] * 32]).T)


@pytest.mark.parametrize("token", [2048, 2050])
def test_csm_gives_no_code_beyond_the_tables(token: int) -> None:
    matrix = np.full((32, 3), 9)
    matrix[4, 1] = token
    with pytest.raises(InputError, match=rf"row 4, column 1: expected a code, 0 to 2047, got {token}"):
        tk.CSM.books(matrix)
    assert tk.CSM.extract(matrix).tokens.shape == (32, 1 + 1)


# ---- Dia

DIA_TEXT = (
    "B B B, 11 B B, 12 B B, 13 21 B, 14 22 31, 1024 23 32, 1025 24 33, 1025 1024 34, 1025 1025 1024"  # a row per step
)
DIA = replace(tk.DIA, order=(0, 1, 2), delays=(0, 2, 3))


def test_dia() -> None:
    upstream = np.array(rows(DIA_TEXT, B=1026))
    check(DIA, NUMBERED, upstream.T)
    is_start = int((upstream[:, 0] == 1026).sum())
    is_end = len(upstream) - int((upstream[:, 0] == 1025).sum()) - 1
    assert (is_start, is_end - is_start) == (1, 4)  # how transformers finds the frames


def test_dia_labels() -> None:
    # transformers trains on all rows but the last, each with the next one as its label, and on no fill.
    labels = DIA.encode(NUMBERED)[:, 1:]
    assert np.where(np.isin(labels, (1025, 1026)), -100, labels).tolist() == rows(
        "11 12 13 14 1024 N N N, N N 21 22 23 24 1024 N, N N N 31 32 33 34 1024", N=-100
    )


def test_dia_prefill_lacks_its_last_code() -> None:
    # Its own code makes the matrix of a prompt one row too short.
    prefill = np.array(rows(DIA_TEXT, B=1026)[: 4 + 3]).T
    found = DIA.extract(prefill[:, 1:])
    assert lists(DIA.books(found.tokens)) == [row[:3] for row in NUMBERED]
    assert found.dropped == 2  # of the fourth frame


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_dia_generation(extra: int) -> None:
    # Its own code stops before the last book has its end; more steps than that must not add a frame.
    steps = [*rows(DIA_TEXT, B=1026)[1:], [1025] * 3, [1025] * 3]
    found = DIA.extract(np.array(steps[: 7 + extra]).T)
    assert (lists(DIA.books(found.tokens)), found.dropped) == (NUMBERED, 0)
