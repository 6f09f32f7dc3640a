"""The language model of Meta's EnCodec on PyTorch: probabilities of the next codes from those before.

Files coded with it decode only where every probability has the bits that it had for the writer, and Meta's writer runs
on PyTorch. So this does the same operations in the same order on tensors of the same shapes, even where others
would give the same number sooner: on one machine the probabilities are then equal to upstream's, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..programs import MissingProgram
from ..weights import check, read

if TYPE_CHECKING:
    from torch import Tensor

_LAYERS = 5
_HEADS = 8
_DIM = 200
_HIDDEN = 800
_CONTEXT_SECONDS = 3.5
_LONGEST_PERIOD = 10_000.0  # of the position's sines, in units of 1 / (2 pi) frames


@dataclass(frozen=True)
class LanguageModelShape:
    """What two language models differ in. All else is the same in both that Meta published.

    Attributes:
        num_codebooks: Codebooks that it knows; a segment may use only the first.
        codebook_size: Entries per codebook.
        frame_rate: Frames per second.
    """

    num_codebooks: int
    codebook_size: int
    frame_rate: float

    @property
    def past_context(self) -> int:
        """Frames before the current one that it looks at."""
        return int(_CONTEXT_SECONDS * self.frame_rate)

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights, as the published files have them."""
        shapes: dict[str, tuple[int, ...]] = {}

        def add(name: str, **parts: tuple[int, ...]) -> None:
            shapes.update({f"{name}.{part}": shape for part, shape in parts.items()})

        add("transformer.norm_in", weight=(_DIM,), bias=(_DIM,))
        for layer in range(_LAYERS):
            stem = f"transformer.layers.{layer}"
            add(f"{stem}.self_attn", in_proj_weight=(3 * _DIM, _DIM), in_proj_bias=(3 * _DIM,))
            add(f"{stem}.self_attn.out_proj", weight=(_DIM, _DIM), bias=(_DIM,))
            add(f"{stem}.linear1", weight=(_HIDDEN, _DIM), bias=(_HIDDEN,))
            add(f"{stem}.linear2", weight=(_DIM, _HIDDEN), bias=(_DIM,))
            add(f"{stem}.norm1", weight=(_DIM,), bias=(_DIM,))
            add(f"{stem}.norm2", weight=(_DIM,), bias=(_DIM,))
        for book in range(self.num_codebooks):
            add(f"emb.{book}", weight=(self.codebook_size + 1, _DIM))
            add(f"linears.{book}", weight=(self.codebook_size, _DIM), bias=(self.codebook_size,))
        return shapes


def require_torch() -> None:
    """Raises MissingProgram unless PyTorch is installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingProgram(
            "the language model of .ecdc files runs on PyTorch, which is not installed; "
            "pip install 'wavcodes[torch]', or write files without the language model"
        ) from error


class TorchLanguageModel:
    """A loaded language model. It never changes; each segment has its own state.

    Args:
        shape: What the weights are for.
        path: A file with the published names, in any format that `weights.read` knows.

    Raises:
        MissingProgram: PyTorch is not installed (an UnsupportedError).
        ModelError: The file does not hold the weights.
        FormatError: It is no file of weights.
        ResourceError: It cannot be read.
    """

    def __init__(self, shape: LanguageModelShape, path: str | os.PathLike[str]) -> None:
        require_torch()
        import torch

        weights = check(read(path), shape.tensors(), os.fspath(path))
        self.shape = shape
        with torch.device("meta"):  # for nothing, not even random numbers, to be computed in vain
            modules = _modules(shape)
        # Copied into memory of PyTorch's own: products may take other ways, with other last bits, for memory that does
        # not begin where PyTorch lets it begin.
        self._modules = modules.to_empty(device="cpu").eval().requires_grad_(False)
        self._modules.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})

    def start(self, num_codebooks: int) -> Callable[[NDArray[np.int64] | None], NDArray[np.float32]]:
        """Begins a segment.

        Args:
            num_codebooks: How many codebooks its codes have.

        Returns:
            A function to call once for each frame, with the codes `(K,)` of the frame before (None for the first). It
            gives float32 probabilities `(K, codebook_size)`.

        Raises:
            InputError: The model does not know so many codebooks.
        """
        if not 1 <= num_codebooks <= self.shape.num_codebooks:
            raise InputError(
                f"the language model knows 1 to {self.shape.num_codebooks} codebooks, got {num_codebooks}; "
                "use the one of this codec"
            )
        return _Segment(self._modules, num_codebooks, self.shape.past_context)


class _Segment:
    def __init__(self, modules: Any, num_codebooks: int, past_context: int) -> None:
        self._modules = modules
        self._num_codebooks = num_codebooks
        self._past_context = past_context
        self._past: list[Tensor] | None = None  # input of each layer in the frames before, (1, frames, dim)
        self._frame = 0

    def __call__(self, before: NDArray[np.int64] | None) -> NDArray[np.float32]:
        import torch

        # 0 stands for no code, so codes are counted from 1.
        index = np.zeros(self._num_codebooks, np.int64) if before is None else before + 1
        with torch.no_grad():
            probabilities = self._probabilities(torch.from_numpy(index).view(1, -1, 1))
        result: NDArray[np.float32] = probabilities[0, :, :, 0].T.numpy()
        return result

    def _probabilities(self, index: Tensor) -> Tensor:
        import torch

        embeddings, linears = self._modules["emb"], self._modules["linears"]
        x = sum(embeddings[k](index[:, k]) for k in range(self._num_codebooks))  # (1, 1, dim)
        x = self._transformer(x)
        logits = torch.stack([linears[k](x) for k in range(self._num_codebooks)], dim=1)  # (1, K, 1, size)
        # The softmax of the last axis of a tensor adds in another order than that of an inner one.
        return torch.softmax(logits.permute(0, 3, 1, 2), dim=1)  # (1, size, K, 1)

    def _transformer(self, x: Any) -> Any:
        import torch

        transformer = self._modules["transformer"]
        if self._past is None:
            # Upstream's first frame attends to one frame of zeros before it.
            self._past = [torch.zeros_like(x) for _ in range(_LAYERS)]
        x = transformer["norm_in"](x) + _position(self._frame)
        self._frame += 1
        for number, layer in enumerate(transformer["layers"]):
            seen = torch.cat([self._past[number], x], dim=1)
            attended = self._attention(layer["self_attn"], x, seen)
            self._past[number] = seen[:, -self._past_context :, :]
            x = layer["norm1"](x + attended)
            x = layer["norm2"](x + layer["linear2"](torch.nn.functional.gelu(layer["linear1"](x))))
        return x

    def _attention(self, attention: Any, x: Any, seen: Any) -> Any:
        import torch

        # All that is kept may be seen; upstream passes a mask nevertheless, which decides how PyTorch computes.
        masked = torch.zeros(1, seen.shape[1], dtype=torch.bool)
        return attention(x, seen, seen, attn_mask=masked, need_weights=False)[0]


def _position(frame: int) -> Any:
    """Cosines and sines of the time, (1, 1, dim)."""
    import torch

    half = _DIM // 2
    step = torch.arange(half).view(1, 1, -1)
    phase = (torch.arange(1).view(1, -1, 1) + frame) / (_LONGEST_PERIOD ** (step / (half - 1)))
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)


def _modules(shape: LanguageModelShape) -> Any:
    from torch import nn

    def layer() -> nn.ModuleDict:
        return nn.ModuleDict(
            {
                "self_attn": nn.MultiheadAttention(_DIM, _HEADS, batch_first=True),
                "linear1": nn.Linear(_DIM, _HIDDEN),
                "linear2": nn.Linear(_HIDDEN, _DIM),
                "norm1": nn.LayerNorm(_DIM),
                "norm2": nn.LayerNorm(_DIM),
            }
        )

    books = range(shape.num_codebooks)
    return nn.ModuleDict(
        {
            "transformer": nn.ModuleDict(
                {"norm_in": nn.LayerNorm(_DIM), "layers": nn.ModuleList([layer() for _ in range(_LAYERS)])}
            ),
            "emb": nn.ModuleList([nn.Embedding(shape.codebook_size + 1, _DIM) for _ in books]),
            "linears": nn.ModuleList([nn.Linear(_DIM, shape.codebook_size) for _ in books]),
        }
    )
