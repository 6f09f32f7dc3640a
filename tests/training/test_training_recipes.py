"""What is a recipe for training, and what is refused."""

from pathlib import Path

import pytest
from runs import command, recipe

import wavcodes
from wavcodes import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("codec = ", "recipe"),
        ('codec = "wavcodes_16khz"', "stages"),
        ('codec = "wavcodes_16khz"\nbatches = 3\nstages = []', "batches"),
        ('codec = "wavcodes_16khz"\nbatch = "many"\nstages = []', "batch"),
        ('codec = "wavcodes_16khz"\nbatch = 0\n[[stages]]\nsteps = 2', "batch"),
        ('codec = "wavcodes_16khz"\nstages = []', "stages"),
        ('codec = "wavcodes_16khz"\n[[stages]]\nsteps = 2\nbypass = 1.5', "bypass"),
        *(
            (f'codec = "wavcodes_16khz"\n{line}\n[[stages]]\nsteps = 2', line.split()[0].split(".")[-1])
            for line in (
                "seconds = inf",
                "seed = -1",
                "warm_up = -1",
                "windows = []",
                "windows = [66]",
                "weight_decay = nan",
                'sources = {"*" = 0.0}',
                'sources = {"*" = nan}',
                "augmentation.speed = [0.0, 0.0]",
                "augmentation.speed = [1.1, 0.9]",
                "augmentation.gain_db = [0.0, inf]",
            )
        ),
        *(
            (f'codec = "wavcodes_16khz"\n[[stages]]\nsteps = 2\n{line}', said)
            for line, said in (
                ("mel = nan", "mel"),
                ("rate = -1.0", "rate"),
                ("mel = 0.0\ncodebook = 0.0", "weight above 0"),
                ("mel = 0.0\nfreeze_encoder = true", "weight above 0"),
            )
        ),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    from wavcodes.training.recipe import read_recipe

    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / "recipe.toml")


def test_clips_that_are_shorter_than_a_window_are_refused(
    tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe(tmp_path)
    path.write_text(path.read_text().replace("seconds = 0.5", "seconds = 0.1"))
    assert command("run", path, sound, "-o", tmp_path / "run") == 65
    assert "let seconds be 0.13 or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("run", tmp_path / "none.toml", sound, "-o", tmp_path / "run") == 66
    assert "none.toml" in capsys.readouterr().err


def test_the_recipe_of_the_packages_own_codec_is_one(tmp_path: Path) -> None:
    from wavcodes.training.recipe import read_recipe, write_recipe

    found = read_recipe(Path(__file__).parents[2] / "training" / "wavcodes_16khz.toml")
    assert found.codec == wavcodes.list_codecs()[0]
    write_recipe(found, tmp_path / "recipe.json")
    assert read_recipe(tmp_path / "recipe.json") == found
