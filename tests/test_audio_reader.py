"""Sound from files and pipes, against soundfile and bytes laid out by hand."""

import io
import os
import struct
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_case import noise, open_descriptors, wav_bytes

from wavcodes.audio import BLOCK_SAMPLES, AudioReader
from wavcodes.errors import CodecError, FormatError, InputError, ResourceError, TruncatedError
from wavcodes.files import atomic_output


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
