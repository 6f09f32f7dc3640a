"""Audio in memory and in files, against soxr, soundfile, numpy and bytes laid out by hand."""

import errno
import io
import math
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from wavcodes.audio import (
    BLOCK_SAMPLES,
    AudioReader,
    AudioWriter,
    StreamResampler,
    check_audio,
    check_chunk,
    resample,
    resampled_length,
    to_channels,
    to_mono,
)
from wavcodes.audio.writer import _Wav
from wavcodes.errors import CodecError, FormatError, InputError, ResourceError, TruncatedError, UnsupportedError
from wavcodes.files import atomic_output
from wavcodes.spec import CodecSpec, WeightSource


def spec(channels: int) -> CodecSpec:
    return CodecSpec(
        name="a_codec",
        sample_rate=16_000,
        channels=channels,
        hop_length=320,
        num_codebooks=1,
        codebook_size=2,
        bandwidths=(1.0,),
        default_bandwidth=1.0,
        weights=WeightSource(files=(), licence=""),
        strides=(1,),
    )


MONO, STEREO = spec(1), spec(2)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * 0.1).astype(np.float32)


class TestCheck:
    def test_a_fitting_array_is_passed_on_without_a_copy(self) -> None:
        audio = noise(2, 100)
        assert check_audio(audio, 16_000, STEREO) is audio
        assert np.shares_memory(check_audio(audio[0], 16_000, MONO), audio)

    @pytest.mark.parametrize(
        "audio",
        [
            noise(100).astype(np.float64),
            noise(1, 100).astype(">f4"),
            noise(200)[::2],
            noise(100, 1).T,
            [0.0, 0.5, -1.0],
            noise(100).astype(np.float16),
        ],
        ids=["float64", "big-endian", "strided", "transposed view", "list", "float16"],
    )
    def test_other_floats_are_converted_to_the_same_values(self, audio: np.ndarray) -> None:
        checked = check_audio(audio, 16_000, MONO)
        assert checked.dtype == np.dtype("=f4")
        assert checked.flags.c_contiguous
        assert checked.shape == (1, np.asarray(audio).size)
        np.testing.assert_array_equal(checked[0], np.asarray(audio).ravel().astype(np.float32))

    @pytest.mark.parametrize(
        ("audio", "codec", "expected"),
        [
            (np.zeros(9, np.int16), MONO, "audio / 32768"),
            (np.zeros(9, np.uint8), MONO, "uint8"),
            (np.zeros(9, bool), MONO, "got bool"),
            (np.zeros(9, complex), MONO, "complex128"),
            (["a"], MONO, "floats"),
            (np.zeros(0, np.float32), MONO, "at least one sample"),
            (np.zeros((1, 0), np.float32), MONO, "at least one sample"),
            (np.float32(0), MONO, r"got \(\)"),
            (noise(2, 50), MONO, r"to_mono\(audio\)"),
            (noise(50, 1), MONO, r"pass audio\.T$"),
            (noise(50, 2), MONO, r"to_mono\(audio\.T\)"),
            (noise(50, 2), STEREO, r"pass audio\.T$"),
            (noise(50), STEREO, r"\(2, samples\), got \(50,\)"),
            (noise(4, 1, 50), MONO, "list of clips"),
            (np.array([0, 0, np.nan, np.inf]), MONO, "sample 2 of channel 0 is nan"),
            (np.array([[0, 0, 0], [0, -np.inf, np.nan]]), STEREO, "sample 1 of channel 1 is -inf"),
            (np.array([0, 1e300]), MONO, "sample 1 of channel 0 is inf"),
            (np.array([0.0, -30000.0]), MONO, "sample 1 of channel 0 is -30000.*32768"),
        ],
    )
    def test_what_no_codec_takes_is_named(self, audio: object, codec: CodecSpec, expected: str) -> None:
        with pytest.raises(InputError, match=expected):
            check_audio(audio, 16_000, codec)  # type: ignore[arg-type]

    def test_another_rate_names_the_conversion(self) -> None:
        with pytest.raises(InputError, match=r"resample\(audio, 44100, 16000\)"):
            check_audio(noise(9), 44_100, MONO)

    def test_loud_audio_is_audio(self) -> None:
        assert check_audio(np.float32([64, -64]), 16_000, MONO).tolist() == [[64, -64]]

    def test_a_chunk_may_be_empty(self) -> None:
        assert check_chunk(np.zeros(0, np.float32), MONO).shape == (1, 0)


class TestChannels:
    def test_mono_is_the_mean(self) -> None:
        audio = noise(3, 1000)
        expected = audio.astype(np.float64).sum(axis=0) / 3
        np.testing.assert_array_equal(to_mono(audio), expected.astype(np.float32))
        assert np.shares_memory(to_mono(audio[0]), audio)

    def test_mono_is_repeated_for_more(self) -> None:
        audio = noise(1, 9)
        np.testing.assert_array_equal(to_channels(audio, 2), np.concatenate([audio, audio]))
        assert to_channels(audio, 1) is audio

    def test_no_channels_are_an_error(self) -> None:
        with pytest.raises(InputError, match="at least one channel"):
            to_mono(np.zeros((0, 5), np.float32))

    def test_other_counts_are_an_error(self) -> None:
        with pytest.raises(InputError, match="expected 2 channels or one, got 6"):
            to_channels(noise(6, 9), 2)
        with pytest.raises(InputError, match="int16"):
            to_mono(np.zeros((2, 9), np.int16))


RATES = [(44_100, 16_000), (48_000, 24_000), (8_000, 16_000), (16_000, 24_000), (96_000, 16_000), (22_050, 48_000)]


class TestResample:
    @pytest.mark.parametrize(("before", "after"), RATES)
    @pytest.mark.parametrize("num_samples", [1, 2, 441, 4_411, 30_001])
    def test_equals_soxr(self, before: int, after: int, num_samples: int) -> None:
        audio = noise(2, num_samples)
        expected = soxr.resample(audio.T.copy(), before, after, quality="VHQ").T
        converted = resample(audio, before, after)
        np.testing.assert_array_equal(converted, expected)
        np.testing.assert_array_equal(resample(audio[0], before, after), expected[0])
        assert converted.dtype == np.float32
        assert resampled_length(num_samples, before, after) == len(expected.T)

    @given(st.integers(0, 10**12), st.sampled_from(RATES))
    def test_lengths_round_halves_up(self, num_samples: int, rates: tuple[int, int]) -> None:
        exact = Fraction(num_samples * rates[1], rates[0])
        assert resampled_length(num_samples, *rates) == math.floor(exact + Fraction(1, 2))

    def test_a_sine_stays_a_sine(self) -> None:
        def sine(rate: int) -> np.ndarray:
            return np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)

        converted = resample(sine(44_100), 44_100, 16_000)
        np.testing.assert_allclose(converted[2_000:-2_000], sine(16_000)[2_000:-2_000], atol=3e-7)

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_chunks_do_not_matter(self, data: st.DataObject) -> None:
        before, after = data.draw(st.sampled_from(RATES))
        audio = noise(2, data.draw(st.integers(0, 5_000)))
        stream, parts, first = StreamResampler(before, after, 2), [], 0
        while first < audio.shape[1]:
            size = data.draw(st.integers(0, 2_000))
            parts.append(stream.push(audio[:, first : first + size]))
            first += size
        parts.append(stream.flush())
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), resample(audio, before, after))

    def test_the_same_rate_changes_nothing(self) -> None:
        audio = noise(1, 50)
        np.testing.assert_array_equal(resample(audio, 16_000, 16_000), audio)

    @pytest.mark.parametrize("rate", [0, -1, 999, 2**31])
    def test_absurd_rates_are_refused(self, rate: int) -> None:
        with pytest.raises(InputError, match=f"1000 to 1000000 Hz, got {rate}"):
            resample(noise(9), rate, 16_000)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
    def test_values_that_are_no_audio_are_refused(self, value: float) -> None:
        audio = np.zeros((2, 100))
        audio[1, 17] = value
        with pytest.raises(InputError, match="sample 17 of channel 1"):
            resample(audio, 8_000, 16_000)

    def test_wrong_chunks_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"\(2, samples\), got \(1, 9\)"):
            StreamResampler(8_000, 16_000, 2).push(noise(1, 9))
        with pytest.raises(InputError, match="at least one channel"):
            StreamResampler(8_000, 16_000, 0)


def wav_bytes(samples: np.ndarray, rate: int, channels: int, data_size: int | None = None) -> bytes:
    """A 16-bit WAV by hand, after the RIFF specification."""
    data = samples.astype("<i2").tobytes()
    size = len(data) if data_size is None else data_size
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    head = b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
    return head + b"data" + struct.pack("<I", size) + data


@pytest.fixture
def pipe() -> Iterator[tuple[io.FileIO, io.FileIO]]:
    read, write = os.pipe()
    with open(read, "rb", buffering=0) as source, open(write, "wb", buffering=0) as sink:
        yield source, sink


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    with open(tmp_path / "file", "w+b") as opened:
        yield opened


def contents(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestReader:
    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au"])
    def test_equals_soundfile(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        soundfile.write(path, noise(150_000, 2), 32_000)
        expected, _ = soundfile.read(path, dtype="float32")
        with AudioReader(path) as reader:
            assert (reader.sample_rate, reader.channels, reader.num_samples) == (32_000, 2, len(expected))
            blocks = list(reader.blocks())
            assert max(block.shape[1] for block in blocks) == BLOCK_SAMPLES
            np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected.T)
            stretch = np.concatenate(list(reader.blocks(77_777, 149_000)), axis=1)
            np.testing.assert_array_equal(stretch, expected.T[:, 77_777:149_000])

    def test_reads_from_memory_and_leaves_it_open(self) -> None:
        file = io.BytesIO(wav_bytes(np.arange(10), 8_000, 1))
        with AudioReader(file) as reader:
            (block,) = reader.blocks()
        np.testing.assert_array_equal(block, np.arange(10, dtype=np.float32)[np.newaxis] / 32768)
        assert not file.closed

    def test_reads_a_pipe(self, pipe: tuple[io.FileIO, io.FileIO]) -> None:
        samples = np.arange(-30_000, 30_000)
        data = wav_bytes(samples, 8_000, 1, data_size=0xFFFF_FFFF)  # as programs write WAV into pipes
        source, sink = pipe

        def feed() -> None:
            for first in range(0, len(data), 1_001):
                sink.write(data[first : first + 1_001])
            sink.close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        with AudioReader(source, "standard input") as reader:
            read = np.concatenate(list(reader.blocks()), axis=1)
        feeder.join()
        np.testing.assert_array_equal(read[0] * 32768, samples)

    def test_the_name_does_not_choose_the_format(self, tmp_path: Path) -> None:
        path = tmp_path / "really a wav.raw"
        path.write_bytes(wav_bytes(np.arange(10), 8_000, 1))
        with AudioReader(path) as reader:
            assert reader.num_samples == 10

    @pytest.mark.parametrize(
        ("content", "error", "expected"),
        [
            (b"", FormatError, "a.wav: expected audio.*is empty"),
            (
                b"Once upon a time there was a wolf.\n" * 9,
                FormatError,
                "a.wav: expected audio.*begins with b'Once.*ffmpeg",
            ),
            (b"RIFF\x24\0\0\0WAVE", FormatError, "expected audio"),
            (wav_bytes(np.zeros(0), 8_000, 1), InputError, "at least one sample"),
            (wav_bytes(np.zeros(99), 8_000, 1)[:-10], TruncatedError, "announces 198 bytes of audio, but holds 188"),
            (wav_bytes(np.zeros(99), 500, 1), InputError, "sample rate of 1000 to 1000000 Hz, got 500"),
        ],
        ids=["empty", "text", "cut header", "no samples", "cut", "absurd rate"],
    )
    def test_what_is_no_audio_is_named(
        self, tmp_path: Path, content: bytes, error: type[CodecError], expected: str
    ) -> None:
        path = tmp_path / "a.wav"
        path.write_bytes(content)
        with pytest.raises(error, match=expected):
            AudioReader(path)

    def test_a_cut_wav_is_found_behind_other_chunks(self, tmp_path: Path) -> None:
        whole = wav_bytes(np.zeros(99), 8_000, 1)
        path = tmp_path / "a.wav"
        path.write_bytes(whole[:36] + b"LIST\3\0\0\0abc\0" + whole[36:])
        with AudioReader(path) as reader:
            assert reader.num_samples == 99
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(TruncatedError):
            AudioReader(path)

    @pytest.mark.parametrize(
        ("container", "subtype", "endian"),
        [
            ("WAV", "PCM_16", "LITTLE"),
            ("WAV", "PCM_16", "BIG"),
            ("WAVEX", "FLOAT", "FILE"),
            ("RF64", "PCM_24", "FILE"),
            ("W64", "PCM_16", "FILE"),
            ("AIFF", "PCM_16", "FILE"),
            ("AIFF", "PCM_16", "LITTLE"),
            ("AIFF", "FLOAT", "FILE"),
            ("AU", "PCM_16", "BIG"),
            ("AU", "PCM_16", "LITTLE"),
            ("CAF", "PCM_16", "FILE"),
        ],
    )
    @pytest.mark.parametrize("missing", [1, 500, 1900])
    def test_a_cut_file_is_found(self, tmp_path: Path, container: str, subtype: str, endian: str, missing: int) -> None:
        path = tmp_path / "a.wav"
        soundfile.write(path, noise(1000), 8_000, subtype, endian, container)
        with AudioReader(path) as reader:
            assert reader.num_samples == 1000
        path.write_bytes(path.read_bytes()[:-missing])
        with pytest.raises(TruncatedError, match="bytes of audio, but holds"):
            AudioReader(path)

    def test_a_cut_rf64_with_a_long_length_is_found(self) -> None:
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8_000, 16_000, 2, 16)
        sizes = struct.pack("<4sIQQQI", b"ds64", 28, 5_000_000_072, 5_000_000_000, 2_500_000_000, 0)
        head = struct.pack("<4sI4s", b"RF64", 0xFFFF_FFFF, b"WAVE") + sizes + fmt
        with pytest.raises(TruncatedError, match="announces 5000000000 bytes of audio, but holds 100"):
            AudioReader(io.BytesIO(head + struct.pack("<4sI", b"data", 0xFFFF_FFFF) + bytes(100)))

    @pytest.mark.parametrize("length", [0x7F00_0000, 0xFFFF_FFFF])
    def test_an_au_of_unknown_length_is_read(self, length: int) -> None:
        head = struct.pack(">4s5I", b".snd", 24, length, 3, 8_000, 1)
        with AudioReader(io.BytesIO(head + bytes(200))) as reader:
            assert reader.num_samples == 100

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
    def test_a_full_disk_under_the_copy_of_a_pipe_names_the_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: io.FileIO("/dev/full", "r+"))
        with pytest.raises(ResourceError, match=f"a temporary file in {tempfile.gettempdir()}: No space left"):
            AudioReader(io.BytesIO(wav_bytes(np.zeros(99), 8_000, 1)))

    @pytest.mark.parametrize("path", ["a\0b.wav", "a\udead\ud800.wav"])
    def test_impossible_paths(self, path: str) -> None:
        with pytest.raises(InputError, match="which no file can have"):
            AudioReader(path)
        with pytest.raises(InputError, match="which no file can have"), atomic_output(path):
            pass

    def test_a_path_that_is_too_long(self) -> None:
        with pytest.raises(ResourceError, match="File name too long"), atomic_output("x" * 5000):
            pass
        with pytest.raises(ResourceError, match="File name too long"):
            AudioReader("x" * 5000)

    @pytest.mark.parametrize("damage", ["cut", "overwritten"])
    def test_a_damaged_flac_is_an_error(self, tmp_path: Path, damage: str) -> None:
        path = tmp_path / "a.flac"
        soundfile.write(path, noise(100_000), 16_000)
        data = bytearray(path.read_bytes())
        if damage == "cut":
            del data[len(data) // 2 :]
        else:
            data[len(data) // 2 :][:100] = bytes(100)
            data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        with AudioReader(path) as reader, pytest.raises(FormatError, match=r"a\.flac.*fetch or copy it again"):
            list(reader.blocks())

    def test_positions_of_bad_values_count_from_the_start(self, tmp_path: Path) -> None:
        audio = noise(100_000, 2)
        audio[BLOCK_SAMPLES + 5, 1] = np.nan
        path = tmp_path / "a.wav"
        soundfile.write(path, audio, 16_000, "FLOAT")
        expected = f"a.wav: expected finite samples, but sample {BLOCK_SAMPLES + 5} of channel 1 is nan"
        with AudioReader(path) as reader, pytest.raises(InputError, match=expected):
            list(reader.blocks())

    @pytest.mark.parametrize(("start", "stop"), [(10, None), (5, 5), (5, 3), (-1, 3)])
    def test_a_stretch_of_nothing_is_an_error(self, start: int, stop: int | None) -> None:
        with (
            AudioReader(io.BytesIO(wav_bytes(np.arange(10), 8_000, 1)), "clip") as reader,
            pytest.raises(InputError, match=r"clip: expected a stretch within its 0\.001 s"),
        ):
            list(reader.blocks(start, stop))

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
    def test_nothing_stays_open(self, tmp_path: Path) -> None:
        good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
        good.write_bytes(wav_bytes(np.arange(10), 8_000, 1))
        bad.write_text("no sound")
        before = open_descriptors()
        for _ in range(3):
            with AudioReader(good) as reader:
                list(reader.blocks())
            with AudioReader(io.BytesIO(good.read_bytes())) as reader:
                list(reader.blocks())
            with pytest.raises(FormatError):
                AudioReader(bad)
        assert open_descriptors() == before

    def test_missing_files_and_folders(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="nowhere"):
            AudioReader(tmp_path / "nowhere.wav")
        with pytest.raises(InputError, match="folder"):
            AudioReader(tmp_path)


class TestWriter:
    def test_wav_bytes(self, file: BinaryIO) -> None:
        with AudioWriter(file, ".wav", 24_000, 2) as writer:
            writer.write(np.float32([[0, 0.5], [-1, 1 / 32768]]))
            writer.write(np.float32([[2 / 32768], [-0.5]]))
        assert contents(file) == wav_bytes(np.array([0, -32768, 16384, 1, 2, -16384]), 24_000, 2)

    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
    def test_all_16_bit_values_come_back(self, file: BinaryIO, suffix: str) -> None:
        values = np.arange(-32768, 32768, dtype=np.int16)
        with AudioWriter(file, suffix, 16_000, 1) as writer:
            writer.write(values[np.newaxis].astype(np.float32) / 32768)
        file.seek(0)
        read, rate = soundfile.read(file, dtype="int16")
        np.testing.assert_array_equal(read, values)
        assert rate == 16_000

    def test_rounds_to_the_nearest_and_clips(self, file: BinaryIO) -> None:
        with AudioWriter(file, ".wav", 16_000, 1) as writer:
            writer.write(np.float32([[0.49 / 32768, 0.51 / 32768, -0.51 / 32768, 1, 1.5, -1, -1.25, 7e8]]))
        file.seek(0)
        assert soundfile.read(file, dtype="int16")[0].tolist() == [0, 1, -1, 32767, 32767, -32768, -32768, 32767]
        assert writer.clipped == 3

    @pytest.mark.parametrize("suffix", [".ogg", ".opus", ".mp3"])
    def test_lossy_formats_keep_length_place_and_channels(self, file: BinaryIO, suffix: str) -> None:
        time = np.arange(3 * 48_000) / 48_000
        audio = np.stack([np.sin(900 * time**2), np.sin(700 * time**2)]).astype(np.float32) * 0.5
        with AudioWriter(file, suffix, 48_000, 2) as writer:
            writer.write(audio)
        file.seek(0)
        read, rate = soundfile.read(file)
        assert (rate, read.shape) == (48_000, audio.T.shape)
        for channel in (0, 1):
            assert np.corrcoef(read[:, channel], audio[channel])[0, 1] > 0.99

    def test_a_minute_of_vorbis_in_one_piece(self, file: BinaryIO) -> None:
        with AudioWriter(file, ".ogg", 44_100, 2) as writer:  # libsndfile crashes where it gets that much at once
            writer.write(np.zeros((2, 70 * 44_100), np.float32))
        file.seek(0)
        assert soundfile.info(file).frames == 70 * 44_100

    @pytest.mark.parametrize("known", [True, False])
    def test_wav_into_a_pipe(self, pipe: tuple[io.FileIO, io.FileIO], known: bool) -> None:
        source, sink = pipe
        with AudioWriter(sink, ".wav", 16_000, 1, num_samples=3 if known else None) as writer:  # type: ignore[arg-type]
            writer.write(np.float32([[0, 0.25, 0.5]]))
        sink.close()
        data = source.read()
        expected = wav_bytes(np.array([0, 8192, 16384]), 16_000, 1, None if known else 0xFFFF_FFFF)
        assert data == expected
        with AudioReader(io.BytesIO(data)) as reader:
            assert reader.num_samples == 3

    def test_a_wrong_announcement_is_patched(self, file: BinaryIO) -> None:
        with AudioWriter(file, ".wav", 16_000, 1, num_samples=7) as writer:
            writer.write(np.float32([[0, 0.25, 0.5]]))
        assert contents(file) == wav_bytes(np.array([0, 8192, 16384]), 16_000, 1)

    def test_only_wav_goes_into_a_pipe(self, pipe: tuple[io.FileIO, io.FileIO]) -> None:
        with pytest.raises(UnsupportedError, match=r"only be written to a file on disk; write \.wav"):
            AudioWriter(pipe[1], ".flac", 16_000, 1)  # type: ignore[arg-type]

    def test_a_wav_of_4_gib_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UnsupportedError, match=r"4 GiB.*\.flac"):
            AudioWriter(io.BytesIO(), ".wav", 16_000, 1, num_samples=2**31)
        monkeypatch.setattr(_Wav, "_LARGEST", 10)
        writer = AudioWriter(io.BytesIO(), ".wav", 16_000, 1)
        writer.write(np.zeros((1, 5), np.float32))
        with pytest.raises(UnsupportedError, match="4 GiB"):
            writer.write(np.zeros((1, 1), np.float32))

    def test_what_cannot_be_written_is_named(self, file: BinaryIO) -> None:
        with pytest.raises(UnsupportedError, match=r"\.wav, \.flac, .*got '\.txt'"):
            AudioWriter(io.BytesIO(), ".txt", 16_000, 1)
        with pytest.raises(UnsupportedError, match=r"\.opus cannot hold 1 channels at 44100 Hz"):
            AudioWriter(file, ".opus", 44_100, 1)
        with pytest.raises(InputError, match=r"\(1, samples\), got \(2, 9\)"):
            AudioWriter(io.BytesIO(), ".wav", 16_000, 1).write(noise(2, 9))

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a Linux device that is always full")
    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
    def test_a_full_disk_is_an_error(self, suffix: str) -> None:
        with open("/dev/full", "wb", buffering=0) as file, pytest.raises(ResourceError) as caught:  # noqa: SIM117
            with AudioWriter(file, suffix, 16_000, 1) as writer:  # type: ignore[arg-type]
                writer.write(noise(1, 100_000))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ENOSPC

    @pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of a file")
    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3"])
    def test_a_disk_that_gets_full_at_the_end_is_an_error(self, file: BinaryIO, suffix: str) -> None:
        import resource

        def write() -> None:
            file.seek(0)
            file.truncate()
            with AudioWriter(file, suffix, 16_000, 1) as writer:
                writer.write(noise(1, 20_000))
            file.flush()

        write()
        whole = len(contents(file))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            for missing in (1, 100, 1_000):
                resource.setrlimit(resource.RLIMIT_FSIZE, (whole - missing, before[1]))
                with pytest.raises((ResourceError, OSError)):  # what Python buffers fails when it is flushed
                    write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        write()
        assert len(contents(file)) == whole

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
    def test_nothing_stays_open(self, file: BinaryIO) -> None:
        before = open_descriptors()
        with AudioWriter(file, ".flac", 16_000, 1) as writer:
            writer.write(noise(1, 9))
        with pytest.raises(KeyError), AudioWriter(file, ".flac", 16_000, 1) as writer:  # noqa: PT012
            writer.write(noise(1, 9))
            raise KeyError
        with pytest.raises(UnsupportedError):
            AudioWriter(file, ".opus", 44_100, 1)
        assert open_descriptors() == before
        assert not file.closed
