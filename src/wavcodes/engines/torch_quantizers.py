"""The quantizers in PyTorch: codes of latent rows, rows of codes, and the pass in between that can be trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import graph
from .torch import Tensors


class Quantized(NamedTuple):
    """What quantization makes of latent rows.

    Attributes:
        rows: What the codes stand for, `(B, T, D)`; gradients pass through to the latent and to all projections.
        codes: Codes of each book, `(B, T / stride)`.
        inputs: What each book was asked to find, `(B, T / stride, codebook_dim)`, without gradients.
        distance: For each signal, `(B,)`, the mean squared distance between what a book was asked for and what it gave,
            summed over the books in use; its gradients move the entries, and a quarter of them the latent.
    """

    rows: Tensor
    codes: list[Tensor]
    inputs: list[Tensor]
    distance: Tensor


_COMMITMENT = 0.25  # how much the latent gives way to the entries, as in VQ-VAE (van den Oord et al. 2017)


@dataclass(frozen=True)
class _Book:
    entries: Tensor
    stride: int = 1
    name: str | None = None  # of the projections to and from the entries' space
    by_angle: bool = False

    def search(self, wanted: Tensor) -> Tensor:
        entries = self.entries
        if self.by_angle:
            wanted, entries = F.normalize(wanted, dim=-1), F.normalize(entries, dim=-1)
        return (2 * wanted @ entries.mT - entries.square().sum(-1)).argmax(-1)


def quantize(quantizer: graph.Quantizer, tensors: Tensors, latent: Tensor, in_use: Tensor | None = None) -> Quantized:
    """Quantizes latent rows `(B, T, D)`, float32; T is a multiple of every stride.

    Args:
        quantizer: The graph's.
        tensors: Those that the graph names.
        latent: What the encoder gives.
        in_use: Which books count for which signal, bool `(B, K)`; all, if left out.
    """
    if in_use is None:
        in_use = torch.ones(latent.shape[0], quantizer.num_codebooks, dtype=torch.bool, device=latent.device)
    if isinstance(quantizer, graph.SplitRvq):
        count = quantizer.first.num_codebooks
        first = quantize(quantizer.first, tensors, latent, in_use[:, :count])
        rest = quantize(quantizer.rest, tensors, latent, in_use[:, count:])
        return Quantized(
            first.rows + rest.rows,
            first.codes + rest.codes,
            first.inputs + rest.inputs,
            first.distance + rest.distance,
        )
    residual = latent = _projected(quantizer, tensors, latent, "in_proj")
    total, distance, codes, inputs = torch.zeros_like(latent), latent.new_zeros(len(latent)), [], []
    for book, used in zip(_books(quantizer, tensors), in_use.unbind(1), strict=True):
        wanted = _linear(book, tensors, "in_proj", _pooled(residual, book.stride))
        with torch.no_grad():
            codes.append(book.search(wanted))
            inputs.append(wanted.detach())
        found, counts = F.embedding(codes[-1], book.entries), used[:, None, None]
        apart = (found - wanted.detach()).square() + _COMMITMENT * (found.detach() - wanted).square()
        distance = distance + apart.mean((1, 2)) * used
        passed = wanted + (found - wanted).detach()
        rows = _linear(book, tensors, "out_proj", passed).repeat_interleave(book.stride, 1) * counts
        total, residual = total + rows, residual - rows
    return Quantized(_projected(quantizer, tensors, total, "out_proj"), codes, inputs, distance)


def rows_of(quantizer: graph.Quantizer, tensors: Tensors, codes: list[Tensor]) -> Tensor:
    """What the codes of the first books, `(B, T / stride)` each, stand for: `(B, T, D)`."""
    if isinstance(quantizer, graph.SplitRvq):
        count = quantizer.first.num_codebooks
        rows = rows_of(quantizer.first, tensors, codes[:count])
        return rows + rows_of(quantizer.rest, tensors, codes[count:]) if codes[count:] else rows
    found = [
        _linear(book, tensors, "out_proj", F.embedding(each, book.entries)).repeat_interleave(book.stride, 1)
        for book, each in zip(_books(quantizer, tensors), codes, strict=False)
    ]
    return _projected(quantizer, tensors, torch.stack(found).sum(0), "out_proj")


def codebooks(quantizer: graph.Quantizer) -> list[str]:
    """Names of the tensors that hold the entries of each book."""
    return [name for name, _ in quantizer.tensors() if name.endswith(".codebook")]


def _books(quantizer: graph.EuclideanRvq | graph.CosineRvq, tensors: Tensors) -> Iterator[_Book]:
    by_angle = isinstance(quantizer, graph.CosineRvq)
    for k, stride in enumerate(quantizer.strides):
        name = f"{quantizer.name}.{k}"
        yield _Book(tensors[f"{name}.codebook"], stride, name if by_angle else None, by_angle)


def _linear(book: _Book, tensors: Tensors, which: str, rows: Tensor) -> Tensor:
    if book.name is None:
        return rows
    return F.linear(rows, tensors[f"{book.name}.{which}.weight"], tensors[f"{book.name}.{which}.bias"])


def _projected(quantizer: graph.EuclideanRvq | graph.CosineRvq, tensors: Tensors, rows: Tensor, which: str) -> Tensor:
    if isinstance(quantizer, graph.CosineRvq) or quantizer.codebook_dim is None:
        return rows
    return F.linear(rows, tensors[f"{quantizer.name}.{which}.weight"])


def _pooled(rows: Tensor, stride: int) -> Tensor:
    return rows if stride == 1 else rows.unflatten(1, (-1, stride)).mean(2)
