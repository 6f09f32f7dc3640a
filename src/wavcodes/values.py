"""What callers pass for a number or an array: anything that is one."""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError


def whole_number(name: str, value: Any) -> int:
    """`value` as an int; what is no integer is an InputError."""
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"expected an integer as {name}, got {value!r}") from None


def as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as an array; what is ragged is an InputError."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"expected {name} as an array: {error}") from None
