"""A run that takes a second: its recipe, and the command."""

from pathlib import Path

RATE = 16_000

RECIPE = """
codec = "wavcodes_16khz"
batch = 4
seconds = 0.5
num_codebooks = [3, 12]
warm_up = 5
validate_every = {every}
validate_clips = 6
revive_every = 5

[augmentation]
mix = 0.5
noise = 0.5
band_limit = 0.5
speed = [0.9, 1.1]

[[stages]]
steps = {steps}
waveform = {waveform}
spectrum = 1.0
mel = 5.0
similarity = 1.0
bypass = 0.2

[[stages]]
steps = 2
adversarial = 1.0
features = 1.0
freeze_encoder = true
"""


def recipe(folder: Path, steps: int = 6, every: int = 4, waveform: float = 5.0) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(steps=steps, every=every, waveform=waveform))
    return path


def command(*arguments: str | Path) -> int:
    from wavcodes.cli.train import main

    return main([str(each) for each in arguments])
