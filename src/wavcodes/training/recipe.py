"""What a run of training is made of. A recipe and the prepared sound decide all of it, to the last random number."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import InputError
from ..files import atomic_output, open_input, read_up_to, write_all

Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
# Bounds of numbers are also what refuses NaN and infinities.
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Decibels = Annotated[float, msgspec.Meta(ge=-200, le=200)]
Speed = Annotated[float, msgspec.Meta(ge=0.1, le=10)]
Window = Annotated[int, msgspec.Meta(ge=64, multiple_of=4)]  # of less, the discriminators' layers leave nothing

LOSSES = ("codebook", "parts", "mel", "spectrum", "waveform", "similarity", "adversarial", "features")
"""Their names in a `Stage`, where those of weight 0 are not computed."""

_LARGEST = 1 << 20  # bytes of a recipe


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a run, in which the losses have these weights and the learning rate falls along half a cosine.

    Attributes:
        steps: Batches.
        rate, end_rate: Learning rate of the generator at the start and at the end.
        waveform: Weight of the absolute difference of the waveforms, relative to the level of each clip.
        spectrum: Weight of the difference of compressed complex spectra, which keeps phases.
        mel: Weight of the difference of logarithmic mel spectra at several resolutions.
        similarity: Weight of what is missing from 1 in the neurogram similarity of spectra (see `losses`).
        adversarial, features: Weights of what the discriminators say; both 0 leaves them out.
        codebook: Weight of the distance between the latent and what the codebooks give.
        bypass: Share of clips whose latent goes around the quantizer.
        parts: Weight of what each part of the codec learns on its own: to make, of what the teacher has in front of it,
            what the teacher has behind it. With it, no loss of the sound counts.
        imitate: True compares the sound with what the teacher makes of the clip, which a network can come closer to.
        freeze_encoder: True trains the decoder alone, for the codes as they are.
    """

    steps: Count
    rate: Amount = 1e-3
    end_rate: Amount = 1e-3
    waveform: Amount = 0.0
    spectrum: Amount = 0.0
    mel: Amount = 15.0
    similarity: Amount = 0.0
    adversarial: Amount = 0.0
    features: Amount = 0.0
    codebook: Amount = 1.0
    bypass: Share = 0.0
    parts: Amount = 0.0
    imitate: bool = False
    freeze_encoder: bool = False

    def __post_init__(self) -> None:
        if not any(getattr(self, name) for name in LOSSES if not (name == "codebook" and self.freeze_encoder)):
            raise InputError("expected a loss with a weight above 0 that the stage can make less, got none")


class Augmentation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may happen to a clip before it is used. Probabilities are per clip.

    Attributes:
        gain_db: Range of the peak's level below full scale.
        mix: Probability that another clip is added, at `mix_db` below the first.
        noise: Probability that white noise is added, at `noise_db` below.
        band_limit: Probability that all above a frequency drawn from `band_hz` is taken away, as telephones do.
        speed: Range of factors of the speed, which changes pitch and formants with it.
    """

    gain_db: tuple[Decibels, Decibels] = (0.0, 14.0)
    mix: Share = 0.1
    mix_db: tuple[Decibels, Decibels] = (5.0, 30.0)
    noise: Share = 0.05
    noise_db: tuple[Decibels, Decibels] = (15.0, 40.0)
    band_limit: Share = 0.05
    band_hz: tuple[Amount, Amount] = (3000.0, 7000.0)
    speed: tuple[Speed, Speed] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("gain_db", "mix_db", "noise_db", "band_hz", "speed"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"expected as {name} the lower end of a range and the upper one, got {low}, {high}")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run of training.

    Attributes:
        codec: The registry's name of the network to train.
        teacher: Another codec to learn from, for stages that say so.
        seed: Of all random numbers.
        batch: Clips per step.
        seconds: Length of a clip, rounded to whole frames.
        num_codebooks: Of which numbers of codebooks one is drawn for each clip, all equally often; those that are named
            twice, twice as often. Empty stands for all codebooks always.
        sources: Share of the clips drawn from the sound whose name matches a pattern, such as
            `{"music/*" = 0.2, "*" = 0.8}`; the first pattern that matches counts. Empty draws by duration.
        precision: "bf16" computes products so where PyTorch finds that safe; "float32" none.
        weight_decay: Of matrices and kernels.
        average: Share that the running average of the weights, which is what comes out, keeps in a step.
        warm_up: Steps in which the learning rate rises.
        revive_every: Steps after which entries that nobody uses are replaced by what their book was asked for; 0 never.
        revive_until: Share of all steps after which they are no longer.
        discriminator_rate: Learning rate of the discriminators.
        windows: Windows of the discriminators' spectra, samples.
        discriminator_channels: Their width.
        validate_every: Steps between scores of clips that are never trained on.
        validate_clips: How many clips of two seconds those are.
        augmentation: What happens to clips.
        stages: One after the other.
    """

    codec: str
    stages: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1)]
    teacher: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    batch: Count = 16
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    num_codebooks: tuple[Count, ...] = ()
    sources: Mapping[str, Amount] = {}
    precision: Literal["bf16", "float32"] = "float32"
    weight_decay: Amount = 0.01
    average: Share = 0.999
    warm_up: Annotated[int, msgspec.Meta(ge=0)] = 150
    revive_every: Annotated[int, msgspec.Meta(ge=0)] = 100
    revive_until: Share = 0.7
    discriminator_rate: Amount = 3e-4
    windows: Annotated[tuple[Window, ...], msgspec.Meta(min_length=1)] = (1024, 512, 256)
    discriminator_channels: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 16
    validate_every: Count = 500
    validate_clips: Count = 64
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        if self.sources and not any(self.sources.values()):
            raise InputError("expected a share above 0 of at least one of the sources, got none")

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def at(self, step: int) -> tuple[Stage, float]:
        """The stage that `step` is in, and how far into it, within [0, 1)."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step / stage.steps
            step -= stage.steps
        return self.stages[-1], 1.0


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML or, with that suffix, a JSON file, whose names are those of `Recipe`; in TOML with a table
    `[[stages]]` for each stage.

    Raises:
        InputError: It is not there, is neither, or holds a name or a value that a recipe does not have.
        ResourceError: It cannot be read.
    """
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    with open_input(path) as file:
        data = read_up_to(file, _LARGEST)
    try:
        return decode(data, type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a recipe: {error}") from None


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes JSON that `read_recipe` reads."""
    with atomic_output(path) as out:
        write_all(out, msgspec.json.format(msgspec.json.encode(recipe)) + b"\n")
