"""`.snac` files from before the format had a layout of its own: a dictionary that `torch.save` or `pickle` wrote.

Both are read as data: nothing is imported, and nothing that they name is called. Neither tells the true length, so a
clip comes back as long as its frames. They are only read.
"""

from __future__ import annotations

import math
import zlib
from abc import abstractmethod
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..codes import Codes
from ..errors import FormatError, InputError, TruncatedError, UnsupportedError
from ..files import read_up_to
from ..unpickle import Items, Table, kind_of
from .base import NO_HINTS, Format, Header, Hints
from .dac_pickle import Array, Arrays
from .limits import Limits
from .snac import framing_of, num_frames_of
from .whole import WholeReader

_ADVICE = "the file is damaged, or no file of codes: get the original"

_ARCHIVE = b"PK\x03\x04"
_SEQUENCE = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # the magic number of torch.save, pickled
_ZLIB = b"\x78\x9c"
_PICKLE = b"\x80"


class _LegacyReader(WholeReader):
    """Reads the whole file when it is opened, since anything may stand anywhere in a pickle; see `Reader`.

    Args:
        file: Open for reading.
        hints: With a framing where the file states neither a published model nor its rate.

    Raises:
        FormatError: It is no such file, is damaged, or holds anything but levels of codes.
        InputError: Which model it is of is neither stated nor said, or not as it is said.
        LimitError: It claims more memory than such files take.
        UnsupportedError: It holds several clips.
    """

    def __init__(self, file: BinaryIO, hints: Hints = NO_HINTS) -> None:
        data = read_up_to(file, hints.limits.max_bytes + 1)
        hints.limits.check_bytes(len(data))
        super().__init__(file)
        levels, model, sample_rate = self._contents(data, hints.limits)
        framing = framing_of(model, sample_rate, len(levels), hints)
        num_frames = num_frames_of(framing, [level.size for level in levels])
        hints.limits.check_samples(framing.longest(num_frames))
        try:
            self._codes = Codes(framing, tuple(levels), framing.longest(num_frames))
        except InputError as error:
            raise FormatError(f"the codes are not valid: {error}; {_ADVICE}") from error
        self.header = Header(framing, self._codes.num_samples)

    @abstractmethod
    def _contents(self, data: bytes, limits: Limits) -> tuple[list[NDArray[Any]], str | None, int | None]:
        """Levels, hub repository of the model, rate."""

    def _load(self) -> Codes:
        return self._codes


class TorchReader(_LegacyReader):
    """A dictionary with `codes`, `model` and `sample_rate` that `torch.save` wrote, in either of its layouts."""

    def _contents(self, data: bytes, limits: Limits) -> tuple[list[NDArray[Any]], str | None, int | None]:
        from ..weights.pickled import Tensor  # here, because few need them and they take a while to import
        from ..weights.torch_file import read_saved

        self.checksums = "CRC-32" if data.startswith(_ARCHIVE) else ""
        value, arrays = read_saved(memoryview(data))
        table, codes = _table(value)
        tensors: dict[str, Tensor] = {}
        for k, tensor in enumerate(codes):
            if not isinstance(tensor, Tensor):
                raise FormatError(f"expected codes as a list of tensors, got {kind_of(tensor)} among them; {_ADVICE}")
            # A tensor may say one value over and over, and so be longer than any file.
            if math.prod(tensor.shape) > tensor.storage.num_values:
                raise FormatError(
                    f"expected a stored number for each code, got {tensor.storage.num_values:,} for more codes; "
                    f"{_ADVICE}"
                )
            tensors[str(k)] = tensor
        levels = [_level(array) for array in arrays(tensors).values()]
        return levels, _entry(table, "model", str), _entry(table, "sample_rate", int)


class ZlibReader(_LegacyReader):
    """A dictionary with `codes` and `sr` that `pickle` wrote and zlib compressed."""

    checksums = "Adler-32"

    def _contents(self, data: bytes, limits: Limits) -> tuple[list[NDArray[Any]], str | None, int | None]:
        most = limits.unpacked(len(data))
        stream = zlib.decompressobj()
        try:
            content = stream.decompress(data, most)
        except zlib.error as error:
            raise FormatError(f"expected data of zlib, got other bytes ({error}); {_ADVICE}") from error
        if not stream.eof:
            if len(content) == most:
                raise limits.expanded(len(data))
            raise TruncatedError("the file ends inside its compressed data; it was cut, fetch or copy it again")
        if stream.unused_data:
            raise FormatError("the file goes on behind its codes; cut off what follows, or get the original")
        machine = Arrays(memoryview(content), 0)
        table, codes = _table(machine.run())
        if machine.position != len(content):
            raise FormatError(f"expected nothing behind the pickle, got {len(content) - machine.position:,} bytes")
        levels = []
        for array in codes:
            if not isinstance(array, Array) or array.numbers is None:
                raise FormatError(f"expected codes as a list of arrays, got {kind_of(array)} among them; {_ADVICE}")
            levels.append(_level(array.numbers))
        return levels, None, _entry(table, "sr", int)


def _table(value: object) -> tuple[Table, Items]:
    codes = value.get("codes") if isinstance(value, Table) else None
    if not isinstance(value, Table) or not isinstance(codes, Items):
        raise FormatError(f"expected a dictionary with a list of codes, got {kind_of(value)} without; {_ADVICE}")
    return value, codes


def _level(array: NDArray[Any]) -> NDArray[Any]:
    """The codes `(T,)` of one level, of shape `(T,)` or `(1, T)`."""
    if array.ndim not in (1, 2) or array.dtype.kind not in "iu":
        raise FormatError(f"expected levels of integers, (1, T), got {array.dtype} of shape {array.shape}; {_ADVICE}")
    if array.ndim == 2 and array.shape[0] != 1:
        raise UnsupportedError(f"expected the levels of one clip, (1, T), got {array.shape}; save each clip apart")
    return np.asarray(array.reshape(-1))


def _entry(table: Table, key: str, kind: type) -> Any:
    value = table.get(key)
    if value is not None and type(value) is not kind:
        raise FormatError(f"expected {key} as {kind.__name__}, got {kind_of(value)}; {_ADVICE}")
    return value


def _is_saved(head: bytes) -> bool:
    return head.startswith((_ARCHIVE, _SEQUENCE))


def _is_compressed_pickle(head: bytes) -> bool:
    if not head.startswith(_ZLIB):
        return False
    try:
        return zlib.decompressobj().decompress(head, 1) in (b"", _PICKLE)  # tables may take all of the head
    except zlib.error:
        return False


TORCH = Format("snac-torch", ".snac", _is_saved, TorchReader, None)
ZLIB = Format("snac-zlib", ".snac", _is_compressed_pickle, ZlibReader, None)
