"""`Codes`: flat form, slices, parts, equality, pictures, and what it refuses."""

import dataclasses
import itertools
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wavcodes
from wavcodes import CodecSpec, Codes, InputError

PLAIN = wavcodes.spec("encodec_24khz")
TAILED = wavcodes.spec("wavcodes_16khz")  # one frame more than the samples fill
STRIDED = wavcodes.spec("snac_24khz")  # three books at 1/4, 1/2 and all of the frames


def clip(spec: CodecSpec = PLAIN, frames: int = 8, num_codebooks: int = 3, num_samples: int | None = None) -> Codes:
    """Codes that count: book k has k * 100, k * 100 + 1, ..."""
    books = [np.arange(frames // stride) + 100 * k for k, stride in enumerate(spec.strides[:num_codebooks])]
    whole = max(0, frames - spec.tail_frames) * spec.hop_length
    return Codes.of(spec, books, whole if num_samples is None else num_samples)


def lists(codes: Codes) -> list[list[int]]:
    return [book.tolist() for book in codes.books]


# ---- facts


def test_facts_of_a_clip() -> None:
    codes = clip(frames=75, num_codebooks=8, num_samples=23_999)
    assert (codes.codec, codes.sample_rate, codes.channels, codes.hop_length) == ("encodec_24khz", 24_000, 1, 320)
    assert (codes.num_codebooks, codes.num_frames, codes.codebook_size) == (8, 75, 1024)
    assert (codes.frame_rate, codes.bandwidth, codes.duration) == (75.0, 6.0, 23_999 / 24_000)
    assert {book.dtype for book in codes.books} == {np.dtype(np.uint16)}
    assert repr(codes) == "Codes(encodec_24khz, 8 codebooks, 75 frames, 1.000 s, 6 kbps)"


def test_facts_of_strided_codes() -> None:
    codes = clip(STRIDED, frames=12)
    assert lists(codes) == [[0, 1, 2], [100, 101, 102, 103, 104, 105], list(range(200, 212))]
    assert (codes.num_frames, codes.frame_rate) == (12, 46.875)
    assert codes.bandwidth == pytest.approx((1 / 4 + 1 / 2 + 1) * 12 * 46.875 / 1000)


def test_books_of_many_entries_are_uint32() -> None:
    wide = replace(PLAIN, codebook_size=65_537)
    assert Codes.of(wide, [[65_536]], 1).books[0].dtype == np.uint32
    assert Codes.of(replace(PLAIN, codebook_size=65_536), [[65_535]], 1).books[0].dtype == np.uint16


def test_codes_cannot_change_and_do_not_share_memory() -> None:
    source = np.arange(8, dtype=np.uint16)
    codes = Codes.of(PLAIN, [source], 100)
    source[:] = 9
    assert lists(codes) == [list(range(8))]
    with pytest.raises(ValueError, match="read-only"):
        codes.books[0][0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        codes.num_samples = 3  # type: ignore[misc]


def test_as_an_array() -> None:
    array = np.asarray(clip())
    assert array.shape == (3, 8)
    assert array.tolist() == lists(clip())
    assert np.asarray(clip(), dtype=np.int64).dtype == np.int64
    assert np.asarray(clip()).dtype == np.uint16
    with pytest.raises(InputError, match="to_flat"):
        np.asarray(clip(STRIDED))


# ---- flat


def test_flat_is_book_after_book() -> None:
    assert clip(frames=2).to_flat().tolist() == [0, 1, 100, 101, 200, 201]
    assert clip(STRIDED, frames=4).to_flat().tolist() == [0, 100, 101, 200, 201, 202, 203]
    assert clip().to_flat().dtype == np.uint32


@given(
    spec=st.sampled_from([PLAIN, TAILED, STRIDED]),
    cycles=st.integers(0, 9),
    num_codebooks=st.integers(1, 3),
    missing=st.integers(0, 319),
)
def test_flat_and_back(spec: CodecSpec, cycles: int, num_codebooks: int, missing: int) -> None:
    frames = cycles * math.lcm(*spec.strides[:num_codebooks])
    whole = max(0, frames - spec.tail_frames) * spec.hop_length
    codes = clip(spec, frames, num_codebooks, max(0, whole - missing))
    flat = codes.to_flat()
    assert Codes.from_flat(flat, spec, num_codebooks, codes.num_samples) == codes
    assert Codes.from_flat(flat.tolist() if frames else flat, spec, num_codebooks, codes.num_samples) == codes
    assert Codes.from_flat(flat, spec, num_codebooks).num_samples == whole


@pytest.mark.parametrize(
    ("flat", "count", "message"),
    [
        ([1, 2, 3, 4], 3, r"4 codes do not divide into 3 codebooks of encodec_24khz"),
        ([[1, 2], [3, 4]], 2, r"expected a flat sequence of codes, got shape \(2, 2\)"),
        ([1.0, 2.0], 2, r"expected a 1-D array of integers.*float64"),
        ([1, 1024], 2, r"codebook 1, position 0: code 1024 is out of range; encodec_24khz has codes 0 to 1023"),
        ([1, 2], 0, r"1 to 32 codebooks"),
        ([1, 2], 33, r"1 to 32 codebooks"),
    ],
)
def test_flat_that_is_refused(flat: list[int], count: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Codes.from_flat(flat, PLAIN, count)


def test_strided_flat_must_have_whole_cycles() -> None:
    with pytest.raises(InputError, match="8 codes do not divide into 3 codebooks of snac_24khz"):
        Codes.from_flat(range(8), STRIDED)


# ---- parts


def test_codebooks() -> None:
    codes = clip(STRIDED, frames=8)
    assert codes.codebooks(2) == clip(STRIDED, frames=8, num_codebooks=2)
    assert codes.codebooks(2).strides == (4, 2)
    assert codes.codebooks(3) == codes
    for count in (0, 4, -1):
        with pytest.raises(InputError, match=f"expected 1 to 3 codebooks, got {count}"):
            codes.codebooks(count)


@pytest.mark.parametrize(
    ("begin", "end", "first", "last", "num_samples"),
    [
        (None, None, 0, 8, 2500),
        (0.0, 1 / 75, 0, 1, 320),  # exactly one frame
        (1 / 75, 2 / 75, 1, 2, 320),
        (0.001, 0.002, 0, 1, 320),  # the frame around it
        (0.013, 0.014, 0, 2, 640),  # across an edge
        (0.1, None, 7, 8, 260),  # the last frame is not full
        (0.1, 99.0, 7, 8, 260),
        (0.05, 0.05, 3, 4, 320),
        (2 / 75, 2 / 75, 2, 2, 0),
        (None, 0, 0, 0, 0),
    ],
)
def test_slices_of_seconds(begin: float | None, end: float | None, first: int, last: int, num_samples: int) -> None:
    piece = clip(num_samples=2500)[begin:end]
    assert lists(piece) == [[100 * k + t for t in range(first, last)] for k in range(3)]
    assert piece.num_samples == num_samples


def test_slices_of_strided_codes_have_whole_cycles() -> None:
    seconds = 512 / 24_000
    piece = clip(STRIDED, frames=12)[5 * seconds : 7 * seconds]
    assert lists(piece) == [[1], [102, 103], [204, 205, 206, 207]]
    assert piece.num_samples == 4 * 512


def test_slices_have_multiples_of_the_frames_that_belong_together() -> None:
    windowed, seconds = replace(STRIDED, frame_multiple=8), 512 / 24_000
    codes = clip(windowed, frames=20)  # the end need not be such a multiple
    assert lists(codes[9 * seconds : 10 * seconds])[0] == [2, 3]
    assert lists(codes[17 * seconds :])[0] == [4]
    assert codes[:] == codes
    assert codes.frames(8, 20).num_frames == 12
    for span in ((4, 8), (8, 12)):
        with pytest.raises(InputError, match="in steps of 8"):
            codes.frames(*span)
        assert codes.only_frames(*span).num_frames == 4


def test_slices_take_the_tail_along() -> None:
    codes = clip(TAILED, frames=9)
    piece = codes[0.02:0.06]  # frames 1 and 2, and one more to decode them fully
    assert lists(piece)[0] == [1, 2, 3]
    assert piece.num_samples == 640
    assert lists(codes[0.14:])[0] == [7, 8]
    assert codes[0.14:].num_samples == 320
    assert codes[:] == codes


@pytest.mark.parametrize("key", [slice(-1, None), slice(0.2, 0.1), slice(0, 1, 2), slice(9.0, None), 3, 1.5, (0, 1)])
def test_slices_that_are_refused(key: object) -> None:
    with pytest.raises(InputError, match="expected"):
        clip()[key]  # type: ignore[index]


@pytest.mark.parametrize("edge", [float("nan"), float("inf"), float("-inf")])
def test_slices_by_what_is_no_time_are_refused(edge: float) -> None:
    for key in (slice(edge, None), slice(None, edge), slice(0.0, edge)):
        with pytest.raises(InputError, match="expected 0 <= start <= stop"):
            clip()[key]


@given(
    spec=st.sampled_from([PLAIN, TAILED, STRIDED]),
    cycles=st.integers(0, 6),
    cuts=st.lists(st.integers(0, 6), max_size=4),
    missing=st.integers(0, 2000),
)
def test_parts_make_the_clip_again(spec: CodecSpec, cycles: int, cuts: list[int], missing: int) -> None:
    cycle = math.lcm(*spec.strides[:3])
    whole = max(0, cycles * cycle - spec.tail_frames) * spec.hop_length
    codes = clip(spec, cycles * cycle, 3, max(0, whole - missing))
    edges = [0, *sorted(min(cut, cycles) for cut in cuts), cycles]
    parts = [codes.only_frames(a * cycle, b * cycle) for a, b in itertools.pairwise(edges)]
    assert Codes.concat(parts) == codes


@pytest.mark.parametrize("span", [(-1, 3), (3, 2), (0, 9), (9, 9)])
def test_frames_that_are_not_there_are_refused(span: tuple[int, int]) -> None:
    for method in (clip().frames, clip().only_frames):
        with pytest.raises(InputError, match="expected frames within 0 to 8 in steps of 1"):
            method(*span)


def test_frames_inside_a_cycle_are_refused() -> None:
    for span in ((0, 2), (2, 4), (1, 5)):
        with pytest.raises(InputError, match="in steps of 4"):
            clip(STRIDED).frames(*span)


def test_parts_of_different_kinds_do_not_join() -> None:
    with pytest.raises(InputError, match="different codecs or numbers of codebooks"):
        Codes.concat([clip(), clip(TAILED)])
    with pytest.raises(InputError, match="different codecs or numbers of codebooks: their strides differs"):
        Codes.concat([clip(), clip(num_codebooks=2)])
    with pytest.raises(InputError, match="at least one part"):
        Codes.concat([])


# ---- equality


def test_equality() -> None:
    codes = clip()
    assert codes == clip()
    assert codes != clip(num_samples=2000)
    assert codes != clip(num_codebooks=2)
    assert codes != clip(frames=7, num_samples=2000)
    assert codes != clip(TAILED, frames=8)
    other = [book.copy() for book in codes.books]
    other[2][7] += 1
    assert codes != Codes.of(PLAIN, other, codes.num_samples)
    assert codes == Codes.of(PLAIN, [book.astype(np.int64) for book in codes.books], codes.num_samples)
    assert codes != lists(codes)
    with pytest.raises(TypeError, match="unhashable"):
        hash(codes)


# ---- pictures


@pytest.mark.parametrize(("frames", "num_codebooks"), [(0, 1), (1, 1), (8, 3), (240, 2), (1000, 32)])
def test_picture_is_well_formed_and_small(frames: int, num_codebooks: int) -> None:
    books = np.random.default_rng(0).integers(0, 1024, (num_codebooks, frames))
    page = Codes.of(PLAIN, list(books), 320 * frames)._repr_html_()
    # <br> stands alone in HTML.
    tree = ElementTree.fromstring(page.replace("<br>", "<br/>"))
    assert "".join(tree.itertext()) == repr(Codes.of(PLAIN, list(books), 320 * frames))
    cells = [node for node in tree.iter() if node.tag.endswith("rect")]
    assert len(cells) == num_codebooks * min(frames, 240)
    assert len(page) < 1_000_000
    if frames == 8:
        at = {(int(cell.get("x", "")), int(cell.get("y", ""))): cell.get("fill") for cell in cells}
        assert set(at) == {(t, 4 * k) for t in range(8) for k in range(3)}
        assert at[5, 4] == f"hsl({books[1, 5] * 360 // 1024},60%,55%)"


def test_picture_of_strided_codes() -> None:
    # Every book fills the width: a code of stride 4 is as wide as four frames.
    tree = ElementTree.fromstring(clip(STRIDED, frames=8)._repr_html_().replace("<br>", "<br/>"))
    cells = [node for node in tree.iter() if node.tag.endswith("rect")]
    colours = [[cell.get("fill") for cell in cells if cell.get("y") == str(4 * k)] for k in range(3)]
    assert [len(set(row)) for row in colours] == [
        len({code * 360 // 4096 for code in book}) for book in lists(clip(STRIDED))
    ]


def test_names_are_escaped_in_the_picture() -> None:
    page = clip(replace(PLAIN, name="<script>"))._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


# ---- refused


@pytest.mark.parametrize(
    ("books", "message"),
    [
        ([], "encodec_24khz has 1 to 32 codebooks, got num_codebooks = 0"),
        ([[1, 2], [3]], "books of equal duration"),
        ([[[1, 2]]], r"codebook 0: expected a 1-D array of integers, got shape \(1, 2\)"),
        ([[0.0]], "codebook 0: expected a 1-D array of integers.*float64"),
        ([[True]], "codebook 0: expected a 1-D array of integers.*bool"),
        ([["1"]], "codebook 0: expected a 1-D array of integers"),
        ([[0], [-1]], "codebook 1, position 0: code -1 is out of range; encodec_24khz has codes 0 to 1023"),
        ([[0, 1, 1024]], "codebook 0, position 2: code 1024 is out of range"),
        ([np.array([2**64 - 1], np.uint64)], "codebook 0, position 0: code 18446744073709551615 is out of range"),
        ([[0]] * 33, "encodec_24khz has 1 to 32 codebooks, got num_codebooks = 33"),
    ],
)
def test_books_that_are_refused(books: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Codes.of(PLAIN, books, 0)


@pytest.mark.parametrize("num_samples", [-1, 321, 2**40])
def test_lengths_that_the_frames_cannot_hold_are_refused(num_samples: int) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"1 frames of 320 samples cannot hold self.num_samples = {num_samples}")
    ):
        Codes.of(PLAIN, [[5]], num_samples)


def test_strides_must_fit_the_books() -> None:
    with pytest.raises(InputError, match="expected one book per stride, got 3 for 2 strides"):
        replace(clip(), framing=PLAIN.framing(2))
    with pytest.raises(InputError, match="books of equal duration"):
        replace(clip(), framing=replace(PLAIN.framing(3), strides=(1, 2, 1), frame_multiple=2))
