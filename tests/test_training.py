"""Training: its sound, its losses, its steps, its checkpoints, and the codec that comes out."""

import csv
import json
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
import soundfile as sf

import wavcodes
from wavcodes import InputError

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


@pytest.fixture(scope="module", autouse=True)
def torch(peer: Callable[..., Any]) -> Any:
    peer("msgspec")
    torch = peer("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared sound: 12 recordings of 3 s."""
    from wavcodes.training.corpus import prepare

    folder = tmp_path_factory.mktemp("sound")
    for seed in range(12):
        sf.write(folder / f"{seed:02}.flac", exact.signal(3 * RATE, seed), RATE)
    prepare([folder], folder / "prepared", RATE, 1)
    return folder / "prepared"


def recipe(folder: Path, steps: int = 6, every: int = 4, waveform: float = 5.0) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(steps=steps, every=every, waveform=waveform))
    return path


def command(*arguments: str | Path) -> int:
    from wavcodes.cli.train import main

    return main([str(each) for each in arguments])


# ---- sound


def test_sound_is_prepared_from_folders_archives_and_tables(tmp_path: Path, peer: Callable[..., Any]) -> None:
    from wavcodes.training.corpus import Corpus

    pyarrow = peer("pyarrow")
    parquet = peer("pyarrow.parquet")
    clips = {name: exact.signal(RATE, seed) for seed, name in enumerate("abcd")}
    for name, clip in clips.items():
        sf.write(tmp_path / f"{name}.wav", clip, RATE, subtype="PCM_16")
    folder = tmp_path / "folder" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "a.wav").rename(folder / "a.wav")
    (folder / "notes.txt").write_text("no sound")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "b.wav", "b.wav")
        archive.add(folder / "notes.txt", "b.txt")
    for name, cell in (
        ("records", {"bytes": (tmp_path / "c.wav").read_bytes(), "path": "c.wav"}),
        ("bytes", (tmp_path / "d.wav").read_bytes()),
    ):
        parquet.write_table(pyarrow.table({"audio": [cell], "text": ["words"]}), tmp_path / f"{name}.parquet")
    sources = ["folder", "shard.tar", "records.parquet", "bytes.parquet"]
    target = tmp_path / "prepared"
    assert command("prepare", *(tmp_path / each for each in sources), "-o", target) == 0
    corpus = Corpus(target)
    recordings = [*corpus.training, *corpus.held_out]
    assert [each.name for each in recordings] == ["deep/a.wav", "b.wav", "c.wav", "bytes/0"]
    for recording, (name, clip) in zip(recordings, clips.items(), strict=True):
        found = corpus.rows(recording, 100, RATE)
        np.testing.assert_allclose(found[: RATE - 100, 0], clip[100:], atol=1 / 32768, err_msg=name)
        assert not found[RATE - 100 :].any()


def test_sound_is_converted_to_what_the_codec_takes(tmp_path: Path) -> None:
    from wavcodes.training.corpus import prepare

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    sf.write(tmp_path / "tone.wav", np.stack([tone, tone], 1), 48_000)
    corpus = prepare([tmp_path / "tone.wav"], tmp_path / "prepared", RATE, 1)
    found = corpus.rows(corpus.training[0], 0, RATE)[:, 0]
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(found[500:-500], wanted[500:-500], atol=1e-3)


def test_what_cannot_be_read_is_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sf.write(tmp_path / "good.wav", exact.signal(RATE), RATE)
    (tmp_path / "bad.wav").write_bytes(b"RIFFnothing")
    assert command("prepare", tmp_path / "bad.wav", tmp_path / "good.wav", "-o", tmp_path / "prepared") == 0
    assert "left out" in capsys.readouterr().err
    assert command("prepare", tmp_path / "bad.wav", "-o", tmp_path / "none") == 65
    assert "found no sound" in capsys.readouterr().err
    assert not list((tmp_path / "none").iterdir())


def test_a_damaged_archive_is_left_out_as_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sf.write(tmp_path / "good.wav", exact.signal(RATE), RATE)
    with tarfile.open(tmp_path / "cut.tar", "w") as archive:
        for name in "ab":
            archive.add(tmp_path / "good.wav", f"{name}.wav")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "cut.tar").read_bytes()[:50_000])
    assert command("prepare", tmp_path / "cut.tar", tmp_path / "good.wav", "-o", tmp_path / "prepared") == 0
    assert "left out, from there on" in capsys.readouterr().err
    found = json.loads((tmp_path / "prepared" / "index.json").read_text())["recordings"]
    assert [name for name, _, _ in found] == ["a.wav", "good.wav"]


def test_sound_is_prepared_where_none_is_and_all_sources_are(
    tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in sound.iterdir()}
    (audio, *_) = sound.parent.glob("*.flac")
    assert command("prepare", audio, "-o", sound) == 65
    assert "holds prepared sound already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sound.iterdir()} == before
    assert command("prepare", audio, tmp_path / "none", "-o", tmp_path / "prepared") == 65
    assert not (tmp_path / "prepared").exists()
    assert command("prepare", audio, "-o", audio) == 74
    assert f"cannot make the folder {audio}" in capsys.readouterr().err


def test_what_is_held_out_is_never_drawn(tmp_path: Path, sound: Path) -> None:
    from wavcodes.training.clips import Clips
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe

    for seed in range(100):
        sf.write(tmp_path / f"{seed:03}.wav", np.full(RATE, (seed + 1) / 128, np.float32), RATE)
    from wavcodes.training.corpus import prepare

    corpus = prepare([tmp_path], tmp_path / "prepared", RATE, 1)
    assert [each.name for each in corpus.held_out] == ["049.wav", "099.wav"]
    assert len(corpus.training) == 98
    assert Corpus(tmp_path / "prepared").training == corpus.training
    long = np.arange(101 * RATE, dtype=np.float32) / (101 * RATE)
    sf.write(tmp_path / "long.wav", long, RATE)
    corpus = prepare([tmp_path / "long.wav"], tmp_path / "end", RATE, 1)
    (kept,), (held,) = corpus.training, corpus.held_out
    assert kept.start + kept.length == held.start
    assert held.length == 101 * RATE // 50
    clips = Clips(corpus, read_recipe(recipe(tmp_path)), RATE)
    assert clips.batch(3).shape == (4, RATE, 1)


@pytest.mark.parametrize("seconds", [[0.5], [3], [3, 0.5], [3, 0.5, 3], [101]])
def test_something_is_always_held_out(seconds: list[float], tmp_path: Path) -> None:
    from wavcodes.training.corpus import prepare
    from wavcodes.training.run import held_out

    for number, each in enumerate(seconds):
        ramp = np.linspace(0.1 * number + 0.01, 0.1 * number + 0.1, round(each * RATE))
        sf.write(tmp_path / f"{number}.wav", ramp, RATE)
    corpus = prepare([tmp_path], tmp_path / "prepared", RATE, 1)
    assert {each.name for each in corpus.training} >= {f"{number}.wav" for number in range(len(seconds) - 1)}
    trained = np.concatenate([corpus.rows(each, 0, each.length) for each in corpus.training])
    clips = held_out(corpus, 5, 320)
    assert clips.shape == (5, 2 * RATE, 1)
    assert clips.any()
    assert clips[clips != 0].min() > trained.max() - 1 / 32768
    assert sum(each.length for each in (*corpus.training, *corpus.held_out)) == round(sum(seconds) * RATE)


def test_a_batch_depends_on_its_step_alone(tmp_path: Path, sound: Path) -> None:
    from wavcodes.training.clips import Clips
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe

    clips = Clips(Corpus(sound), read_recipe(recipe(tmp_path)), RATE // 2)
    first, again = clips.batch(7), clips.batch(7)
    np.testing.assert_array_equal(first, again)
    assert (first != clips.batch(8)).any()
    assert np.abs(first).max() <= 1
    stream = clips.batches(7)
    np.testing.assert_array_equal(next(stream), first)
    np.testing.assert_array_equal(next(stream), clips.batch(8))


# ---- random weights


def test_random_weights_keep_levels_and_lose_nothing_to_random_books(torch: Any, sound: Path) -> None:
    from wavcodes import registry
    from wavcodes.engines.torch import apply
    from wavcodes.engines.torch_quantizers import quantize
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.initial import initial

    corpus = Corpus(sound)
    clips = torch.from_numpy(np.stack([corpus.rows(each, 0, RATE) for each in corpus.training[:4]]))
    network = registry.checkpoint("wavcodes_16khz").network()
    tensors = initial(network, clips, 1)
    latent = apply(network.encoder, tensors, clips)
    assert 0.8 < float(latent.std()) < 1.25
    in_use = torch.arange(12) < torch.arange(13)[:, None]
    left = [
        float((latent - quantize(network.quantizer, tensors, latent, each.expand(4, -1)).rows).square().mean())
        for each in in_use
    ]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.7 * left[0]
    made = apply(network.decoder, tensors, quantize(network.quantizer, tensors, latent).rows)
    assert 0.02 * float(clips.std()) < float(made.std()) < 0.5 * float(clips.std())


# ---- losses


def test_spectra_and_their_gradients_are_those_of_pytorch(torch: Any) -> None:
    from wavcodes.training.losses import spectrum

    sound = torch.randn(2, 123, dtype=torch.float64, requires_grad=True)
    window = torch.hann_window(32, dtype=torch.float64)
    wanted = torch.stft(sound, 32, 8, 32, window * 8, center=False, return_complex=True).mT
    found = torch.complex(*spectrum(sound, window))
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(wanted.shape, dtype=torch.complex128)
    gradients = [torch.autograd.grad((each * weights).real.sum(), sound)[0] for each in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_losses_are_zero_for_the_same_and_grow_with_noise(torch: Any) -> None:
    from wavcodes.training import losses

    spectra = losses.Spectra(RATE, torch.device("cpu"))
    sound = torch.from_numpy(np.stack([exact.signal(2 * RATE, seed) for seed in range(3)]))
    noise = torch.from_numpy(np.stack([exact.numbers(seed, 2 * RATE) for seed in range(3)]))
    kinds = {
        "mel": spectra.mel,
        "complex": spectra.complex,
        "waveform": losses.waveform,
        "similarity": lambda a, b: 1 - spectra.similarity(a, b),
    }
    for name, loss in kinds.items():
        values = [float(loss(sound + level * noise, sound)) for level in (0, 0.01, 0.1, 1)]
        assert abs(values[0]) < 1e-3, name
        assert values == sorted(values), name
        assert values[-1] > 0.2, name


# ---- runs


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


def test_an_error_of_who_makes_batches_reaches_who_waits_for_them(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wavcodes.training.clips import Clips
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import read_recipe

    clips = Clips(Corpus(sound), read_recipe(recipe(tmp_path)), 4_000)
    monkeypatch.setattr(clips, "batch", lambda step: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        next(clips.batches(0))


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


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("run", tmp_path / "none.toml", sound, "-o", tmp_path / "run") == 66
    assert "none.toml" in capsys.readouterr().err


def test_the_recipe_of_the_packages_own_codec_is_one(tmp_path: Path) -> None:
    from wavcodes.training.recipe import read_recipe, write_recipe

    found = read_recipe(Path(__file__).parents[1] / "training" / "wavcodes_16khz.toml")
    assert found.codec == wavcodes.list_codecs()[0]
    write_recipe(found, tmp_path / "recipe.json")
    assert read_recipe(tmp_path / "recipe.json") == found


def test_an_export_loads_and_gives_the_codes_of_pytorch(tmp_path: Path, sound: Path, torch: Any) -> None:
    from wavcodes import graph, registry
    from wavcodes.engines.torch import apply
    from wavcodes.engines.torch_quantizers import quantize
    from wavcodes.training.run import pretrained

    assert command("run", recipe(tmp_path, steps=2), sound, "-o", tmp_path / "run") == 0
    (row,) = csv.DictReader((tmp_path / "run" / "curves.csv").read_text().splitlines())
    (tmp_path / "run" / "curves.csv").unlink()  # its last row is lost where a run is killed before it is written
    file = tmp_path / "own.safetensors"
    assert command("export", tmp_path / "run", "-o", file) == 0
    card = file.with_suffix(".md").read_text()
    assert "wavcodes_16khz" in card
    assert json.loads(card.split("```json")[1].split("```")[0])["batch"] == 4
    scores = {name: float(value) for name, value in re.findall(r"^\| (\w+) \| ([\d.]+) \|$", card, re.M)}
    assert scores == {name: pytest.approx(float(row[name]), rel=1e-3) for name in list(row)[-7:]}
    assert "Step 4 of 4" in card
    codec = wavcodes.load(weights=file, threads=1)
    clip = exact.signal(10 * RATE)
    codes = codec.encode(clip, RATE)
    tensors = pretrained("wavcodes_16khz", str(file))
    network = registry.checkpoint("wavcodes_16khz").network()
    assert set(tensors) == set(graph.tensor_shapes(network))
    with torch.no_grad():
        latent = apply(network.encoder, tensors, torch.from_numpy(clip)[None, :, None])
        theirs = torch.stack(quantize(network.quantizer, tensors, latent).codes, -1)[0].numpy()
    ours = np.stack(codes.books, -1)
    assert ours.shape == theirs.shape
    assert (ours == theirs).mean() >= 0.999


def test_an_export_never_replaces_its_weights_by_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("export", tmp_path, "-o", tmp_path / "own.md") == 65
    assert ".safetensors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


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


def test_an_export_replaces_nothing_and_needs_whole_weights_of_float16(tmp_path: Path, torch: Any) -> None:
    from safetensors.torch import save

    from wavcodes.training.export import export
    from wavcodes.training.recipe import read_recipe, write_recipe

    file, card, weights = (tmp_path / name for name in ("own.safetensors", "own.md", "weights.safetensors"))
    write_recipe(read_recipe(recipe(tmp_path)), tmp_path / "recipe.json")
    data = save({"large": torch.tensor([1e6])}, {"scores": '{"step": 2}'})
    for content, said in ((data, "float16, got others in large"), (data[:-1], "damaged"), (b"", "damaged")):
        weights.write_bytes(content)
        with pytest.raises(InputError, match=said):
            export(tmp_path, file)
        assert not file.exists()
    card.write_text("mine")
    with pytest.raises(InputError, match=r"own.md exists already"):
        export(tmp_path, file)


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
