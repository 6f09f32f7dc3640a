"""A second opinion on the quantizers of `wavcodes.graph`, float64. Part of `reference`, which gives out all of it.

Codes are a list of books, one 1-D array each, `len(latent) / stride` long. Where all strides are one they may also be
one array (T, K), and are given so.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wavcodes.graph import CosineRvq, EuclideanRvq, Quantizer, SplitRvq

Array = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]
Books = list[NDArray[np.int64]]
AnyCodes = NDArray | Sequence[NDArray]


def quantize(quantizer: Quantizer, tensors: Tensors, latent: NDArray, num_codebooks: int) -> NDArray[np.int64] | Books:
    """Codes of `latent` (T, D): (T, K), or K books where a stride is not one."""
    books: Books = []
    for part, count in _parts(quantizer, num_codebooks):
        residual = _inside(part, tensors, latent)
        for k in range(count):
            books.append(_scores(part, tensors, k, residual).argmin(1))
            residual = residual - _entries(part, tensors, k, books[-1])
    return np.stack(books, axis=1) if set(quantizer.strides) == {1} else books


def dequantize(quantizer: Quantizer, tensors: Tensors, codes: AnyCodes) -> Array:
    """Latent (T, D) of `codes`."""
    books = _books(codes)
    frames = len(codes) if isinstance(codes, np.ndarray) else len(books[0]) * quantizer.strides[0]
    latent = np.zeros((frames, quantizer.dim))
    first = 0
    for part, count in _parts(quantizer, len(books)):
        if count:
            entries = [_entries(part, tensors, k, books[first + k]) for k in range(count)]
            latent += _outside(part, tensors, np.sum(entries, axis=0))
        first += count
    return latent


def margins(quantizer: Quantizer, tensors: Tensors, latent: NDArray, codes: AnyCodes) -> Array | list[Array]:
    """By how much each code is better than the best other entry, given the codes in front of it, as `codes` come.

    In squared distance or, for `CosineRvq`, in cosine; negative where another entry would have been better.
    """
    found = []
    for scores, code, _ in _searches(quantizer, tensors, latent, _books(codes)):
        chosen = np.take_along_axis(scores, code[:, None], 1)
        np.put_along_axis(scores, code[:, None], np.inf, 1)
        found.append(scores.min(1) - chosen[:, 0])
    return np.stack(found, axis=1) if isinstance(codes, np.ndarray) else found


def differences(
    quantizer: Quantizer, tensors: Tensors, latent: NDArray, ours: AnyCodes, theirs: AnyCodes
) -> list[tuple[int, int, float]]:
    """Book and position of each code of `ours` that differs from `theirs` and need not, and the margin between the two.

    A code need not differ unless a book in front differs in the same frames, for then what is left differs too. The
    margin is by how much better one of the two entries describes what the books in front leave of `latent` (T, D): in
    squared distance as a part of that rest's squared length or, for `CosineRvq`, in cosine.
    """
    us, them = _books(ours), _books(theirs)
    margins = []
    for our, (scores, their, size) in zip(us, _searches(quantizer, tensors, latent, them), strict=True):
        rows = np.arange(len(their))
        margins.append(np.abs(scores[rows, our] - scores[rows, their]) / size)
    found = []
    for first, count in _spans(quantizer, len(us)):
        differs = np.zeros(len(latent), bool)
        for k in range(first, first + count):
            stride = quantizer.strides[k]
            for at in np.flatnonzero(us[k] != them[k]).tolist():
                rows = slice(at * stride, (at + 1) * stride)
                if not differs[rows].any():
                    found.append((k, at, float(margins[k][at])))
                differs[rows] = True
    return found


def _searches(
    quantizer: Quantizer, tensors: Tensors, latent: NDArray, books: Books
) -> list[tuple[Array, NDArray, Array | float]]:
    """For each book the scores of all its entries, given the codes in front; its codes; in what unit the scores are."""
    found: list[tuple[Array, NDArray, Array | float]] = []
    first = 0
    for part, count in _parts(quantizer, len(books)):
        residual = _inside(part, tensors, latent)
        for k in range(count):
            size = (residual**2).sum(1) if isinstance(part, EuclideanRvq) else 1.0
            found.append((_scores(part, tensors, k, residual), books[first + k], size))
            residual = residual - _entries(part, tensors, k, books[first + k])
        first += count
    return found


def _books(codes: AnyCodes) -> Books:
    return list(codes.T) if isinstance(codes, np.ndarray) else list(codes)


def _parts(quantizer: Quantizer, num_codebooks: int) -> list[tuple[EuclideanRvq | CosineRvq, int]]:
    """The residual quantizers of the whole latent, each with the number of its books that are in use."""
    if not isinstance(quantizer, SplitRvq):
        return [(quantizer, num_codebooks)]
    first = min(num_codebooks, quantizer.first.num_codebooks)
    return [(quantizer.first, first), (quantizer.rest, num_codebooks - first)]


def _spans(quantizer: Quantizer, num_codebooks: int) -> list[tuple[int, int]]:
    """First book and number of books of each of those quantizers."""
    counts = [count for _, count in _parts(quantizer, num_codebooks)]
    return [(sum(counts[:i]), count) for i, count in enumerate(counts)]


def _inside(part: EuclideanRvq | CosineRvq, tensors: Tensors, latent: NDArray) -> Array:
    """`latent` in the dimensions in which the residuals are."""
    x = np.asarray(latent, np.float64)
    projected = isinstance(part, EuclideanRvq) and part.codebook_dim is not None
    return x @ _get(tensors, f"{part.name}.in_proj.weight").T if projected else x


def _outside(part: EuclideanRvq | CosineRvq, tensors: Tensors, x: Array) -> Array:
    projected = isinstance(part, EuclideanRvq) and part.codebook_dim is not None
    return x @ _get(tensors, f"{part.name}.out_proj.weight").T if projected else x


def _scores(part: EuclideanRvq | CosineRvq, tensors: Tensors, k: int, residual: Array) -> Array:
    """Of each code's rows, for each entry of book `k`: lower is better."""
    book = _get(tensors, f"{part.name}.{k}.codebook")
    if isinstance(part, EuclideanRvq):
        return (residual**2).sum(1, keepdims=True) - 2 * residual @ book.T + (book**2).sum(1)
    means = residual.reshape(-1, part.strides[k], part.dim).mean(1)
    return -_unit(_linear(tensors, f"{part.name}.{k}.in_proj", means)) @ _unit(book).T


def _entries(part: EuclideanRvq | CosineRvq, tensors: Tensors, k: int, codes: NDArray) -> Array:
    """What codes of book `k` stand for, (T, D)."""
    entries = _get(tensors, f"{part.name}.{k}.codebook")[codes]
    if isinstance(part, EuclideanRvq):
        return entries
    return np.repeat(_linear(tensors, f"{part.name}.{k}.out_proj", entries), part.strides[k], axis=0)


def _linear(tensors: Tensors, name: str, x: Array) -> Array:
    return x @ _get(tensors, f"{name}.weight").T + _get(tensors, f"{name}.bias")


def _unit(rows: Array) -> Array:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _get(tensors: Tensors, name: str) -> Array:
    return tensors[name].astype(np.float64)
