"""Many clips: means with their intervals, the table, the picture, and the command `wavcodes eval`."""

import json
import re
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from cli_case import names, run
from judge_case import speech

import wavcodes
from wavcodes.errors import InputError, UnsupportedError
from wavcodes.judge import contenders, evaluation, metrics, picture
from wavcodes.judge.contenders import Coded
from wavcodes.judge.evaluation import METRICS, Failure, Measurement, evaluate, interval, summarise, table

OURS = wavcodes.list_codecs()[0]


def measurement(
    codec: str = "a", kbps: float = 3, stoi: float = 0.9, clip: str = "1", seconds: float = 2
) -> Measurement:
    metrics = {**dict.fromkeys(METRICS, 1.0), "stoi": stoi}
    return Measurement(clip, codec, f"{codec} {kbps:g} kbps", seconds, round(1000 * kbps * seconds), 0.5, 0.25, metrics)


# ---- intervals


def test_an_interval_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(5).normal(3, 2, 400)
    found = interval(values)
    error = values.std() / np.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(6)
    hits = [low <= 0 <= high for _, low, high in (interval(rng.standard_normal(40)) for _ in range(200))]
    assert 0.90 <= np.mean(hits) <= 0.99


def test_an_interval_is_the_same_every_time_and_of_one_value_none() -> None:
    values = np.random.default_rng(1).standard_normal(30)
    assert interval(values) == interval(values)
    assert interval([2.5]) == (2.5, 2.5, 2.5)
    with pytest.raises(InputError, match="at least one"):
        interval([])


# ---- summaries


def test_rates_and_speeds_are_those_of_all_clips_together() -> None:
    first, second = measurement(seconds=1, stoi=0.8), measurement(seconds=3, stoi=0.6, clip="2")
    (found,) = summarise([replace(first, bits=1_000), replace(second, bits=11_000)])
    assert found.kbps == 3  # 12,000 bits in 4 s; the mean of 1 and 11/3 is another
    assert (found.encode_speed, found.decode_speed) == (4, 8)
    assert found.clips == 2
    assert found.metrics["stoi"].mean == pytest.approx(0.7)


def test_the_table() -> None:
    found = table(summarise([measurement(stoi=0.8), measurement(stoi=0.9, clip="2"), measurement("b", 6)]))
    head, rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines())
    assert len(head) == len(rule) == len(rows[0])
    assert head[:5] == ["codec", "clips", "real kbps", "ViSQOL", "STOI"]
    assert [row[:3] for row in rows] == [["a 3 kbps", "2", "3.00"], ["b 6 kbps", "1", "6.00"]]
    assert [row[4] for row in rows] == ["0.850 ±0.050", "0.900 ±0.000"]
    assert rows[0][-2:] == ["4.0x", "8.0x"]


class Listening:
    """Tells how many channels it gets, in its bits."""

    codec = "listening"
    label = "listening 1 kbps"

    def run(self, audio: np.ndarray, sample_rate: int) -> Coded:
        return Coded(audio, len(audio), 0.1, 0.1)


@pytest.mark.parametrize(("mode", "channels"), [("speech", 1), ("audio", 2)])
def test_speech_is_coded_in_mono(
    mode: metrics.Mode, channels: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation, "measure", lambda *_: {"snr": 1.0})
    soundfile.write(tmp_path / "a.wav", np.repeat(speech(1), 2, axis=0).T, 16_000)
    (found,) = evaluate([tmp_path / "a.wav"], [Listening()], mode)
    assert isinstance(found, Measurement)
    assert found.bits == channels


class Broken:
    """Fails on what is longer than a second."""

    codec = "broken"
    label = "broken 1 kbps"

    def run(self, audio: np.ndarray, sample_rate: int) -> Coded:
        if audio.shape[1] > sample_rate:
            raise ZeroDivisionError("so long")
        return Coded(audio, 100, 0.1, 0.1)


def test_a_failure_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(evaluation, "measure", lambda *_: {"stoi": 0.5})
    for name, seconds in (("a.wav", 2), ("c.wav", 1)):
        soundfile.write(tmp_path / name, speech(seconds)[0], 16_000)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    found = list(evaluate([tmp_path / name for name in ("a.wav", "b.wav", "c.wav")], [Broken(), Broken()]))
    assert [type(each) for each in found] == [Failure] * 3 + [Measurement] * 2
    assert [each.label for each in found if isinstance(each, Failure)] == ["broken 1 kbps"] * 2 + [None]
    assert isinstance(found[0], Failure)
    assert isinstance(found[0].error, ZeroDivisionError)


# ---- pictures


def drawn(suffix: str) -> bytes:
    file = BytesIO()
    points = [measurement(codec, kbps, 0.8 + kbps / 100) for codec in "ab" for kbps in (1.5, 3, 6)]
    picture.draw(summarise([*points, measurement("c", 1.73)]), file, suffix)
    return file.getvalue()


@pytest.mark.usefixtures("eval_extra")
class TestPicture:
    def test_svg_has_every_panel(self) -> None:
        data = drawn(".svg")
        assert ElementTree.fromstring(data).tag.endswith("svg")
        comments = re.findall(r"<!-- (.+?) -->", data.decode())
        for metric in METRICS.values():
            assert any(text.startswith(f"{metric.title} (") for text in comments), metric
        assert {"a", "b", "c"} <= set(comments)

    def test_the_same_numbers_make_the_same_file(self) -> None:
        assert drawn(".svg") == drawn(".svg")

    def test_png(self) -> None:
        assert drawn(".png").startswith(b"\x89PNG")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UnsupportedError, match=r"wavcodes\[eval\]"):
        drawn(".svg")


# ---- the command


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with two clips in a folder of it, beside what is no sound."""
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    soundfile.write("clips/a.wav", np.repeat(speech(1.2), 2, axis=0).T, 16_000)
    soundfile.write("clips/b.flac", speech(1.1, 44_100)[0], 44_100)
    Path("clips/README.md").write_text("no sound")
    return tmp_path


@pytest.mark.usefixtures("eval_extra")
class TestCommand:
    @pytest.mark.slow
    def test_a_table_numbers_and_a_picture(self, clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
        codecs = ["--codecs", f"{OURS}@1.5,6", "opus"]
        assert run("eval", "clips", *codecs, "--json", "e.json", "--plot", "e.svg") == 0
        lines = capfd.readouterr().out.splitlines()
        assert [line.split("|")[1].strip() for line in lines[2:]] == [
            f"{OURS} 1.5 kbps",
            f"{OURS} 6 kbps",
            "opus 12 kbps",
        ]
        found = json.loads(Path("e.json").read_text())
        assert (found["schema"], found["command"], found["mode"], found["failures"]) == (1, "eval", "speech", [])
        assert [Path(each["clip"]).name for each in found["measurements"]] == ["a.wav"] * 3 + ["b.flac"] * 3
        for each in found["contenders"]:
            measured = [one for one in found["measurements"] if one["label"] == each["label"]]
            for key in METRICS:
                assert each["metrics"][key]["mean"] == pytest.approx(np.mean([one["metrics"][key] for one in measured]))
        low, high = (found["contenders"][k]["metrics"]["stoi"]["mean"] for k in (0, 1))
        assert low < high
        assert names(clips) == {"clips", "e.json", "e.svg"}

    def test_what_fails_is_told_and_the_rest_is_done(self, clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
        Path("clips/c.wav").write_bytes(b"broken")
        soundfile.write("clips/d.wav", np.zeros(16_000), 16_000)
        assert run("eval", "clips", "--codecs", "opus", "--json", "e.json") == 1
        out, said = capfd.readouterr()
        assert "| opus 12 kbps | 2 |" in out
        assert "clips/c.wav" in said
        assert "clips/d.wav: opus 12 kbps: expected a clip with sound" in said
        failures = json.loads(Path("e.json").read_text())["failures"]
        assert [(each["clip"], each["label"]) for each in failures] == [
            ("clips/c.wav", None),
            ("clips/d.wav", "opus 12 kbps"),
        ]

    def test_what_was_measured_is_told_although_a_file_cannot_be_written(
        self, clips: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(evaluation, "measure", lambda *_: {"stoi": 0.5})
        drawings: list[str] = []
        monkeypatch.setattr(picture, "draw", lambda _, file, suffix: drawings.append(suffix))
        assert run("eval", "clips", "--codecs", "opus", "--json", "/dev/full", "--plot", "/dev/null") == 74
        out, said = capfd.readouterr()
        assert "| opus 12 kbps | 2 |" in out
        assert "cannot write /dev/full" in said
        assert drawings == [".svg"]

    def test_what_is_no_sound_is_told(self, clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert run("eval", "clips/README.md", "--codecs", "opus") == 65
        out, said = capfd.readouterr()
        assert "README.md" in said
        assert not out
        assert names(clips) == {"clips"}

    def test_files_that_exist_stay(self, clips: Path) -> None:
        Path("e.json").write_text("mine")
        assert run("eval", "clips", "--codecs", "opus", "--json", "e.json", "-q") == 73
        assert Path("e.json").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["eval", "clips"], ["compare", "clips/a.wav"]], ids=lambda words: words[0])
def test_a_missing_extra_is_told_before_any_codec_runs(
    arguments: list[str], clips: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = []
    monkeypatch.setattr(contenders._Lossy, "run", lambda *_: ran.append(1))
    monkeypatch.setitem(sys.modules, "visqol", None)
    metrics._visqol_api.cache_clear()
    assert run(*arguments, "--codecs", "opus") == 69
    assert "pip install 'wavcodes[eval]'" in capfd.readouterr().err
    assert not ran
    assert names(clips) == {"clips"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none", "--codecs", "opus"], 66, "no such file or folder"),
        ([".", "--codecs", "opus"], 66, "expected sound in ."),
        (["a" * 300, "--codecs", "opus"], 66, "no such file or folder"),
        (["clips", "clips/a.wav", "--codecs", "opus"], 2, "every clip once"),
        (["clips", "--codecs", "opus", "--json", "-"], 2, "name a file"),
        (["clips", "--codecs", "opsu"], 2, "opsu"),
        (["clips", "--codecs", "opus", "--plot", "e.pdf"], 2, ".svg, .png"),
        (["clips", "--codecs", "opus", "--json", "none/e.json"], 73, "no folder"),
        (["clips", "--codecs", OURS, "--weights", f"{OURS}=none"], 69, "none"),
        (["clips", "--codecs", OURS, "--weights", "none"], 2, "such as lyra_v2=FOLDER"),
        (["clips"], 2, "--codecs"),
    ],
)
def test_wrong_command_lines(
    clips: Path, arguments: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("eval", *arguments) == code
    out, err = capfd.readouterr()
    assert said in err
    assert not out
    assert names(clips) == {"clips"}


@pytest.mark.slow
@pytest.mark.usefixtures("eval_extra", "codec2")
def test_real_speech(shared: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Facts that hold for any sound of these codecs: more bits are better, and a vocoder is no waveform codec."""
    clip = shared / "audio" / "test" / "speech_m_en_16k_arctic_aew.wav"
    weights = f"lyra_v2={shared / 'weights' / 'lyra_v2_1.2'}"
    codecs = ["lyra_v2@3.2,9.2", "opus@6,12", "lpcnet"]
    target = tmp_path / "e.json"
    assert run("eval", clip, "--codecs", *codecs, "--weights", weights, "--json", target) == 0
    found = {each["label"]: each for each in json.loads(target.read_text())["contenders"]}

    def mean(label: str, key: str) -> float:
        return found[label]["metrics"][key]["mean"]

    for less, more in (("lyra_v2 3.2 kbps", "lyra_v2 9.2 kbps"), ("opus 6 kbps", "opus 12 kbps")):
        for key in ("visqol", "stoi", "si_sdr"):
            assert mean(less, key) < mean(more, key)
    assert found["lyra_v2 3.2 kbps"]["kbps"] == pytest.approx(3.2, rel=0.01)
    assert mean("lpcnet 1.73 kbps", "si_sdr") < 0 < mean("lyra_v2 3.2 kbps", "si_sdr")
    assert mean("lpcnet 1.73 kbps", "stoi") > 0.6
