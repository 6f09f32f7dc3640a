"""Where things stand in the figures of `wavcodes compare` and `wavcodes eval --plot`, and which way is more."""

import re
from typing import Any

import numpy as np
import pytest
from report_case import RATE, SECONDS, coded, sine, unpacked

import wavcodes
from wavcodes.judge import drawing, evaluation, figures, picture, report


def image(figure: str) -> np.ndarray:
    """The indices of the only picture of a figure."""
    (address,) = re.findall(r'<img src="(data:image/png;base64,[^"]+)"', figure)
    return unpacked(address)[0]


def labels(figure: str) -> dict[str, float]:
    """The labels of the upright axis, and how far from the top they stand, in %."""
    return {text: float(top) for top, text in re.findall(r'<span style="top:([\d.]+)%">([^<]+)</span>', figure)}


def test_a_spectrogram_goes_from_silence_to_what_is_loudest() -> None:
    levels = np.array([[-10.0, -10 - figures.RANGE, -200.0, -10 - figures.RANGE / 2]])
    found = image(figures.spectrogram("s", levels, -10.0, RATE, 1.0))
    assert found.tolist() == [[255, 0, 0, 128]]


def test_a_difference_is_red_where_there_is_more_and_blue_where_there_is_less() -> None:
    before = np.array([[-20.0, -20.0, -20.0, -300.0, -20.0]])
    after = np.array([[-20.0, -10.0, -30.0, -200.0, 50.0]])
    found = image(figures.difference("d", before, after, 0.0, RATE, 1.0))
    assert found.tolist() == [[128, 191, 64, 128, 255]]
    red, _, blue, _ = drawing.CHANGE[255].tolist()
    assert red > blue
    red, _, blue, _ = drawing.CHANGE[0].tolist()
    assert blue > red


def test_high_frequencies_are_at_the_top() -> None:
    found = labels(figures.spectrogram("s", np.zeros((4, 4)), 0.0, RATE, 1.0))
    assert list(found) == ["0", "0.5", "1", "2", "4"]
    assert found["0"] == 100
    assert sorted(found.values(), reverse=True) == list(found.values())
    tone = drawing.mel_levels(sine(4_000, 0.5), RATE).mean(1)  # the first row is the top one
    assert 100 * (tone.argmax() + 0.5) / len(tone) == pytest.approx(found["4"], abs=1)


def test_a_waveform_has_plus_at_the_top() -> None:
    assert labels(figures.waveform("w", np.ones((1, 9), np.float32), 0.5, 1.0)) == {"0.5": 0, "0": 50, "-0.5": 100}


def test_bars_have_their_heights() -> None:
    found = figures.bars("b", [0.0, 2.5, 10.0], 10, "bits")
    assert re.findall(r"height:([\d.]+)%", found) == ["0.00", "25.00", "100.00"]
    assert labels(found) == {"10": 0, "5": 50, "0": 100}


def test_codes_go_on_behind_the_end_of_the_clip() -> None:
    spec = wavcodes.spec("wavcodes_16khz")
    codes = wavcodes.Codes.from_flat(np.zeros(6 * 50, int), spec, 6, 49 * spec.framing().hop_length)
    (width,) = re.findall(r"width:([\d.]+)%", figures.heat_map("c", codes, codes.duration))
    assert float(width) == pytest.approx(100 * 50 / 49, abs=1e-3)


def test_a_page_shows_what_a_version_adds_to_the_original() -> None:
    def errors(version: np.ndarray) -> str:
        made = report.page("a", sine(440, 0.4), RATE, [report.Result("b", coded(version), {})])
        (path,) = re.findall(r'aria-label="Waveform, minus the original&#x27;s"><path d="([^"]+)"', made)
        return path

    ramp = np.linspace(0, 0.5, sine(440, 0.4).shape[1], dtype=np.float32)[np.newaxis]
    wide = max(np.abs(sine(440, 0.4) + ramp).max(), 0.4)
    assert errors(sine(440, 0.4) + ramp) == drawing.outline(sine(440, 0.4) + ramp - sine(440, 0.4), wide)
    flat = errors(sine(440, 0.4))
    assert {float(y) for _, y in (pair.split(",") for pair in flat[1:-1].split())} == {1.0}


def test_the_loudest_point_of_the_original_is_that_of_all_spectrograms() -> None:
    made = report.page("a", sine(440, 0.01), RATE, [report.Result("b", coded(sine(440, 0.001)), {})])
    addresses = re.findall(r'<img src="(data:image/png;base64,[^"]+)" alt="Mel spectrogram"', made)
    assert [unpacked(address)[0].max() for address in addresses] == [255, 191]  # 20 of 80 dB below


def test_a_page_tells_how_many_entries_are_used_in_percent() -> None:
    spec = wavcodes.spec("wavcodes_16khz")
    books = np.zeros((6, 300), int)
    books[1] = np.arange(300) % (spec.codebook_size // 4)
    codes = wavcodes.Codes.from_flat(books.ravel(), spec, 6, round(SECONDS * RATE))
    made = report.page("a", sine(440, 0.4), RATE, [report.Result("b", coded(sine(440, 0.4), codes=codes), {})])
    bars = re.search(r'aria-label="Entries used by book.*?</figure>', made)
    assert bars
    heights = [float(height) for height in re.findall(r"height:([\d.]+)%", bars[0])]
    assert heights[1] == pytest.approx(25, abs=0.01)
    assert heights[0] == pytest.approx(100 / spec.codebook_size, abs=0.01)


class Panel:
    """Notes what is drawn."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self.calls.append((name, arguments, options))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [tuple(arguments) for called, arguments, _ in self.calls if called == name]


def summary(codec: str, kbps: float, mean: float) -> evaluation.Summary:
    metrics = {key: evaluation.Interval(mean, mean - 0.1, mean + 0.2) for key in evaluation.METRICS}
    return evaluation.Summary(codec, f"{codec} {kbps:g}", 3, kbps, 1.0, 1.0, metrics)


def test_a_panel_has_its_points_in_order_and_its_bands_around_them() -> None:
    panel = Panel()
    lines = {"a": [summary("a", 6, 0.8), summary("a", 1.5, 0.5), summary("a", 3, 0.7)], "b": [summary("b", 2, 0.6)]}
    picture._panel(panel, "stoi", lines)
    (rates, means), (alone, _) = panel.of("plot")
    assert (list(rates), list(means), list(alone)) == ([1.5, 3, 6], [0.5, 0.7, 0.8], [2])
    ((rates, lows, highs),) = panel.of("fill_between")
    assert list(rates) == [1.5, 3, 6]
    assert list(lows) == pytest.approx([0.4, 0.6, 0.7])
    assert list(highs) == pytest.approx([0.7, 0.9, 1.0])
    ((rates, lows, highs),) = panel.of("vlines")
    assert (list(rates), list(lows), list(highs)) == ([2], pytest.approx([0.5]), pytest.approx([0.8]))
    assert panel.of("set_title") == [("STOI (more is better)",)]
    assert panel.of("set_xscale") == [("log",)]
    picture._panel(panel, "mel", lines)
    assert panel.of("set_title")[1] == ("mel distance in dB (less is better)",)
