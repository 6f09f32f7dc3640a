"""What the tests of foreign containers share: random clips, and files that are cut, changed or read from pipes."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import strategies as st
from nac_case import Trickle

from wavcodes.codes import Codes
from wavcodes.containers import FORMATS, Format, Header, open_reader
from wavcodes.errors import FormatError
from wavcodes.framing import Framing

BY_NAME = {each.name: each for each in FORMATS}


def clip(framing: Framing, num_samples: int, seed: int = 0) -> Codes:
    """Random codes of exactly the frames that so many samples take."""
    rng = np.random.default_rng(seed)
    frames, segments = framing.num_frames(num_samples), framing.segments(num_samples)
    books = tuple(rng.integers(0, framing.codebook_size, frames // stride) for stride in framing.strides)
    return Codes(framing, books, num_samples, segments, rng.uniform(0.001, 1, len(segments)))


def written(codes: Codes, format: Format, *, stated: bool = True, cuts: tuple[int, ...] = ()) -> bytes:
    """The file of `codes`, written in parts that begin with the frames `cuts`."""
    file = io.BytesIO()
    assert format.writer
    writer = format.writer(file, Header(codes.framing, codes.num_samples if stated else None))
    for start, stop in itertools.pairwise((0, *cuts, codes.num_frames)):
        writer.write(codes.only_frames(start, stop))
    writer.close()
    writer.close()
    return file.getvalue()


def read_both_ways(data: bytes, **hints: object) -> Codes:
    """The clip, read from a file and from a pipe that gives little at a time."""
    codes = open_reader(io.BytesIO(data), **hints).read()  # type: ignore[arg-type]
    assert open_reader(Trickle(data), **hints).read() == codes  # type: ignore[arg-type]
    return codes


def check_every_truncation(data: bytes, name: str) -> None:
    """Each beginning of the file is an error, from a file and from a pipe; so is a byte behind its end."""
    for file in (io.BytesIO, Trickle):
        for length in range(len(data)):
            with pytest.raises(FormatError):
                open_reader(file(data[:length]), name).read()
        with pytest.raises(FormatError, match="goes on behind"):
            open_reader(file(data + b"\0"), name).read()


@st.composite
def mutated(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of the files after a few changes of bytes, deletions, insertions and cuts."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 4))):
        # Half of the changes lie in the header, where most of what can be understood wrongly is.
        at = draw(st.integers(0, min(len(data), 100) if draw(st.booleans()) else len(data)))
        count = draw(st.integers(0, 8))
        match draw(st.sampled_from(["change", "delete", "insert", "cut"])):
            case "change":
                data[at : at + count] = draw(st.binary(min_size=count, max_size=count))
            case "delete":
                del data[at : at + count]
            case "insert":
                data[at:at] = draw(st.binary(min_size=count, max_size=count))
            case _:
                del data[at:]
    return bytes(data)
