"""Half codecs: what they have, what they refuse, and that they take as much memory as their half of the weights."""

import os
import subprocess
import sys
from pathlib import Path

import exact
import numpy as np
import pytest

import wavcodes
from wavcodes import Codec, InputError, registry
from wavcodes.graph import Parts, tensor_shapes

WIDE = ("encodec_24khz", "encodec_32khz", "encodec_48khz", "dac_24khz", "dac_44khz", "snac_24khz", "snac_44khz", "mimi")


@pytest.mark.parametrize("name", registry.list_codecs())
def test_a_half_needs_its_own_tensors_and_those_of_the_books(name: str) -> None:
    network = registry.checkpoint(name).network()
    both, encode, decode = (set(tensor_shapes(network, parts)) for parts in ("both", "encode", "decode"))
    assert encode | decode == both
    assert encode & decode == {tensor for tensor, _ in network.quantizer.tensors()}
    assert both - encode
    assert both - decode


@pytest.mark.parametrize("name", exact.SMALL)
def test_halves_give_what_the_whole_gives(name: str, tmp_path: Path) -> None:
    checkpoint, path = exact.small(name, tmp_path)
    whole, encoder, decoder = (Codec(checkpoint, path, parts=parts) for parts in ("both", "encode", "decode"))
    rate = whole.spec.sample_rate
    audio = exact.clip(whole.spec, 3_000)
    codes = whole.encode(audio, rate)
    assert encoder.encode(audio, rate) == codes
    assert np.array_equal(decoder.decode(codes), whole.decode(codes))
    assert encoder.weights_digest == decoder.weights_digest == whole.weights_digest
    for refuse in (lambda: encoder.decode(codes), encoder.stream_decoder):
        with pytest.raises(InputError, match='loaded with parts="encode"; load it with parts="both" to decode'):
            refuse()
    for refuse in (
        lambda: decoder.encode(audio, rate),
        lambda: decoder.encode_latent(audio, rate),
        decoder.stream_encoder,
    ):
        with pytest.raises(InputError, match='loaded with parts="decode"; load it with parts="both" to encode'):
            refuse()


def test_there_are_two_halves() -> None:
    with pytest.raises(InputError, match=r"expected parts of .* got 'encoder'"):
        wavcodes.load(parts="encoder")  # type: ignore[arg-type]


# Not ru_maxrss: a process inherits that from the one that started it.
_MEMORY = """
import json, sys
import wavcodes.codec
from safetensors import safe_open  # libraries stay once they are imported

def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

name, weights, parts = sys.argv[1:]
before = memory("VmRSS")
codec = wavcodes.load(name, weights, threads=1, parts=parts)
print(memory("VmRSS") - before, memory("VmHWM") - before)
"""


def _most_packed(shape: tuple[int, ...]) -> float:
    """Bytes that the engine may keep of a tensor; minimal filters (docs/engine.md) keep more than they were given."""
    given = 4 * int(np.prod(shape))
    if len(shape) != 3 or min(shape[:2]) < 32:
        return given
    taps = shape[2]
    growth, limit = {3: (6 / 3, 16), 7: (21 / 7, 60)}.get(taps, (5 / 2, 32) if taps % 2 == 0 else (1, 0))
    return given * growth if given * growth <= limit * 2**20 else given


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    "name", [name if name == WIDE[0] else pytest.param(name, marks=pytest.mark.slow) for name in WIDE]
)
def test_a_half_takes_the_memory_of_its_weights_and_no_more_while_it_loads(name: str, tmp_path: Path) -> None:
    network = registry.checkpoint(name).network()
    weights = exact.weights(network, tmp_path)
    parts: Parts
    found = {}
    for parts in ("both", "encode", "decode"):
        client = subprocess.run(
            [sys.executable, "-c", _MEMORY, name, str(weights), parts],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        added, peak = map(int, client.stdout.split())
        shapes = tensor_shapes(network, parts)
        needed = 4 * sum(int(np.prod(shape)) for shape in shapes.values())
        most = sum(map(_most_packed, shapes.values()))
        largest = 4 * max(int(np.prod(shape)) for shape in tensor_shapes(network).values())
        print(
            f"{name}, {parts}: {needed / 2**20:.0f} MiB of weights, at most {most / 2**20:.0f} packed, "
            f"{added / 2**20:.0f} added, peak {peak / 2**20:.0f}"
        )
        assert 0.9 * needed < added < 1.1 * most
        assert peak < added + 3 * largest
        found[parts] = needed, added
    shared = found["encode"][0] + found["decode"][0] - found["both"][0]  # the books
    whole = found["both"][1]
    assert abs(found["encode"][1] + found["decode"][1] - shared - whole) < 0.08 * whole
    weights.unlink()
