"""How much a file of codes may ask of whoever reads it."""

from dataclasses import dataclass

from ..errors import InputError, LimitError
from ..values import whole_number

_UNPACKED = 1 << 16  # bytes that compressed data may always become


@dataclass(frozen=True)
class Limits:
    """Bounds for files from where nobody is trusted.

    Whatever they are, no size that a file claims is believed: memory and time follow the bytes that are there.

    Attributes:
        max_samples: Samples per channel that the frames of a clip stand for; by default as many as any format holds.
        max_bytes: Of a file that has to be in memory as a whole, packed or not: all but `.nac`, Meta's `.ecdc` and
            `.lyra`.
        max_expansion: Times that compressed data may grow, once it is longer than short clips are. Codes of sound that
            were saved in 64 bits grow sevenfold, those of long silence a hundredfold and more.
    """

    max_samples: int = 1 << 53
    max_bytes: int = 1 << 30
    max_expansion: int = 100

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if whole_number(name, value) < 0:
                raise InputError(f"expected {name} of 0 or more, got {value}; raise it")

    def check_samples(self, count: int) -> None:
        """Raises LimitError for a clip of so many samples, if that is too many."""
        if count > self.max_samples:
            raise LimitError(
                f"expected a clip of at most {self.max_samples:,} samples, got one of {count:,} or more; "
                f"{_advice('max_samples')}"
            )

    def check_bytes(self, count: int) -> None:
        """Raises LimitError for a file of so many bytes, if that is too many."""
        if count > self.max_bytes:
            raise LimitError(
                f"expected a file of at most {self.max_bytes:,} bytes, got one of {count:,} or more; "
                f"{_advice('max_bytes')}"
            )

    def unpacked(self, size: int) -> int:
        """Bytes that `size` compressed ones may become."""
        return min(self.max_bytes, _UNPACKED + self.max_expansion * size)

    def expanded(self, size: int) -> LimitError:
        """The error for `size` compressed bytes that become more."""
        return LimitError(
            f"expected at most {self.unpacked(size):,} bytes in {size:,} compressed ones, got more; "
            f"{_advice('max_expansion')}"
        )


DEFAULTS = Limits()


def _advice(name: str) -> str:
    return f"if you trust the file, read it with a larger limit {name}"
