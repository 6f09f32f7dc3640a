"""Audio that libsndfile does not know, through PyAV and through the program ffmpeg."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, names, run, vowel

from wavcodes import FormatError, InputError, ResourceError, UnsupportedError
from wavcodes.audio import AudioReader, AudioWriter
from wavcodes.audio import ffmpeg as module
from wavcodes.files import atomic_output
from wavcodes.programs import MissingProgram

resource = pytest.importorskip("resource", reason="needs limits on the size of a file")


def chirp(channels: int, rate: int) -> np.ndarray:
    time = np.arange(2 * rate) / rate
    return np.stack([0.5 * np.sin((900 + 200 * k) * time**2) for k in range(channels)]).astype(np.float32)


def write(path: str, audio: np.ndarray, rate: int) -> None:
    with atomic_output(path) as file, AudioWriter(file, Path(path).suffix, rate, len(audio)) as writer:
        for first in range(0, audio.shape[1], 9_999):
            writer.write(audio[:, first : first + 9_999])
        writer.write(audio[:, :0])


def read(path: str) -> tuple[np.ndarray, int]:
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("ffmpeg")
class TestThereAndBack:
    @pytest.mark.parametrize("suffix", module.FORMATS)
    @pytest.mark.parametrize(
        ("channels", "rate"),
        [(1, 16_000), pytest.param(1, 24_000, marks=pytest.mark.slow), (2, 44_100), (2, 48_000), (3, 48_000)],
    )
    def test_sound_keeps_its_place(self, suffix: str, channels: int, rate: int) -> None:
        audio = chirp(channels, rate)
        write(f"a{suffix}", audio, rate)
        back, read_rate = read(f"a{suffix}")
        assert (read_rate, len(back)) == (rate, channels)
        # A raw stream of AAC, like Matroska, does not say how much its encoder put before the sound.
        lag = 0 if suffix in (".m4a", ".mp4") else best_lag(audio[0], back[0])
        assert 0 <= lag <= 4_096
        middle = slice(rate // 2, 3 * rate // 2)
        for channel in range(channels):
            shifted = back[channel, lag : lag + audio.shape[1]]
            assert np.corrcoef(audio[channel, middle], shifted[middle])[0, 1] > 0.97

    def test_a_cut_file_is_an_error(self) -> None:
        write("a.m4a", chirp(1, RATE), RATE)
        data = Path("a.m4a").read_bytes()
        assert data.index(b"mdat") < data.index(b"moov")
        for size in (12, len(data) // 2, data.index(b"moov") + 40):
            Path("b.m4a").write_bytes(data[:size])
            with pytest.raises(FormatError, match=r"^b\.m4a: "):
                AudioReader("b.m4a")

    def test_from_memory_and_from_a_pipe(self) -> None:
        write("a.m4a", chirp(1, RATE), RATE)
        expected = read("a.m4a")[0]
        with AudioReader(io.BytesIO(Path("a.m4a").read_bytes()), "memory") as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks()), axis=1), expected)

    def test_a_full_disk(self) -> None:
        write("a.m4a", chirp(1, RATE), RATE)
        whole = Path("a.m4a").stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        for size in (1, 500, whole // 2, whole - 1):
            Path("a.m4a").unlink(missing_ok=True)
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
                with pytest.raises(ResourceError):
                    write("a.m4a", chirp(1, RATE), RATE)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            assert list(Path().iterdir()) == []

    def test_no_room_for_what_is_decoded(self) -> None:
        write("a.m4a", chirp(1, RATE), RATE)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
            with pytest.raises(ResourceError, match="temporary file"):
                AudioReader("a.m4a")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @pytest.mark.parametrize("channels", [6, 9])
    def test_channels_of_which_one_would_be_a_subwoofer(self, channels: int) -> None:
        with pytest.raises(UnsupportedError, match=f"1 to 5 channels here, got {channels}; write .wav or .flac"):
            write("a.m4a", chirp(channels, 48_000), 48_000)

    @pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
    @pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
    def test_an_mp3_that_does_not_tell_its_length(self, mode: str, rate: int) -> None:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal(4 * rate) * np.repeat([0.3, 0.0, 0.3, 0.01], rate)  # its frames differ in length
        soundfile.write("a.mp3", noise, rate, bitrate_mode=mode, compression_level=0.5)
        expected, _ = read("a.mp3")
        assert expected.shape == (1, 4 * rate)
        data = Path("a.mp3").read_bytes()
        Path("b.mp3").write_bytes(data[data.index(data[:2], 4) :])  # without the first frame, which tells it
        audio, _ = read("b.mp3")
        assert 0 <= audio.shape[1] - 4 * rate <= 3 * 1152
        lag = best_lag(expected[0], audio[0])
        assert np.corrcoef(expected[0, rate // 2 : 3 * rate], audio[0, lag:][rate // 2 : 3 * rate])[0, 1] > 0.99

    def test_two_mp3_in_one(self) -> None:
        for name, seconds in (("a.mp3", 1), ("b.mp3", 2)):
            soundfile.write(name, vowel(seconds), RATE)
        first, second = Path("a.mp3").read_bytes(), Path("b.mp3").read_bytes()
        Path("c.mp3").write_bytes(first + second)
        assert 0 <= read("c.mp3")[0].shape[1] - 3 * RATE <= 8 * 576
        Path("c.mp3").write_bytes(first + b"ID3\4\0\0\0\0\0\x20" + bytes(32) + second)
        with pytest.raises(FormatError, match=r"^c\.mp3: expected audio that FFmpeg can decode"):
            read("c.mp3")

    def test_a_flac_out_of_a_pipe(self) -> None:
        soundfile.write("a.flac", vowel(1.5), RATE)
        expected, _ = read("a.flac")
        data = bytearray(Path("a.flac").read_bytes())
        data[21] &= 0xF0  # the 36 bits of the number of samples, and the digest, are not known when it begins
        data[22:42] = bytes(20)
        Path("b.flac").write_bytes(data)
        np.testing.assert_array_equal(read("b.flac")[0], expected)

    def test_only_to_a_file(self) -> None:
        with pytest.raises(UnsupportedError, match="file on disk"):
            AudioWriter(io.BytesIO(), ".m4a", RATE, 1)

    def test_no_sound_inside(self) -> None:
        for data in (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", b"\xff\xf1" + bytes(100), b"\x1a\x45\xdf\xa3" + bytes(64)):
            Path("a.m4a").write_bytes(data)
            with pytest.raises((FormatError, InputError), match=r"^a\.m4a: "):
                AudioReader("a.m4a")

    def test_a_list_of_files_opens_none_of_them(self, folder: Path) -> None:
        # FFmpeg itself would take each of these for a playlist.
        for text in ("ffconcat version 1.0\nfile a.wav\n", "#EXTM3U\n#EXTINF:1,\na.wav\n"):
            soundfile.write("a.wav", vowel(0.5), RATE)
            Path("list.m4a").write_text(text)
            with pytest.raises(FormatError, match="expected audio"):
                AudioReader("list.m4a")

    def test_through_the_command(self, folder: Path) -> None:
        soundfile.write("a.wav", vowel(1.5), RATE)
        for suffix in (".m4a", ".aac"):
            assert run("compress", "a.wav", "a.nac", "-f") == 0
            assert run("decompress", "a.nac", f"b{suffix}") == 0
            assert run("compress", f"b{suffix}", f"b{suffix}.nac") == 0
            assert run("decompress", f"b{suffix}.nac", f"c{suffix}.wav") == 0
            assert soundfile.info(f"c{suffix}.wav").duration == pytest.approx(1.5, abs=0.2)


@pytest.mark.usefixtures("pyav")
def test_two_ogg_in_one() -> None:
    import av

    for name, seconds in (("a.ogg", 1), ("b.ogg", 2)):
        with av.open(name, "w", format="ogg") as container:
            stream = container.add_stream("libopus", rate=48_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(chirp(1, 24_000 * seconds), format="flt", layout="mono")
            frame.sample_rate = 48_000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    Path("c.ogg").write_bytes(Path("a.ogg").read_bytes() + Path("b.ogg").read_bytes())
    parts = np.concatenate([read("a.ogg")[0], read("b.ogg")[0]], axis=1)
    assert parts.shape == (1, 3 * 48_000)
    both = read("c.ogg")[0]
    assert both.shape == parts.shape
    assert np.corrcoef(both[0], parts[0])[0, 1] > 0.999  # where one part meets the next, its decoder goes on


def best_lag(audio: np.ndarray, late: np.ndarray) -> int:
    """Samples by which `late` lags."""
    size = 1 << (len(audio) + len(late)).bit_length()
    product = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(audio, size)))
    return int(np.argmax(product[: size // 2]))


class TestWithout:
    @pytest.fixture(autouse=True)
    def _neither(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_pyav", lambda: None)
        monkeypatch.setenv("FFMPEG", "/none/such")

    def test_both_ways_say_what_to_install(self) -> None:
        Path("a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
        for action in (lambda: AudioReader("a.m4a"), lambda: write("b.m4a", chirp(1, RATE), RATE)):
            with pytest.raises(MissingProgram, match=r"FFMPEG names /none/such.*pip install 'wavcodes\[ffmpeg\]'"):
                action()
        assert names(Path()) == {"a.m4a"}

    def test_the_exit_code_is_that_of_something_missing(self) -> None:
        Path("a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
        assert run("encode", "a.m4a") == 69
