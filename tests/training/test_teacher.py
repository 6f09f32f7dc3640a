"""Learning from another codec: what each part is given and is to make of it, and the runs that do so."""

import csv
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
import soundfile as sf

from wavcodes import InputError, registry

RECIPE = """
codec = "wavcodes_16khz"
teacher = "{teacher}"
batch = 2
seconds = 0.4
warm_up = 5
validate_every = 4
validate_clips = 1

[[stages]]
steps = 8
{first} = {weight}

[[stages]]
steps = 4
mel = 5.0
imitate = true
"""


def run(folder: Path, teacher: str, first: str = "parts", weight: str = "1.0", start: Any = None) -> Any:
    from wavcodes.training.corpus import Corpus, prepare
    from wavcodes.training.recipe import read_recipe
    from wavcodes.training.run import Run

    sf.write(folder / "sound.wav", exact.signal(4 * 16_000), 16_000)
    prepare([folder / "sound.wav"], folder / "sound", 16_000, 1)
    (folder / "recipe.toml").write_text(RECIPE.format(teacher=teacher, first=first, weight=weight))
    return Run(read_recipe(folder / "recipe.toml"), Corpus(folder / "sound"), folder / "run", start)


def test_parts_are_given_what_the_teacher_has_there(torch: Any, shared: Path) -> None:
    from wavcodes.engines.torch import apply
    from wavcodes.training.teacher import Teacher

    weights = shared / "weights" / "lyra_v2_1.2"
    checkpoint = registry.checkpoint("lyra_v2")
    network = checkpoint.network()
    files = tuple(weights / file.name for file in checkpoint.spec.weights.files)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.tensors(files).items()}
    clips = torch.from_numpy(exact.signal(2 * 4800).reshape(2, 4800, 1) * 0.3)
    teacher = Teacher("lyra_v2", str(weights), registry.checkpoint("wavcodes_16khz").network(), clips, clips.device)
    lessons, latent = teacher.lessons(clips)

    # Where Lyra's strided layers are, which parts begin with: see its network.
    expected = [clips, *(apply(network.encoder[:end], tensors, clips) for end in (6, 11, 16, None))]
    expected += [apply(network.decoder[:end], tensors, expected[-1]) for end in (7, 12, 17, None)]
    given = [*(lesson.given for lesson in lessons), lessons[-1].wanted]
    # One frame more for the decoder, which gives its rows a frame later, but sound in its place.
    later = (0, 0, 0, 0, 0, 2, 4, 20, 0)
    assert [lesson.skip for lesson in lessons] == [0, 0, 0, 0, *later[5:]]
    assert given[4].shape[1] == 16
    assert not given[4][:, 15].any()
    for rows, wanted, late in zip(given, expected, later, strict=True):
        assert not rows[:, :late].any()
        for ours, theirs in zip(rows[:, late:].mT.flatten(0, 1), wanted.mT.flatten(0, 1), strict=True):
            ours = ours[: len(theirs)].double()  # each channel is shifted and scaled, and no more
            assert torch.corrcoef(torch.stack((ours, theirs.double())))[0, 1] > 0.99999
    for lesson, after in zip(lessons, given[1:], strict=True):
        torch.testing.assert_close(lesson.wanted, after[:, lesson.skip :][:, : lesson.wanted.shape[1]])
    torch.testing.assert_close(latent, given[4][:, :15])
    torch.testing.assert_close(teacher.sound(clips), expected[-1])


def test_a_codec_learns_from_another(torch: Any, tmp_path: Path) -> None:
    learner = run(tmp_path, "wavcodes_16khz")
    learner.train(lambda facts: None)
    first, second, third = csv.DictReader((tmp_path / "run" / "curves.csv").read_text().splitlines())
    assert float(second["parts"]) < float(first["parts"])
    assert not first["mel"]
    assert third["mel"]
    assert not third["parts"]


@pytest.mark.parametrize("imitate", [True, False])
def test_imitation_compares_with_the_sound_of_the_teacher(torch: Any, tmp_path: Path, imitate: bool) -> None:
    """Of the codec itself, whose sound is the same where the quantizer is left out."""
    from wavcodes.training.run import pretrained

    stage = f"mel = 1.0\nimitate = {str(imitate).lower()}\nbypass"
    learner = run(tmp_path, "wavcodes_16khz", stage, "1.0", pretrained("wavcodes_16khz", None))
    clips = torch.from_numpy(exact.signal(2 * 6400).reshape(2, 6400, 1))
    loss = learner.trainer.advance(clips)["mel"]
    assert loss < 1e-4 if imitate else loss > 1e-2


def test_a_teacher_with_other_parts_is_refused_before_it_is_fetched(torch: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a teacher with the joints .* got encodec_24khz"):
        run(tmp_path, "encodec_24khz")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("first", "weight"), [("parts", "1.0"), ("imitate", "true")])
def test_learning_needs_a_teacher(torch: Any, tmp_path: Path, first: str, weight: str) -> None:
    with pytest.raises(InputError, match="expected a teacher, because a stage learns from one"):
        run(tmp_path, "", first, weight)
