"""Sound for training: decoded once into one file of 16-bit samples, in which a clip is found in no time."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import SOUND_SUFFIXES, AudioReader, StreamResampler, to_channels, to_int16
from ..errors import CodecError, InputError
from ..files import atomic_output, make_folder, write_all
from ..programs import MissingProgram

_SAMPLES, _INDEX = "samples.i16", "index.json"
_HELD_OUT = 50  # one part in so many is never trained on
# Of a longer recording, and of the only one, that part is its end; of shorter ones, every so-manieth or the last.
_DIVISIBLE_SECONDS = 100.0


class Recording(NamedTuple):
    """One decoded file, and where its samples are."""

    name: str
    start: int
    length: int


class Corpus:
    """Prepared sound, mapped from disk.

    Attributes:
        sample_rate: Hz.
        channels: Channels.
        training, held_out: Stretches of sound to train on, and to score with.
    """

    def __init__(self, folder: Path) -> None:
        """Opens what `prepare` made.

        Raises:
            InputError: It made no such folder, or was interrupted, or its files are damaged.
        """
        advice = f"run wavcodes-train prepare AUDIO -o {folder}"
        try:
            facts = json.loads((folder / _INDEX).read_bytes())
            samples = np.memmap(folder / _SAMPLES, np.dtype("<i2"), "r")
            self.sample_rate, self.channels = int(facts["sample_rate"]), int(facts["channels"])
            self._rows = samples.reshape(-1, self.channels)
            recordings = [Recording(str(name), int(start), int(length)) for name, start, length in facts["recordings"]]
        except OSError as error:
            raise InputError(f"{folder} holds no prepared sound: {error.strerror}; {advice}") from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{folder} holds prepared sound that is damaged ({error}); {advice}") from error
        inside = [0 <= each.start < each.start + each.length <= len(self._rows) for each in recordings]
        if not recordings or not all(inside):
            raise InputError(f"{folder} holds other sound than its {_INDEX} says; {advice}")
        self.training, self.held_out = _divided(recordings, self.sample_rate)

    @property
    def seconds(self) -> float:
        """Duration of what is trained on."""
        return sum(each.length for each in self.training) / self.sample_rate

    def rows(self, recording: Recording, start: int, count: int) -> NDArray[np.float32]:
        """Samples from `start` of a recording, float32 `(count, channels)`; zeros behind its end."""
        rows = np.zeros((count, self.channels), np.float32)
        found = self._rows[recording.start + start : recording.start + min(start + count, recording.length)]
        rows[: len(found)] = found / np.float32(32768)
        return rows


def _divided(recordings: Sequence[Recording], sample_rate: int) -> tuple[list[Recording], list[Recording]]:
    """What to train on, and what to score with."""
    training: list[Recording] = []
    held_out: list[Recording] = []
    for number, recording in enumerate(recordings):
        if recording.length > _DIVISIBLE_SECONDS * sample_rate or len(recordings) == 1:
            cut = recording.length - max(1, recording.length // _HELD_OUT)
            training.append(recording._replace(length=cut))
            held_out.append(Recording(recording.name, recording.start + cut, recording.length - cut))
        else:
            (training if (number + 1) % _HELD_OUT else held_out).append(recording)
    if not held_out:
        held_out.append(training.pop())
    if not sum(each.length for each in training):
        raise InputError("expected more sound than a single sample, which is too little to train on; prepare more")
    return training, held_out


def prepare(
    sources: Sequence[Path],
    folder: Path,
    sample_rate: int,
    channels: int,
    tell: Callable[[str], None] = lambda text: None,
) -> Corpus:
    """Decodes all sound of `sources` at one rate into `folder`, which must not hold any.

    Args:
        sources: Sound files; folders, with all that is in them; tar archives; Parquet files whose column `audio` holds
            encoded files, as `bytes` or as records with such a field (the layout of Hugging Face's datasets).
        folder: Where to.
        sample_rate, channels: As the codec takes them; other sound is converted.
        tell: Is told of each file or archive that cannot be read and is left out.

    Raises:
        InputError: A source is not there, none holds sound or too little to train on, or the folder holds some.
        ResourceError: The disk is full, or the folder cannot be made.
    """
    for path in sources:
        if not path.exists():
            raise InputError(f"cannot read {path}: no such file or folder; check the path")
    make_folder(folder)
    if (folder / _INDEX).exists():
        raise InputError(f"{folder} holds prepared sound already; name another folder, or remove it first")
    recordings: list[Recording] = []
    position = 0
    with atomic_output(folder / _SAMPLES) as out:
        for name, source in _files(sources, tell):
            length = 0
            try:
                for block in _decoded(source, name, sample_rate, channels):
                    rows = to_int16(block.T)
                    write_all(out, rows.tobytes())
                    length += len(rows)
            except CodecError as error:
                tell(f"left out, from {length / sample_rate:.1f} s: {error}")
            if length:
                recordings.append(Recording(name, position, length))
            position += length
        if not recordings:
            raise InputError(f"found no sound in {', '.join(map(str, sources))}")
        _divided(recordings, sample_rate)  # raises where it is too little, before anything is there
    facts = {"sample_rate": sample_rate, "channels": channels, "recordings": recordings}
    with atomic_output(folder / _INDEX) as out:
        write_all(out, json.dumps(facts).encode())
    return Corpus(folder)


def _files(sources: Sequence[Path], tell: Callable[[str], None]) -> Iterator[tuple[str, Path | BinaryIO]]:
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in source.rglob("*") if path.is_file())
            for path in inside:
                if path.suffix.lower() in SOUND_SUFFIXES:
                    yield path.relative_to(source).as_posix(), path
                elif path.suffix.lower() in _SHARDS:
                    yield from _shard(path, tell)
        elif source.suffix.lower() in _SHARDS:
            yield from _shard(source, tell)
        else:
            yield source.name, source


def _shard(path: Path, tell: Callable[[str], None]) -> Iterator[tuple[str, BinaryIO]]:
    try:
        yield from _SHARDS[path.suffix.lower()](path)
    except InputError as error:
        tell(f"left out, from there on: {error}")


def _tar(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    try:
        with tarfile.open(path, "r|*") as archive:  # forwards only: nothing is written anywhere
            for member in archive:
                if member.isfile() and Path(member.name).suffix.lower() in SOUND_SUFFIXES:
                    file = archive.extractfile(member)
                    yield member.name, io.BytesIO(file.read() if file else b"")
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"{path} is not a whole tar archive: {error}") from error


def _parquet(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    try:
        import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingProgram(f"{path} needs PyArrow; install it: pip install pyarrow") from error
    try:
        table = pyarrow.parquet.ParquetFile(path)
        if "audio" not in table.schema_arrow.names:
            raise InputError(f"{path} has no column `audio`; it has {', '.join(table.schema_arrow.names)}")
        number = missing = 0
        for batch in table.iter_batches(16, columns=["audio"]):
            for cell in batch.column("audio").to_pylist():
                content = cell.get("bytes") if isinstance(cell, dict) else cell
                name = (isinstance(cell, dict) and cell.get("path")) or f"{path.stem}/{number}"
                number += 1
                if isinstance(content, bytes):
                    yield str(name), io.BytesIO(content)
                else:
                    missing += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a whole Parquet file: {error}") from error
    if missing:
        raise InputError(f"{path}: {missing} of {number} cells of the column `audio` hold no file")


_SHARDS: dict[str, Callable[[Path], Iterator[tuple[str, BinaryIO]]]] = {".tar": _tar, ".parquet": _parquet}


def _decoded(source: Path | BinaryIO, name: str, rate: int, channels: int) -> Iterator[NDArray[np.float32]]:
    with AudioReader(source, name) as reader:
        resampler = StreamResampler(reader.sample_rate, rate, channels)
        for block in reader.blocks():
            yield resampler.push(to_channels(block, channels))
        yield resampler.flush()
