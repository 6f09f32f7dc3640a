"""Descript's own package as the other side of `.dac` files: its model with random weights and few channels."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import peers_dac
import upstream
from numpy.typing import NDArray

from wavcodes import registry

NAMES = ("dac_16khz", "dac_24khz", "dac_44khz", "dac_44khz_16kbps")


class Signal:
    """What Descript's `compress` and `decompress` need of audiotools' AudioSignal, which is not installed.

    It leaves level and rate as they are, so that what remains is the codec; `normalized` has the levels asked for.
    """

    def __init__(self, audio_data: Any, sample_rate: int) -> None:
        self.audio_data = audio_data  # (batch, channels, samples)
        self.sample_rate = sample_rate
        self.device = audio_data.device
        self.normalized: list[Any] = []

    signal_length = property(lambda self: self.audio_data.shape[-1])
    signal_duration = property(lambda self: self.signal_length / self.sample_rate)
    shape = property(lambda self: self.audio_data.shape)

    def clone(self) -> "Signal":
        return Signal(self.audio_data.clone(), self.sample_rate)

    def resample(self, sample_rate: int) -> None:
        assert sample_rate == self.sample_rate

    def loudness(self) -> Any:
        import torch

        return torch.full((len(self.audio_data),), -23.5)

    def normalize(self, level: Any) -> None:
        self.normalized.append(level)

    def ensure_max_of_audio(self) -> None:
        pass

    def zero_pad(self, before: int, after: int) -> "Signal":
        import torch

        self.audio_data = torch.nn.functional.pad(self.audio_data, (before, after))
        return self

    def __getitem__(self, where: Any) -> "Signal":
        return Signal(self.audio_data[where], self.sample_rate)


class Descript:
    """A model of descript-audio-codec as narrow as `narrow` makes ours.

    Args:
        name: One of `NAMES`.
        folder: Where its weights go, in the layout of Descript's releases.
    """

    def __init__(self, name: str, folder: Path) -> None:
        import torch

        config = registry.checkpoint(name).network.args[0]  # type: ignore[attr-defined]
        self.spec = registry.spec(name)
        self.model = upstream.descript_dac(
            encoder_dim=config.encoder_dim,
            encoder_rates=list(config.rates),
            latent_dim=config.dim,
            decoder_dim=config.decoder_dim,
            decoder_rates=list(reversed(config.rates)),
            n_codebooks=config.num_codebooks,
            sample_rate=self.spec.sample_rate,
        )
        peers_dac.randomize_dac(self.model, seed=3)
        self.model.device = torch.device("cpu")
        self._module["AudioSignal"] = Signal
        self.weights = folder / f"{name}.pth"
        torch.save({"state_dict": self.model.state_dict()}, self.weights)

    @cached_property
    def _module(self) -> dict[str, Any]:
        """The globals of `dac.model.base`."""
        found: dict[str, Any] = type(self.model).get_delay.__globals__
        return found

    def save(self, audio: NDArray, path: Path, window: float | None) -> Any:
        """Descript's file of `audio`, float32 (channels, samples), in windows of so many seconds; what it holds."""
        import torch

        signal = Signal(torch.from_numpy(audio)[None], self.spec.sample_rate)
        content = self.model.compress(signal, win_duration=window)
        content.save(path)
        return content

    def load(self, path: Path) -> Any:
        return self._module["DACFile"].load(path)

    def sound(self, path: Path, length: int | None = None) -> NDArray:
        """What Descript makes of a file, float32 (channels, `length` samples), before it sets level and rate.

        Args:
            length: The file's own if left out, otherwise all that there is is given up to it.
        """
        content = self.load(path)
        assert content.sample_rate == self.spec.sample_rate
        content.original_length = content.original_length if length is None else length
        sound: NDArray = self.model.decompress(content).audio_data[0].numpy()
        return np.ascontiguousarray(sound)
