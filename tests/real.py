"""Real weights of the shared folder beside what publishes them; `parity` does so with random ones."""

from pathlib import Path

import numpy as np
import reference
import soundfile
from numpy.typing import NDArray
from parity import Comparison, deviation

from wavcodes import registry
from wavcodes.engines.native import Engine
from wavcodes.graph import CosineRvq, tensor_shapes
from wavcodes.weights import check

SPEECH = (
    "speech_f_en_16k_libri_1088.flac",
    "speech_m_en_16k_arctic_aew.wav",
    "speech_l2_en_16k_SPEAKER2380.flac",
)
"""Clips at 16 kHz."""


def speech(shared: Path, clip: str, num_samples: int = -1) -> NDArray[np.float32]:
    """The first samples of one of `SPEECH`, (1, N)."""
    audio, sample_rate = soundfile.read(shared / "audio" / "test" / clip, dtype="float32", frames=num_samples)
    assert sample_rate == 16_000
    return audio[np.newaxis]


def lyra_weights(shared: Path) -> Path:
    return shared / "weights" / "lyra_v2_1.2"


class SnacTables:
    """The quantizer of SNAC 24 kHz with its real tables, here and as an ONNX model.

    Attributes:
        quantizer: Its graph.
        tensors: Its tensors.
        latent: (D, T) such as the tables were made for: what random codes describe, and something beside it.
    """

    package = "onnxruntime"

    def __init__(self, shared: Path, frames: int = 4_000) -> None:
        from onnxruntime import InferenceSession
        from safetensors.numpy import load_file

        folder = shared / "weights" / "snac_24khz_quantizer"
        self._quantize, self._dequantize = (
            InferenceSession(folder / f"{name}.onnx") for name in ("quantize_encodings", "decode_codes")
        )
        network = registry.checkpoint("snac_24khz").network()
        assert isinstance(network.quantizer, CosineRvq)
        self.quantizer = network.quantizer
        stored = load_file(folder / "snac_24khz_quantizer.safetensors")
        named = {name.replace("codebook.weight", "codebook"): value for name, value in stored.items()}
        flat = {name: value[..., 0] if "proj.weight" in name else value for name, value in named.items()}
        self.tensors = check(flat, dict(self.quantizer.tensors()), "SNAC's tables")
        zeros = {name: np.zeros(shape, np.float32) for name, shape in tensor_shapes(network).items()}
        self._engine = Engine(network, {**zeros, **self.tensors})

        rng = np.random.default_rng(4)
        codes = [rng.integers(self.quantizer.codebook_size, size=frames // stride) for stride in self.quantizer.strides]
        described = reference.dequantize(self.quantizer, self.tensors, codes)
        beside = 0.3 * described.std() * rng.standard_normal(described.shape)
        self.latent = np.ascontiguousarray((described + beside).T, np.float32)

    def their_codes(self, latent: NDArray) -> list[NDArray[np.int64]]:
        return [book[0] for book in self._quantize.run(None, {"z": latent[None]})]

    def compare(self) -> Comparison:
        """Codes of `latent`; as its deviation, that of what both make of the codes again."""
        theirs = self.their_codes(self.latent)
        ours = self._engine.quantize(np.ascontiguousarray(self.latent.T), len(theirs), 1)
        parts = self._dequantize.run(None, {f"codes_{k}": book[None] for k, book in enumerate(theirs)})
        margins = reference.differences(self.quantizer, self.tensors, self.latent.T, ours, theirs)
        return Comparison(
            equal=tuple(our == their for our, their in zip(ours, theirs, strict=True)),
            margins=tuple(margin for _, _, margin in margins),
            lengths=True,
            scales=0.0,
            latent=deviation(self._engine.dequantize(theirs, 1).T, sum(part[0] for part in parts)),
            sound=None,
            noisy=None,
        )
