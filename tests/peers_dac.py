"""Upstream's DAC with random weights, in the layout in which the real ones are published."""

from pathlib import Path
from typing import Any

from peers import scaled, sound

# What differs between the `conf/final/*.yml` of descript-audio-codec: strides, width of the latent, codebooks.
DAC: dict[str, tuple[list[int], int, int]] = {
    "dac_16khz": ([2, 4, 5, 8], 1024, 12),
    "dac_24khz": ([2, 4, 5, 8], 1024, 32),
    "dac_44khz": ([2, 4, 8, 8], 1024, 9),
    "dac_44khz_16kbps": ([2, 4, 8, 8], 128, 18),
}


def dac_peer(name: str, seed: int, folder: Path) -> tuple[Any, Path]:
    """A random DAC.

    Args:
        name: One of `DAC`.
        seed: Decides all weights.
        folder: Where the safetensors file goes, with the tensor names of those on the Hub.

    Returns:
        The `transformers.DacModel`, in evaluation mode, and the path of the file.
    """
    from safetensors.numpy import save_file
    from transformers import DacConfig, DacModel

    rates, dim, num_codebooks = DAC[name]
    config = DacConfig(downsampling_ratios=rates, n_codebooks=num_codebooks)
    config.hidden_size = dim  # no field of the configuration, but 44.1 kHz at 16 kbps has its own
    model = DacModel(config).eval()
    randomize_dac(model, seed)
    path = folder / f"{name}_{seed}.safetensors"
    save_file({tensor: value.numpy() for tensor, value in model.state_dict().items()}, path)
    return model, path


def randomize_dac(model: Any, seed: int) -> None:
    """Draws all weights of a DAC, transformers' or Descript's."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        latent = scaled(model.encoder, torch.from_numpy(sound(seed, 20_480))[None, None], 1.0, generator)
        quantized = _fill_quantizers(model.quantizer.quantizers, latent, generator)
        scaled(model.decoder, quantized, 0.3, generator)


def _fill_quantizers(quantizers: Any, latent: Any, generator: Any) -> Any:
    """Fills all books so that each takes something away from `latent` (1, D, T); what they make of it together."""
    import torch

    residual = latent
    for quantizer in quantizers:
        inward, outward = quantizer.in_proj, quantizer.out_proj
        for conv in (inward, outward):
            conv.bias.copy_(0.1 * torch.randn(conv.bias.shape, generator=generator))
        # As in a trained model, the way out undoes the way in: rows at right angles, and their transposed.
        rows = torch.linalg.qr(torch.randn(inward.in_channels, inward.out_channels, generator=generator)).Q.T
        _set_weight(inward, rows[..., None])
        _set_weight(outward, rows.T[..., None])
        projected = inward(residual)[0].T
        mixture = torch.randn(len(quantizer.codebook.weight), len(projected), generator=generator)
        quantizer.codebook.weight.copy_(mixture @ projected / len(projected) ** 0.5)
        residual = residual - quantizer(residual)[0]
    return latent - residual


def _set_weight(conv: Any, weight: Any) -> None:
    if hasattr(conv, "weight_g"):
        conv.weight_v.copy_(3 * weight)  # its length is not what counts
        conv.weight_g.copy_(weight.norm(dim=(1, 2), keepdim=True))
    else:
        conv.weight.copy_(weight)
