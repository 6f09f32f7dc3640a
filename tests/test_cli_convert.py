"""`wavcodes convert`: the same codes in another container, byte for byte what is written there in the first place."""

import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_case import enter_folder, names, run
from container_case import BY_NAME, clip, written
from narrow import narrow
from numpy.typing import NDArray

import wavcodes
from wavcodes import lm
from wavcodes.codes import Codes
from wavcodes.containers import FORMATS, Format, Header, dac, ecdc
from wavcodes.containers.dac import DacFile

DIGEST = bytes(range(32))
WRITTEN = [each for each in FORMATS if each.writer]

# Codecs, as many books of them as all their formats hold, and these formats.
HOLDERS = {
    "encodec_24khz": (8, {"nac", "ecdc", "ecdc-crc32c", "ecdc-hermes"}),
    "encodec_48khz": (4, {"nac", "ecdc", "ecdc-crc32c"}),
    "snac_24khz": (3, {"nac", "snac", "snac-v1"}),
    "snac_44khz": (4, {"nac", "snac", "snac-v1"}),
    "dac_16khz": (12, {"nac", "dac"}),
    "dac_44khz_16kbps": (5, {"nac", "dac"}),
    "lyra_v2": (46, {"nac", "lyra"}),
    "mimi": (8, {"nac"}),
    "wavcodes_16khz": (12, {"nac"}),
}
PAIRS = [
    (codec, source, target)
    for codec, (_, formats) in HOLDERS.items()
    for source, target in itertools.product(sorted(formats), repeat=2)
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


def codes_of(codec: str, seconds: float = 2.3, *, whole: bool = False) -> Codes:
    """Random codes; `whole`: the audio fills the frames, so that formats without a length lose nothing."""
    spec = wavcodes.spec(codec)
    framing = spec.framing(HOLDERS[codec][0] if codec in HOLDERS else None)
    num_samples = round(seconds * spec.sample_rate)
    return clip(framing, num_samples // framing.step_samples * framing.step_samples if whole else num_samples)


def save(name: str, codes: Codes, format: Format, *, stated: bool = True) -> Path:
    path = Path(name)
    path.write_bytes(written(codes, format, stated=stated))
    return path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


class TestBytes:
    @pytest.mark.parametrize(("codec", "source", "target"), PAIRS)
    def test_are_those_of_writing_there_at_once(self, codec: str, source: str, target: str) -> None:
        codes = codes_of(codec, whole=True)
        given = save(f"a{BY_NAME[source].suffix}", codes, BY_NAME[source])
        result = f"b{BY_NAME[target].suffix}"
        options = ("--bandwidth", 9.2) if source == "lyra" and target == "lyra" else ()
        assert run("convert", given, result, "--format", target, "--codec", codec, *options) == 0
        assert Path(result).read_bytes() == written(codes, BY_NAME[target])

    @pytest.mark.parametrize("codec", ["encodec_24khz", "encodec_48khz", "snac_32khz", "dac_24khz"])
    @pytest.mark.parametrize("num_samples", [1, 319, 6_720, 48_000, 100_001])
    def test_of_awkward_lengths_there_and_back(self, codec: str, num_samples: int) -> None:
        codes = clip(wavcodes.spec(codec).framing(), num_samples)
        suffix = {"e": ".ecdc", "s": ".snac", "d": ".dac"}[codec[0]]
        wavcodes.write("a.nac", codes)
        assert run("convert", "a.nac", f"b{suffix}") == run("convert", f"b{suffix}", "c.nac") == 0
        wavcodes.write(f"direct{suffix}", codes)
        assert Path(f"b{suffix}").read_bytes() == Path(f"direct{suffix}").read_bytes()
        assert Path("c.nac").read_bytes() == Path("a.nac").read_bytes()

    @pytest.mark.parametrize("target", WRITTEN, ids=lambda each: each.name)
    @pytest.mark.parametrize("codec", HOLDERS)
    def test_what_a_format_cannot_hold_is_refused_and_says_what_can(
        self, codec: str, target: Format, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        holders = HOLDERS[codec][1]
        if target.name in holders:
            return
        wavcodes.write("a.nac", codes_of(codec))
        before = names(folder)
        assert run("convert", "a.nac", f"b{target.suffix}", "--format", target.name) == 65
        suffixes = ", ".join(dict.fromkeys(each.suffix for each in WRITTEN if each.name in holders))
        assert f"(these codes go into {suffixes})" in said(capsys)
        assert names(folder) == before

    def test_of_formats_that_are_only_read(self) -> None:
        framing = wavcodes.spec("snac_24khz").framing()
        codes = clip(framing, 100_000)
        levels = [book[np.newaxis].astype(np.int64) for book in codes.books]
        Path("old.snac").write_bytes(zlib.compress(pickle.dumps({"codes": levels, "sr": 24_000}, 4)))
        assert run("convert", "old.snac", "new.snac") == 0
        whole = replace(codes, num_samples=framing.longest(codes.num_frames))
        assert Path("new.snac").read_bytes() == written(whole, BY_NAME["snac"])


class TestFewerCodebooks:
    @pytest.mark.parametrize("option", [("--bandwidth", "3"), ("--num-codebooks", "6")], ids=lambda each: each[0])
    def test_is_encoding_at_the_lower_bandwidth(self, option: tuple[str, str]) -> None:
        assert run("encode", "a.wav", "high.nac") == run("encode", "a.wav", "low.nac", "--bandwidth", "3") == 0
        assert run("convert", "high.nac", "b.nac", *option) == 0
        assert Path("b.nac").read_bytes() == Path("low.nac").read_bytes()

    def test_of_another_codec(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        weights = narrow(monkeypatch, tmp_path, "encodec_24khz")["encodec_24khz"]
        encode = ("encode", "a.wav", "--codec", "encodec_24khz", "--weights", weights)
        assert run(*encode, "-o", "high.nac", "--bandwidth", "12") == 0
        assert run(*encode, "-o", "low.ecdc", "--bandwidth", "1.5") == 0
        assert run("convert", "high.nac", "b.ecdc", "--bandwidth", "1.5") == 0
        assert Path("b.ecdc").read_bytes() == Path("low.ecdc").read_bytes()

    def test_chooses_among_lyras_packets(self) -> None:
        codes = codes_of("lyra_v2", 0.46)  # 23 packets of 23 bytes
        wavcodes.write("a.nac", codes)
        assert run("convert", "a.nac", "a.lyra") == 0
        assert run("convert", "a.lyra", "b.lyra", "--bandwidth", "3.2") == 0
        assert Path("b.lyra").read_bytes() == written(codes.codebooks(16), BY_NAME["lyra"])

    @pytest.mark.parametrize(
        ("options", "code", "expected"),
        [
            (("--bandwidth", "12"), 65, "at most the 8 codebooks (6 kbps) that the file has, got 16"),
            (("--num-codebooks", "9"), 65, "at most the 8 codebooks (6 kbps) that the file has, got 9"),
            (("--bandwidth", "7"), 65, "bandwidths of 1.5, 3, 6, 12, 24 kbps"),
            (("--num-codebooks", "0"), 2, "expected a number of codebooks, 1 or more"),
            (("--num-codebooks", "2", "--bandwidth", "3"), 2, "not allowed with"),
        ],
    )
    def test_that_are_not_there(
        self, options: tuple[str, ...], code: int, expected: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wavcodes.write("a.nac", codes_of("encodec_24khz"))
        assert run("convert", "a.nac", "b.ecdc", *options) == code
        assert expected in said(capsys)
        assert not Path("b.ecdc").exists()


class TestWhatIsLost:
    """The digest, the length, and what only `.dac` files have: kept where there is a place for it, else said."""

    @pytest.mark.parametrize(("suffix", "kept"), [(".nac", True), (".dac", True)])
    def test_a_digest_is_kept(self, suffix: str, kept: bool, capsys: pytest.CaptureFixture[str]) -> None:
        codes = codes_of("dac_16khz")
        wavcodes.write("a.nac", codes, weights_digest=DIGEST)
        assert run("convert", "a.nac", f"b{suffix}") == run("convert", f"b{suffix}", "c.nac") == 0
        assert Path("c.nac").read_bytes() == Path("a.nac").read_bytes()
        assert said(capsys) == ""

    def test_a_digest_is_lost(self, capsys: pytest.CaptureFixture[str]) -> None:
        wavcodes.write("a.nac", codes_of("snac_24khz"), weights_digest=DIGEST)
        assert run("convert", "a.nac", "b.snac") == 0
        assert "a.nac: b.snac has no place for the digest of the weights" in said(capsys)
        assert run("convert", "a.nac", "-o", "b.snac", "-f", "--json", "-q") == 0
        told = capsys.readouterr()
        assert json.loads(told.out)["dropped"] == ["the digest of the weights"]
        assert told.err == ""

    @pytest.mark.parametrize(
        ("codec", "format"), [("encodec_24khz", "ecdc-hermes"), ("snac_24khz", "snac-v1"), ("lyra_v2", "lyra")]
    )
    def test_a_length_is_lost(self, codec: str, format: str, capsys: pytest.CaptureFixture[str]) -> None:
        codes, target = codes_of(codec), BY_NAME[format]
        result = f"b{target.suffix}"
        wavcodes.write("a.nac", replace(codes, num_samples=codes.num_samples - 1))
        assert run("convert", "a.nac", result, "--format", format) == 0
        assert f"a.nac: {result} has no place for the true length of 2.300 s" in said(capsys)
        wavcodes.write("a.nac", codes_of(codec, whole=True))
        assert run("convert", "a.nac", "-o", result, "--format", format, "-f") == 0
        assert said(capsys) == ""

    @pytest.mark.parametrize("format", FORMATS, ids=lambda each: each.name)
    def test_formats_have_a_place_for_what_they_say(self, format: Format) -> None:
        if format.writer is None:
            return
        codec = next(codec for codec, (_, formats) in HOLDERS.items() if format.name in formats)
        codes = codes_of(codec)
        codes = replace(codes, num_samples=codes.num_samples - 1)
        with open("a", "wb") as file:
            writer = format.writer(file, Header.of_codes(codes, weights_digest=DIGEST))
            writer.write(codes)
            writer.close()
        with open("a", "rb") as file:
            reader = wavcodes.containers.open_reader(file, f"a{format.suffix}", framing=codes.framing)
            assert (reader.header.weights_digest == DIGEST) == format.digests
            assert (reader.read().num_samples == codes.num_samples) == format.lengths


def stereo(codec: str = "dac_24khz", **facts: object) -> DacFile:
    """A `.dac` file of two channels, recorded at 48 kHz, of known loudness."""
    one = clip(wavcodes.spec(codec).framing(), 50_000)
    other = replace(one, books=tuple(book[::-1] for book in one.books))
    content = DacFile.of([one, other], sample_rate=48_000, num_samples=100_000, loudness=-23.5, weights_digest=DIGEST)
    return replace(content, **facts)  # type: ignore[arg-type]


class TestDescript:
    def test_all_that_a_dac_file_says_stays_in_a_dac_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        content = stereo()
        dac.write("a.dac", content)
        assert (
            run("convert", "a.dac", "same.dac") == run("convert", "a.dac", "b.dac", "--bandwidth", "3", "--json") == 0
        )
        assert Path("same.dac").read_bytes() == Path("a.dac").read_bytes()
        told = capsys.readouterr()
        assert told.err == ""
        record = json.loads(told.out)
        assert (record["channels"], record["num_codebooks"], record["num_samples"]) == (2, 4, 50_000)
        reduced = dac.read("b.dac")
        np.testing.assert_array_equal(reduced.codes, content.codes[:, :4])
        facts = ("num_samples", "sample_rate", "loudness", "window_frames", "padded", "weights_digest")
        assert [getattr(reduced, fact) for fact in facts] == [getattr(content, fact) for fact in facts]
        assert reduced.framing == wavcodes.spec("dac_24khz").framing(4)

    def test_a_file_of_descripts_needs_the_codec_and_then_states_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        content = stereo(framing=None, weights_digest=None)
        dac.write("theirs.dac", content)
        assert run("convert", "theirs.dac", "ours.dac") == 65
        assert "--codec" in said(capsys)
        assert run("convert", "theirs.dac", "ours.dac", "--codec", "dac_44khz") == 65  # has 9 codebooks, not 32
        assert run("convert", "theirs.dac", "ours.dac", "--codec", "dac_25khz") == 2
        assert run("convert", "theirs.dac", "ours.dac", "--codec", "dac_24khz") == 0
        ours = dac.read("ours.dac")
        assert ours.framing == wavcodes.spec("dac_24khz").framing()
        np.testing.assert_array_equal(ours.codes, content.codes)

    def test_windows_stay_in_a_dac_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        frames = stereo().window_frames // 2 * 2
        cut = stereo(codes=stereo().codes[..., :frames], window_frames=frames // 2, padded=False)
        dac.write("a.dac", cut)
        assert run("convert", "a.dac", "b.dac", "--num-codebooks", "2") == 0
        reduced = dac.read("b.dac")
        assert (reduced.window_frames, reduced.padded, reduced.codes.shape[1]) == (frames // 2, False, 2)
        mono = replace(cut, codes=cut.codes[:1])
        dac.write("mono.dac", mono)
        assert run("convert", "mono.dac", "b.nac") == 65
        assert "windows" in said(capsys)

    def test_channels_go_nowhere_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        dac.write("a.dac", stereo())
        assert run("convert", "a.dac", "b.nac") == 65
        assert "2 channels, each coded on its own" in said(capsys)
        assert not Path("b.nac").exists()

    def test_loudness_and_rate_are_said_to_be_lost(self, capsys: pytest.CaptureFixture[str]) -> None:
        content = stereo()
        dac.write("a.dac", replace(content, codes=content.codes[:1]))
        assert run("convert", "a.dac", "b.nac") == 0
        assert said(capsys) == (
            "wavcodes: a.dac: b.nac has no place for the loudness of -23.5 LUFS, the original's rate of 48000 Hz\n"
        )
        expected = clip(wavcodes.spec("dac_24khz").framing(), 50_000)
        wavcodes.write("direct.nac", expected, weights_digest=DIGEST)
        assert Path("b.nac").read_bytes() == Path("direct.nac").read_bytes()


class _Uniform:
    """A language model to which all codes are equally likely."""

    def start(self, num_codebooks: int) -> object:
        probabilities: NDArray[np.float32] = np.full((num_codebooks, 1024), 1 / 1024, np.float32)
        return lambda before: probabilities


def test_codes_of_a_language_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[object] = []
    monkeypatch.setattr(lm, "language_model", lambda *which: asked.append(which) or _Uniform())
    codes = codes_of("encodec_48khz")
    save("a.ecdc", codes, ecdc.coded_with(_Uniform()))  # type: ignore[arg-type]
    assert run("info", "a.ecdc") == 0
    assert asked == []
    assert run("convert", "a.ecdc", "b.ecdc", "--lm-weights", "folder") == 0
    assert asked == [("encodec_48khz", "folder")]
    assert Path("b.ecdc").read_bytes() == written(codes, ecdc.FORMAT)
    assert run("test", "a.ecdc") == 65
    assert "coded with the language model of encodec_48khz; pass it" in said(capsys)
    assert len(asked) == 1
    assert run("test", "a.ecdc", "--lm-weights", "folder") == 0
    assert "arithmetic coding verified" in capsys.readouterr().out


class TestOutputs:
    def test_a_pattern_of_two_files_replaces_neither(self, folder: Path) -> None:
        for name, seconds in (("a.nac", 1.0), ("b.nac", 2.0)):
            wavcodes.write(name, codes_of("encodec_24khz", seconds))
        whole = Path("b.nac").read_bytes()
        before = names(folder)
        assert run("convert", "-f", "a.nac", "b.nac", "--bandwidth", "3") == 2
        assert Path("b.nac").read_bytes() == whole
        assert names(folder) == before

    def test_beside_the_input_and_in_a_folder(self, folder: Path) -> None:
        for name in ("a", "b"):
            wavcodes.write(f"{name}.ecdc", codes_of("encodec_24khz"))
        assert run("convert", "a.ecdc", "b.ecdc", "--output-dir", "new") == 0
        assert names(folder / "new") == {"a.nac", "b.nac"}
        assert run("convert", "new/a.nac", "new/b.nac", "--output-dir", "hermes", "--format", "ecdc-hermes") == 0
        assert names(folder / "hermes") == {"a.ecdc", "b.ecdc"}
        assert run("convert", "a.ecdc") == 0
        assert wavcodes.read("a.nac") == wavcodes.read("a.ecdc")

    @pytest.mark.parametrize(
        ("argv", "code", "expected"),
        [
            (("a.nac",), 73, "the same file"),
            (("a.nac", "-o", "b.nac"), 73, "b.nac exists already; use -f"),
            (("a.nac", "b.nac"), 2, "b.nac exists, so it may be an input or the output; name an output with -o"),
            (("a.nac", "b.nac", "-f"), 2, "or a folder for those of two inputs with --output-dir"),
            (("a.nac", "b.wav"), 2, "an input that exists, or an output named .nac, .ecdc"),
            (("a.nac", "-o", "b.wav"), 2, "expected an output named .nac, .ecdc"),
            (("a.nac", "c.snac", "--format", "ecdc"), 2, "expected an output named .ecdc, got c.snac"),
            (("a.nac", "c.snac", "--format", "snac-torch"), 2, "--format: expected one of nac, ecdc, "),
            (("a.nac", "-", "--json"), 2, "--json prints on standard output"),
            (("a.wav", "c.nac"), 65, "expected a file of codes"),
            (("none.nac", "c.ecdc"), 66, "No such file"),
            (("a.nac", "none.nac", "b.nac", "--output-dir", "new"), 1, "2 of 3 inputs failed: none.nac, b.nac"),
        ],
    )
    def test_what_goes_wrong(
        self, argv: tuple[str, ...], code: int, expected: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wavcodes.write("a.nac", codes_of("encodec_24khz"))
        Path("b.nac").write_text("precious")
        assert run("convert", *argv) == code
        assert expected in said(capsys)
        assert Path("b.nac").read_text() == "precious"
        assert not Path("c.nac").exists()

    @pytest.mark.parametrize("kind", ["cut", "changed"])
    def test_of_a_damaged_file_there_is_none(self, kind: str, folder: Path) -> None:
        data = bytearray(written(codes_of("encodec_24khz", 9.0), BY_NAME["nac"]))
        if kind == "cut":
            del data[-20:]
        else:
            data[-1_000] ^= 4
        Path("a.nac").write_bytes(data)
        before = names(folder)
        assert run("convert", "a.nac", "b.ecdc") == 65
        assert names(folder) == before


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}


def start(*argv: str, **options: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "wavcodes", *argv]
    return subprocess.Popen(command, env=ENVIRONMENT, **options)  # type: ignore[call-overload,no-any-return]


class TestProcess:
    @pytest.mark.parametrize("target", ["nac", "ecdc", "ecdc-crc32c", "ecdc-hermes"])
    @pytest.mark.parametrize("stated", [True, False], ids=["length first", "length at the end"])
    def test_pipes(self, stated: bool, target: str) -> None:
        codes = codes_of("encodec_24khz", whole=True)
        piped = start("convert", "-", "-", "--format", target, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        result, _ = piped.communicate(written(codes, BY_NAME["nac"], stated=stated))
        assert piped.returncode == 0
        assert result == written(codes, BY_NAME[target], stated=stated or target != "nac")

    def test_a_codec_that_a_pipe_does_not_state(self) -> None:
        content = stereo(framing=None, weights_digest=None)
        dac.write("a.dac", replace(content, codes=content.codes[:1]))
        piped = start("convert", "-", "b.nac", "--codec", "dac_24khz", "--num-codebooks", "2", stdin=subprocess.PIPE)
        piped.communicate(Path("a.dac").read_bytes())
        assert piped.returncode == 0
        assert wavcodes.read("b.nac") == clip(wavcodes.spec("dac_24khz").framing(), 50_000).codebooks(2)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
    @pytest.mark.parametrize("count", [pytest.param(6, id="a few"), pytest.param(60, marks=pytest.mark.slow)])
    def test_a_killed_run_leaves_all_or_nothing(self, count: int, folder: Path) -> None:
        wavcodes.write("a.nac", codes_of("encodec_24khz", 900.0))
        assert start("convert", "a.nac", "b.ecdc", "-qq").wait(60) == 0
        whole, rng, seen = Path("b.ecdc").read_bytes(), random.Random(count), set[bytes]()
        for attempt in range(count):
            old = b"an older output" if attempt % 2 else None
            Path("b.ecdc").unlink()
            if old is not None:
                Path("b.ecdc").write_bytes(old)
            before = names(folder)
            running = start("convert", "a.nac", "-o", "b.ecdc", "-f", "-qq")
            while names(folder) <= before and running.poll() is None:
                time.sleep(0.0005)
            time.sleep(rng.uniform(0, 0.3))
            running.kill()
            running.wait()
            left = Path("b.ecdc").read_bytes() if Path("b.ecdc").exists() else None
            assert left in (old, whole)
            seen.add(left or b"")
            for part in names(folder) - before - {"b.ecdc"}:
                assert part.startswith(".wavcodes-")
                Path(part).unlink()
            Path("b.ecdc").touch()
        assert seen - {whole}

    @pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
    def test_a_full_disk(self, folder: Path) -> None:
        import resource

        wavcodes.write("a.nac", codes_of("encodec_24khz", 9.0))
        assert run("convert", "a.nac", "b.ecdc") == 0
        whole = Path("b.ecdc").stat().st_size
        Path("b.ecdc").write_bytes(b"an older output")
        before, limits = names(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
        for size in np.linspace(0, whole - 1, 20).astype(int):
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), limits[1]))
                assert run("convert", "a.nac", "-o", "b.ecdc", "-f", "-qq") == 74
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert names(folder) == before
            assert Path("b.ecdc").read_bytes() == b"an older output"


@pytest.mark.parametrize("target", ["nac", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ecdc", "lyra"))])
def test_memory_does_not_grow_with_the_length(target: str) -> None:
    codec = "lyra_v2" if target == "lyra" else "encodec_24khz"

    def peak(seconds: float) -> int:
        wavcodes.write("a.nac", codes_of(codec, seconds))
        tracemalloc.start()
        assert run("convert", "a.nac", "-o", "/dev/null", "--format", target, "-q") == 0
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1.0)  # what is imported and cached once
    # The index of a .nac has an entry for each second, and there is garbage; kept codes would take 650,000 bytes more.
    assert peak(600.0) < peak(60.0) + 350_000
