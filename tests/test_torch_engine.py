"""The PyTorch engine against the native one: what is trained is what runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest

from wavcodes import graph, registry
from wavcodes.checkpoint import Checkpoint
from wavcodes.engines.native import Engine

FRAMES = 37


@pytest.fixture(scope="module")
def torch(peer: Callable[..., Any]) -> Any:
    return peer("torch")


def loaded(checkpoint: Checkpoint, path: Path) -> tuple[graph.Network, dict[str, np.ndarray]]:
    network = checkpoint.network()
    tensors = checkpoint.tensors((path,))
    return network, {name: np.ascontiguousarray(tensors[name], np.float32) for name in graph.tensor_shapes(network)}


def family(name: str, folder: Path) -> tuple[Checkpoint, Path]:
    if name == "wavcodes_16khz":
        checkpoint = registry.checkpoint(name)
        return checkpoint, exact.weights(checkpoint.network(), folder)
    return exact.small(name, folder)


@pytest.mark.parametrize("name", [*exact.SMALL, "wavcodes_16khz"])
def test_both_engines_give_the_same(name: str, tmp_path: Path, torch: Any) -> None:
    from wavcodes.engines.torch import apply
    from wavcodes.engines.torch_quantizers import quantize, rows_of

    checkpoint, path = family(name, tmp_path)
    spec = checkpoint.spec
    network, arrays = loaded(checkpoint, path)
    tensors = {name: torch.tensor(value) for name, value in arrays.items()}
    engine = Engine(network, arrays)
    frames = FRAMES + -FRAMES % spec.frame_multiple
    samples = frames * spec.hop_length - (3 if spec.frame_multiple == 1 else 0)  # the last frame is not whole
    audio = exact.clip(spec, samples).T.copy()
    (latent,) = engine.encode_whole([audio], 1)
    latent = latent[: len(latent) // max(spec.strides) * max(spec.strides)]
    codes = engine.quantize(latent, spec.num_codebooks, 1)
    rows = engine.dequantize(codes, 1)
    (sound,) = engine.decode_whole([rows], 1)
    with torch.no_grad():
        near(apply(network.encoder, tensors, torch.from_numpy(audio)[None])[0, : len(latent)], latent)
        quantized = quantize(network.quantizer, tensors, torch.from_numpy(latent)[None])
        equal = [mine[0].numpy() == each for mine, each in zip(quantized.codes, codes, strict=True)]
        assert np.concatenate(equal).mean() >= 0.999
        theirs = [torch.from_numpy(each)[None].long() for each in codes]
        near(rows_of(network.quantizer, tensors, theirs)[0], rows)
        near(rows_of(network.quantizer, tensors, quantized.codes)[0], quantized.rows[0].numpy())
        near(apply(network.decoder, tensors, torch.from_numpy(rows)[None])[0], sound)


def near(mine: Any, wanted: np.ndarray) -> None:
    assert mine.shape == wanted.shape
    np.testing.assert_allclose(mine.numpy(), wanted, rtol=0, atol=1e-4 * np.sqrt(np.mean(np.square(wanted))))
