"""What the tests of `.ecdc` files with a language model share: upstream's models and files, and codes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import upstream
from numpy.typing import NDArray

from wavcodes import Codes, registry
from wavcodes.engines.torch_lm import LanguageModelShape, TorchLanguageModel


def shape_of(name: str) -> LanguageModelShape:
    spec = registry.spec(name)
    return LanguageModelShape(spec.num_codebooks, spec.codebook_size, spec.frame_rate)


def segment(seed: int, num_codebooks: int = 3, num_frames: int = 60, symbols: int = 64) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, symbols, (num_codebooks, num_frames))


def clip(name: str, num_codebooks: int, num_samples: int, seed: int = 1) -> Codes:
    """Random codes with stretches in which they repeat."""
    spec, rng = registry.spec(name), np.random.default_rng(seed)
    framing = spec.framing(num_codebooks)
    values = rng.integers(0, spec.codebook_size, (num_codebooks, framing.num_frames(num_samples)))
    values[:, 5:20] = values[:, 5:6]
    segments = framing.segments(num_samples)
    return Codes.of(spec, list(values), num_samples, segments=segments, scales=rng.random(len(segments)))


class MetaLM:
    """Modules of encodec, and its language models with random weights.

    Args:
        folder: For the files of the weights.

    Raises:
        ImportError: encodec or PyTorch is not installed.
    """

    def __init__(self, folder: Path) -> None:
        import torch

        torch.set_num_threads(1)
        self.coder, self._model, self._compress = map(upstream.meta_module, ("quantization.ac", "model", "compress"))
        self._folder = folder
        self._made: dict[tuple[LanguageModelShape, float], tuple[Any, Path]] = {}

    def weights(self, shape: LanguageModelShape, sharpness: float = 8.0) -> tuple[Any, Path]:
        """Upstream's model, and the file of its weights in the published layout.

        Args:
            sharpness: 1 makes all codes about equally likely.
        """
        import torch

        if (shape, sharpness) not in self._made:
            torch.manual_seed(1)
            theirs = self._model.LMModel(
                shape.num_codebooks, shape.codebook_size, num_layers=5, dim=200, past_context=shape.past_context
            ).eval()
            with torch.no_grad():
                for linear in theirs.linears:
                    linear.weight *= sharpness
            path = self._folder / f"{len(self._made)}.th"
            torch.save(theirs.state_dict(), path)
            self._made[shape, sharpness] = theirs, path
        return self._made[shape, sharpness]

    def models(self, shape: LanguageModelShape, sharpness: float = 8.0) -> tuple[Any, TorchLanguageModel]:
        """Upstream's and ours, with the same weights."""
        theirs, path = self.weights(shape, sharpness)
        return theirs, TorchLanguageModel(shape, path)

    def file(self, model: Any, codes: Codes) -> bytes:
        """What upstream writes of codes."""
        import torch

        wav = torch.zeros(codes.framing.channels, codes.num_samples)
        return self._compress.compress(_StandIn(codes.framing.codec, model, codes), wav, use_lm=True)

    def frames(self, model: Any, name: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
        """What upstream reads: (codes, scale) of each segment."""
        stand_in = _StandIn(name, model)
        monkeypatch.setitem(self._compress.MODELS, name, lambda: stand_in)
        self._compress.decompress(data)
        return stand_in.decoded


class _StandIn:
    """What encodec's functions for files need of a codec, without the networks: it gives and takes codes."""

    bits_per_codebook = 10

    def __init__(self, name: str, language_model: Any, codes: Codes | None = None) -> None:
        spec = registry.spec(name)
        self.name, self.sample_rate, self.frame_rate = name, spec.sample_rate, round(spec.frame_rate)
        self.normalize = spec.segment is not None
        self.segment_length = spec.segment.length if spec.segment else None
        self.segment_stride = spec.segment.stride if spec.segment else None
        self.get_lm_model = lambda: language_model
        self.codes = codes
        self.decoded: list[Any] = []

    def to(self, device: str) -> "_StandIn":
        return self

    def encode(self, wav: Any) -> list[Any]:
        import torch

        if self.codes is None:
            raise AssertionError("there are no codes to encode")
        values = np.asarray(self.codes).astype(np.int64)
        ends = np.cumsum(self.codes.segments or (self.codes.num_frames,))[:-1]
        each = [torch.from_numpy(part)[None] for part in np.split(values, ends, axis=1)]
        scales = [torch.tensor([[scale]]) for scale in self.codes.scales.tolist()] or [None]
        return list(zip(each, scales, strict=True))

    def decode(self, frames: list[Any]) -> Any:
        import torch

        self.decoded = frames
        return torch.zeros(1, 1, 1)
