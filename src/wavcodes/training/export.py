"""Weights of a run as the codec loads them, and a model card that says where they come from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from .. import registry
from ..errors import InputError
from ..files import atomic_output, write_all
from .recipe import Recipe, read_recipe
from .run import RECIPE, WEIGHTS

_CHOICE = "the best by the mel distance of held-out clips, or the last, in a stage with discriminators"


def export(run: Path, path: Path) -> None:
    """Writes the best weights of a run as float16 to `path`, and its model card beside it, with the suffix `.md`.

    They load as `wavcodes.load(codec, weights=path)`.

    Raises:
        InputError: The folder holds no run that has come to its first scores, or a damaged one; `path` has another
            suffix; a file is there already; or the weights are too large for float16.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"expected a file .safetensors to write, got {path}; name one")
    card_path = path.with_suffix(".md")
    for each in (path, card_path):
        if each.exists():
            raise InputError(f"{each} exists already; name another output, or remove it first")
    if not (run / WEIGHTS).exists():
        raise InputError(f"expected {run} to be the folder of a run that has been scored once, but it has no {WEIGHTS}")
    recipe = read_recipe(run / RECIPE)
    try:
        with safe_open(run / WEIGHTS, "pt") as file:
            scores = {name: float(value) for name, value in json.loads(file.metadata()["scores"]).items()}
        tensors = {name: value.to(torch.float16) for name, value in load((run / WEIGHTS).read_bytes()).items()}
        data = save(tensors, {"codec": recipe.codec})
        parameters = sum(value.numel() for value in tensors.values())
        card = _card(recipe, scores, (run / RECIPE).read_text(), parameters, hashlib.sha256(data).hexdigest())
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"expected {run} to be the folder of a run, but its {WEIGHTS} has no scores or is damaged; name another"
        ) from error
    if wide := [name for name, value in tensors.items() if not value.isfinite().all()]:
        raise InputError(f"expected weights within the range of float16, got others in {', '.join(wide)}; train again")
    with atomic_output(path) as out:
        write_all(out, data)
    with atomic_output(card_path) as out:
        write_all(out, card.encode())


def _card(recipe: Recipe, scores: dict[str, float], text: str, parameters: int, digest: str) -> str:
    step = int(scores["step"])
    spec = registry.checkpoint(recipe.codec).spec
    heard = step * recipe.batch * recipe.seconds / 3600
    lines = [
        f"# {recipe.codec}",
        "",
        f"- {spec.sample_rate} Hz, {spec.channels} channel(s), {spec.frame_rate:g} frames a second, "
        f"{spec.num_codebooks} codebooks of {spec.codebook_size}",
        f"- {parameters:,} parameters, float16; SHA-256 `{digest}`",
        f"- Step {step:,} of {recipe.steps:,}, after {heard:,.0f} hours of sound: {_CHOICE}",
        "",
        "| score of held-out clips | |",
        "|---|---|",
        *(f"| {name} | {value:.4g} |" for name, value in scores.items() if name != "step"),
        "",
        "Trained with this recipe, which `wavcodes-train run` repeats:",
        "",
        "```json",
        text.rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)
