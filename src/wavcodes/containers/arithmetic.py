"""Meta's arithmetic coder, bit for bit: a sequence of symbols as one number inside nested ranges of integers.

Each symbol narrows the range in proportion to its probability. Bits that all numbers of the range have in common are
written, most significant first; bytes fill up from their least significant bit. Whenever the range is narrower than
2**24, it is widened by further bits. The end is the lowest number of the last range, in full. So a decoder that stands
at the end can tell whether what it read is exactly what an encoder with the same probabilities writes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError, IntegrityError, UnsupportedError

_PRECISION = 24  # bits: a range is at least 2**24 wide when a symbol narrows it
_MIN_WIDTH = 2  # of any symbol, in units of 2**-24 of the range
_ROUNDING = np.float32(1e-8)  # probabilities are rounded down to multiples of this

# A range around a number with many trailing zeros has no bits to write. Meta's encoder gives up beyond so many bits,
# and without a bound a forged file would make the numbers, and with them the time of each step, grow without end.
_MOST_BITS = 62

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def edges(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Upper edges of the symbols' shares of a range of 2**24, for `Encoder.push` and `Decoder.pull`.

    Args:
        probabilities: float32 `(..., symbols)`; along the last axis they sum to 1.

    Returns:
        Cumulated whole widths of the same shape, each at least 2.

    Raises:
        EngineError: Not all are between 0 and 1.
    """
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # NaN fails both
        raise EngineError("the language model gives values that are no probabilities; its weights hold no model")
    # What is left for the probabilities is rounded to float32 before it is multiplied, as PyTorch does with a number.
    alpha = _MIN_WIDTH * probabilities.shape[-1] / 2**_PRECISION
    rest = np.float32((1 - alpha) * 2**_PRECISION)
    rounded = np.floor(probabilities / _ROUNDING) * _ROUNDING
    return np.cumsum(np.floor(rest * rounded).astype(np.int64) + _MIN_WIDTH, axis=-1)


class _Range:
    """The numbers from `low` to `high`, both of `bits` bits: what is left after the leading bits that all shared."""

    def __init__(self) -> None:
        self.low = self.high = self.bits = 0

    def widen(self) -> int:
        """Appends bits, any to `low` and `high` alike, until the range is wide enough; how many those were."""
        count = max(0, _PRECISION + 1 - (self.high - self.low + 1).bit_length())
        self.low <<= count
        self.high = (self.high + 1 << count) - 1
        self.bits += count
        return count

    def share(self, symbol: int, edges: NDArray[np.int64]) -> tuple[int, int]:
        """The first and the last number of the symbol, counted from `low`.

        Upstream multiplies float64 numbers. Those products have at most 50 bits, so whole numbers give the same.
        """
        width = self.high - self.low + 1
        below = int(edges[symbol - 1]) if symbol else 0
        return -(-below * width >> _PRECISION), (int(edges[symbol]) - 1) * width >> _PRECISION

    def narrow(self, first: int, last: int) -> tuple[int, int]:
        """Narrows the range to these numbers, counted from `low`.

        Returns:
            The leading bits that all numbers now share, and how many; the range goes on without them.
        """
        self.high = self.low + last
        self.low += first
        kept = (self.low ^ self.high).bit_length()
        shared, count = self.low >> kept, self.bits - kept
        self.low -= shared << kept
        self.high -= shared << kept
        self.bits = kept
        return shared, count


class Encoder:
    """Turns symbols into bytes."""

    def __init__(self) -> None:
        self._range = _Range()
        self._pending = self._num_pending = 0
        self._written = bytearray()

    def push(self, symbol: int, edges: NDArray[np.int64]) -> None:
        """Takes the next symbol.

        Args:
            symbol: At least 0 and less than the number of edges.
            edges: `(symbols,)`, from the function of that name.

        Raises:
            UnsupportedError: The coder cannot code this sequence, which is very rare.
        """
        self._range.widen()
        first, last = self._range.share(symbol, edges)
        # Rounding may make a few large probabilities sum to more than 1. Meta's encoder then fails, or writes what may
        # stand for other symbols.
        if last > self._range.high - self._range.low:
            raise UnsupportedError(
                "the arithmetic coder has no room left for the last code of a codebook, as the others are so likely; "
                "write these codes without the language model"
            )
        self._put(*self._range.narrow(first, last))
        if self._range.bits > _MOST_BITS:
            raise UnsupportedError(
                f"the arithmetic coder needs more than {_MOST_BITS} bits at once for these codes; "
                "write them without the language model"
            )

    def finish(self) -> bytes:
        """Everything as bytes; the last one is filled up with zero bits."""
        self._put(self._range.low, self._range.bits)
        self._put(0, -self._num_pending % 8)
        return bytes(self._written).translate(_REVERSED)

    def _put(self, value: int, count: int) -> None:
        self._pending = self._pending << count | value
        self._num_pending += count
        whole, rest = divmod(self._num_pending, 8)
        self._written += (self._pending >> rest).to_bytes(whole, "big")
        self._pending &= (1 << rest) - 1
        self._num_pending = rest


class Decoder:
    """Turns bytes back into symbols; takes no byte before it needs it, and none behind the end.

    Args:
        next_byte: Gives the next byte, 0 to 255, or raises what `pull` is to raise at the end of the file.
    """

    def __init__(self, next_byte: Callable[[], int]) -> None:
        self._next_byte = next_byte
        self._range = _Range()
        self._offset = 0  # of the number that is read, from the low end of the range
        self._pending = self._num_pending = 0

    def pull(self, edges: NDArray[Any]) -> int:
        """The next symbol.

        Args:
            edges: `(symbols,)`, exactly those that the symbol was encoded with.

        Raises:
            IntegrityError: No symbol has these bits.
        """
        count = self._range.widen()
        self._offset = self._offset << count | self._take(count)
        width = self._range.high - self._range.low + 1
        room = (1 << self._range.bits) - self._range.low  # Meta's encoder takes more than `width`, but not more
        # The last symbol whose share begins at this number or before; between shares are numbers that nothing has.
        symbol = int(np.searchsorted(edges, (self._offset << _PRECISION) // width, side="right"))
        first, last = self._range.share(symbol, edges) if symbol < len(edges) else (0, -1)
        if not first <= self._offset <= last < room:
            raise IntegrityError("its bits stand for no code")
        self._offset -= first
        self._range.narrow(first, last)
        if self._range.bits > _MOST_BITS:
            raise IntegrityError("its bits stand for codes that are never written")
        return symbol

    def finish(self) -> None:
        """Checks that an encoder of the symbols so far would have written exactly the bytes so far.

        Raises:
            IntegrityError: It would have written others.
        """
        if self._offset or self._pending:
            raise IntegrityError("it does not end as these codes do")

    def _take(self, count: int) -> int:
        while self._num_pending < count:
            self._pending = self._pending << 8 | _REVERSED[self._next_byte()]
            self._num_pending += 8
        self._num_pending -= count
        value = self._pending >> self._num_pending
        self._pending &= (1 << self._num_pending) - 1
        return value
