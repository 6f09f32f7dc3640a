"""The loop of training: one generator, which is the codec, and discriminators, if the recipe has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import graph
from ..engines.torch import apply
from ..engines.torch_quantizers import Quantized, codebooks, quantize
from ..errors import InputError
from . import losses
from .discriminators import adversarial_loss, discriminators, feature_loss, own_loss
from .peers import Peers
from .recipe import Recipe, Stage
from .teacher import Teacher

_RESOLUTIONS = 2  # of the mel loss in one step, drawn from all
_BETAS = (0.8, 0.99)
_SMALLEST_MATRIX = 16  # on both sides
_USAGE_KEPT = 0.98  # of how often each entry was used, in a step
_LARGER = 10.0  # times as large as it begins a layer may become soon
_DEAD = 0.05  # of the mean usage


class Trainer:
    """Everything that changes in a run, and one step of it.

    Attributes:
        step: Batches so far.
        averaged: The running average of the codec's tensors, by the graph's names, which is what a run is for.
    """

    def __init__(
        self,
        network: graph.Network,
        sample_rate: int,
        tensors: dict[str, Tensor],
        recipe: Recipe,
        device: torch.device,
        peers: Peers,
        teacher: Teacher | None = None,
    ) -> None:
        self.step = 0
        self._network, self._recipe, self._device, self._peers = network, recipe, device, peers
        self._teacher = teacher
        self._shapes = {name: value.shape for name, value in tensors.items()}
        self._trained = {name: _flat(value).to(device).clone().requires_grad_() for name, value in tensors.items()}
        self.averaged = {name: value.detach().clone() for name, value in self.tensors.items()}
        self._spectra = losses.Spectra(sample_rate, device)
        torch.manual_seed(recipe.seed)
        self._discriminators = discriminators(recipe.windows, recipe.discriminator_channels).to(device)
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        self._scales = {name: torch.tensor(_scale(name, self._trained)) for name in self._trained}
        for name, value in self._trained.items():
            group = {"params": [value], "scale": self._scales[name]}
            (matrices if _is_matrix(name, value) else others).append(group)
        self._optimizers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, betas=_BETAS, weight_decay=0.0, fused=True),
        )
        self._opponent = torch.optim.AdamW(
            self._discriminators.parameters(), lr=recipe.discriminator_rate, betas=_BETAS, fused=True
        )
        self._usage = {name: torch.ones(self._shapes[name][0], device=device) for name in codebooks(network.quantizer)}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The codec as it is trained, by the graph's names."""
        return {name: value.view(self._shapes[name]) for name, value in self._trained.items()}

    def advance(self, clips: Tensor) -> dict[str, float]:
        """One step on clips `(B, N, channels)`, this process's share; gives the losses by their names in a stage."""
        random = np.random.default_rng((self._recipe.seed, self.step))  # the same in all processes
        torch.manual_seed(int(random.integers(1 << 62)))
        stage, progress = self._recipe.at(self.step)
        rate = stage.end_rate + (stage.rate - stage.end_rate) * (1 + np.cos(np.pi * progress)) / 2
        rate *= min(1.0, (self.step + 1) / max(1, self._recipe.warm_up))
        for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
            group["lr"] = rate * float(group["scale"])
        in_use = self._in_use(random)
        if self._teacher and stage.parts:
            terms, quantized = self._apart(self._teacher, clips, in_use)
        else:
            terms, quantized = self._whole(clips, in_use, stage, random)
        if not stage.freeze_encoder:
            terms["codebook"] = (quantized.distance / in_use.sum(1)).mean()
        loss = torch.stack([getattr(stage, name) * value for name, value in terms.items()]).sum()
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()
        gradients = [value.grad for value in self._trained.values() if value.grad is not None]
        self._peers.average(gradients)
        norm = torch.nn.utils.get_total_norm(gradients)  # not clipped: the optimizers' steps do not depend on it
        finite = bool(torch.isfinite(norm))  # a step that is not is left out
        if finite:
            for optimizer in self._optimizers:
                optimizer.step()
        kept = min(self._recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.values()), list(self.tensors.values()), 1 - kept)
            reviving = self._recipe.revive_every and self.step < self._recipe.revive_until * self._recipe.steps
            if reviving and finite and not stage.freeze_encoder:
                self._count(quantized)
        self.step += 1
        return {name: float(value.detach()) for name, value in terms.items()} | {"gradient": float(norm)}

    def _in_use(self, random: np.random.Generator) -> Tensor:
        """Which codebooks each clip is coded with, bool `(B, K)`."""
        available = self._network.quantizer.num_codebooks
        numbers = random.choice(self._recipe.num_codebooks or (available,), self._recipe.batch)[self._peers.share]
        return torch.from_numpy(np.arange(available) < numbers[:, None]).to(self._device)

    def _apart(self, teacher: Teacher, clips: Tensor, in_use: Tensor) -> tuple[dict[str, Tensor], Quantized]:
        """Every part learns on its own; the quantizer is one that is to give what it was given."""
        with self._half():
            lessons, latent = teacher.lessons(clips)
            given = [apply(each.part, self.tensors, each.given, noise=True)[:, each.skip :] for each in lessons]
        quantized = quantize(self._network.quantizer, self.tensors, latent, in_use)
        wanted = [each.wanted for each in lessons]
        shares = map(_missing, (*given, quantized.rows), (*wanted, latent))
        return {"parts": torch.stack(list(shares)).mean()}, quantized

    def _whole(
        self, clips: Tensor, in_use: Tensor, stage: Stage, random: np.random.Generator
    ) -> tuple[dict[str, Tensor], Quantized]:
        """The codec from end to end."""
        made, quantized = self._made(clips, in_use, stage, random)
        goal = self._teacher.sound(clips) if self._teacher and stage.imitate else clips
        target, sound = _channels_apart(goal), _channels_apart(made.float())
        terms = self._similarity(sound, target, stage, random)
        if stage.adversarial or stage.features:
            terms |= self._contested(sound, target, random)
        return terms, quantized

    def _made(
        self, clips: Tensor, in_use: Tensor, stage: Stage, random: np.random.Generator
    ) -> tuple[Tensor, Quantized]:
        tensors = self.tensors
        with self._half(), torch.set_grad_enabled(not stage.freeze_encoder):
            latent = apply(self._network.encoder, tensors, clips, noise=True)
        with torch.set_grad_enabled(not stage.freeze_encoder):
            latent = latent.float()
            quantized = quantize(self._network.quantizer, tensors, latent, in_use)
        around = random.random(self._recipe.batch)[self._peers.share] < stage.bypass
        rows = torch.where(torch.from_numpy(around[:, None, None]).to(self._device), latent, quantized.rows)
        with self._half():
            return apply(self._network.decoder, tensors, rows, noise=True)[:, : clips.shape[1]], quantized

    def _similarity(
        self, sound: Tensor, target: Tensor, stage: Stage, random: np.random.Generator
    ) -> dict[str, Tensor]:
        terms = {}
        if stage.mel:
            terms["mel"] = self._spectra.mel(sound, target, self._spectra.some(_RESOLUTIONS, random))
        if stage.spectrum:
            terms["spectrum"] = self._spectra.complex(sound, target)
        if stage.waveform:
            terms["waveform"] = losses.waveform(sound, target)
        if stage.similarity:
            terms["similarity"] = 1 - self._spectra.similarity(sound, target)
        return terms

    def _contested(self, sound: Tensor, target: Tensor, random: np.random.Generator) -> dict[str, Tensor]:
        """One discriminator, drawn at random, learns and is then asked."""
        judge = self._discriminators[int(random.integers(len(self._discriminators)))]
        with self._half():
            verdicts, _ = judge(torch.cat((target, sound.detach())))
            loss = own_loss(*verdicts.chunk(2))
        self._opponent.zero_grad()
        loss.backward()
        gradients = [value.grad for value in judge.parameters() if value.grad is not None]
        self._peers.average(gradients)
        if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self._opponent.step()
        judge.requires_grad_(False)
        with self._half():
            with torch.no_grad():
                _, real = judge(target)
            verdict, seen = judge(sound)
        judge.requires_grad_(True)
        return {"adversarial": adversarial_loss(verdict), "features": feature_loss(real, seen)}

    def _half(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._recipe.precision == "bf16")

    def _count(self, quantized: Quantized) -> None:
        """Counts who is used, and now and then puts what was asked for in place of entries that are not."""
        counts = [
            torch.bincount(codes.flatten(), minlength=self._network.quantizer.codebook_size).float()
            for codes in quantized.codes
        ]
        self._peers.average(counts)
        for usage, count in zip(self._usage.values(), counts, strict=True):
            usage.lerp_(count, 1 - _USAGE_KEPT)
        if (self.step + 1) % self._recipe.revive_every:
            return
        for (name, usage), wanted in zip(self._usage.items(), quantized.inputs, strict=True):
            dead = (usage < _DEAD * usage.mean()).nonzero().flatten()
            asked = wanted.flatten(0, 1)
            fresh = asked[torch.randint(len(asked), (len(dead),), device=asked.device)]
            self._peers.agree(fresh)
            self._trained[name].data[dead] = fresh
            self.averaged[name][dead] = fresh
            usage[dead] = usage.mean()

    # ---- what a checkpoint holds

    def state(self) -> dict[str, Tensor]:
        """All that changes, as tensors by unique names."""
        return dict(self._state())

    def restore(self, state: dict[str, Tensor]) -> None:
        """Takes over what `state` gave.

        Raises:
            InputError: It is that of another network or recipe, or damaged.
        """
        self.step = int(_like(torch.tensor(0), state, "step"))
        if not 0 <= self.step <= self._recipe.steps:
            raise InputError(f"expected a state of 0 to {self._recipe.steps} steps, got one of {self.step}")
        for number, parameter, optimizer in self._optimized():
            found = {name.rsplit(".", 1)[1]: value for name, value in state.items() if name.startswith(f"{number}.")}
            if found:
                optimizer.state[parameter] = {
                    name: value if name == "step" else _like(parameter, state, f"{number}.{name}").to(self._device)
                    for name, value in found.items()
                }
        for name, value in self._named():
            value.data.copy_(_like(value, state, name))

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        yield "step", torch.tensor(self.step)
        yield from self._named()
        for number, parameter, optimizer in self._optimized():
            yield from ((f"{number}.{name}", value) for name, value in optimizer.state.get(parameter, {}).items())

    def _optimized(self) -> Iterator[tuple[str, Tensor, torch.optim.Optimizer]]:
        """All parameters with their optimizers and what they are called in a checkpoint."""
        for which, optimizer in enumerate((*self._optimizers, self._opponent)):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            yield from ((f"optimizer{which}.{n}", parameter, optimizer) for n, parameter in enumerate(parameters))

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        groups = {"trained": self._trained, "averaged": self.averaged, "usage": self._usage, "scales": self._scales}
        for group, values in groups.items():
            yield from ((f"{group}.{name}", value) for name, value in values.items())
        yield from ((f"discriminators.{name}", value) for name, value in self._discriminators.state_dict().items())


def _like(value: Tensor, state: Mapping[str, Tensor], name: str) -> Tensor:
    """The tensor of a state, if it is there and of this shape."""
    found = state.get(name)
    if found is None or found.shape != value.shape:
        got = "none" if found is None else f"one of {tuple(found.shape)}"
        raise InputError(f"expected as {name} of the state a tensor of {tuple(value.shape)}, got {got}")
    return found


def _missing(given: Tensor, wanted: Tensor) -> Tensor:
    """The share of the energy of what is wanted that is not there."""
    return (given[:, : wanted.shape[1]].float() - wanted).square().mean() / wanted.square().mean().clamp_min(1e-6)


def _is_matrix(name: str, value: Tensor) -> bool:
    """Whether Muon (Jordan et al. 2024) can train it."""
    return value.ndim > 1 and min(_flat(value).shape) >= _SMALLEST_MATRIX and not name.endswith(".codebook")


def _scale(name: str, tensors: Mapping[str, Tensor]) -> float:
    """How large the steps of a tensor are, as they do not depend on the gradient: larger for layers with larger weights
    than random ones, such as those that take sound, and smaller for those with far smaller ones, that give it."""
    weight = tensors.get(f"{name.rpartition('.')[0]}.weight")
    if weight is None or weight.ndim < 2:
        return 1.0
    level = float(weight.detach().square().mean().sqrt()) * math.sqrt(weight.shape[1])
    return max(level, min(1.0, _LARGER * level))


def _flat(value: Tensor) -> Tensor:
    """Kernels as matrices, whose rows are all that makes one output, or all that becomes of one input."""
    return value.flatten(1) if value.ndim > 2 else value


def _channels_apart(rows: Tensor) -> Tensor:
    """`(B, N, channels)` to `(B * channels, N)`."""
    return rows.mT.flatten(0, 1)
