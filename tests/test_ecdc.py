"""Meta's `.ecdc` files against encodec's own writer and reader, and the dialects against bytes laid out by hand."""

import dataclasses
import io
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import upstream
from container_case import BY_NAME, check_every_truncation, clip, mutated, read_both_ways, written
from hypothesis import given
from nac_case import Trickle

import wavcodes
from wavcodes.cli.main import main
from wavcodes.codes import Codes
from wavcodes.containers import ecdc, open_reader
from wavcodes.containers.ecdc_header import FRAMINGS
from wavcodes.crc32c import crc32c
from wavcodes.errors import CodecError, FormatError, InputError, IntegrityError, LimitError, UnsupportedError

META, CHECKED, HERMES = BY_NAME["ecdc"], BY_NAME["ecdc-crc32c"], BY_NAME["ecdc-hermes"]
MONO, STEREO = FRAMINGS["encodec_24khz"], FRAMINGS["encodec_48khz"]
BANDWIDTHS = {"encodec_24khz": [1.5, 3.0, 6.0, 12.0, 24.0], "encodec_48khz": [3.0, 6.0, 12.0, 24.0]}
# Around a frame (320), what encodec 0.1.1 miscounts (6720), a segment (48000) and its stride (47520).
LENGTHS = (1, 2, 319, 320, 321, 640, 1279, 6720, 10001, 24000, 24001, 47519, 47520, 47521, 47840, 47999, 48000, 48001)
LENGTHS += (95519, 100_000)


@pytest.mark.parametrize("name", BANDWIDTHS)
def test_the_facts_are_those_of_the_registry(name: str) -> None:
    assert FRAMINGS[name] == wavcodes.spec(name).framing()
    assert BANDWIDTHS[name] == list(wavcodes.spec(name).bandwidths)


# ---- against upstream


class Upstream:
    """encodec's writer and reader around its model with random weights, of which the network is tiny."""

    def __init__(self, name: str) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch, self.compress = torch, upstream.meta_module("compress")
        framing = FRAMINGS[name]
        torch.manual_seed(0)
        model = upstream.meta_encodec(
            framing.channels, 2, (8, 5, 4, 2), framing.num_codebooks, 1024, not framing.segment, True, "none"
        )
        for layer in model.quantizer.vq.layers:
            layer._codebook.embed.normal_()
            layer._codebook.inited.fill_(True)
        model.name, model.sample_rate, model.frame_rate = name, framing.sample_rate, framing.sample_rate // 320
        model.target_bandwidths = BANDWIDTHS[name]
        if framing.segment:
            model.segment, model.normalize = 1.0, True
        self.framing, self.model = framing, model
        self.encode, model.encode = model.encode, self._encode
        self.decode, model.decode = model.decode, self._decode

    def _encode(self, wav: Any) -> Any:
        count = self.model.quantizer.get_num_quantizers_for_bandwidth(self.model.frame_rate, self.model.bandwidth)
        self.frames = [(codes[:, :count], scale) for codes, scale in self.all_frames]
        return self.frames

    def _decode(self, frames: Any) -> Any:
        self.frames = frames
        return self.torch.zeros(1, self.framing.channels, 1)

    def files(self, num_samples: int) -> Iterator[tuple[bytes, Codes]]:
        """The files that encodec writes of one clip at all bandwidths, and the codes that it put in."""
        wav = self.torch.randn(self.framing.channels, num_samples) * 0.1
        self.model.set_target_bandwidth(BANDWIDTHS[self.framing.codec][-1])
        with self.torch.no_grad():
            self.all_frames = self.encode(wav[None])  # once: at lower bandwidths they begin alike
        for bandwidth in BANDWIDTHS[self.framing.codec]:
            self.model.set_target_bandwidth(bandwidth)
            yield self.compress.compress(self.model, wav), self.codes(num_samples)

    def codes(self, num_samples: int) -> Codes:
        """The codes that encodec had last."""
        books = np.concatenate([codes[0].numpy() for codes, _ in self.frames], axis=1)
        scales = [scale.item() for _, scale in self.frames if scale is not None]
        segments = tuple(codes.shape[2] for codes, _ in self.frames) if scales else ()
        framing = self.framing.first(len(books))
        return Codes(framing, tuple(books), num_samples, segments, np.array(scales))

    def read(self, data: bytes, num_samples: int, monkeypatch: pytest.MonkeyPatch) -> Codes:
        """The codes that encodec reads from a file."""
        monkeypatch.setitem(self.compress.MODELS, self.framing.codec, lambda: self.model)
        monkeypatch.setattr(self.model, "to", lambda device: self.model)
        self.compress.decompress(data)
        return self.codes(num_samples)

    def miscounts(self, num_samples: int) -> bool:
        """True where the reader of encodec 0.1.1, which divides before it multiplies, expects another number of frames
        than the writer wrote, and so cannot read its own files."""
        framing, segment = self.framing, self.framing.segment
        starts = range(0, num_samples, segment.stride) if segment else (0,)
        lengths = [min(segment.length, num_samples - start) if segment else num_samples for start in starts]
        rate = framing.sample_rate
        return any(math.ceil(n / rate * (rate // 320)) != -(-n // 320) for n in lengths)


@pytest.fixture(scope="module", params=BANDWIDTHS)
def meta(request: pytest.FixtureRequest, peer: Callable[..., Any]) -> Upstream:
    return peer("encodec", lambda: Upstream(request.param))


@pytest.mark.parametrize("num_samples", LENGTHS)
def test_files_of_all_bandwidths_equal_those_of_encodec(
    meta: Upstream, num_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = wavcodes.spec(meta.framing.codec)
    files = list(meta.files(num_samples))
    assert [codes.num_codebooks for _, codes in files] == [spec.resolve_codebooks(each) for each in spec.bandwidths]
    for data, codes in files:
        assert written(codes, META) == data
        assert read_both_ways(data) == codes
        for each in (META, CHECKED):
            if not meta.miscounts(num_samples):
                assert meta.read(written(codes, each), num_samples, monkeypatch) == codes


def test_encodec_cannot_read_some_of_its_own_files(meta: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(map(meta.miscounts, LENGTHS)) <= 3
    if meta.framing is MONO:
        assert meta.miscounts(6720)
        for data, _ in meta.files(6720):
            with pytest.raises(EOFError):
                meta.read(data, 6720, monkeypatch)


# ---- the layout


def header(text: str, version: int = 0) -> bytes:
    return struct.pack(">4sBI", b"ECDC", version, len(text)) + text.encode()


def facts(**changes: Any) -> str:
    return json.dumps({"m": "encodec_24khz", "al": 640, "nc": 1, "lm": False} | changes)


def test_golden_bytes() -> None:
    # Frame after frame, in each book 0 and then book 1, from the least significant bit on: 1, 2; 1023, 512.
    codes = Codes(MONO.first(2), (np.array([1, 1023]), np.array([2, 512])), 321)
    body = (1 | 2 << 10 | 1023 << 20 | 512 << 30).to_bytes(5, "little")
    assert body.hex() == "0108f03f80"
    data = b'ECDC\0\0\0\0\x37{"m": "encodec_24khz", "al": 321, "nc": 2, "lm": false}' + body
    assert written(codes, META) == data
    assert read_both_ways(data) == codes


def test_golden_bytes_of_segments() -> None:
    books = (np.full(152, 1), np.full(152, 0))
    codes = Codes(STEREO.first(2), books, 48_000, (150, 2), np.array([0.5, 2.0]))
    pair = (1 | 1 << 20).to_bytes(5, "little")  # two frames of 20 bits
    data = b'ECDC\0\0\0\0\x39{"m": "encodec_48khz", "al": 48000, "nc": 2, "lm": false}'
    data += bytes.fromhex("3f000000") + pair * 75 + bytes.fromhex("40000000") + pair
    assert written(codes, META) == data
    assert read_both_ways(data) == codes


def test_the_checksum_is_that_of_the_file_without_it() -> None:
    for framing, length in ((MONO.first(3), 5000), (STEREO.first(3), 50_000)):
        codes = clip(framing, length)
        plain, checked = written(codes, META), written(codes, CHECKED)
        entry = f', "crc32c": "{crc32c(plain):08x}"'.encode()
        assert checked[9:].replace(entry, b"") == plain[9:]
        assert read_both_ways(checked) == codes
        at = len(checked) - len(plain) + plain.index(b"}") + 5
        for bit in range(8 * at, 8 * at + 64):
            damaged = bytearray(checked)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(FormatError):
                open_reader(io.BytesIO(damaged)).read()


def test_a_changed_length_of_a_checked_file_is_noticed() -> None:
    data = written(clip(MONO.first(2), 999), CHECKED)
    with pytest.raises(IntegrityError, match="has the checksum"):
        open_reader(io.BytesIO(data.replace(b"999", b"998"))).read()


@pytest.mark.parametrize("framing", [MONO.first(1), MONO.first(3), MONO, STEREO.first(1), STEREO.first(3)])
@pytest.mark.parametrize("format", [META, CHECKED], ids=lambda each: each.name)
def test_parts_of_any_size_and_an_unknown_length_give_the_same_file(framing: Any, format: Any) -> None:
    codes = clip(framing, 150_001)
    whole = written(codes, format)
    assert written(codes, format, stated=False) == whole
    cuts = (150, 150, 300) if framing.segment else (1, 2, 7, 7, 100)
    assert written(codes, format, cuts=cuts) == whole
    assert read_both_ways(whole) == codes


@pytest.mark.parametrize("framing", [MONO.first(3), STEREO.first(3)])
@pytest.mark.parametrize("span", [(0, None), (0.99, 1.01), (1.0, 2.0), (2.5, None), (3.1, 9)])
@pytest.mark.parametrize("kind", [io.BytesIO, Trickle])
def test_random_access_equals_slicing_the_whole(framing: Any, span: Any, kind: Any) -> None:
    codes = clip(framing, 150_001)
    reader = open_reader(kind(written(codes, CHECKED)))
    assert Codes.concat([reader.header.empty(), *reader.between(*span)]) == codes[span[0] : span[1]]


def test_what_no_ecdc_file_can_hold_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"got dac_24khz in 32 codebooks; write a \.nac file"):
        written(clip(wavcodes.spec("dac_24khz").framing(), 640), META)
    for change in (dict(hop_length=640), dict(strides=(1,) * 33), dict(segment=None), dict(sample_rate=44_100)):
        with pytest.raises(UnsupportedError):
            written(clip(dataclasses.replace(STEREO, **change), 640), META)
    for framing in (MONO, STEREO):
        with pytest.raises(UnsupportedError, match="at least one, got 0"):
            written(clip(framing, 0), META)
    shorter = dataclasses.replace(clip(MONO, 6400), num_samples=320)
    with pytest.raises(UnsupportedError, match="1 frames, and at least one, got 20"):
        written(shorter, META)


def test_the_writer_holds_callers_to_what_they_said() -> None:
    codes = clip(MONO.first(1), 640)
    file = io.BytesIO()
    writer = ecdc.EcdcWriter(file, wavcodes.containers.Header(codes.framing, 641))
    writer.write(codes)
    with pytest.raises(InputError, match="states 641 samples, the parts hold 640"):
        writer.close()
    writer = ecdc.EcdcWriter(file, wavcodes.containers.Header(codes.framing, 640))
    writer.write(codes)
    writer.close()
    with pytest.raises(InputError, match="complete"):
        writer.write(codes)


# ---- damage


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[]", FormatError, "JSON object"),
        ("", FormatError, "in JSON"),
        ("[" * 4000, FormatError, "in JSON"),
        ('{"m": 1', FormatError, "in JSON"),
        ("{}", FormatError, "without al, lm, m, nc"),
        (facts()[:-1] + ', "al": 640}', FormatError, "entry of the header once"),
        (facts(x={"a": 1}).replace('"a": 1', '"a": 1, "a": 1'), FormatError, "entry of the header once"),
        (facts(m="encodec_32khz"), UnsupportedError, "one of the models encodec_24khz, encodec_48khz"),
        (facts(m=["encodec_24khz"]), UnsupportedError, "one of the models"),
        (facts(m="\ud800"), UnsupportedError, "one of the models"),
        (facts(al=640.0), FormatError, "an integer of 1 or more as al"),
        (facts(al=True), FormatError, "an integer of 1 or more as al"),
        (facts(al="640"), FormatError, "an integer of 1 or more as al"),
        (facts(al=0), FormatError, "an integer of 1 or more as al"),
        (facts(al=-1), FormatError, "an integer of 1 or more as al"),
        (facts(al=None), FormatError, "an integer of 1 or more as al"),
        (facts(al=10**3000), LimitError, "at most 9007199254740992 samples"),
        (facts(al=2**53 + 1), LimitError, "at most 9007199254740992 samples"),
        (facts(nc=0), FormatError, "an integer of 1 or more as nc"),
        (facts(nc=33), FormatError, "at most 32 codebooks, got 33"),
        (facts(nc=17, m="encodec_48khz"), FormatError, "at most 16 codebooks, got 17"),
        (facts(nc=10**3000), FormatError, "at most 32 codebooks"),
        (facts(lm=0), FormatError, "true or false as lm"),
        (facts(x=float("nan")), FormatError, "numbers in the header, got NaN"),
        (facts(x=float("-inf")), FormatError, "numbers in the header, got -Infinity"),
        (facts(crc32c="1234567"), FormatError, "8 hexadecimal digits"),
        (facts(crc32c=12345678), FormatError, "8 hexadecimal digits"),
        (facts(crc32c="0000000G"), FormatError, "8 hexadecimal digits"),
        (facts(acv=2), UnsupportedError, "encodec-rs"),
        (facts(lm=True), UnsupportedError, "language model"),
    ],
)
def test_headers_that_are_refused(text: str, error: type[CodecError], said: str) -> None:
    for file in (io.BytesIO, Trickle):
        with pytest.raises(error, match=said):
            open_reader(file(header(text) + bytes(3))).read()


def test_other_headers_that_are_refused() -> None:
    with pytest.raises(FormatError, match="in JSON"):
        open_reader(io.BytesIO(struct.pack(">4sBI", b"ECDC", 0, 2) + b"\xff\xff"))
    with pytest.raises(LimitError, match="at most 4096 bytes, got one that claims 4294967295"):
        open_reader(io.BytesIO(struct.pack(">4sBI", b"ECDC", 0, 2**32 - 1)))
    # Another program's: ECDC, version, rate, bandwidth, frames.
    with pytest.raises(UnsupportedError, match="version 0"):
        open_reader(io.BytesIO(b"ECDC" + struct.pack("<BIfH", 1, 24_000, 6.0, 75) + bytes(750)))
    with pytest.raises(FormatError, match="begins with b'ECDC'"):
        open_reader(io.BytesIO(b"OggS" + bytes(90)), "a.ecdc")


def test_a_long_claim_takes_no_memory_and_no_time() -> None:
    data = header(facts(al=2**53, m="encodec_48khz")) + struct.pack(">f", 1.0) + bytes(188)
    with pytest.raises(FormatError, match="the file was cut"):
        open_reader(io.BytesIO(data))
    with pytest.raises(FormatError, match="the file ends inside"):
        open_reader(Trickle(data)).read()


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_impossible_scales_are_refused(scale: float) -> None:
    data = header(facts(m="encodec_48khz", al=320)) + struct.pack(">f", scale) + bytes(2)
    with pytest.raises(FormatError, match="expected one scale"):
        open_reader(io.BytesIO(data)).read()


def test_bits_that_fill_the_last_byte_are_zero() -> None:
    with pytest.raises(FormatError, match="not zero"):
        open_reader(io.BytesIO(header(facts()) + b"\0\0\x10")).read()


FILES = [
    written(clip(MONO.first(2), 3000), META),
    written(clip(MONO.first(3), 30_000), CHECKED),
    written(clip(STEREO.first(2), 48_000), META),
    written(clip(STEREO.first(1), 1000), CHECKED),
    written(clip(MONO.first(3), 3200), HERMES),
]


@pytest.mark.parametrize("data", FILES, ids=len)
def test_every_truncation_is_noticed(data: bytes) -> None:
    check_every_truncation(data, "a.ecdc")


@given(mutated(FILES))
def test_mutations_give_errors_of_the_package_only(data: bytes) -> None:
    for file in (io.BytesIO, Trickle):
        try:
            codes = open_reader(file(data), "a.ecdc").read()
        except CodecError:
            continue
        assert codes.num_frames == codes.framing.num_frames(codes.num_samples)


# ---- dialects


def test_neuralcodecs_at_24_khz_is_as_meta() -> None:
    codes = clip(MONO.first(2), 4000)
    body = written(codes, META).partition(b"}")[2]
    text = '{"m":"encodec_24khz","al":4000,"nc":2,"lm":false,"ch":1,"sr":24000,"bw":1.5}'
    assert read_both_ways(header(text) + body) == codes


def test_neuralcodecs_at_48_khz_counts_the_scales() -> None:
    codes = clip(STEREO.first(2), 100_000)
    text = '{"m":"encodec_48khz","al":100000,"nc":2,"lm":false,"ch":2,"sr":48000,"bw":3}'
    data = header(text)
    for start, frames in zip((0, 150, 300), codes.segments, strict=True):
        part = codes.only_frames(start, start + frames)
        bits = sum(int(code) << 10 * i for i, code in enumerate(np.stack(part.books).T.ravel()))
        data += struct.pack(">if", 1, part.scales[0]) + bits.to_bytes(-(-frames * 20 // 8), "little")
    assert read_both_ways(data) == codes
    reader = open_reader(io.BytesIO(data))
    assert Codes.concat([reader.header.empty(), *reader.between(1.5)]) == codes[1.5:]
    with pytest.raises(UnsupportedError, match="one scale for each segment, got 2"):
        open_reader(io.BytesIO(data.replace(struct.pack(">i", 1), struct.pack(">i", 2)))).read()


def test_hermes_golden_bytes() -> None:
    # Six little-endian numbers; then book after book, most significant bit first: 1, 2, 3; 1023, 0, 512.
    codes = Codes(MONO.first(2), (np.array([1, 2, 3]), np.array([1023, 0, 512])), 960)
    bits = "".join(f"{code:010b}" for code in (1, 2, 3, 1023, 0, 512)) + "0000"
    data = bytes.fromhex("c05d0000 01000000 01000000 01000000 02000000 03000000") + int(bits, 2).to_bytes(8, "big")
    assert written(codes, HERMES) == written(codes, HERMES, cuts=(1,)) == data
    assert read_both_ways(data) == codes


def test_hermes_has_no_place_for_the_length() -> None:
    codes = clip(MONO.first(4), 24_100)
    data = written(codes, HERMES)
    assert len(data) == 24 + 4 * 76 * 10 // 8
    padded = dataclasses.replace(codes, num_samples=76 * 320)
    assert read_both_ways(data) == padded
    reader = open_reader(io.BytesIO(data))
    assert Codes.concat([reader.header.empty(), *reader.between(1.0)]) == padded[1.0:]


@pytest.mark.parametrize(
    ("numbers", "error"),
    [
        ((24_000, 1, 2, 1, 1, 1), UnsupportedError),
        ((24_000, 1, 0, 1, 1, 1), UnsupportedError),
        ((24_000, 1, 1, 2, 1, 1), UnsupportedError),
        ((24_000, 1, 1, 1, 0, 1), FormatError),
        ((24_000, 1, 1, 1, 33, 1), FormatError),
        ((24_000, 1, 1, 1, 1, 0), FormatError),
        ((24_000, 1, 1, 1, 1, -1), FormatError),
        ((24_000, 1, 1, 1, 32, 2**31 - 1), (FormatError, LimitError)),  # as a file, as a pipe
        ((24_000, 2, 1, 1, 1, 1), FormatError),
        ((48_000, 2, 1, 1, 1, 1), FormatError),
    ],
)
def test_hermes_headers_that_are_refused(numbers: tuple[int, ...], error: Any) -> None:
    for file in (io.BytesIO, Trickle):
        with pytest.raises(error):
            open_reader(file(struct.pack("<6i", *numbers) + bytes(2)), "a.ecdc").read()


def test_hermes_codes_that_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="hermes-net hold codes of encodec_24khz, got encodec_48khz"):
        written(clip(STEREO, 640), HERMES)
    with pytest.raises(UnsupportedError, match="at least one frame"):
        written(clip(MONO, 0), HERMES)


# ---- the language model


class Tendency:
    """A language model that expects each code to come again."""

    def start(self, num_codebooks: int) -> Callable[[Any], Any]:
        def predict(codes: Any) -> Any:
            rows = np.full((num_codebooks, 1024), 0.5 / 1024, np.float32)
            rows[np.arange(num_codebooks), codes if codes is not None else 0] += np.float32(0.5)
            return rows

        return predict


@pytest.mark.parametrize("framing", [MONO.first(2), STEREO.first(2)])
def test_files_coded_with_a_language_model(framing: Any) -> None:
    codes = clip(framing, 48_000)
    codes = dataclasses.replace(codes, books=tuple(book // 40 for book in codes.books))
    data = written(codes, ecdc.coded_with(Tendency()))
    asked: list[str] = []

    def model(name: str) -> Tendency:
        asked.append(name)
        return Tendency()

    assert read_both_ways(data, language_model=model) == codes
    assert asked == [framing.codec] * 2
    assert open_reader(io.BytesIO(data)).header.num_samples == 48_000
    with pytest.raises(UnsupportedError, match=f"language model of {framing.codec}"):
        open_reader(io.BytesIO(data)).read()
    for length in range(len(data) - 20, len(data)):
        with pytest.raises(FormatError):
            open_reader(io.BytesIO(data[:length]), language_model=model).read()


# ---- the command line


@pytest.mark.parametrize("format", [META, CHECKED], ids=lambda each: each.name)
def test_info(format: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.ecdc"
    path.write_bytes(written(clip(STEREO.first(4), 100_000), format))
    assert main(["info", "--json", str(path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["codec"], said["num_samples"], said["bandwidth"]) == ("encodec_48khz", 100_000, 6.0)
