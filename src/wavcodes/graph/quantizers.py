"""The quantizers: latent rows `(T, D)` to codes and back."""

from collections.abc import Iterator
from dataclasses import dataclass

from .layers import Shape


@dataclass(frozen=True)
class EuclideanRvq:
    """Residual quantizer: each book takes the nearest of its entries away from what the books before left over.

    Ties go to the lower index. With `codebook_dim`, all of it happens in a projection of the latent to that many
    dimensions, and the sum of the entries is projected back.

    Tensors of book k: `{name}.{k}.codebook` (codebook_size, codebook_dim or dim). With `codebook_dim` also
    `{name}.in_proj.weight` (codebook_dim, dim) and `{name}.out_proj.weight` (dim, codebook_dim).
    """

    name: str
    num_codebooks: int
    codebook_size: int
    dim: int
    codebook_dim: int | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames per code, for each book."""
        return (1,) * self.num_codebooks

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        if self.codebook_dim is not None:
            yield f"{self.name}.in_proj.weight", (self.codebook_dim, self.dim)
            yield f"{self.name}.out_proj.weight", (self.dim, self.codebook_dim)
        for k in range(self.num_codebooks):
            yield f"{self.name}.{k}.codebook", (self.codebook_size, self.codebook_dim or self.dim)


@dataclass(frozen=True)
class CosineRvq:
    """Residual quantizer that searches by angle in a projection of few dimensions (the improved VQ of DAC).

    Each book takes the mean of `strides[k]` rows of the residual, projects it to `codebook_dim`, takes the entry of
    greatest cosine (the lower index on a tie), projects that entry, not normalised, back, and takes it away from each
    of those rows.

    Tensors of book k: `{name}.{k}.in_proj.weight` (codebook_dim, dim), `.in_proj.bias`, `.out_proj.weight` (dim,
    codebook_dim), `.out_proj.bias`, `.codebook` (codebook_size, codebook_dim).

    Attributes:
        strides: Frames per code, for each book.
    """

    name: str
    codebook_size: int
    dim: int
    codebook_dim: int
    strides: tuple[int, ...]

    @property
    def num_codebooks(self) -> int:
        """K."""
        return len(self.strides)

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        for k in range(self.num_codebooks):
            book = f"{self.name}.{k}"
            yield f"{book}.in_proj.weight", (self.codebook_dim, self.dim)
            yield f"{book}.in_proj.bias", (self.codebook_dim,)
            yield f"{book}.out_proj.weight", (self.dim, self.codebook_dim)
            yield f"{book}.out_proj.bias", (self.dim,)
            yield f"{book}.codebook", (self.codebook_size, self.codebook_dim)


@dataclass(frozen=True)
class SplitRvq:
    """Two residual quantizers of the same latent, whose results are added (Mimi: the first book and all others)."""

    first: EuclideanRvq
    rest: EuclideanRvq

    @property
    def num_codebooks(self) -> int:
        """K."""
        return self.first.num_codebooks + self.rest.num_codebooks

    @property
    def codebook_size(self) -> int:
        """Entries per book."""
        return self.first.codebook_size

    @property
    def dim(self) -> int:
        """D, the width of the latent."""
        return self.first.dim

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames per code, for each book."""
        return self.first.strides + self.rest.strides

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        yield from self.first.tensors()
        yield from self.rest.tensors()


Quantizer = EuclideanRvq | CosineRvq | SplitRvq
