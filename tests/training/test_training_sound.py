"""Sound for training: prepared once, a part of it held out, and cut into clips."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
import soundfile as sf
from runs import RATE, command, recipe


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


def test_too_little_sound_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sf.write(tmp_path / "click.wav", exact.signal(1), RATE)
    assert command("prepare", tmp_path / "click.wav", "-o", tmp_path / "none") == 65
    assert "too little to train on" in capsys.readouterr().err
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


def test_a_table_without_sound_is_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], peer: Callable[..., Any]
) -> None:
    pyarrow, parquet = peer("pyarrow"), peer("pyarrow.parquet")
    sf.write(tmp_path / "good.wav", exact.signal(RATE), RATE)
    good = {"bytes": (tmp_path / "good.wav").read_bytes(), "path": "c.wav"}
    parquet.write_table(pyarrow.table({"sound": [good]}), tmp_path / "other.parquet")
    parquet.write_table(pyarrow.table({"audio": [good, {"bytes": None, "path": "d.wav"}]}), tmp_path / "part.parquet")
    tables = [tmp_path / "other.parquet", tmp_path / "part.parquet"]
    assert command("prepare", *tables, tmp_path / "good.wav", "-o", tmp_path / "prepared") == 0
    told = capsys.readouterr().err
    assert "other.parquet has no column `audio`; it has sound" in told
    assert "part.parquet: 1 of 2 cells of the column `audio` hold no file" in told
    found = json.loads((tmp_path / "prepared" / "index.json").read_text())["recordings"]
    assert [name for name, _, _ in found] == ["c.wav", "good.wav"]


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


def drawn(clips: Any, corpus: Any, batches: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The recordings that so many batches are cut from."""
    found: list[Any] = []
    rows = corpus.rows

    def recorded(recording: Any, first: int, count: int) -> Any:
        found.append(recording)
        return rows(recording, first, count)

    monkeypatch.setattr(corpus, "rows", recorded)
    for step in range(batches):
        clips.batch(step)
    return found


def test_what_is_held_out_is_never_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    corpus = Corpus(tmp_path / "prepared")
    found = drawn(Clips(corpus, read_recipe(recipe(tmp_path)), RATE // 8), corpus, 100, monkeypatch)
    assert not {each.name for each in found} & {"049.wav", "099.wav"}
    assert len({each.name for each in found}) > 90


def test_sources_have_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from msgspec.structs import replace

    from wavcodes.training.clips import Clips
    from wavcodes.training.corpus import prepare
    from wavcodes.training.recipe import Augmentation, read_recipe

    for name, seconds in (("speech", 1), ("music", 5), ("noise", 2)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for seed in range(3):
            sf.write(tmp_path / "in" / name / f"{seed}.wav", exact.signal(seconds * RATE, seed), RATE)
    corpus = prepare([tmp_path / "in"], tmp_path / "prepared", RATE, 1)
    made = replace(
        read_recipe(recipe(tmp_path)), sources={"speech/*": 3.0, "music/*": 1.0}, augmentation=Augmentation(mix=0.0)
    )
    found = drawn(Clips(corpus, made, RATE // 4), corpus, 250, monkeypatch)
    kinds = [each.name.split("/")[0] for each in found]
    assert len(kinds) >= 1000
    assert "noise" not in kinds
    assert kinds.count("speech") / len(kinds) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("speed", [(1.0, 1.0), (0.9, 1.12), (1.12, 1.12)])
def test_a_recording_shorter_than_a_clip_stays_in_one_piece(tmp_path: Path, speed: tuple[float, float]) -> None:
    from msgspec.structs import replace

    from wavcodes.training.clips import Clips
    from wavcodes.training.corpus import prepare
    from wavcodes.training.recipe import Augmentation, read_recipe

    tone = 0.5 * np.sin(np.arange(round(0.56 * RATE)))
    sf.write(tmp_path / "short.wav", tone, RATE)
    sf.write(tmp_path / "held.wav", tone, RATE)
    corpus = prepare([tmp_path / "held.wav", tmp_path / "short.wav"], tmp_path / "prepared", RATE, 1)
    made = replace(
        read_recipe(recipe(tmp_path)), augmentation=Augmentation(speed=speed, mix=0.0, noise=0.0, band_limit=0.0)
    )
    for step in range(30):
        for clip in Clips(corpus, made, RATE).batch(step)[:, :, 0]:
            loud = np.abs(clip).reshape(-1, 160).max(1) > 0.05 * np.abs(clip).max()  # in pieces of 10 ms
            first, last = np.flatnonzero(loud)[[0, -1]]
            assert loud[first : last + 1].all()
            assert 0.4 < (last + 1 - first) / 100 < 0.66


def test_a_long_clip_at_another_speed(tmp_path: Path, sound: Path) -> None:
    from msgspec.structs import replace

    from wavcodes.training.clips import Clips
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.recipe import Augmentation, read_recipe

    made = replace(read_recipe(recipe(tmp_path)), batch=2, augmentation=Augmentation(speed=(1.0001, 1.0002)))
    assert Clips(Corpus(sound), made, 200 * RATE).batch(0).shape == (2, 200 * RATE, 1)


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
