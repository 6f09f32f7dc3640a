"""Safetensors files as numpy has them."""

import math
import mmap
import os
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, ResourceError
from .tensors import Deferred, Tensors, widened

_NUMPY_TYPES = {
    **{f"{letter}{8 * size}": f"<{letter.lower()}{size}" for letter in "FIU" for size in (2, 4, 8)},
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
    "BF16": "<u2",
}


def read_safetensors(path: str | os.PathLike[str]) -> Tensors:
    """All tensors of a safetensors file, each mapped while it is used; float16 and bfloat16 come as float32, exactly.

    Raises:
        FormatError: The file is not safetensors, is damaged, or holds a type that numpy lacks.
        ResourceError: The file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with path.open("rb") as file, safe_open(path, framework="numpy") as opened:
            # The library has checked all positions; it would map the whole file, all of which then counts.
            import json

            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            return {name: _tensor(path, name, header[name], 8 + length) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FormatError(f"{path}: expected an intact safetensors file, got: {error}; fetch it again") from error
    except OSError as error:
        raise ResourceError(f"cannot read the weights {path}: {error.strerror or error}") from error


def _tensor(path: Path, name: str, entry: dict[str, Any], data: int) -> Deferred:
    stored = entry["dtype"]
    if stored not in _NUMPY_TYPES:
        raise FormatError(f"{path}: tensor {name} is of type {stored}; expected float32 or float16, convert the file")
    try:
        np.broadcast_to(np.float64(0), entry["shape"])  # a library in another language may have other limits
    except ValueError as error:
        raise FormatError(
            f"{path}: expected tensor {name} in a shape that numpy takes, got another: {error}"
        ) from error
    widens = stored in ("F16", "BF16")
    dtype = np.dtype(np.float32 if widens else _NUMPY_TYPES[stored])
    read = partial(_read, path, _NUMPY_TYPES[stored], tuple(entry["shape"]), data + entry["data_offsets"][0])
    return Deferred(entry["shape"], dtype, (lambda: _wide(read())) if widens else read)


def _wide(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32) if values.dtype == np.float16 else widened(values)


def _read(path: Path, dtype: str, shape: tuple[int, ...], position: int) -> NDArray[Any]:
    count = math.prod(shape)
    if count == 0:  # nothing to map
        return np.empty(shape, dtype)
    before = position % mmap.ALLOCATIONGRANULARITY
    length = before + count * np.dtype(dtype).itemsize
    try:
        with path.open("rb", buffering=0) as file:
            mapped = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=position - before)
    except OSError as error:
        raise ResourceError(f"cannot read the weights {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FormatError(f"{path}: expected the file to stay as it is while it is read; it got shorter") from error
    values: NDArray[Any] = np.frombuffer(mapped, dtype, count, before).reshape(shape)
    return np.require(values, requirements="A")
