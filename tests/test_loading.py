"""Loading on several threads: what is wrong with the weights is told as on one, and so are other failures."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import exact
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from wavcodes import Codec, ModelError
from wavcodes.checkpoint import Checkpoint
from wavcodes.engines.native import Engine
from wavcodes.graph import Network, Parts, tensor_shapes

Weights = dict[str, NDArray[np.float32]]
PARTS: tuple[Parts, ...] = ("both", "encode", "decode")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path]:
    return exact.small("mimi", tmp_path_factory.mktemp("weights"))


def refused(checkpoint: Checkpoint, path: Path, threads: int, parts: Parts = "both") -> str:
    with pytest.raises(ModelError) as caught:
        Codec(checkpoint, path, threads, parts)
    return str(caught.value)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_value_that_is_not_finite_is_found_wherever_it_is(
    threads: int, small: tuple[Checkpoint, Path], tmp_path: Path
) -> None:
    checkpoint, whole = small
    weights, path = load_file(whole), tmp_path / "damaged.safetensors"
    for number, (name, values) in enumerate(weights.items()):
        damaged = values.copy()
        damaged.flat[-1] = (np.nan, np.inf, -np.inf)[number % 3]
        save_file({**weights, name: damaged}, path)
        parts = PARTS[number % len(PARTS)]
        assert f"; 1 NaN or infinite: {name}. Pass" in refused(checkpoint, path, threads, parts)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_all_values_that_are_not_finite_are_reported_at_once(
    threads: int, small: tuple[Checkpoint, Path], tmp_path: Path
) -> None:
    checkpoint, whole = small
    weights, path = load_file(whole), tmp_path / "damaged.safetensors"
    save_file({name: np.full_like(values, np.nan) for name, values in weights.items()}, path)
    graph_names = list(tensor_shapes(checkpoint.network()))
    expected = f"{len(graph_names)} NaN or infinite: {', '.join(graph_names[:6])} and {len(graph_names) - 6} more. Pass"
    for _ in range(10):
        assert expected in refused(checkpoint, path, threads)


# ---- the engine's pool


class Watched(Mapping[str, NDArray[np.float32]]):
    """Tensors that remember which threads asked for them; the one named `broken` cannot be had."""

    def __init__(self, tensors: Weights, broken: str = "") -> None:
        self.tensors, self.broken = tensors, broken
        self.threads: dict[str, set[int]] = {}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        self.threads.setdefault(name, set()).add(threading.get_ident())
        if name == self.broken:
            raise ModelError(f"no {name}")
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


@pytest.fixture(scope="module")
def network(small: tuple[Checkpoint, Path]) -> Network:
    return small[0].network()


@pytest.fixture(scope="module")
def tensors(small: tuple[Checkpoint, Path]) -> Weights:
    checkpoint, path = small
    return {name: np.ascontiguousarray(value) for name, value in checkpoint.tensors((path,)).items()}


def latent(engine: Engine) -> bytes:
    stream = engine.encoder()
    rows = exact.signal(4_000)[:, np.newaxis]
    return stream.push(rows, 1).tobytes() + stream.flush(1).tobytes()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_pool_does_all_the_packing_and_changes_nothing(workers: int, network: Network, tensors: Weights) -> None:
    alone, shared = Watched(tensors), Watched(tensors)
    with ThreadPoolExecutor(workers) as pool:
        engine = Engine(network, shared, pool=pool)
    assert latent(engine) == latent(Engine(network, alone))
    assert set(alone.threads) == set(shared.threads) == set(tensor_shapes(network))
    assert set.union(*alone.threads.values()) == {threading.get_ident()}
    assert threading.get_ident() not in set.union(*shared.threads.values())


@pytest.mark.parametrize("parts", PARTS)
def test_a_pool_packs_no_more_than_the_parts(parts: Parts, network: Network, tensors: Weights) -> None:
    watched = Watched(tensors)
    with ThreadPoolExecutor(2) as pool:
        Engine(network, watched, parts, pool=pool)
    assert set(watched.threads) == set(tensor_shapes(network, parts))


@pytest.mark.parametrize("part", ["encoder", "decoder", "quantizer"])
def test_a_failure_in_the_pool_is_told_as_without_one(part: str, network: Network, tensors: Weights) -> None:
    name = next(name for name in tensor_shapes(network) if name.startswith(part))
    with ThreadPoolExecutor(2) as pool:
        for packers in (pool, None):
            with pytest.raises(ModelError, match=f"^no {name}$"):
                Engine(network, Watched(tensors, name), pool=packers)
