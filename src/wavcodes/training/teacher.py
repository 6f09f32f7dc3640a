"""A codec that another one learns from: part by part, and from the sound that it makes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import graph, registry
from ..engines.torch import apply
from ..errors import InputError

Layers = tuple[graph.Layer, ...]

_LEAST = 0.1  # level of a channel, relative to all, below which it does not count in full


class Lesson(NamedTuple):
    """What one part of a network is to do.

    Attributes:
        part: Its layers.
        given: Rows in front of it, `(B, T, C)`.
        wanted: Rows behind it.
        skip: How many rows it gives before these.
    """

    part: Layers
    given: Tensor
    wanted: Tensor
    skip: int


class Teacher:
    """A trained codec whose weights stay as they are. It teaches without its quantizer.

    Args:
        codec: Its name.
        source: Its weights, if not where the registry says.
        pupil: The network that learns, with parts like those of the teacher.
        clips: Sound to find levels with, `(B, N, channels)`.
        device: Where to compute.

    Raises:
        InputError: There is no such codec, or its parts are not like the pupil's.
        ModelError: Its weights are missing, unreachable or damaged.
    """

    def __init__(
        self, codec: str, source: str | None, pupil: graph.Network, clips: Tensor, device: torch.device
    ) -> None:
        checkpoint = registry.checkpoint(codec)
        network = checkpoint.network()
        if _joints(network) != _joints(pupil):
            raise InputError(
                f"expected a teacher with the joints of the codec, {_joints(pupil)} (channels, change of rate); "
                f"got {codec} with {_joints(network)}"
            )
        self._pupil, self._encoder, self._decoder = pupil, parts(network.encoder), parts(network.decoder)
        # A pupil that drops the first sound of its decoder has time to look ahead: its parts give their rows later.
        self._late = (_dropped(pupil) - _dropped(network)) // math.prod(map(_factor, parts(network.decoder)))
        tensors = checkpoint.load(source)
        self._tensors = {name: torch.from_numpy(np.array(value)).to(device) for name, value in tensors.items()}
        self._levels = [_level(rows) for rows in self._rows(clips.to(device))[:-1]]

    def sound(self, clips: Tensor) -> Tensor:
        """What it makes of clips `(B, N, channels)`."""
        return self._rows(clips)[-1][:, : clips.shape[1]].float()

    def lessons(self, clips: Tensor) -> tuple[list[Lesson], Tensor]:
        """For each part of the pupil what it has to learn from these clips, and the latent.

        All rows between parts have a mean of 0 and a level of about 1 in each channel, whatever the teacher's scale is.
        """
        *inner, sound = self._rows(clips)
        inner = [(rows.float() - mean) / level for rows, (mean, level) in zip(inner, self._levels, strict=True)]
        latent = len(self._encoder) - 1
        heard, made = [clips, *inner[: latent + 1]], [*inner[latent:], sound.float()]
        found = [Lesson(*each, 0) for each in zip(parts(self._pupil.encoder), heard, heard[1:], strict=False)]
        rows_a_frame = 1
        for part, given, wanted in zip(parts(self._pupil.decoder), made, made[1:], strict=False):
            late = self._late * rows_a_frame
            given = F.pad(given, (0, 0, 0, late) if given is made[0] else (0, 0, late, 0))
            rows_a_frame *= _factor(part)
            late = 0 if wanted is made[-1] else self._late * rows_a_frame
            found.append(Lesson(part, given, wanted, late))
        return found, made[0]

    @torch.no_grad()
    def _rows(self, clips: Tensor) -> list[Tensor]:
        """Behind each part of the encoder, the last of which gives the latent, and of the decoder."""
        found = []
        for part in (*self._encoder, *self._decoder):
            clips = apply(part, self._tensors, clips)
            found.append(clips)
        return found


def parts(layers: Layers) -> list[Layers]:
    """The layers, parted in front of each that changes the number of rows a second, except the first of them."""
    _, *cuts = [i for i, layer in enumerate(layers) if _factor((layer,)) > 1]
    return [layers[start:end] for start, end in zip([0, *cuts], [*cuts, len(layers)], strict=True)]


def _joints(network: graph.Network) -> list[tuple[int, int]]:
    """Channels in front of each part, and how it changes the rate."""
    both = (*parts(network.encoder), *parts(network.decoder))
    return [(_convolutions(part)[0].in_channels, _factor(part)) for part in both]


def _convolutions(layers: Layers) -> list[graph.Conv1d | graph.ConvTranspose1d]:
    return [layer for layer in layers if isinstance(layer, graph.Conv1d | graph.ConvTranspose1d)]


def _factor(part: Layers) -> int:
    """How a part changes the number of rows a second: so many times as many in a decoder, as few in an encoder."""
    return max((layer.stride for layer in _convolutions(part)), default=1)


def _dropped(network: graph.Network) -> int:
    return sum(layer.rows for layer in network.decoder if isinstance(layer, graph.TrimStart))


def _level(rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.float()
    return rows.mean((0, 1)), rows.std((0, 1)) + _LEAST * rows.std()
