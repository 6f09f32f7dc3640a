"""`.dac` files on the command line: several channels, windows, loudness and any rate, with Descript's own package on
the other side; and their sound in pieces."""

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
import soundfile
from cli_case import floats, names, run
from dac_case import Descript
from narrow import narrow
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, InputError, ResourceError, descript
from wavcodes.audio import loudness
from wavcodes.containers import dac
from wavcodes.descript import DacDecoder, DacEncoder, encode_dac

NAME = "dac_44khz"
RATE = 44_100
STEP = 1 / 32768


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.fixture(scope="module")
def theirs(patch: pytest.MonkeyPatch, peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Descript:
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("dac")
    narrow(patch, folder, NAME)
    made: Descript = peer("dac", lambda: Descript(NAME, folder))
    return made


@pytest.fixture
def codec(theirs: Descript) -> Codec:
    return wavcodes.load(NAME, weights=theirs.weights)


@pytest.fixture
def decoder(theirs: Descript) -> DacDecoder:
    return DacDecoder(NAME, theirs.weights)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sounds(channels: int, num_samples: int) -> NDArray[np.float32]:
    """The later a channel, the quieter it is."""
    return np.stack([peers.sound(7 * num_samples + i, num_samples) / (1 + i) for i in range(channels)])


def save(name: str, audio: NDArray[np.float32], rate: int) -> None:
    soundfile.write(name, audio.T, rate, subtype="FLOAT")


def pcm(name: str) -> NDArray[np.float32]:
    return np.atleast_2d(floats(Path(name)).T)


def rounded(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a 16-bit file makes of it."""
    return np.clip(np.rint(audio * 32768), -32768, 32767) / np.float32(32768)


class TestTheirs:
    @pytest.mark.parametrize("window", [0.6, None])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_sounds_as_there(self, channels: int, window: float | None, theirs: Descript) -> None:
        audio = sounds(channels, RATE + 1)
        theirs.save(audio, Path("x.dac"), window)
        assert run("decompress", "x.dac", "y.wav", "--weights", theirs.weights) == 0
        found, expected = pcm("y.wav"), theirs.sound(Path("x.dac"))
        assert found.shape == audio.shape
        assert soundfile.info("y.wav").samplerate == RATE
        # The stand-in for Descript's tools leaves the level as it is; the file states -23.5 LUFS.
        gain = np.vdot(found, expected) / np.vdot(expected, expected)
        assert np.abs(found - gain * expected).max() < 1e-4 + STEP
        assert loudness(found, RATE) == pytest.approx(-23.5, abs=0.2)  # that of all that was decoded is exact

    def test_windows_of_another_model_are_refused(
        self, theirs: Descript, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        theirs.save(sounds(1, 2 * RATE), Path("x.dac"), 1.0)
        file = dac.read("x.dac")
        dac.write("x.dac", dac.DacFile(file.codes, 9 * RATE, RATE, -20.0, file.window_frames, padded=False))
        assert run("decompress", "x.dac", "y.wav", "--weights", theirs.weights) == 65
        assert "another codec" in capsys.readouterr().err
        assert names(folder) == {"x.dac"}

    def test_the_model_is_asked_for(self, theirs: Descript, capsys: pytest.CaptureFixture[str]) -> None:
        theirs.save(sounds(2, 9_000), Path("x.dac"), None)
        assert run("decode", "x.dac", "--weights", theirs.weights) == 65
        assert "does not say which of its models" in capsys.readouterr().err
        assert run("decode", "x.dac", "--weights", theirs.weights, "--codec", NAME) == 0
        assert pcm("x.wav").shape == (2, 9_000)


class TestOurs:
    @pytest.mark.parametrize("channels", [1, 2, 5])
    def test_are_read_there(self, channels: int, theirs: Descript, codec: Codec, decoder: DacDecoder) -> None:
        audio = sounds(channels, 20_001)
        save("a.wav", audio, RATE)
        assert run("compress", "a.wav", "a.dac", "--weights", theirs.weights) == 0
        file = dac.read("a.dac")
        assert file.clips() == tuple(codec.encode(list(audio), RATE))
        assert file.loudness == pytest.approx(loudness(audio, RATE), abs=1e-4)
        assert file.weights_digest == codec.weights_digest
        sound = theirs.sound(Path("a.dac"))
        assert np.abs(np.concatenate(codec.decode(file.clips())) - sound).max() < 1e-4

        assert run("decompress", "a.dac", "b.wav", "--weights", theirs.weights) == 0
        np.testing.assert_array_equal(pcm("b.wav"), rounded(decoder.decode(file)[0]))

    @pytest.mark.parametrize("rate", [8_000, RATE, 48_000])
    def test_rate_length_channels_and_loudness_come_back(
        self, rate: int, theirs: Descript, capsys: pytest.CaptureFixture[str]
    ) -> None:
        audio = sounds(2, rate + 1) / 10  # so that nothing is clipped
        save("a.wav", audio, rate)
        assert run("compress", "a.wav", "a.dac", "--weights", theirs.weights, "--json") == 0
        told, notes = capsys.readouterr()
        assert json.loads(told)["channels"] == 2
        assert (f"resampled from {rate} to 44100 Hz" in notes) == (rate != RATE)
        assert "channels" not in notes
        assert run("decompress", "a.dac", "b.wav", "--weights", theirs.weights, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["sample_rate"], told["channels"], told["num_samples"]) == (rate, 2, rate + 1)
        assert told["duration"] == (rate + 1) / rate
        assert soundfile.info("b.wav").samplerate == rate
        assert pcm("b.wav").shape == audio.shape
        if (
            rate == RATE
        ):  # at others, resampling takes away much of what random weights make, and that was measured, too
            assert loudness(pcm("b.wav"), rate) == pytest.approx(loudness(audio, rate), abs=0.1)

    @pytest.mark.parametrize(("start", "stop"), [("0.2", "0.5"), ("0.31", None), (None, "0.4")])
    def test_a_stretch(self, start: str | None, stop: str | None, theirs: Descript) -> None:
        rate = 32_000
        audio = sounds(2, rate)
        save("a.wav", audio, rate)
        limits = [*(["--from", start] if start else []), *(["--to", stop] if stop else [])]
        chosen = slice(round(float(start or 0) * rate), round(float(stop) * rate) if stop else None)
        options = ["--weights", theirs.weights]
        assert run("encode", "a.wav", "a.dac", "--codec", NAME, *options) == 0
        assert (
            run("decode", "a.dac", "whole.wav", *options) == run("decode", "a.dac", "part.wav", *limits, *options) == 0
        )
        np.testing.assert_array_equal(pcm("part.wav"), pcm("whole.wav")[:, chosen])

        assert run("encode", "a.wav", "b.dac", "--codec", NAME, *limits, *options) == 0
        save("c.wav", audio[:, chosen], rate)
        assert run("encode", "c.wav", "c.dac", "--codec", NAME, *options) == 0
        assert Path("b.dac").read_bytes() == Path("c.dac").read_bytes()

    def test_a_part_of_the_payload(self, theirs: Descript, codec: Codec) -> None:
        codes = codec.encode(sounds(1, 9_000), RATE)
        wavcodes.write("a.dac", codes)
        options = ["--weights", theirs.weights, "--bandwidth", "3.45"]
        assert run("decode", "a.dac", "b.wav", *options) == 0
        np.testing.assert_array_equal(pcm("b.wav"), rounded(codec.decode(codes.codebooks(4))))
        wavcodes.write("a.dac", codes.codebooks(2))
        assert run("decode", "a.dac", "b.wav", "-f", *options) == 65

    def test_too_many_channels_are_refused_at_once(
        self, theirs: Descript, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save("a.wav", sounds(6, 900), 48_000)
        assert run("compress", "a.wav", "a.dac", "--weights", theirs.weights) == 65
        said = capsys.readouterr().err
        assert "1 to 5 channels, got 6" in said
        assert "for dac_44khz" not in said
        assert names(folder) == {"a.wav"}

    def test_other_weights(self, theirs: Descript, codec: Codec, capsys: pytest.CaptureFixture[str]) -> None:
        file = encode_dac(codec, sounds(2, 900), RATE)
        dac.write("a.dac", dac.DacFile.of(file.clips(), weights_digest=bytes(32)))
        assert run("decompress", "a.dac", "b.wav", "--weights", theirs.weights) == 65
        assert "other weights of dac_44khz" in capsys.readouterr().err
        assert run("decompress", "a.dac", "b.wav", "--weights", theirs.weights, "-f") == 0


class TestPieces:
    def test_the_file_does_not_depend_on_them(self, codec: Codec) -> None:
        audio = sounds(2, 200_001)
        whole = encode_dac(codec, audio, 48_000, num_codebooks=2)
        encoder = DacEncoder(codec, 48_000, 2, num_codebooks=2)
        ends = np.cumsum([1, 0, 99_999, 77, 70_000])
        for piece in np.split(audio, ends, axis=1):
            encoder.push(piece)
        pieces = encoder.finish()
        np.testing.assert_array_equal(pieces.codes, whole.codes)
        assert (pieces.loudness, pieces.num_samples) == (whole.loudness, whole.num_samples)
        one = encode_dac(codec, audio[0], 48_000, num_codebooks=2)
        np.testing.assert_array_equal(one.codes[0], whole.codes[0])

    def test_sound_that_waits_on_a_disk_is_the_same(
        self, codec: Codec, decoder: DacDecoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = encode_dac(codec, sounds(2, 150_000), 48_000, num_codebooks=2)
        blocks = list(decoder.blocks(file))
        assert max(block.shape[1] for block in blocks) < 100_000
        monkeypatch.setattr(descript, "_IN_MEMORY", 1_000)
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), decoder.decode(file)[0])

    def test_a_full_disk(self, codec: Codec, decoder: DacDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
        file = encode_dac(codec, sounds(1, 50_000), RATE, num_codebooks=1)
        monkeypatch.setattr(descript, "_IN_MEMORY", 1_000)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(ResourceError, match="temporary file"):
                decoder.decode(file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_books_that_are_not_there(self, codec: Codec, decoder: DacDecoder) -> None:
        file = encode_dac(codec, sounds(1, 900), RATE, num_codebooks=2)
        with pytest.raises(InputError, match="1 to 2 codebooks"):
            decoder.decode(file, num_codebooks=3)

    @pytest.mark.parametrize(
        ("audio", "rate", "expected"),
        [
            (0.5, RATE, r"\(samples,\) or \(channels, samples\), got \(\)"),
            ([[0.1], [0.1, 0.2]], RATE, "expected audio as an array"),
            ([0.1, 0.2], 44_100.5, "an integer as sample_rate"),
        ],
    )
    def test_what_is_no_sound(self, codec: Codec, audio: Any, rate: Any, expected: str) -> None:
        with pytest.raises(InputError, match=expected):
            encode_dac(codec, audio, rate)
