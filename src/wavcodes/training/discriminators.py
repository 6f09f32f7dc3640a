"""Networks that learn to tell sound from what a codec made of it, by its spectra (as those of EnCodec do)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from .losses import compressed, spectrum

Seen = tuple[Tensor, list[Tensor]]
"""What a discriminator thinks of each place, and what its layers saw on the way."""


class Discriminator(nn.Module):
    """Convolutions over time and frequency of one spectrum, whose real and imaginary parts are compressed."""

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.layers = nn.ModuleList(
            (
                weight_norm(nn.Conv2d(2, channels, (3, 8), (1, 4), (1, 2))),
                weight_norm(nn.Conv2d(channels, 2 * channels, (3, 4), (1, 2), (1, 1))),
                weight_norm(nn.Conv2d(2 * channels, 2 * channels, (3, 4), (1, 2), (2, 1), (2, 1))),
                weight_norm(nn.Conv2d(2 * channels, 2 * channels, (3, 4), (1, 2), (4, 1), (4, 1))),
            )
        )
        self.last = weight_norm(nn.Conv2d(2 * channels, 1, 3, padding=1))

    def forward(self, sound: Tensor) -> Seen:
        bins = compressed(spectrum(sound, self.window), 0.4)[..., :-1]
        x = bins.transpose(0, 1)  # (B, 2, frames, bins)
        x = x.contiguous(memory_format=torch.channels_last)
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            seen.append(x)
        return self.last(x), seen


def discriminators(windows: Sequence[int], channels: int) -> nn.ModuleList:
    """One discriminator per size of window."""
    return nn.ModuleList(Discriminator(window, channels) for window in windows)


def own_loss(real: Tensor, made: Tensor) -> Tensor:
    """What a discriminator is to make small: least squares from 1 on real sound, from 0 on made sound."""
    return (1 - real.float()).square().mean() + made.float().square().mean()


def adversarial_loss(made: Tensor) -> Tensor:
    """What the codec is to make small."""
    return (1 - made.float()).square().mean()


def feature_loss(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """How far what the layers saw of made sound is from what they saw of the real one, relative to its level."""
    pairs = [(r.float(), m.float()) for r, m in zip(real, made, strict=True)]
    return torch.stack([(m - r).abs().mean() / (r.abs().mean() + 1e-3) for r, m in pairs]).mean()
