"""What the fuzzers start from: small valid files of every format."""

import pickle
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import hostile_dac
import nac_case
import numpy as np
import torch_files
from container_case import BY_NAME, clip, written
from numpy.typing import NDArray
from pieces import (
    Seed,
    archived,
    compressed,
    in_array,
    in_checked_array,
    json_spans,
    meta,
    nac,
    pickled,
    plain,
    with_checked_json,
    with_length,
)

import wavcodes
from wavcodes.codes import Codes
from wavcodes.containers import Format, ecdc, ecdc_header, snac
from wavcodes.containers.dac import DacFile
from wavcodes.containers.dac_layout import to_bytes
from wavcodes.framing import Segment


@dataclass(frozen=True)
class Case:
    """A format under test.

    Attributes:
        name: What a file is called, for formats that nothing else tells.
        seeds: Valid files. The last one has about 4 KiB.
        hints: What callers say when they open a file: each of these at times.
        tokens: Bytes that mean something to a reader.
    """

    name: str
    seeds: tuple[Seed, ...]
    hints: tuple[dict[str, Any], ...] = ({},)
    tokens: tuple[bytes, ...] = ()


class Even:
    """Stands for a language model: all codes are equally likely."""

    def start(self, num_codebooks: int) -> Callable[[NDArray[np.int64] | None], NDArray[np.float32]]:
        row = np.full((num_codebooks, 1024), 1 / 1024, np.float32)
        return lambda before: row


def coarse(framing: Any, frames: int, size: int = 16) -> Codes:
    """Small codes, so that a changed one is often still valid."""
    rng = np.random.default_rng(frames)
    books = tuple(rng.integers(0, size, frames // stride) for stride in framing.strides)
    return Codes(framing, books, framing.longest(frames))


def torch_levels(levels: Sequence[tuple[str, int]], *, model: str | None = None, rate: int | None = 24_000) -> bytes:
    """The pickle of a dictionary of levels, each of a kind of numbers and a count, in storages 0, 1 ..."""
    tensors = [
        torch_files.tensor(
            torch_files.numbers((1, count)),
            torch_files.numbers((count, 1)),
            store=torch_files.storage(kind, str(k), torch_files.number(count)),
        )
        for k, (kind, count) in enumerate(levels)
    ]
    table = b"}(" + torch_files.text("codes") + b"](" + b"".join(tensors) + b"e"
    if model:
        table += torch_files.text("model") + torch_files.text(model)
    if rate:
        table += torch_files.text("sample_rate") + torch_files.number(rate)
    return torch_files.PROTO + table + b"u."


_SIZES = {"Long": "<i8", "Short": "<i2", "Byte": "u1"}


def torch_seed(kind: str, counts: Sequence[int], **facts: Any) -> Seed:
    storages = [(np.arange(count) % 16).astype(_SIZES[kind]).tobytes() for count in counts]
    return pickled(torch_levels([(kind, count) for count in counts], **facts), archived, *storages)


def torch_sequence(counts: Sequence[int]) -> Seed:
    pickle = torch_levels([("Short", count) for count in counts]).removeprefix(torch_files.PROTO)[:-1]
    stored = b"".join(struct.pack("<Q", count) + bytes(2 * count) for count in counts)
    data = torch_files.sequence(pickle, tuple(map(str, range(len(counts)))), stored)
    return Seed((data,), b"".join, ((),))


def zlib_seed(counts: Sequence[int], kind: str, protocol: int, rate: int = 24_000, size: int = 16) -> Seed:
    rng = np.random.default_rng(0)
    levels = [rng.integers(0, size, (1, count)).astype(kind) for count in counts]
    return pickled(pickle.dumps({"codes": levels, "sr": rate}, protocol), compressed)


def descript(shape: tuple[int, int, int], protocol: int, **facts: Any) -> Seed:
    metadata = {
        "input_db": np.array([-23.25], np.float32),
        "original_length": shape[2] * 512,
        "sample_rate": 44_100,
        "chunk_length": shape[2],
        "channels": shape[0],
        "padding": True,
        "dac_version": "1.0.0",
    }
    content = np.empty((), object)
    codes = np.random.default_rng(0).integers(0, 16, shape, np.uint16)
    content[()] = {"codes": codes, "metadata": metadata | facts}
    return pickled(pickle.dumps(content, protocol), in_array)


def ours(codes: Codes, **facts: Any) -> Seed:
    return pickled(to_bytes(DacFile.of([codes], **facts))[len(hostile_dac.HEADER) :], in_checked_array)


_NUMBERS = (
    b"0",
    b"1",
    b"-1",
    b"9007199254740993",
    b"9" * 300,
    b"1e999",
    b"1.0",
    b"true",
    b"null",
    b"NaN",
    b"[]",
    b"{}",
)
_JSON = (
    *_NUMBERS,
    b'"x"',
    b'"encodec_24khz"',
    b'"encodec_48khz"',
    b'"acv"',
    b'"sr"',
    b'"ch"',
    b"[" * 900,
    b'"lm"',
    b'"\\ud800"',
)
_OPCODES = (
    *(bytes([code]) for code in b"0(.2NTKMJIRatbue]}q)\x85\x86\x87\x88\x89\x93\x94"),
    *(b"K\0", b"K\1", b"M\xff\xff", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"\x8a\x08" + b"\xff" * 7 + b"\x7f"),
    *(b"h\0", b"h\1", b"q\0", b"X\0\0\0\0", b"\x8c\0", b"C\0", b"B\xff\xff\xff\xff", b"\x8e" + b"\xff" * 8, b"(" * 70),
    *(b"cos\nsystem\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy._core.multiarray\n_reconstruct\n"),
)
_NAC = (b"\xf5NAB", b"\xf5NAE", b"\xf5NAZ", b"\x89NAC\r\n\x1a\n")

MONO, STEREO = ecdc_header.FRAMINGS["encodec_24khz"], ecdc_header.FRAMINGS["encodec_48khz"]
SPEECH, MUSIC = snac.FRAMINGS["snac_24khz"], snac.FRAMINGS["snac_32khz"]
DAC = wavcodes.spec("dac_44khz").framing()
LYRA = wavcodes.spec("lyra_v2")


def _nac() -> Case:
    scaled = nac_case.clip(17, size=1000, segment=nac_case.TINY)
    seeds = [
        nac(nac_case.clip(19, size=1000), known=False),
        nac(nac_case.clip(6, size=2)),
        nac(nac_case.clip(40, strides=(4, 2, 1), size=4096)),
        nac(nac_case.clip(0)),
        nac(scaled, known=False),
        nac(replace(scaled, framing=replace(scaled.framing, segment=Segment(8, 4)))),
        nac(clip(MONO.first(8), 128_000)),
    ]
    return Case("a.nac", tuple(seeds), tokens=_NAC)


def _ecdc(format: Format) -> Case:
    seeds = [
        meta(clip(MONO.first(1), 1), format),
        meta(clip(MONO.first(2), 3000), format),
        meta(clip(STEREO.first(1), 1000), format),
        meta(clip(STEREO.first(2), 48_500), format),
        meta(clip(MONO.first(8), 128_000), format),
    ]
    text, *rest = seeds[2].pieces
    counted = text[:-1] + b', "ch": 2, "sr": 48000}', b"\0\0\0\1", *rest  # as NeuralCodecs writes it
    return Case("a.ecdc", (Seed(counted, with_checked_json, (json_spans(counted[0]), (), ())), *seeds), tokens=_JSON)


def _ecdc_lm() -> Case:
    format = ecdc.coded_with(Even())
    codes = [clip(MONO.first(1), 900), clip(MONO.first(3), 320), clip(STEREO.first(1), 640)]
    return Case(
        "a.ecdc", tuple(meta(each, format) for each in codes), ({"language_model": lambda name: Even()},), _JSON
    )


def _hermes() -> Case:
    format = BY_NAME["ecdc-hermes"]
    files = [
        written(coarse(MONO.first(books), frames), format) for books, frames in ((1, 1), (2, 9), (32, 3), (8, 400))
    ]
    return Case("a.ecdc", tuple(plain(*files)))


def _snac() -> Case:
    clips = [clip(SPEECH, 4000), clip(SPEECH, 0), clip(MUSIC, 12_000), clip(SPEECH, 600_000)]
    files = [written(each, BY_NAME["snac"])[:-4] for each in clips]
    seeds = (Seed((data,), with_length, ((),)) for data in files)
    return Case("a.snac", tuple(seeds), ({}, {"framing": SPEECH}))


def _snac_v1() -> Case:
    clips = [
        coarse(SPEECH, 4, 1024),
        clip(SPEECH, 0),
        coarse(SPEECH, 12),
        coarse(MUSIC, 32),
        coarse(SPEECH, 1600, 4096),
    ]
    return Case(
        "a.snac", tuple(plain(*(written(each, BY_NAME["snac-v1"]) for each in clips))), ({}, {"framing": SPEECH})
    )


def _snac_torch() -> Case:
    seeds = [
        torch_seed("Short", (1, 2, 4)),
        torch_seed("Long", (2, 4, 8), model="hubertsiuzdak/snac_24khz"),
        torch_seed("Byte", (4, 8, 16, 32), rate=32_000),
        torch_seed("Byte", (2,)),
        torch_sequence((1, 2, 4)),
        torch_seed("Short", (200, 400, 800)),
    ]
    return Case("a.snac", tuple(seeds), ({}, {"framing": SPEECH}), _OPCODES)


def _snac_zlib() -> Case:
    seeds = [
        zlib_seed((1, 2, 4), "u2", 4),
        zlib_seed((2, 4, 8), "i8", 2),
        zlib_seed((1, 2, 4), "i4", 5),
        zlib_seed((4, 8, 16, 32), "u2", 3, 32_000),
        zlib_seed((2,), "u1", 4),
        zlib_seed((350, 700, 1400), "u2", 4, size=4096),
    ]
    return Case("a.snac", tuple(seeds), ({}, {"framing": SPEECH}), _OPCODES)


def _dac() -> Case:
    seeds = [
        descript((1, 9, 2), 4),
        descript((1, 2, 6), 2, chunk_length=3, padding=False),
        descript((2, 9, 1), 5),
        ours(coarse(DAC, 2)),
        ours(coarse(DAC.first(1), 3), loudness=-20.0, weights_digest=bytes(range(32))),
        ours(coarse(DAC, 200)),
    ]
    return Case("a.dac", tuple(seeds), ({"framing": DAC}, {}), _OPCODES)


def _lyra() -> Case:
    files = [
        written(coarse(LYRA.framing(books), frames), BY_NAME["lyra"])
        for books, frames in ((16, 1), (30, 7), (46, 3), (46, 171))
    ]
    hints = ({}, *({"framing": LYRA.framing(books)} for books in (16, 30, 46)))
    return Case("a.lyra", tuple(plain(*files)), hints)


MAKERS: dict[str, Callable[[], Case]] = {
    "nac": _nac,
    "ecdc": partial(_ecdc, BY_NAME["ecdc"]),
    "ecdc-crc32c": partial(_ecdc, BY_NAME["ecdc-crc32c"]),
    "ecdc-lm": _ecdc_lm,
    "ecdc-hermes": _hermes,
    "snac": _snac,
    "snac-v1": _snac_v1,
    "snac-torch": _snac_torch,
    "snac-zlib": _snac_zlib,
    "dac": _dac,
    "lyra": _lyra,
}
"""By the names of the formats, and one of files that are coded with a language model."""
