"""Parity with encodec of the language model's probabilities and of the files coded with them."""

import io
import sys
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from ecdc_lm_case import MetaLM, clip, segment, shape_of
from numpy.typing import NDArray

from wavcodes import ModelError, UnsupportedError, containers
from wavcodes.containers import ecdc
from wavcodes.engines.torch_lm import LanguageModelShape, TorchLanguageModel
from wavcodes.errors import FormatError, InputError


def predictions(model: Any, codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Upstream's of each frame, called as its compressor does: (T, K, size)."""
    import torch

    given, states, offset, result = torch.zeros(1, len(codes), 1, dtype=torch.long), None, 0, []
    for frame in codes.T:
        with torch.no_grad():
            probabilities, states, offset = model(given, states, offset)
        result.append(probabilities[0, :, :, 0].T.numpy())
        given = 1 + torch.from_numpy(frame.copy())[None, :, None]
    return np.array(result)


@pytest.mark.parametrize("num_codebooks", [1, 2, 5, 8])
def test_probabilities_have_the_bits_of_metas(num_codebooks: int, meta_lm: MetaLM) -> None:
    # More frames than the model looks back at.
    shape = LanguageModelShape(8, 64, frame_rate=16.0)
    theirs, ours = meta_lm.models(shape)
    codes = segment(num_codebooks, num_codebooks, shape.past_context + 20)
    predict = ours.start(num_codebooks)
    found = np.array([predict(None)] + [predict(frame) for frame in codes.T[:-1]])
    assert np.array_equal(found.view(np.uint32), predictions(theirs, codes).view(np.uint32))
    assert found.max() > 0.3


@pytest.mark.parametrize("num_codebooks", [0, 9])
def test_codebooks_that_the_model_does_not_know(num_codebooks: int, meta_lm: MetaLM) -> None:
    _, ours = meta_lm.models(LanguageModelShape(8, 64, frame_rate=16.0))
    with pytest.raises(InputError, match="1 to 8 codebooks"):
        ours.start(num_codebooks)


@pytest.mark.parametrize(("name", "past_context"), [("encodec_24khz", 262), ("encodec_48khz", 525)])
def test_weights_are_those_of_the_published_layout(name: str, past_context: int, shared: Path) -> None:
    published = layouts.layout(f"encodec_lm_{name.removeprefix('encodec_')}.th")
    assert {tensor: shape for tensor, (_, shape) in published.items()} == shape_of(name).tensors()
    assert shape_of(name).past_context == past_context


def test_weights_of_another_model(meta_lm: MetaLM) -> None:
    _, path = meta_lm.weights(LanguageModelShape(2, 64, frame_rate=16.0))
    with pytest.raises(ModelError, match=r"missing: emb\.2\.weight"):
        TorchLanguageModel(LanguageModelShape(3, 64, frame_rate=16.0), path)


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnsupportedError, match=r"wavcodes\[torch\]"):
        TorchLanguageModel(shape_of("encodec_24khz"), "lm.th")


CLIPS = [
    pytest.param("encodec_24khz", 2, 1, id="one sample"),
    pytest.param("encodec_24khz", 8, 9_700, id="24 kHz"),
    pytest.param("encodec_48khz", 4, 48_000, id="48 kHz, two segments", marks=pytest.mark.slow),
    pytest.param("encodec_24khz", 8, 240_000, id="10 s, 6 kbps", marks=pytest.mark.slow),
    pytest.param("encodec_24khz", 32, 240_000, id="10 s, 24 kbps", marks=pytest.mark.slow),
    pytest.param("encodec_48khz", 16, 150_000, id="48 kHz, four segments", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "num_codebooks", "num_samples"), CLIPS)
def test_files_of_both_are_the_same_and_both_read_them(
    name: str,
    num_codebooks: int,
    num_samples: int,
    meta_lm: MetaLM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, ours = meta_lm.models(shape_of(name))
    codes = clip(name, num_codebooks, num_samples)
    data = meta_lm.file(theirs, codes)

    path = tmp_path / "a.ecdc"
    path.write_bytes(data)
    assert containers.read(path, language_model={name: ours}.__getitem__) == codes
    containers.write(path, codes, format=ecdc.coded_with(ours))
    assert path.read_bytes() == data

    frames = meta_lm.frames(theirs, name, path.read_bytes(), monkeypatch)
    assert np.array_equal(np.concatenate([part[0].numpy() for part, _ in frames], axis=1), np.asarray(codes))
    assert [scale.item() for _, scale in frames if scale is not None] == codes.scales.tolist()


def test_damaged_files(meta_lm: MetaLM) -> None:
    # Of codes about as likely as those of sound are. What an unlikely last code is made of has no check behind it.
    name = "encodec_48khz"
    theirs, ours = meta_lm.models(shape_of(name), sharpness=1.0)
    data = meta_lm.file(theirs, clip(name, 2, 2_000))
    body = 9 + int.from_bytes(data[5:9], "big") + 4  # behind header and scale
    rng = np.random.default_rng(1)
    damaged = [data + b"\0", *(data[:size] for size in rng.integers(0, len(data), 20))]
    for bit in rng.integers(8 * body, 8 * len(data), 40):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for each in damaged:
        with pytest.raises(FormatError):
            containers.read(io.BytesIO(each), language_model={name: ours}.__getitem__)
