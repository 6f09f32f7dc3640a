"""Weights in whichever format a file has them."""

import os
from pathlib import Path

from ..errors import ResourceError
from .safetensors_file import read_safetensors
from .tensors import Tensors


def read(path: str | os.PathLike[str]) -> Tensors:
    """All tensors of a safetensors file or a PyTorch checkpoint; the content decides which, not the name.

    Raises:
        FormatError: The file is neither, is damaged, or holds something other than tensors. Nothing in it is run.
        LimitError: It claims more than it can hold.
        ModelError: It only names another repository.
        ResourceError: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise ResourceError(f"cannot read the weights {os.fspath(path)}: {error.strerror or error}") from error
    # The ninth byte of safetensors opens its header, whatever the length in front of it looks like.
    pickled = head.startswith((b"PK\x03\x04", b"\x80")) and head[8:] != b"{"
    if not pickled:
        return read_safetensors(path)
    from .torch_file import read_torch  # here, because few need it and it takes a while to import

    return read_torch(path)
