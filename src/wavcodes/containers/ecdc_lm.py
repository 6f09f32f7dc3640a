"""Segments of Meta's `.ecdc` files whose header says `lm`: codes coded with the probabilities of a language model.

The file holds no probabilities. A reader computes them anew, and gets the codes only if each comes out with the bits
that it had for the writer. docs/format-ecdc-lm.md says when that is so and what tells that it was not.
"""

from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError, FormatError, InputError, TruncatedError
from ..files import read_up_to
from .arithmetic import Decoder, Encoder, edges

_ADVICE = (
    "the file is cut or damaged, or the language model does not compute what it did for the writer: read the file on "
    "the same kind of processor, with the same weights, version of PyTorch and number of threads"
)

# Of one segment: takes the codes of the frame before, (K,), or None in the first frame, and gives float32
# probabilities (K, codebook_size) of the codes of the next.
Predict = Callable[[NDArray[np.int64] | None], NDArray[np.float32]]


class LanguageModel(Protocol):
    """Predicts codes."""

    def start(self, num_codebooks: int) -> Predict:
        """Begins a segment of that many codebooks."""


def read_segment(
    file: BinaryIO, num_codebooks: int, num_frames: int, model: LanguageModel, what: str = "the segment"
) -> NDArray[np.uint32]:
    """Codes `(num_codebooks, num_frames)` of the segment at which `file` stands; then it stands right behind that.

    Memory grows with the codes that come, not with `num_frames`.

    Args:
        file: Open for reading; it may be a pipe.
        num_codebooks: K, as the header states it.
        num_frames: T, as it follows from the length that the header states.
        model: The language model that the file was written with.
        what: What messages call the segment.

    Raises:
        TruncatedError: The file ends inside the segment.
        IntegrityError: The bytes are not those of any codes under these probabilities. In both cases the file may be
            intact and the probabilities other ones.
        EngineError: The language model gives no probabilities.
    """

    def next_byte() -> int:
        byte = read_up_to(file, 1)
        if not byte:
            raise TruncatedError("the file ends")
        return byte[0]

    decoder = Decoder(next_byte)
    predict = model.start(num_codebooks)
    before: NDArray[np.int64] | None = None
    read, num_read = bytearray(), 0
    try:
        for _ in range(num_frames):
            before = np.array([decoder.pull(row) for row in _rows(predict(before), num_codebooks)], np.int64)
            read += before.astype(np.uint32).tobytes()
            num_read += 1
        decoder.finish()
    except FormatError as error:
        at = f"frame {num_read} of {num_frames}" if num_read < num_frames else "its end"
        raise type(error)(f"{what} cannot be decoded at {at}: {error}; {_ADVICE}") from error
    codes: NDArray[np.uint32] = np.frombuffer(read, np.uint32).reshape(num_frames, num_codebooks).T
    return codes


def segment_bytes(codes: NDArray[Any], model: LanguageModel) -> bytes:
    """One segment as Meta's writer writes it: the inverse of `read_segment`.

    Args:
        codes: Integers `(K, T)`.
        model: The language model; a reader needs the same.

    Raises:
        InputError: A code is not among those that the language model knows.
        UnsupportedError: Arithmetic coding cannot hold these codes; see `Encoder.push`.
        EngineError: The language model gives no probabilities.
    """
    encoder = Encoder()
    predict = model.start(len(codes))
    before: NDArray[np.int64] | None = None
    for frame in np.asarray(codes, np.int64).T:
        rows = _rows(predict(before), len(codes))
        if frame.min() < 0 or frame.max() >= rows.shape[1]:
            raise InputError(f"expected codes in 0 ..< {rows.shape[1]}, got {frame.min()} to {frame.max()}")
        for code, row in zip(frame.tolist(), rows, strict=True):
            encoder.push(code, row)
        before = frame
    return encoder.finish()


def _rows(probabilities: NDArray[np.float32], num_codebooks: int) -> NDArray[np.int64]:
    if probabilities.ndim != 2 or len(probabilities) != num_codebooks or probabilities.dtype != np.float32:
        raise EngineError(
            f"expected float32 probabilities for {num_codebooks} codebooks from the language model, "
            f"got {probabilities.dtype} of shape {probabilities.shape}"
        )
    return edges(probabilities)
