"""Upstream models with random weights, in the layout in which the real ones are published.

Plain random weights would test little: signals die out or explode within a few layers, and all frames get the same
codes. The weights here are scaled layer by layer so that every layer's output has a spread of one, and the codebooks
are drawn from the residuals that they have to describe.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

# The fields of `config.json` of facebook/encodec_24khz that bear on the network.
ENCODEC_24KHZ: dict[str, Any] = {
    "audio_channels": 1,
    "chunk_length_s": None,
    "codebook_dim": 128,
    "codebook_size": 1024,
    "compress": 2,
    "dilation_growth_rate": 2,
    "hidden_size": 128,
    "kernel_size": 7,
    "last_kernel_size": 7,
    "norm_type": "weight_norm",
    "normalize": False,
    "num_filters": 32,
    "num_lstm_layers": 2,
    "num_residual_layers": 1,
    "overlap": None,
    "pad_mode": "reflect",
    "residual_kernel_size": 3,
    "sampling_rate": 24000,
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
    "trim_right_ratio": 1.0,
    "upsampling_ratios": [8, 5, 4, 2],
    "use_causal_conv": True,
}


def encodec_peer(seed: int, folder: Path) -> tuple[Any, Path]:
    """A random EnCodec 24 kHz.

    Args:
        seed: Decides all weights.
        folder: Where the safetensors file goes, with the tensor names of the published one.

    Returns:
        The `transformers.EncodecModel`, in evaluation mode, and the path of the file.
    """
    import torch
    from safetensors.numpy import save_file
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig(**ENCODEC_24KHZ)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        latent = _scaled(model.encoder, torch.from_numpy(sound(seed, 48_000))[None, None], 1.0, generator)[0].T
        quantized = _fill_codebooks(model.quantizer.layers, latent, generator)
        _scaled(model.decoder, quantized.T[None], 0.2, generator)
    path = folder / f"encodec_{seed}.safetensors"
    save_file({_published(name): value.numpy() for name, value in model.state_dict().items()}, path)
    return model, path


def sound(seed: int, num_samples: int) -> np.ndarray:
    """Noise under a changing envelope and a rising tone, float32 (N,) at 24 kHz: loud and quiet, high and low."""
    time = np.arange(num_samples) / 24_000
    noise = np.random.default_rng(seed).standard_normal(num_samples) * 0.1 * (1 + np.sin(7 * time))
    return (noise + 0.2 * np.sin(200 * time * (1 + 3 * time))).astype(np.float32)


def _scaled(network: Any, x: Any, last_spread: float, generator: Any) -> Any:
    """Draws all weights of an encoder or a decoder; its output for `x`."""
    import torch

    convs = [m for m in network.modules() if isinstance(m, torch.nn.Conv1d | torch.nn.ConvTranspose1d)]

    def scale(conv: Any, _: Any, y: Any) -> Any:
        spread = last_spread if conv is convs[-1] else 1.0
        linear = y - conv.bias[:, None]
        factor = spread / linear.std()
        conv.parametrizations.weight.original0.mul_(factor)
        return linear * factor + conv.bias[:, None]

    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    for conv in convs:
        conv.bias.mul_(0.1)
    for module in network.modules():
        if isinstance(module, torch.nn.LSTM):
            for parameter in module.parameters():
                parameter.mul_(1.5 * module.hidden_size**-0.5)
    hooks = [conv.register_forward_hook(scale) for conv in convs]
    y = network(x)
    for hook in hooks:
        hook.remove()
    return y


def _fill_codebooks(books: Any, latent: Any, generator: Any) -> Any:
    """Fills all books so that each shrinks what is left of `latent`, (T, D); what they make of it together."""
    import torch

    residual = latent
    for book in books:
        mixture = torch.randn(len(book.codebook.embed), len(latent), generator=generator) / len(latent) ** 0.5
        # Spread like the residual; 0.3 of its size is about what 10 bits can tell of 128 dimensions.
        entries = 0.3 * mixture @ residual
        book.codebook.embed.copy_(entries)
        residual = residual - entries[torch.cdist(residual, entries).argmin(1)]
    return latent - residual


def _published(name: str) -> str:
    """Name of a tensor in the published file, which spells weight norm in PyTorch's older way."""
    name = re.sub(r"parametrizations\.weight\.original0$", "weight_g", name)
    return re.sub(r"parametrizations\.weight\.original1$", "weight_v", name)
