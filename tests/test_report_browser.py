"""The page of `wavcodes compare` in a real browser: what is heard, what stays in place, what can be read."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser
from cli_case import enter_folder, run
from report_case import HOSTILE, RATE, SECONDS, page_of_sines

pytestmark = pytest.mark.slow

_TAP = """
const tap = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
const tapped = voices;
for (const { gain } of voices) gain.connect(tap);
"""
_HEARD = "(() => { const x = new Float32Array(tap.fftSize); tap.getFloatTimeDomainData(x); return [...x]; })()"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report #1.html"
    path.write_text(page_of_sines(), encoding="utf-8")
    return path


@pytest.fixture
def tab(chromium: Browser, path: Path) -> Browser:
    chromium.show(1280, "light")
    chromium.open(path)
    return chromium


def heard(tab: Browser) -> tuple[float, float]:
    """Frequency in Hz and amplitude of what was played in the last second."""
    before = tab.evaluate("context.currentTime")
    tab.wait_for(f"context.currentTime > {before} + tap.fftSize / context.sampleRate + 0.1")
    samples = np.array(tab.evaluate(_HEARD))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples)), float(np.abs(samples).max())


def test_versions_are_heard_equally_loud_and_switched_in_place(tab: Browser) -> None:
    tab.press(" ")
    tab.wait_for("position() > 0.1")
    tab.evaluate("document.querySelector('#loop').click()")
    tab.evaluate(_TAP)
    assert tab.evaluate("context.sampleRate") == RATE
    assert heard(tab) == (pytest.approx(440, abs=1), pytest.approx(0.4, rel=0.01))
    for key, frequency, amplitude, plain in (("2", 440, 0.4, 0.1), ("3", 880, None, 0.2), ("1", 440, 0.4, 0.4)):
        position, clock = tab.evaluate("[position(), context.currentTime]")
        tab.press(key)
        later, now = tab.evaluate("[position(), context.currentTime]")
        assert tab.evaluate("voices === tapped")  # nothing was started anew
        assert (later - position) % SECONDS == pytest.approx(now - clock, abs=1e-6)
        found = heard(tab)
        assert found[0] == pytest.approx(frequency, abs=1)
        if amplitude is not None:
            assert found[1] == pytest.approx(amplitude, rel=0.01)
        tab.evaluate("match.click()")
        assert heard(tab)[1] == pytest.approx(plain, rel=0.01)
        tab.evaluate("match.click()")
    assert complaints(tab) == []


def test_pause_seek_and_end(tab: Browser) -> None:
    tab.press("3")
    assert tab.evaluate("[position(), last, chosen()]") == [0, None, 2]
    tab.press(" ")
    tab.wait_for("position() > 0.3")
    tab.press(" ")
    position = tab.evaluate("position()")
    tab.press("2")
    assert tab.evaluate("[position(), last, chosen()]") == [position, None, 1]
    assert tab.evaluate("Number(slider.value)") == pytest.approx(position)
    box = tab.evaluate("JSON.parse(JSON.stringify(document.querySelector('.plot').getBoundingClientRect()))")
    tab.click(box["x"] + 0.75 * box["width"], box["y"] + 10)
    assert tab.evaluate("position()") == pytest.approx(0.75 * SECONDS, abs=SECONDS / box["width"])  # a pixel
    tab.evaluate(f"slider.value = {SECONDS} - 1, slider.dispatchEvent(new Event('input'))")
    tab.press(" ")
    assert tab.evaluate("play.textContent") == "Pause"
    tab.wait_for("last === null")
    assert tab.evaluate("[position(), play.textContent]") == [0, "Play"]
    assert complaints(tab) == []


def test_space_on_a_button_or_a_box_does_only_what_they_do(tab: Browser) -> None:
    tab.evaluate("play.focus()")
    tab.press(" ")
    assert tab.evaluate("last !== null")
    tab.evaluate("match.focus()")
    tab.press(" ")
    assert tab.evaluate("[last !== null, match.checked]") == [True, False]
    tab.evaluate("choices[1].focus()")
    tab.press(" ")
    assert tab.evaluate("[last !== null, chosen()]") == [False, 0]


def test_nothing_is_fetched_and_names_are_text(tab: Browser) -> None:
    addresses = [event["request"]["url"] for event in tab.told("Network.requestWillBeSent")]
    assert addresses
    assert {address.partition(":")[0] for address in addresses} == {"file", "data"}
    assert tab.evaluate("document.querySelector('h1').textContent") == HOSTILE
    assert tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert complaints(tab) == []


def complaints(tab: Browser) -> list[dict[str, Any]]:
    """All that the console shows: messages, uncaught errors, what was refused."""
    return tab.told("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


@pytest.mark.usefixtures("eval_extra")
def test_what_the_command_writes(tab: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"\xff.wav")  # no valid text
    (enter_folder(tmp_path, monkeypatch) / "a.wav").rename(name)
    assert run("compare", name, "--codecs", "wavcodes_16khz@3,6", "opus@12", "-o", "b.html", "--from", "1") == 0
    tab.open(tmp_path / "b.html")
    assert tab.evaluate("document.querySelector('h1').textContent") == r"\udcff.wav"
    assert tab.evaluate("[...document.querySelectorAll('.version h2')].map((each) => each.textContent)") == [
        "original",
        "wavcodes_16khz 3 kbps",
        "wavcodes_16khz 6 kbps",
        "opus 12 kbps",
    ]
    assert tab.evaluate("document.querySelectorAll('.codes').length") == 2
    assert tab.evaluate("[...new Set(buffers.map((each) => each.length))]") == [round(2.21 * RATE)]
    tab.press("4")
    tab.press(" ")
    tab.wait_for("position() > 0.1")
    assert complaints(tab) == []


# Every text with its colour and that of what it lies on.
_TEXTS = """
[...document.body.querySelectorAll("*")].filter((each) => each.checkVisibility({ opacityProperty: true }) &&
  [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((each) => {
    let under = each;
    while (under && getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
    return [each.textContent, getComputedStyle(each).color, getComputedStyle(under).backgroundColor];
  })
"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(tab: Browser, width: int, scheme: str) -> None:
    tab.show(width, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    texts = tab.evaluate(_TEXTS)
    assert len(texts) > 50
    for text, ink, paper in texts:
        lighter, darker = sorted(map(luminance, (ink, paper)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, ink, paper)  # WCAG 2.2, level AA


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, by WCAG 2.2."""
    values = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")][:3]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
