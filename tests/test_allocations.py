"""A running stream takes nothing from the heap but the arrays that it returns, and keeps nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import allocations
import exact
import pytest

import wavcodes

# A codec that codes in segments starts a stream for each of them.
NAMES = ["wavcodes_16khz", *(name for name in exact.SMALL if exact.SMALL[name][3].get("segment") is None)]

SCRIPT = """
import gc, json, pathlib, sys, tracemalloc
import numpy
import allocations, exact, wavcodes

name, folder = sys.argv[1:]
count = allocations.counter()
if name in exact.SMALL:
    codec = wavcodes.Codec(*exact.small(name, pathlib.Path(folder)), threads=1)
else:
    codec = wavcodes.load(name, threads=1)
hop = codec.spec.hop_length
audio = exact.clip(codec.spec, 60 * hop)
random = numpy.random.default_rng(0)
encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
counts, memory = numpy.zeros((2, 1500), int), []
tracemalloc.start()

def counted(direction, i, push, piece):
    before = count()
    given = push(piece)
    counts[direction, i] = count() - before
    return given

for i in range(1500):
    start, length = random.integers(0, 56 * hop), random.integers(0, 4 * hop + 1) if i else 4 * hop
    codes = counted(0, i, encoder.push, audio[:, start : start + length])
    counted(1, i, decoder.push, codes)
    if i in (299, 1499):
        gc.collect()
        memory.append(tracemalloc.get_traced_memory()[0])
print(json.dumps({"encode": counts[0].tolist(), "decode": counts[1].tolist(), "memory": memory}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not allocations.SUPPORTED:
        pytest.skip("allocations are counted with glibc only")
    return allocations.built(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module", params=NAMES)
def found(request: pytest.FixtureRequest, library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of 1500 pushes of different sizes: allocations of each, to `encode` and to `decode`; `memory`: bytes that
    Python's objects and arrays take after 300 and after all."""
    paths = [str(Path(wavcodes.__file__).parents[1]), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, request.param, str(tmp_path_factory.mktemp("weights"))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LD_PRELOAD": str(library)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_nothing_but_what_is_returned(direction: str, found: dict[str, Any]) -> None:
    counts = found[direction]
    # A push calls the network and the quantizer, and each returns an array.
    assert set(counts[300:]) == {2}
    assert max(counts[:300]) > 10  # before that, there was something to count


def test_nothing_is_kept(found: dict[str, Any]) -> None:
    early, late = found["memory"]
    # numpy keeps freed blocks for later, and how many changes by some 20 kB from run to run; one array kept by each of
    # these 1200 pushes would be 400 kB.
    assert late - early < 80_000
