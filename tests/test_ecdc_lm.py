"""Meta's `.ecdc` files coded with a language model: coder, probabilities and files against encodec's own, with random
weights, and what damage and other arithmetic do to them."""

import hashlib
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import layouts
import numpy as np
import pytest
import soundfile
import upstream
from cli_case import floats, names, pcm16, run, vowel
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_hub import LoopbackHub, Reply
from narrow import narrow
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codes, EngineError, ModelError, UnsupportedError, containers, registry
from wavcodes.containers import ecdc
from wavcodes.containers.arithmetic import Decoder, Encoder, edges
from wavcodes.containers.ecdc_lm import Predict, read_segment, segment_bytes
from wavcodes.engines.torch_lm import LanguageModelShape, TorchLanguageModel
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


# ---- the coder


@pytest.fixture(scope="module")
def meta(peer: Callable[..., Any]) -> SimpleNamespace:
    """Modules of encodec."""
    names = {"coder": "quantization.ac", "model": "model", "compress": "compress"}
    peer("torch").set_num_threads(1)
    return SimpleNamespace(
        **{key: peer("encodec", lambda n=name: upstream.meta_module(n)) for key, name in names.items()}
    )


@settings(deadline=None)
@given(pdfs, st.integers(0, 1 << 32))
def test_the_coder_is_metas(meta: SimpleNamespace, pdfs: Pdfs, seed: int) -> None:
    import torch

    rows, symbols = edges(pdfs), drawn(pdfs, seed)
    their_rows = [meta.coder.build_stable_quantized_cdf(torch.from_numpy(pdf), 24, check=False) for pdf in pdfs]
    assert [row.tolist() for row in their_rows] == rows.tolist()
    if no_room(symbols, rows):
        with pytest.raises(UnsupportedError, match="no room"):
            coded(symbols, rows)
        return
    file = io.BytesIO()
    theirs = meta.coder.ArithmeticCoder(file)
    for symbol, row in zip(symbols, their_rows, strict=True):
        theirs.push(symbol, row)
    theirs.flush()

    data = coded(symbols, rows)
    assert data == file.getvalue()

    decoder, ours = decoder_of(data + b"more")
    assert [decoder.pull(row) for row in rows] == symbols
    decoder.finish()
    assert ours.read() == b"more"
    theirs = meta.coder.ArithmeticDecoder(io.BytesIO(data))
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


def test_numbers_do_not_grow_without_end(meta: SimpleNamespace) -> None:
    # The middle symbol straddles the middle of the range forever: no bit of it is ever certain.
    import torch

    row = np.array([1 << 22, 3 << 22, 1 << 24])
    their_row = torch.from_numpy(row)
    encoder, theirs = Encoder(), meta.coder.ArithmeticCoder(io.BytesIO())
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


# ---- segments


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


def segment(seed: int, num_codebooks: int = 3, num_frames: int = 60, symbols: int = 64) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, symbols, (num_codebooks, num_frames))


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
    codes = segment(3, num_frames=40)
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


# ---- probabilities


@pytest.fixture(scope="module")
def models(meta: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Any, Any]]:
    """Makes upstream's language model and ours, with the same random weights."""
    import torch

    def make(shape: LanguageModelShape, sharpness: float = 8.0) -> tuple[Any, TorchLanguageModel]:
        torch.manual_seed(1)
        theirs = meta.model.LMModel(
            shape.num_codebooks, shape.codebook_size, num_layers=5, dim=200, past_context=shape.past_context
        ).eval()
        with torch.no_grad():
            for linear in theirs.linears:
                linear.weight *= sharpness  # 1 makes all codes about equally likely
        path = tmp_path_factory.mktemp("lm") / "lm.th"
        torch.save(theirs.state_dict(), path)
        ours = TorchLanguageModel(shape, path)
        path.unlink()
        return theirs, ours

    return make


def shape_of(name: str) -> LanguageModelShape:
    spec = registry.spec(name)
    return LanguageModelShape(spec.num_codebooks, spec.codebook_size, spec.frame_rate)


def predictions(model: Any, codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Upstream's of each frame, called as its compressor does: (T, K, size)."""
    import torch

    given, states, offset, result = torch.zeros(1, len(codes), 1, dtype=torch.long), None, 0, []
    for frame in codes.T:
        with torch.no_grad():
            probabilities, states, offset = model(given, states, offset)
        result.append(probabilities[0, :, :, 0].T.numpy())
        given = 1 + torch.from_numpy(frame.copy())[None, :, None]
    return np.array(result)


@pytest.mark.parametrize("num_codebooks", [1, 2, 5, 8])
def test_probabilities_have_the_bits_of_metas(num_codebooks: int, models: Callable[..., Any]) -> None:
    # More frames than the model looks back at.
    shape = LanguageModelShape(8, 64, frame_rate=16.0)
    theirs, ours = models(shape)
    codes = segment(num_codebooks, num_codebooks, shape.past_context + 20)
    predict = ours.start(num_codebooks)
    found = np.array([predict(None)] + [predict(frame) for frame in codes.T[:-1]])
    assert np.array_equal(found.view(np.uint32), predictions(theirs, codes).view(np.uint32))
    assert found.max() > 0.3


@pytest.mark.parametrize("num_codebooks", [0, 9])
def test_codebooks_that_the_model_does_not_know(num_codebooks: int, models: Callable[..., Any]) -> None:
    _, ours = models(LanguageModelShape(8, 64, frame_rate=16.0))
    with pytest.raises(InputError, match="1 to 8 codebooks"):
        ours.start(num_codebooks)


@pytest.mark.parametrize(("name", "past_context"), [("encodec_24khz", 262), ("encodec_48khz", 525)])
def test_weights_are_those_of_the_published_layout(name: str, past_context: int, shared: Path) -> None:
    published = layouts.layout(f"encodec_lm_{name.removeprefix('encodec_')}.th")
    assert {tensor: shape for tensor, (_, shape) in published.items()} == shape_of(name).tensors()
    assert shape_of(name).past_context == past_context


def test_weights_of_another_model(models: Callable[..., Any], tmp_path: Path) -> None:
    import torch

    theirs, _ = models(LanguageModelShape(2, 64, frame_rate=16.0))
    torch.save(theirs.state_dict(), tmp_path / "lm.th")
    with pytest.raises(ModelError, match=r"missing: emb\.2\.weight"):
        TorchLanguageModel(LanguageModelShape(3, 64, frame_rate=16.0), tmp_path / "lm.th")


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnsupportedError, match=r"wavcodes\[torch\]"):
        TorchLanguageModel(shape_of("encodec_24khz"), "lm.th")


# ---- files


class StandIn:
    """What encodec's functions for files need of a codec, without the networks: it gives and takes codes."""

    bits_per_codebook = 10

    def __init__(self, name: str, language_model: Any, codes: Codes | None = None) -> None:
        spec = registry.spec(name)
        self.name, self.sample_rate, self.frame_rate = name, spec.sample_rate, round(spec.frame_rate)
        self.normalize = spec.segment is not None
        self.segment_length = spec.segment.length if spec.segment else None
        self.segment_stride = spec.segment.stride if spec.segment else None
        self.get_lm_model = lambda: language_model
        self.codes = codes
        self.decoded: list[Any] = []

    def to(self, device: str) -> "StandIn":
        return self

    def encode(self, wav: Any) -> list[Any]:
        import torch

        if self.codes is None:
            raise AssertionError("there are no codes to encode")
        values = np.asarray(self.codes).astype(np.int64)
        ends = np.cumsum(self.codes.segments or (self.codes.num_frames,))[:-1]
        each = [torch.from_numpy(part)[None] for part in np.split(values, ends, axis=1)]
        scales = [torch.tensor([[scale]]) for scale in self.codes.scales.tolist()] or [None]
        return list(zip(each, scales, strict=True))

    def decode(self, frames: list[Any]) -> Any:
        import torch

        self.decoded = frames
        return torch.zeros(1, 1, 1)


def clip(name: str, num_codebooks: int, num_samples: int, seed: int = 1) -> Codes:
    """Random codes with stretches in which they repeat."""
    spec, rng = registry.spec(name), np.random.default_rng(seed)
    framing = spec.framing(num_codebooks)
    values = rng.integers(0, spec.codebook_size, (num_codebooks, framing.num_frames(num_samples)))
    values[:, 5:20] = values[:, 5:6]
    segments = framing.segments(num_samples)
    return Codes.of(spec, list(values), num_samples, segments=segments, scales=rng.random(len(segments)))


def their_file(meta: SimpleNamespace, model: Any, codes: Codes) -> bytes:
    import torch

    wav = torch.zeros(codes.framing.channels, codes.num_samples)
    return meta.compress.compress(StandIn(codes.framing.codec, model, codes), wav, use_lm=True)


def their_frames(meta: SimpleNamespace, model: Any, name: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    stand_in = StandIn(name, model)
    monkeypatch.setitem(meta.compress.MODELS, name, lambda: stand_in)
    meta.compress.decompress(data)
    return stand_in.decoded


CLIPS = [
    pytest.param("encodec_24khz", 2, 1, id="one sample"),
    pytest.param("encodec_24khz", 8, 9_700, id="24 kHz"),
    pytest.param("encodec_48khz", 4, 48_000, id="48 kHz, two segments", marks=pytest.mark.slow),
    pytest.param("encodec_24khz", 8, 240_000, id="10 s, 6 kbps", marks=pytest.mark.slow),
    pytest.param("encodec_24khz", 32, 240_000, id="10 s, 24 kbps", marks=pytest.mark.slow),
    pytest.param("encodec_48khz", 16, 150_000, id="48 kHz, four segments", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "num_codebooks", "num_samples"), CLIPS)
def test_files_of_both_are_the_same_and_both_read_them(
    name: str,
    num_codebooks: int,
    num_samples: int,
    meta: SimpleNamespace,
    models: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, ours = models(shape_of(name))
    codes = clip(name, num_codebooks, num_samples)
    data = their_file(meta, theirs, codes)

    path = tmp_path / "a.ecdc"
    path.write_bytes(data)
    assert containers.read(path, language_model={name: ours}.__getitem__) == codes
    containers.write(path, codes, format=ecdc.coded_with(ours))
    assert path.read_bytes() == data

    frames = their_frames(meta, theirs, name, path.read_bytes(), monkeypatch)
    assert np.array_equal(np.concatenate([part[0].numpy() for part, _ in frames], axis=1), np.asarray(codes))
    assert [scale.item() for _, scale in frames if scale is not None] == codes.scales.tolist()


def test_damaged_files(meta: SimpleNamespace, models: Callable[..., Any]) -> None:
    # Of codes about as likely as those of sound are. What an unlikely last code is made of has no check behind it.
    name = "encodec_48khz"
    theirs, ours = models(shape_of(name), sharpness=1.0)
    data = their_file(meta, theirs, clip(name, 2, 2_000))
    body = 9 + int.from_bytes(data[5:9], "big") + 4  # behind header and scale
    rng = np.random.default_rng(1)
    damaged = [data + b"\0", *(data[:size] for size in rng.integers(0, len(data), 20))]
    for bit in rng.integers(8 * body, 8 * len(data), 40):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for each in damaged:
        with pytest.raises(FormatError):
            containers.read(io.BytesIO(each), language_model={name: ours}.__getitem__)


# ---- on the command line


@pytest.fixture(scope="module")
def published(
    models: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, Path]]:
    """Upstream's language model of a codec with random weights, and their file in the published layout."""
    import torch

    made = {}

    def make(name: str) -> tuple[Any, Path]:
        if name not in made:
            theirs, _ = models(shape_of(name))
            path = tmp_path_factory.mktemp("published") / "lm.th"
            torch.save(theirs.state_dict(), path)
            made[name] = theirs, path
        return made[name]

    return make


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("ENCODEC_ENC", "ENCODEC_DEC", "ENCODEC_BITRATE", "HF_HUB_OFFLINE", "TORCH_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


SOUNDS = [
    pytest.param("encodec_24khz", 1.5, 0.5, id="24 kHz"),
    pytest.param("encodec_48khz", 3, 1.2, id="48 kHz", marks=pytest.mark.slow),
    pytest.param("encodec_24khz", 6, 10, id="24 kHz, 10 s", marks=pytest.mark.slow),
    pytest.param("encodec_48khz", 6, 10, id="48 kHz, 10 s", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "bandwidth", "seconds"), SOUNDS)
def test_commands_write_and_read_what_encodec_does(
    name: str,
    bandwidth: float,
    seconds: float,
    meta: SimpleNamespace,
    published: Callable[[str], tuple[Any, Path]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, path = published(name)
    options = ["--codec", name, "--weights", narrow(monkeypatch, folder, name)[name], "--lm-weights", path]
    codec = wavcodes.load(name, weights=options[3])
    rate, channels = codec.spec.sample_rate, codec.spec.channels
    soundfile.write("a.wav", np.stack([vowel(seconds, rate)] * channels, axis=1), rate)
    codes = codec.encode(floats(Path("a.wav")).reshape(-1, channels).T, rate, bandwidth=bandwidth)

    assert run("compress", "a.wav", "a.ecdc", "--lm", "--bandwidth", bandwidth, *options) == 0
    data = Path("a.ecdc").read_bytes()
    assert data == their_file(meta, theirs, codes)
    frames = their_frames(meta, theirs, name, data, monkeypatch)
    assert np.array_equal(np.concatenate([part[0].numpy() for part, _ in frames], axis=1), np.asarray(codes))

    assert run("decompress", "a.ecdc", "b.wav", *options[2:]) == 0
    assert np.array_equal(soundfile.read("b.wav", dtype="int16", always_2d=True)[0], pcm16(codec.decode(codes)).T)
    assert run("convert", "a.ecdc", "a.nac", *options[4:]) == 0
    assert wavcodes.read("a.nac") == codes


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
def test_published_weights_are_those_of_the_collected_facts(name: str, shared: Path) -> None:
    facts = json.loads((shared / "facts/weights/registry.json").read_text())["artifacts"]
    published = {fact["file"]: (fact["url"], fact["sha256_prefix"]) for fact in facts if fact["family"] == "EnCodec-LM"}
    source = registry.checkpoint(name).language_model
    assert source is not None
    (file,) = source.files
    assert published[file.name] == (file.url, file.sha256)
    assert (file.pinned, file.size) == (False, None)


class TestDownload:
    """From Meta's address, with another host."""

    NAME = "encodec_24khz"
    PATH = "/encodec/v0/encodec_lm_24khz-1608e3c0.th"

    @pytest.fixture(autouse=True)
    def _file(self, published: Callable[[str], tuple[Any, Path]], folder: Path) -> None:
        _, self.weights = published(self.NAME)
        self.codes = clip(self.NAME, 2, 1_000)
        ours = wavcodes.language_model(self.NAME, self.weights)
        containers.write("a.ecdc", self.codes, format=ecdc.coded_with(ours))

    @pytest.fixture
    def hub(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
        with LoopbackHub() as server:
            for variable in ("NO_PROXY", "no_proxy"):
                monkeypatch.setenv(variable, "127.0.0.1")
            monkeypatch.setenv("WAVCODES_MIRROR", server.url)
            monkeypatch.setenv("WAVCODES_CACHE", str(folder / "cache"))
            yield server

    def pin(self, monkeypatch: pytest.MonkeyPatch, digits: str) -> None:
        entry = registry.checkpoint(self.NAME)
        assert entry.language_model is not None
        file = replace(entry.language_model.files[0], sha256=digits)
        source = replace(entry.language_model, files=(file,))
        monkeypatch.setitem(registry._BY_NAME, self.NAME, replace(entry, language_model=source))

    def test_once_and_then_from_the_cache(
        self, hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = self.weights.read_bytes()
        hub.serve(self.PATH, Reply(body))
        self.pin(monkeypatch, hashlib.sha256(body).hexdigest()[:8])
        assert run("convert", "a.ecdc", "a.nac") == 0
        assert wavcodes.read("a.nac") == self.codes
        assert wavcodes.read("a.ecdc", language_model=wavcodes.language_model) == self.codes
        assert hub.gets() == [self.PATH]
        assert names(folder / "cache" / self.NAME) == {self.PATH.rpartition("/")[2]}

    def test_other_content_is_refused(self, hub: LoopbackHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub.serve(self.PATH, Reply(self.weights.read_bytes()))
        assert run("convert", "a.ecdc", "a.nac") == 69
        assert "with SHA-256 1608e3c0..., got" in capsys.readouterr().err
        assert len(hub.gets()) == 2
        assert names(folder) == {"a.ecdc", "cache"}

    def test_a_header_needs_no_model(self, hub: LoopbackHub) -> None:
        assert run("info", "a.ecdc") == 0
        assert hub.requests == []

    def test_nothing_is_fetched_where_pytorch_is_not_there(
        self, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        assert run("convert", "a.ecdc", "a.nac") == 69
        assert "pip install 'wavcodes[torch]'" in capsys.readouterr().err
        assert hub.requests == []


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("compress a.wav a.nac --lm", 65, "encodec_24khz or encodec_48khz, got wavcodes_16khz"),
        ("compress a.wav a.nac --lm --codec encodec_24khz --bandwidth 3", 2, "expected an .ecdc file"),
        ("compress a.wav a.ecdc --lm --format ecdc-crc32c", 2, "no --format, got ecdc-crc32c"),
        ("compress a.wav a.ecdc --lm-weights lm.th", 2, "--lm-weights names what --lm codes with"),
        ("compress a.wav a.nesc --lm", 2, "--lm: expected"),
    ],
)
def test_what_has_no_language_model(
    line: str,
    code: int,
    text: str,
    published: Callable[[str], tuple[Any, Path]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--weights", narrow(monkeypatch, folder, "encodec_24khz")["encodec_24khz"]]
    if "--lm " in f"{line} ":
        options += ["--lm-weights", published("encodec_24khz")[1]]
    soundfile.write("a.wav", vowel(0.1), 16_000)
    before = names(folder)
    assert run(*line.split(), *options) == code
    assert text in capsys.readouterr().err
    assert names(folder) == before
