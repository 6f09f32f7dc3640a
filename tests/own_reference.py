"""wavcodes_16khz once more, as PyTorch's own operations and without the graph. Rows are `(B, C, T)`."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

STRIDES = (16, 5, 2, 2)
BOOKS = 12


class Model:
    """The codec with its tensors, by the names in its file."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def encode(self, audio: Tensor) -> Tensor:
        """Latent of samples `(B, N)`, N a multiple of 320, with the frame that flushes the decoder's delay."""
        x = F.pad(audio, (0, 320))[:, None]
        for i, (stride, blocks) in enumerate(zip(STRIDES, (2, 2, 1, 1), strict=True)):
            kernel = 64 if i == 0 else stride
            x = F.conv1d(F.pad(x, (kernel - stride, 0)), *self._named(f"encoder.{i}.down"), stride=stride)
            for j in range(blocks):
                x = self._block(f"encoder.{i}.{j}", x)
        return F.conv1d(self._norm("encoder.norm", x), *self._named("encoder.out"))

    def codes(self, latent: Tensor) -> Tensor:
        """Codes `(B, K, T)`: each book looks, by the angle alone, for what the ones before it left over."""
        found = []
        for k in range(BOOKS):
            wanted = self._linear(f"rvq.{k}.in_proj", latent)
            entries = F.normalize(self.tensors[f"rvq.{k}.codebook"])
            found.append(torch.einsum("nd,bdt->bnt", entries, wanted).argmax(1))
            latent = latent - self._entries(k, found[-1])
        return torch.stack(found, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Samples `(B, N)` of codes `(B, K, T)`."""
        x = torch.stack([self._entries(k, book) for k, book in enumerate(codes.unbind(1))]).sum(0)
        x = F.conv1d(F.pad(x, (2, 0)), *self._named("decoder.in"))
        for i, (stride, blocks) in enumerate(zip(STRIDES[:0:-1], (2, 3, 3), strict=True)):
            x = F.conv_transpose1d(x, *self._named(f"decoder.{i}.up"), stride=stride)
            for j in range(blocks):
                x = self._block(f"decoder.{i}.{j}", x)
        x = F.conv_transpose1d(x, *self._named("decoder.out"), stride=16)
        return x[:, 0, 320:-48]

    def _block(self, name: str, x: Tensor) -> Tensor:
        y = F.conv1d(F.pad(x, (6, 0)), *self._named(f"{name}.dw"), groups=x.shape[1])
        y = F.gelu(F.conv1d(self._norm(f"{name}.norm", y), *self._named(f"{name}.p1")))
        return x + F.conv1d(y, *self._named(f"{name}.p2"))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x.mT, x.shape[1:2], *self._named(name)).mT

    def _entries(self, k: int, codes: Tensor) -> Tensor:
        return self._linear(f"rvq.{k}.out_proj", F.embedding(codes, self.tensors[f"rvq.{k}.codebook"]).mT)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self._named(name)
        return F.linear(x.mT, weight, bias).mT

    def _named(self, name: str) -> tuple[Tensor, Tensor]:
        return self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
