"""Upstream's Mimi with random weights, in the layouts in which the real ones are published; `peers` says how random."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import peers

Tensors = dict[str, np.ndarray]


def mimi_peer(name: str, seed: int, folder: Path) -> tuple[Any, Path]:
    """A random Mimi.

    Args:
        name: `mimi`, the only one.
        seed: Decides all weights.
        folder: Where the safetensors file goes, with the names of moshi's `tokenizer-e351c8d8-checkpoint125`.

    Returns:
        The `moshi.models.MimiModel`, in evaluation mode and with all 32 books, and the path of the file.
    """
    import torch
    from moshi.models import loaders
    from safetensors.numpy import save_file

    model = loaders.get_mimi(None, num_codebooks=32).eval()
    generator = torch.Generator().manual_seed(seed)
    audio = torch.from_numpy(peers.sound(seed, 100 * 1920))[None, None]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_drawn(name, parameter, generator))
    last = model.decoder.model[-1].conv.conv
    with peers.spread_out(model, spread=lambda conv: 0.2 if conv is last else 1.0):
        latent = model.encode_to_latent(audio, quantize=False)
        parts = (model.quantizer.rvq_first, model.quantizer.rvq_rest)
        quantized = torch.stack([_fill(part, latent, generator) for part in parts]).sum(0)
        upsampled = model.upsample(quantized)
        model.decoder(model.decoder_transformer(upsampled)[0])
    path = folder / f"{name}_{seed}.safetensors"
    save_file(moshi_published(model), path)
    return model, path


def _drawn(name: str, parameter: Any, generator: Any) -> Any:
    import torch

    drawn = torch.randn(parameter.shape, generator=generator)
    if re.search(r"norm[12]\.weight", name):
        return 1 + 0.1 * drawn
    if name.endswith("bias"):
        return 0.1 * drawn
    if "layer_scale" in name:
        return 0.3 * drawn
    if "_transformer." in name:
        # Three times the width of a unit product, so that attention has a few keys to choose and not all alike.
        return (1.5 if "in_projs" in name else 1.0) * parameter.shape[-1] ** -0.5 * drawn
    return drawn


def _fill(part: Any, latent: Any, generator: Any) -> Any:
    """Fills the books of a residual quantizer for `latent` (1, D, T); what they make of it together."""
    import torch

    rest = part.input_proj(latent)[0].T
    whole = rest
    for layer in part.vq.layers:
        book = layer._codebook
        mixture = torch.randn(len(book.cluster_usage), len(rest), generator=generator) / len(rest) ** 0.5
        usage = 5 * torch.rand(len(book.cluster_usage), generator=generator)
        usage[:7] = torch.tensor([0, 1e-9, 5e-6, 1e-5, 2e-5, 1e-3, 1e4])  # upstream takes no less than 1e-5
        book.cluster_usage.copy_(usage)
        book.embedding_sum.copy_(0.3 * mixture @ rest * usage.clamp(min=1e-5)[:, None])
        book._initialized.fill_(1)
        entries = book.embedding
        rest = rest - entries[torch.cdist(rest, entries).argmin(1)]
    return part.output_proj((whole - rest).T[None])


def moshi_published(model: Any) -> Tensors:
    """All tensors under the names of moshi's file, which are older than those in memory."""
    return {
        name.replace("in_projs.0.weight", "in_proj_weight").replace("out_projs.0", "out_proj"): value.numpy()
        for name, value in model.state_dict().items()
    }


def hub_published(model: Any) -> Tensors:
    """The same under the names of the Hub's file, whose rows of the queries and keys have another order."""
    renamed: Tensors = {}
    for name, value in moshi_published(model).items():
        for theirs, ours in _TO_HUB:
            name = re.sub(theirs, ours, name)
        if not name.endswith("in_proj_weight"):
            renamed[name] = value
            continue
        for part, rows in zip("qkv", np.split(value, 3), strict=True):
            # Within each of 8 heads, 64 channels wide: rows 0, 2, 4 ... before 1, 3, 5 ...
            heads = rows if part == "v" else rows.reshape(8, 32, 2, 512).swapaxes(1, 2)
            renamed[name.replace("in_proj_weight", f"{part}_proj.weight")] = heads.reshape(512, 512).copy()
    return renamed


def in_transformers(model: Any) -> Any:
    """`transformers.MimiModel` with the same weights."""
    import torch
    from transformers import MimiConfig, MimiModel

    state = {}
    for name, value in hub_published(model).items():
        half = "encoder" if name.startswith(("encoder", "downsample")) else "decoder"
        if not name.startswith("quantizer"):
            name = f"{half}." + re.sub(r"^(encoder|decoder)\.", r"\1_seanet.", name)
        state[name] = torch.from_numpy(value)
    theirs = MimiModel(MimiConfig())
    theirs.load_state_dict(state, assign=True)
    return theirs.eval()


_TO_HUB = [
    (r"^(encoder|decoder)\.model", r"\1.layers"),
    (r"conv\.conv\.conv|convtr\.convtr\.convtr", "conv"),
    (r"conv\.conv|convtr\.convtr", "conv"),
    (r"_transformer\.transformer\.", "_transformer."),
    (r"self_attn\.out_proj", "self_attn.o_proj"),
    (r"\.linear", ".mlp.fc"),
    (r"\.norm1", ".input_layernorm"),
    (r"\.norm2", ".post_attention_layernorm"),
    (r"layer_scale_1", "self_attn_layer_scale"),
    (r"layer_scale_2", "mlp_layer_scale"),
    (r"rvq_first", "semantic_residual_vector_quantizer"),
    (r"rvq_rest", "acoustic_residual_vector_quantizer"),
    (r"\.vq\.layers", ".layers"),
    (r"\._codebook\._?", ".codebook."),
    (r"embedding_sum", "embed_sum"),
]
