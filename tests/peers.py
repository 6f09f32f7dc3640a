"""Upstream models with random weights, in the layout in which the real ones are published.

Plain random weights would test little: signals die out or explode within a few layers, and all frames get the same
codes. The weights here are scaled layer by layer so that every layer's output has a spread of one, and the codebooks
are drawn from the residuals that they have to describe.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

# The fields of the `config.json` of facebook/NAME that bear on the network; of 24 kHz, then what the others change.
_ENCODEC_24KHZ: dict[str, Any] = {
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
ENCODEC: dict[str, dict[str, Any]] = {
    "encodec_24khz": _ENCODEC_24KHZ,
    "encodec_32khz": _ENCODEC_24KHZ
    | {
        "codebook_size": 2048,
        "num_filters": 64,
        "sampling_rate": 32000,
        "target_bandwidths": [2.2],
        "upsampling_ratios": [8, 5, 4, 4],
        "use_causal_conv": False,
        "use_conv_shortcut": False,
    },
    "encodec_48khz": _ENCODEC_24KHZ
    | {
        "audio_channels": 2,
        "chunk_length_s": 1.0,
        "norm_type": "time_group_norm",
        "normalize": True,
        "overlap": 0.01,
        "sampling_rate": 48000,
        "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
        "use_causal_conv": False,
    },
}


def encodec_peer(name: str, seed: int, folder: Path, **widths: int) -> tuple[Any, Path]:
    """A random EnCodec.

    Args:
        name: One of `ENCODEC`.
        seed: Decides all weights.
        folder: Where the safetensors file goes, with the tensor names of the published one.
        widths: Fields of the configuration in place of the published ones.

    Returns:
        The `transformers.EncodecModel`, in evaluation mode, and the path of the file.
    """
    from safetensors.numpy import save_file
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig(**(ENCODEC[name] | widths))).eval()
    books = [layer.codebook.embed for layer in model.quantizer.layers]
    randomize_encodec(model.encoder, books, model.decoder, model.config.audio_channels, seed)
    path = folder / f"{name}_{seed}.safetensors"
    save_file({_published(tensor): value.numpy() for tensor, value in model.state_dict().items()}, path)
    return model, path


def randomize_encodec(encoder: Any, books: list[Any], decoder: Any, channels: int, seed: int) -> None:
    """Draws all weights of an EnCodec, transformers' or Meta's: encoder, codebooks and decoder."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    audio = np.stack([sound(seed + channel, 48_000) for channel in range(channels)])
    with torch.no_grad():
        latent = scaled(encoder, torch.from_numpy(audio)[None], 1.0, generator)[0].T
        quantized = _fill_codebooks(books, latent, generator)
        scaled(decoder, quantized.T[None], 0.2, generator)


def sound(seed: int, num_samples: int) -> np.ndarray:
    """Noise under a changing envelope and a rising tone, float32 (N,) at 24 kHz: loud and quiet, high and low."""
    time = np.arange(num_samples) / 24_000
    noise = np.random.default_rng(seed).standard_normal(num_samples) * 0.1 * (1 + np.sin(7 * time))
    return (noise + 0.2 * np.sin(200 * time * (1 + 3 * time))).astype(np.float32)


def scaled(network: Any, x: Any, last_spread: float, generator: Any) -> Any:
    """Draws all weights of an encoder or a decoder; its output for `x`."""
    import torch

    modules = list(network.modules())
    convs = [m for m in modules if isinstance(m, torch.nn.Conv1d | torch.nn.ConvTranspose1d)]
    norms = [m for m in modules if isinstance(m, torch.nn.GroupNorm)]
    for name, parameter in network.named_parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
        if name.endswith("alpha"):  # of a Snake
            parameter.mul_(0.2).add_(1)
    for module in (*convs, *norms):
        module.bias.mul_(0.1)
    for norm in norms:
        norm.weight.mul_(0.2).add_(1).mul_(last_spread if norm is norms[-1] else 1)
    for module in modules:
        if isinstance(module, torch.nn.LSTM):
            for parameter in module.parameters():
                parameter.mul_(1.5 * module.hidden_size**-0.5)
    with spread_out(network, spread=lambda conv: last_spread if conv is convs[-1] else 1.0):
        return network(x)


@contextmanager
def spread_out(*networks: Any, spread: Callable[[Any], float] = lambda conv: 1.0) -> Iterator[None]:
    """Within it, each convolution that runs is scaled so that its output without bias has the standard deviation
    `spread(conv)`; for good, so it should run once."""
    import torch

    def scale(conv: Any, _: Any, y: Any) -> Any:
        bias = 0.0 if conv.bias is None else conv.bias[:, None]
        factor = spread(conv) / (y - bias).std()
        _magnitude(conv).mul_(factor)
        return (y - bias) * factor + bias

    kinds = torch.nn.Conv1d | torch.nn.ConvTranspose1d
    hooks = [
        module.register_forward_hook(scale)
        for network in networks
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _magnitude(conv: Any) -> Any:
    """What to multiply in order to multiply the weights of a convolution, in either spelling of weight norm or none."""
    if hasattr(conv, "parametrizations"):
        return conv.parametrizations.weight.original0
    return conv.weight_g if hasattr(conv, "weight_g") else conv.weight


def _fill_codebooks(books: list[Any], latent: Any, generator: Any) -> Any:
    """Fills all books so that each shrinks what is left of `latent`, (T, D); what they make of it together."""
    import torch

    residual = latent
    for book in books:
        mixture = torch.randn(len(book), len(latent), generator=generator) / len(latent) ** 0.5
        # Spread like the residual; 0.3 of its size is about what 10 bits can tell of 128 dimensions.
        entries = 0.3 * mixture @ residual
        book.copy_(entries)
        residual = residual - entries[torch.cdist(residual, entries).argmin(1)]
    return latent - residual


def _published(name: str) -> str:
    """Name of a tensor in the published file, which spells weight norm in PyTorch's older way."""
    name = re.sub(r"parametrizations\.weight\.original0$", "weight_g", name)
    return re.sub(r"parametrizations\.weight\.original1$", "weight_v", name)
