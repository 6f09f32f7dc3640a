"""Upstream's SNAC with random weights, in the layout in which the real ones are published; `peers` says how random."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import peers

_ATTENTIVE = {
    "encoder_dim": 64,
    "encoder_rates": [2, 3, 8, 8],
    "decoder_dim": 1536,
    "decoder_rates": [8, 8, 3, 2],
    "attn_window_size": 32,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [8, 4, 2, 1],
    "noise": True,
    "depthwise": True,
}
# `config.json` of hubertsiuzdak/snac_*.
SNAC: dict[str, dict[str, Any]] = {
    "snac_24khz": {
        "sampling_rate": 24_000,
        "encoder_dim": 48,
        "encoder_rates": [2, 4, 8, 8],
        "decoder_dim": 1024,
        "decoder_rates": [8, 8, 4, 2],
        "attn_window_size": None,
        "codebook_size": 4096,
        "codebook_dim": 8,
        "vq_strides": [4, 2, 1],
        "noise": True,
        "depthwise": True,
    },
    "snac_32khz": {"sampling_rate": 32_000, **_ATTENTIVE},
    "snac_44khz": {"sampling_rate": 44_100, **_ATTENTIVE},
}


def snac_peer(name: str, seed: int, folder: Path) -> tuple[Any, Path]:
    """A random SNAC.

    Args:
        name: One of `SNAC`.
        seed: Decides all weights.
        folder: Where the file goes, a state dict with the published names.

    Returns:
        The `snac.SNAC`, in evaluation mode, and the path of the file.
    """
    import snac
    import torch
    from safetensors.numpy import save_file

    with torch.device("meta"):
        model = snac.SNAC(**SNAC[name])
    model = model.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(seed)
    audio = torch.from_numpy(peers.sound(seed, 24_576))[None, None]
    with torch.no_grad():
        for tensor_name, parameter in model.named_parameters():
            parameter.copy_(_drawn(tensor_name, parameter, generator))
        for module in model.modules():
            if isinstance(module, snac.attention.SinusoidalEmbeddings):
                fresh = snac.attention.SinusoidalEmbeddings(64, module.scale_base)
                module.inv_freq.copy_(fresh.inv_freq)
    # What is added to a signal is less than the signal, or rounding errors would grow from layer to layer.
    noises = [module.linear for module in model.modules() if isinstance(module, snac.layers.NoiseBlock)]
    units = [module.block[3] for module in model.modules() if isinstance(module, snac.layers.ResidualUnit)]
    quiet = {*noises, *units, model.decoder.model[-2]}
    with peers.spread_out(model.encoder, model.decoder, spread=lambda conv: 0.4 if conv in quiet else 1.0):
        latent = model.encoder(model.preprocess(audio))
        quantized = _fill_codebooks(model.quantizer.quantizers, latent, generator)
        torch.manual_seed(seed)
        model.decoder(quantized)
    path = folder / f"{name}_{seed}.safetensors"
    save_file({key: value.numpy() for key, value in model.state_dict().items()}, path)
    return model, path


def _drawn(name: str, parameter: Any, generator: Any) -> Any:
    import torch

    drawn = torch.randn(parameter.shape, generator=generator)
    if name.endswith(".alpha"):
        return torch.exp(0.3 * drawn)  # positive and around one, as trained ones are
    if name.endswith("norm.weight"):
        return 1 + 0.1 * drawn
    if name.endswith("bias"):
        return 0.1 * drawn
    if name.endswith(("to_qkv.weight", "to_out.weight")):
        return 1.5 * parameter.shape[1] ** -0.5 * drawn
    return drawn


def _fill_codebooks(books: Any, latent: Any, generator: Any) -> Any:
    """Fills all books from what they have to describe of `latent` (1, D, T); what they make of it together."""
    import torch

    left = latent
    for book in books:
        with peers.spread_out(book.in_proj):
            inside = book.in_proj(torch.nn.functional.avg_pool1d(left, book.stride, book.stride))
        # Around the projections that there are, in all lengths: the search must see the angle alone.
        chosen = torch.randint(inside.shape[2], (len(book.codebook.weight),), generator=generator)
        entries = inside[0].T[chosen] + torch.randn(book.codebook.weight.shape, generator=generator)
        book.codebook.weight.copy_(entries * torch.exp(0.3 * torch.randn(len(entries), 1, generator=generator)))
        # Back to where the projection came from, so that taking an entry away leaves less.
        back = torch.linalg.pinv(book.in_proj.weight[:, :, 0])
        norm = back.norm(dim=1)[:, None, None]
        book.out_proj.parametrizations.weight.original1.copy_(back[:, :, None])
        book.out_proj.parametrizations.weight.original0.copy_(norm)
        left = left - book(left)[0]
    return latent - left


@contextmanager
def noise(source: Callable[[int, int], np.ndarray] | None) -> Iterator[None]:
    """Within it, upstream's noise is `source(number of the block, count)`; zeros where there is no source.

    One decoding at a time: the blocks are numbered as they are called.
    """
    import torch

    numbers = itertools.count()

    def randn(shape: tuple[int, int, int], *, device: Any, dtype: Any) -> Any:
        number = next(numbers)
        values = np.zeros(shape[2]) if source is None else source(number, shape[2])
        return torch.from_numpy(values).to(dtype).reshape(shape)

    with mock.patch.object(torch, "randn", randn):
        yield
