"""Sound into files and pipes, against soundfile and bytes laid out by hand."""

import errno
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
from audio_case import noise, open_descriptors, wav_bytes

from wavcodes.audio import AudioReader, AudioWriter
from wavcodes.audio.writer import _Wav
from wavcodes.errors import InputError, ResourceError, UnsupportedError


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    with open(tmp_path / "file", "w+b") as opened:
        yield opened


def contents(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


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
