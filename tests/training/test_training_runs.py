"""Runs of training: their steps, curves and states, and how they go on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
import soundfile as sf
from runs import RATE, command, recipe

import wavcodes
from wavcodes import InputError


@pytest.mark.slow
def test_the_loss_falls_and_the_codes_are_used(tmp_path: Path, sound: Path) -> None:
    path = recipe(tmp_path, steps=60, every=20, waveform=5)
    assert command("run", path, sound, "-o", tmp_path / "run", "--threads", "1") == 0
    header, *rows = [line.split(",") for line in (tmp_path / "run" / "curves.csv").read_text().splitlines()]
    first, _, later, last = ({name: float(x or "nan") for name, x in zip(header, row, strict=True)} for row in rows)
    assert later["mel"] < 0.85 * first["mel"]
    assert later["codebook"] < 0.75 * first["codebook"]
    assert later["used"] > 0.2
    assert last["step"] == 62


@pytest.mark.slow
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, sound: Path) -> None:
    path = recipe(tmp_path)
    assert command("run", path, sound, "-o", tmp_path / "whole") == 0
    program = "from wavcodes.cli.train import main; import sys; sys.exit(main(sys.argv[1:]))"
    arguments = [sys.executable, "-c", program, "run", path, sound, "-o", tmp_path / "cut", "--threads", "1"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    while process.poll() is None and not (tmp_path / "cut" / "state.safetensors").exists():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    assert command("run", path, sound, "-o", tmp_path / "cut") == 0
    whole, cut = ((tmp_path / name / "state.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


@pytest.mark.slow
def test_two_processes_come_to_what_one_comes_to(tmp_path: Path, sound: Path, torch: Any) -> None:
    from safetensors.torch import load

    path = recipe(tmp_path, steps=3, every=5)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["-m", "wavcodes.cli.train", "run", path, sound, "-o", tmp_path / "two", "--threads", "1"]
    subprocess.run([*launch, *arguments], check=True)
    assert command("run", path, sound, "-o", tmp_path / "one") == 0
    one, two = (load((tmp_path / name / "weights.safetensors").read_bytes()) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-2, atol=1e-3, msg=name)


def test_curves_have_the_same_columns_in_all_stages(tmp_path: Path, sound: Path) -> None:
    assert command("run", recipe(tmp_path, steps=2, every=2), sound, "-o", tmp_path / "run") == 0
    header, *rows = [line.split(",") for line in (tmp_path / "run" / "curves.csv").read_text().splitlines()]
    first, second = (dict(zip(header, row, strict=True)) for row in rows)
    assert (first["step"], second["step"]) == ("2", "4")
    blank = {"parts", "adversarial", "features"}, {"parts", "waveform", "spectrum", "similarity", "codebook"}
    for row, names in zip((first, second), blank, strict=True):
        assert {name for name, value in row.items() if not value} == names
        assert all(np.isfinite(float(value)) for value in row.values() if value)


@pytest.mark.parametrize(
    ("codec", "books", "said"), [("lyra_v2", "[3]", "one file, got lyra_v2"), ("wavcodes_16khz", "[3, 13]", "1 to 12")]
)
def test_what_a_codec_cannot_is_refused_before_anything_is_written(
    codec: str, books: str, said: str, tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe(tmp_path)
    path.write_text(path.read_text().replace("wavcodes_16khz", codec).replace("[3, 12]", books))
    assert command("run", path, sound, "-o", tmp_path / "run") == 65
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_told(tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("run", recipe(tmp_path), sound, "-o", tmp_path / "run", "--device", "abacus") == 65
    assert "expected a device" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_recipe_in_the_same_folder_is_refused(
    tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", recipe(tmp_path, steps=2), sound, "-o", tmp_path / "run") == 0
    assert command("run", recipe(tmp_path, steps=3), sound, "-o", tmp_path / "run") == 65
    assert "another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("", None, "deserializing"),
        ("best", None, "best"),
        ("trained.encoder.0.1.dw.bias", None, "got none"),
        ("trained.encoder.0.1.dw.bias", [0.0], r"got one of \(1,\)"),
        ("step", 9, "0 to 6 steps, got one of 9"),
    ],
)
def test_a_state_that_is_none_of_the_run_is_told(
    name: str, value: Any, said: str, tmp_path: Path, sound: Path, torch: Any
) -> None:
    from safetensors.torch import save

    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe
    from wavcodes.training.run import Run

    wanted, corpus = read_recipe(recipe(tmp_path, steps=4)), Corpus(sound)
    run = Run(wanted, corpus, tmp_path / "run")
    state = run.trainer.state() | {"best": torch.tensor(1.0), name: torch.tensor(0 if value is None else value)}
    if value is None:
        del state[name]
    data = save(state)
    (tmp_path / "run" / "state.safetensors").write_bytes(data if name else data[:-9])
    with pytest.raises(InputError, match=f"(?s)state.safetensors is damaged.*{said}.*another folder"):
        Run(wanted, corpus, tmp_path / "run")


def test_the_newest_weights_count_where_discriminators_are(tmp_path: Path, sound: Path) -> None:
    from safetensors import safe_open

    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe
    from wavcodes.training.run import Run

    run = Run(read_recipe(recipe(tmp_path, steps=2, every=1)), Corpus(sound), tmp_path / "run")
    run.best = 0.0  # which nothing is better than
    kept: list[tuple[float, bool]] = []
    run.train(lambda facts: kept.append((facts["step"], (tmp_path / "run" / "weights.safetensors").exists())))
    assert kept == [(1, False), (2, False), (3, True), (4, True)]
    with safe_open(tmp_path / "run" / "weights.safetensors", "np") as file:
        assert json.loads(file.metadata()["scores"])["step"] == 4


def test_weights_that_are_no_numbers_replace_none(tmp_path: Path, sound: Path) -> None:
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe
    from wavcodes.training.run import Run

    run = Run(read_recipe(recipe(tmp_path)), Corpus(sound), tmp_path / "run")
    run.trainer.step = 8  # the last one, with discriminators
    run._save({}, {"mel_12": float("nan")})
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    assert run.best == float("inf")


def test_training_begins_with_published_weights(tmp_path: Path, sound: Path, torch: Any) -> None:
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe
    from wavcodes.training.run import Run, pretrained

    start = pretrained("wavcodes_16khz", None)
    ready = Run(read_recipe(recipe(tmp_path)), Corpus(sound), tmp_path / "ready", start)
    random = Run(read_recipe(recipe(tmp_path)), Corpus(sound), tmp_path / "random")
    assert ready.scores()["mel_12"] < 0.5 * random.scores()["mel_12"]
    # Later it needs them no more: what followed from them is in its state.
    clips = torch.from_numpy(np.stack([exact.signal(RATE // 2, seed)[:, np.newaxis] for seed in range(4)]))
    ready.trainer.advance(clips)
    random.trainer.restore({name: value.clone() for name, value in ready.trainer.state().items()})
    one, two = (each.trainer for each in (ready, random))
    assert one.advance(clips) == two.advance(clips)
    for name, value in one.state().items():
        torch.testing.assert_close(two.state()[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(exact.SMALL))
def test_every_family_can_be_trained(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wavcodes import registry

    checkpoint, _ = exact.small(name, tmp_path)
    spec = checkpoint.spec
    monkeypatch.setattr("wavcodes.registry.checkpoint", lambda _: checkpoint)
    sf.write(tmp_path / "sound.wav", exact.clip(spec, 4 * spec.sample_rate).T, spec.sample_rate)
    assert command("prepare", tmp_path / "sound.wav", "-o", tmp_path / "sound") == 0
    path = tmp_path / "small.toml"
    path.write_text(
        f'codec = "{spec.name}"\nbatch = 2\nseconds = 0.3\nvalidate_every = 2\nvalidate_clips = 1\n'
        "[[stages]]\nsteps = 2\nwaveform = 1.0\nsimilarity = 1.0\n"
    )
    assert command("run", path, tmp_path / "sound", "-o", tmp_path / "run") == 0
    assert command("export", tmp_path / "run", "-o", tmp_path / "own.safetensors") == 0
    codec = wavcodes.Codec(registry.checkpoint(spec.name), tmp_path / "own.safetensors", threads=1)
    clip = exact.clip(spec, spec.sample_rate // 4)
    assert codec.decode(codec.encode(clip, spec.sample_rate)).shape == clip.shape
