"""Safetensors files as numpy has them."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, ResourceError
from .tensors import Tensors, widened

_NUMPY_TYPES = frozenset({"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"})


def read_safetensors(path: str | os.PathLike[str]) -> Tensors:
    """All tensors of a safetensors file; float16 and bfloat16 come as float32, which holds them exactly.

    Raises:
        FormatError: The file is not safetensors, is damaged, or holds a type that numpy lacks.
        ResourceError: The file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with path.open("rb"):  # a message of the system, where safe_open would have one of its own
            pass
        with safe_open(path, framework="numpy") as opened:
            return {name: _tensor(path, opened, name) for name in opened.keys()}  # noqa: SIM118 (it is no mapping)
    except SafetensorError as error:
        raise FormatError(f"{path}: expected an intact safetensors file, got: {error}; fetch it again") from error
    except OSError as error:
        raise ResourceError(f"cannot read the weights {path}: {error.strerror or error}") from error


def _tensor(path: Path, opened: Any, name: str) -> NDArray[Any]:
    stored = opened.get_slice(name).get_dtype()
    if stored == "BF16":
        return widened(_bits(path, name))
    if stored not in _NUMPY_TYPES:
        raise FormatError(f"{path}: tensor {name} is of type {stored}; expected float32 or float16, convert the file")
    array: NDArray[Any] = opened.get_tensor(name)
    return array.astype(np.float32) if stored == "F16" else array


def _bits(path: Path, name: str) -> NDArray[np.uint16]:
    """A tensor of a type that the library does not give to numpy; it has checked the positions in the header."""
    import json

    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(length))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + length + begin)
        bits: NDArray[np.uint16] = np.frombuffer(file.read(end - begin), "<u2").reshape(entry["shape"])
        return bits
