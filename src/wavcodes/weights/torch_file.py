"""PyTorch checkpoints (`.pth`, `.th`, `.bin`) without PyTorch: their tensors, and nothing that could run.

Both layouts of `torch.save` are read: the archive that it writes since version 1.6, with a pickle and one member for
each storage, and the older sequence of five pickles and the storages.
"""

import math
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, LimitError, ModelError, ResourceError, TruncatedError
from ..unpickle import Items, Table, kind_of
from .archive import stored_members
from .pickled import Pickle, Storage, Tensor, unpickle
from .tensors import Tensors, widened

_DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "BFloat16": "<u2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "|i1",
    "Byte": "|u1",
    "Bool": "|u1",
}

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_VERSIONS = range(1, 11)  # those that PyTorch's own reader takes

# The keys under which training code puts a state dict into a checkpoint.
_WRAPPERS = ("state_dict", "best_state", "model")

_VALUES = 1 << 20  # that the tensors of any file may have together


def read_torch(path: str | os.PathLike[str]) -> Tensors:
    """All tensors of a PyTorch checkpoint, which is memory-mapped; float16 and bfloat16 come as float32, exactly.

    The tensors are those of the state dict that the file is, or that it holds as `state_dict`, `best_state` or
    `model`; what lies beside it is ignored. They are read-only, and several may share memory.

    Raises:
        FormatError: The file is no PyTorch checkpoint, is damaged, or holds something other than tensors and plain
            values, such as the name of a function.
        LimitError: It claims more than checkpoints of codecs do, or more values than it has bytes.
        ModelError: It only names another repository.
        ResourceError: It cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
    except OSError as error:
        raise ResourceError(f"cannot read the weights {path}: {error.strerror or error}") from error
    try:
        checkpoint, storages = _contents(data)
        state = _state_dict(checkpoint)
        return {**_tensors(state, storages, max(_VALUES, len(data)))}
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (FormatError, LimitError) as error:
        remedy = "fetch the file again, or save its state dict alone with torch.save"
        raise type(error)(f"{path}: {error}; {remedy}") from error


def read_saved(data: memoryview) -> tuple[object, Callable[[Mapping[str, Tensor]], dict[str, NDArray[Any]]]]:
    """What `torch.save` wrote, whatever it is: the value with its tensors (`Tensor`), and what gives their numbers.

    Raises:
        FormatError: It is nothing that `torch.save` wrote, is damaged, or holds something other than tensors and plain
            values.
        LimitError: It claims more than checkpoints of codecs do.
    """
    value, storages = _contents(data)
    return value, lambda tensors: _tensors(tensors, storages, max(_VALUES, len(data)))


def _contents(data: memoryview) -> tuple[object, dict[str, memoryview]]:
    return _archive(data) if bytes(data[:4]) == b"PK\x03\x04" else _sequence(data)


def _archive(data: memoryview) -> tuple[object, dict[str, memoryview]]:
    members = stored_members(data)
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise FormatError(f"expected one data.pkl in the archive of a PyTorch checkpoint, got {len(roots)}")
    (root,) = roots
    version = bytes(members.get(f"{root}/version", b"")[:8]).strip()
    if version not in {b"%d" % number for number in _VERSIONS}:
        raise FormatError(f"expected the archive of a PyTorch checkpoint of version 1 to 10, got version {version!r}")
    order = bytes(members.get(f"{root}/byteorder", b"little")[:8])  # PyTorch before 2.1 does not say
    if order != b"little":
        raise FormatError(f"expected little-endian numbers, got {order!r}")
    content = members[f"{root}/data.pkl"]
    pickle = unpickle(content)
    if pickle.end != len(content):
        raise FormatError(f"expected nothing behind the pickle, got {len(content) - pickle.end:,} bytes")
    storages = {}
    for key, storage in pickle.storages.items():
        member = members.get(f"{root}/data/{key}", memoryview(b""))
        if len(member) != _num_bytes(storage):
            raise FormatError(f"expected {_num_bytes(storage):,} bytes in data/{key}, got {len(member):,}")
        storages[key] = member
    return pickle.value, storages


def _sequence(data: memoryview) -> tuple[object, dict[str, memoryview]]:
    magic = unpickle(data)
    if isinstance(magic.value, Table) and not magic.storages:
        return magic.value, {}
    if magic.value != _MAGIC:
        raise FormatError("expected a checkpoint of torch.save, got another pickle")
    protocol = unpickle(data, magic.end)
    system = unpickle(data, protocol.end)
    if protocol.value != _PROTOCOL or not isinstance(system.value, Table):
        raise FormatError(f"expected a PyTorch checkpoint of protocol {_PROTOCOL}, got another")
    if system.value.get("little_endian") is not True:
        raise FormatError("expected little-endian numbers, got others")
    pickle = unpickle(data, system.end)
    keys = unpickle(data, pickle.end)
    return pickle.value, _in_sequence(data, pickle, keys)


def _in_sequence(data: memoryview, pickle: Pickle, keys: Pickle) -> dict[str, memoryview]:
    """Storages one after the other, each behind the number of its values."""
    order = [key for key in keys.value if isinstance(key, str)] if isinstance(keys.value, Items) else []
    if sorted(order) != sorted(pickle.storages):
        raise FormatError("expected each storage once behind the tensors, got another list of them")
    storages, position = {}, keys.end
    for key in order:
        storage = pickle.storages[key]
        begin = position + 8
        position = begin + _num_bytes(storage)
        if position > len(data):
            raise TruncatedError(f"expected {position:,} bytes and more, got {len(data):,}")
        count = int.from_bytes(data[begin - 8 : begin], "little")
        if count != storage.num_values:
            raise FormatError(f"expected {storage.num_values:,} values in storage {key}, got {count:,}")
        storages[key] = data[begin:position]
    if position != len(data):
        raise FormatError(f"expected nothing behind the storages, got {len(data) - position:,} bytes")
    return storages


def _num_bytes(storage: Storage) -> int:
    return storage.num_values * np.dtype(_DTYPES[storage.kind]).itemsize


def _state_dict(checkpoint: object) -> dict[str, Tensor]:
    if not isinstance(checkpoint, Table):
        raise FormatError(f"expected tensors by name, got {kind_of(checkpoint)}")
    repository = checkpoint.get("pretrained")
    if isinstance(repository, str):
        raise ModelError(
            f"expected weights, got a file that only names another repository, {repository[:100]!r}; "
            "pass that one as weights"
        )
    inner = [value for key in _WRAPPERS if isinstance(value := checkpoint.get(key), Table)]
    state = {}
    for name, value in (inner[0] if inner else checkpoint).items():
        if not isinstance(value, Tensor):
            raise FormatError(f"expected nothing but tensors by name, got {kind_of(value)} as {name[:100]!r}")
        state[name] = value
    return state


def _tensors(state: Mapping[str, Tensor], storages: Mapping[str, memoryview], limit: int) -> dict[str, NDArray[Any]]:
    claimed = 0
    for name, tensor in state.items():
        end = tensor.offset
        if 0 not in tensor.shape:
            end += 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.steps, strict=True))
        if end > tensor.storage.num_values:
            raise FormatError(
                f"expected {name[:100]!r} within its storage of {tensor.storage.num_values:,} values, "
                f"got one that ends at {end:,}"
            )
        claimed += math.prod(max(size, 1) for size in tensor.shape)
        if claimed > limit:
            raise LimitError(f"expected tensors of at most {limit:,} values in a file of this length, got more")
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in state.items()}


def _array(tensor: Tensor, content: memoryview) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[tensor.storage.kind])
    # Only steps that are taken count, and others may be too large for numpy.
    taken = 0 not in tensor.shape
    strides = [
        dtype.itemsize * step if taken and size > 1 else 0
        for size, step in zip(tensor.shape, tensor.steps, strict=True)
    ]
    values: NDArray[Any] = np.ndarray(tensor.shape, dtype, content, dtype.itemsize * tensor.offset, strides)
    match tensor.storage.kind:
        case "Half":
            return values.astype(np.float32)
        case "BFloat16":
            return widened(values)
        case "Bool":
            return np.asarray(values != 0)
    return np.require(values, requirements="A")
