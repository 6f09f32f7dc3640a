"""A run in a folder: its recipe, its curves, its newest state, and the best weights that it has come to."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .. import registry
from ..checkpoint import Checkpoint
from ..engines.torch import apply
from ..engines.torch_quantizers import quantize
from ..errors import InputError
from ..files import atomic_output, make_folder, write_all
from .clips import Clips
from .corpus import Corpus
from .initial import initial
from .losses import LONGEST_WINDOW, Spectra
from .peers import Peers
from .recipe import LOSSES, Recipe, read_recipe, write_recipe
from .teacher import Teacher
from .trainer import Trainer

STATE, WEIGHTS, CURVES, RECIPE = "state.safetensors", "weights.safetensors", "curves.csv", "recipe.json"

_HELD_OUT_SECONDS = 2.0


class Run:
    """Training of a recipe on a corpus, in a folder where it goes on when it was interrupted.

    Args:
        recipe: What to do.
        corpus: The sound.
        folder: Where the run lives.
        start: Tensors to begin with, by the graph's names; random ones if left out.
        device: Where to compute.
        threads: Of the processor, for all that PyTorch does in this process; its own choice if left out.
        teacher: Weights of the recipe's teacher, if not where the registry says.

    Raises:
        InputError: The codec cannot be trained or has fewer codebooks, the sound does not fit it, there is no such
            device, the clips are too short, the processes cannot share a batch, a teacher is missing or does not fit,
            or the folder holds a run of another recipe or a state that is damaged.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        folder: Path,
        start: Mapping[str, Tensor] | None = None,
        device: str = "cpu",
        threads: int | None = None,
        teacher: str | None = None,
    ) -> None:
        checkpoint = trainable(recipe.codec)
        spec = checkpoint.spec
        for count in recipe.num_codebooks:
            spec.resolve_codebooks(num_codebooks=count)
        if (corpus.sample_rate, corpus.channels) != (spec.sample_rate, spec.channels):
            raise InputError(
                f"{spec.name} takes {spec.sample_rate} Hz and {spec.channels} channel(s), but the sound was prepared "
                f"with {corpus.sample_rate} and {corpus.channels}; prepare it with --codec {spec.name}"
            )
        if not recipe.teacher and any(stage.parts or stage.imitate for stage in recipe.stages):
            raise InputError("expected a teacher, because a stage learns from one, got none; name it in the recipe")
        if threads:
            torch.set_num_threads(threads)
        self.network = checkpoint.network()
        self.folder, self._recipe, self._device = folder, recipe, _device(device)
        self._peers = Peers(self._device)
        if recipe.batch % self._peers.count:
            raise InputError(f"expected a batch that {self._peers.count} processes can share, got {recipe.batch} clips")
        unit = math.lcm(spec.frame_multiple, *spec.strides) * spec.hop_length
        length = max(1, round(recipe.seconds * spec.sample_rate / unit)) * unit
        if length < (needed := max(LONGEST_WINDOW, *recipe.windows)):
            raise InputError(
                f"expected clips of {needed} samples or more, for that is the longest window that they are compared "
                f"with, got {length}; let seconds be {math.ceil(100 * needed / spec.sample_rate) / 100:g} or more"
            )
        self._clips = Clips(corpus, recipe, length, self._peers.share)
        self._held_out = torch.from_numpy(held_out(corpus, recipe.validate_clips, unit)).to(self._device)
        self._spectra = Spectra(spec.sample_rate, self._device)
        clips = torch.from_numpy(Clips(corpus, recipe, length).batch(0))  # all of them, in every process
        taught = Teacher(recipe.teacher, teacher, self.network, clips, self._device) if recipe.teacher else None
        make_folder(folder)
        going_on = (folder / STATE).exists()
        if going_on and read_recipe(folder / RECIPE) != recipe:
            raise InputError(f"{folder} holds a run of another recipe; name another folder")
        start = initial(self.network, clips, recipe.seed) if start is None else start
        self.trainer = Trainer(self.network, spec.sample_rate, dict(start), recipe, self._device, self._peers, taught)
        self.best = float("inf")
        if going_on:
            self._restore()
        elif not self._peers.rank:
            write_recipe(recipe, folder / RECIPE)

    def _restore(self) -> None:
        path = self.folder / STATE
        try:
            state = load(path.read_bytes())
            self.best = float(state.pop("best"))
            self.trainer.restore(state)
        except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{path} is damaged, or another version's ({error}); begin in another folder, and if there are any, "
                f"--from this one's {WEIGHTS}"
            ) from error

    def train(self, report: Callable[[dict[str, float]], None]) -> None:
        """Trains to the end of the recipe.

        Args:
            report: Is told, every `validate_every` steps, what is written to the curves: means of the losses, scores of
                clips never trained on, steps per second.
        """
        end = self._recipe.steps
        batches = self._clips.batches(self.trainer.step)
        sums: dict[str, list[float]] = {}
        began = time.monotonic()
        while self.trainer.step < end:
            for name, value in self.trainer.advance(torch.from_numpy(next(batches)).to(self._device)).items():
                sums.setdefault(name, []).append(value)
            if self.trainer.step % self._recipe.validate_every == 0 or self.trainer.step == end:
                per_second = len(sums["gradient"]) / (time.monotonic() - began)
                facts = {"step": self.trainer.step, "steps_per_second": per_second}
                facts |= {name: float(np.mean(values)) for name, values in sums.items()}
                if not self._peers.rank:
                    scores = self.scores()
                    self._save(facts, scores)
                    report(facts | scores)
                sums, began = {}, time.monotonic()

    @torch.no_grad()
    def scores(self) -> dict[str, float]:
        """Of the averaged weights on held-out clips: `mel_K` and `similarity_K` with K codebooks in use, and the used
        share of all entries."""
        tensors, quantizer = self.trainer.averaged, self.network.quantizer
        latent = apply(self.network.encoder, tensors, self._held_out)
        found: dict[str, float] = {}
        available = quantizer.num_codebooks
        for count in sorted({max(1, available // 4), max(1, available // 2), available}):
            in_use = (torch.arange(available, device=self._device) < count).expand(len(latent), -1)
            quantized = quantize(quantizer, tensors, latent, in_use)
            made = apply(self.network.decoder, tensors, quantized.rows)[:, : self._held_out.shape[1]]
            sound, target = made.mT.flatten(0, 1), self._held_out.mT.flatten(0, 1)
            found[f"mel_{count}"] = float(self._spectra.mel(sound, target))
            found[f"similarity_{count}"] = float(self._spectra.similarity(sound, target))
        used = [len(codes.unique()) for codes in quantized.codes]
        found["used"] = float(np.mean(used)) / min(quantizer.codebook_size, quantized.codes[-1].numel())
        return found

    def _save(self, facts: dict[str, float], scores: dict[str, float]) -> None:
        score = float(np.mean([value for name, value in scores.items() if name.startswith("mel_")]))
        stage, _ = self._recipe.at(self.trainer.step - 1)
        # What discriminators are for, the score does not measure: it gets worse at first, and the newest weights count.
        if math.isfinite(score) and (score < self.best or stage.adversarial or stage.features):
            self.best = score
            told = {"scores": json.dumps({"step": self.trainer.step} | scores)}
            _write(self.trainer.averaged, self.folder / WEIGHTS, told)
        _write(self.trainer.state() | {"best": torch.tensor(self.best, dtype=torch.float64)}, self.folder / STATE)
        curves = self.folder / CURVES
        before = curves.read_bytes() if curves.is_file() else b""
        rows = io.StringIO(newline="")
        writer = csv.DictWriter(rows, ("step", "steps_per_second", *LOSSES, "gradient", *scores), restval="")
        if not before:
            writer.writeheader()
        numbers = {name: f"{value:.6g}" for name, value in (facts | scores).items()}
        writer.writerow(numbers | {"step": self.trainer.step})
        with atomic_output(curves) as out:
            write_all(out, before + rows.getvalue().encode())


def _device(name: str) -> torch.device:
    try:
        made = torch.zeros(1, device=name)
        made.cpu()  # some names are of no place where anything is computed
        return made.device
    except (AssertionError, RuntimeError) as error:
        raise InputError(f"expected a device that PyTorch can use here, such as cpu, got {name}: {error}") from error


def _write(tensors: Mapping[str, Tensor], path: Path, told: dict[str, str] | None = None) -> None:
    with atomic_output(path) as out:
        write_all(out, save({name: value.cpu().contiguous() for name, value in tensors.items()}, told))


def trainable(codec: str) -> Checkpoint:
    """The registry's entry of a codec that can be trained.

    Raises:
        InputError: There is no such codec, or its weights are several files, which no run writes.
    """
    checkpoint = registry.checkpoint(codec)
    files = checkpoint.spec.weights.files
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise InputError(f"expected a codec whose weights are one file, got {codec}, which has {names}; name another")
    return checkpoint


def held_out(corpus: Corpus, clips: int, unit: int) -> Any:
    """Clips of what is held out, the same ones for every run, float32 `(B, N, channels)`; behind short ones, zeros."""
    random = np.random.default_rng(1)
    count = max(1, int(_HELD_OUT_SECONDS * corpus.sample_rate) // unit) * unit
    usable = [each for each in corpus.held_out if each.length >= count] or corpus.held_out
    shares = np.array([each.length for each in usable], np.float64)
    chosen = random.choice(len(usable), clips, p=shares / shares.sum())
    starts = [int(random.integers(0, max(1, usable[i].length - count))) for i in chosen]
    return np.stack([corpus.rows(usable[i], start, count) for i, start in zip(chosen, starts, strict=True)])


def pretrained(codec: str, source: str | None) -> dict[str, Tensor]:
    """Published or exported weights of a codec, by the graph's names."""
    return {name: torch.from_numpy(np.array(value)) for name, value in trainable(codec).load(source).items()}
