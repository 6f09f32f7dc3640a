"""The layout of `.dac` files, as descript-audio-codec 1.0.0 saves and loads them.

Descript's loader looks at two entries of a dictionary, `codes` and `metadata`, and takes no others inside the latter.
Files written here have a third, `wavcodes`, with what the others leave out: the codec, the true length and a checksum.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..crc32c import crc32c
from ..errors import FormatError, InputError, IntegrityError, UnsupportedError
from ..framing import Framing
from ..unpickle import Table, kind_of
from .dac_file import DacFile
from .dac_pickle import MOST_BYTES, Array, Value, dump, load

_VERSION = "1.0.0"  # the only one that Descript's loader takes
_METADATA = {"input_db", "original_length", "sample_rate", "chunk_length", "channels", "padding", "dac_version"}
_UNMEASURED = -16.0  # LUFS to which Descript brings a clip before coding it
_SHORT = {320: 8}  # samples that Descript's decoder lacks at the end, by hop: its strides of 5 lose a row
_RECORD = "wavcodes"
_RECORDED = {"codec", "sample_rate", "hop_length", "codebook_size", "num_samples", "measured", "weights", "crc32c"}


def to_bytes(file: DacFile) -> bytes:
    """The file, the same bytes for the same content.

    Raises:
        UnsupportedError: It would be larger than the reader takes.
    """
    if file.codes.nbytes > MOST_BYTES - (1 << 16):
        raise UnsupportedError(f"a .dac file holds at most {MOST_BYTES:,} bytes; write a .nac file")
    length, framing = file.num_samples, file.framing
    if framing is not None:  # Descript's reader fails on files whose sound is shorter than they say
        sound = file.codes.shape[2] * framing.hop_length - _SHORT.get(framing.hop_length, 0)
        length = max(1, min(length, sound * file.sample_rate // framing.sample_rate))
    metadata: dict[str, Value] = {
        "input_db": np.array([_UNMEASURED if file.loudness is None else file.loudness], np.float32),
        "original_length": length,
        "sample_rate": file.sample_rate,
        "chunk_length": file.window_frames,
        "channels": file.channels,
        "padding": file.padded,
        "dac_version": _VERSION,
    }
    table: dict[str, Value] = {"codes": file.codes, "metadata": metadata}
    if framing is not None:
        record: dict[str, Value] = {
            "codec": framing.codec,
            "sample_rate": framing.sample_rate,
            "hop_length": framing.hop_length,
            "codebook_size": framing.codebook_size,
            "num_samples": file.num_samples,
            "measured": file.loudness is not None,
            "weights": (file.weights_digest or b"").hex(),
        }
        table[_RECORD] = record | {"crc32c": _checksum(file.codes, metadata, record)}
    return dump(table)


def from_bytes(data: bytes) -> DacFile:
    """What the bytes of a file say; the pickle in them is read as data, and nothing of it is run.

    Raises:
        FormatError: They are no such file, or damaged (`IntegrityError`, `TruncatedError`).
        LimitError: They claim more than such files have.
        UnsupportedError: They are of another version, or hold several clips.
    """
    table = load(data)
    codes, metadata = table.get("codes"), table.get("metadata")
    numbers = codes.numbers if isinstance(codes, Array) else None
    if numbers is None or numbers.dtype.kind not in "iu" or not isinstance(metadata, Table):
        raise FormatError("expected an array of integers as codes, and a dictionary as metadata, got other values")
    if metadata.get("dac_version") != _VERSION:
        raise UnsupportedError(f"expected version {_VERSION!r} of .dac, got {metadata.get('dac_version')!r:.40}")
    if numbers.ndim != 3 or numbers.min() < 0 or numbers.max() > 0xFFFF:
        raise FormatError(f"expected codes of 16 bits, of three dimensions, got {numbers.ndim} or larger codes")
    channels = _integer(metadata, "channels")
    if channels != len(numbers):
        raise UnsupportedError(
            f"expected one clip, got codes of {len(numbers)} channels in clips of {channels}; save the clips apart"
        )
    try:
        file = DacFile(
            numbers.astype(np.uint16),
            _integer(metadata, "original_length"),
            _integer(metadata, "sample_rate"),
            _loudness(metadata.get("input_db")),
            _integer(metadata, "chunk_length"),
            _truth(metadata, "padding"),
        )
        return _with_record(file, table, metadata)
    except InputError as error:
        raise FormatError(f"the .dac file is not valid: {error}") from error


def _with_record(file: DacFile, table: Table, metadata: Table) -> DacFile:
    """What the package's own record says besides; it is verified."""
    if not set(table) <= {"codes", "metadata", _RECORD} or set(metadata) != _METADATA:
        raise FormatError(f"expected what Descript's package saves, got {', '.join([*table, *metadata])[:200]!r}")
    record = table.get(_RECORD)
    if record is None:
        return file
    if not isinstance(record, Table) or set(record) != _RECORDED:
        raise FormatError(f"expected {', '.join(sorted(_RECORDED))} beside the codes, got {kind_of(record)}")
    stored = record.pop("crc32c")
    if stored != (computed := _checksum(file.codes, metadata, record)):
        raise IntegrityError(
            f"the file has the checksum {computed:08x}, but {stored!r:.20} is stored; fetch or copy it again"
        )
    codec, weights = record["codec"], record["weights"]
    if not (isinstance(codec, str) and isinstance(weights, str) and re.fullmatch("([0-9a-f]{64})?", weights)):
        raise FormatError("expected texts as codec and weights, got other values")
    framing = Framing(
        codec=codec,
        sample_rate=_integer(record, "sample_rate"),
        channels=1,
        hop_length=_integer(record, "hop_length"),
        codebook_size=_integer(record, "codebook_size"),
        strides=(1,) * file.codes.shape[1],
    )
    return replace(
        file,
        num_samples=_integer(record, "num_samples"),
        loudness=file.loudness if _truth(record, "measured") else None,
        framing=framing,
        weights_digest=bytes.fromhex(weights) or None,
    )


def _checksum(codes: NDArray[np.uint16], metadata: Mapping[str, object], record: Mapping[str, object]) -> int:
    """CRC-32C of the codes, little-endian, and of all facts as JSON."""
    facts = json.dumps([_plain(metadata), _plain(record)], sort_keys=True)
    return crc32c(codes.astype("<u2").tobytes() + facts.encode())


def _plain(table: Mapping[str, object]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for key, value in table.items():
        numbers = value.numbers if isinstance(value, Array) else value
        plain[key] = numbers.item() if isinstance(numbers, np.ndarray) and numbers.size == 1 else value
        if not isinstance(plain[key], str | int | float):
            raise FormatError(f"expected plain values as metadata, got {kind_of(value)} as {key}")
    return plain


def _integer(table: Table, key: str) -> int:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"expected an integer as {key}, got {kind_of(value)}")
    return value


def _truth(table: Table, key: str) -> bool:
    value = table.get(key)
    if not isinstance(value, bool):
        raise FormatError(f"expected True or False as {key}, got {kind_of(value)}")
    return value


def _loudness(value: object) -> float:
    numbers = value.numbers if isinstance(value, Array) else value
    if isinstance(numbers, np.ndarray) and numbers.dtype.kind == "f" and numbers.size == 1:
        return float(numbers.item())
    if isinstance(numbers, float):
        return numbers
    raise FormatError(f"expected one number as input_db, got {kind_of(value)}")
