"""The page of `wavcodes compare`: its pictures, levels and numbers against what is known of the sounds and codes."""

import base64
import html.parser
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_case import RATE, enter_folder, names, run
from report_case import HOSTILE, SECONDS, coded, page_of_sines, sine, unpacked

import wavcodes
from wavcodes.audio import loudness, mel
from wavcodes.errors import InputError
from wavcodes.judge import drawing, figures, report


class TestPictures:
    @pytest.mark.parametrize("shape", [(1, 1), (3, 7), (128, 1000)])
    def test_a_png_holds_what_was_put_into_it(self, shape: tuple[int, int]) -> None:
        shades = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
        found, colours = unpacked(drawing.png(shades, drawing.HEAT))
        np.testing.assert_array_equal(found, shades)
        np.testing.assert_array_equal(colours, drawing.HEAT[:, :3])

    def test_colours_of_heat_get_ever_lighter(self) -> None:
        luminance = drawing.HEAT[:, :3] @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(luminance) >= -0.5).all()  # of 255; they are whole numbers
        assert luminance[-1] - luminance[0] > 200

    @pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
    @pytest.mark.parametrize("frequency", [150, 1_000, 3_500])
    def test_a_sine_has_its_level_at_its_place_at_all_times(self, rate: int, frequency: float) -> None:
        levels = drawing.mel_levels(sine(frequency, 1.0, rate, 1.0), rate)
        rows = np.linspace(mel(rate / 2), 0, len(levels) + 2)[1:-1]  # mel of the middle of each band
        loudest = levels[:, 5:-5].argmax(axis=0)
        np.testing.assert_allclose(rows[loudest], mel(frequency), atol=rows[0] - rows[1])
        softer = drawing.mel_levels(sine(frequency, 0.1, rate, 1.0), rate)
        assert levels.max() - softer.max() == pytest.approx(20, abs=1e-3)

    def test_a_column_stands_for_its_time(self) -> None:
        audio = np.zeros((1, 40 * RATE), np.float32)
        audio[0, 10 * RATE] = 1
        levels = drawing.mel_levels(audio, RATE)
        assert levels.shape == (128, 1000)
        assert levels.sum(axis=0).argmax() == 250

    @pytest.mark.parametrize("count", [1, 2, 159, 161, 16_001])
    def test_any_length(self, count: int) -> None:
        levels = drawing.mel_levels(np.zeros((2, count), np.float32), RATE)
        assert levels.shape == (128, -(-count // 160))
        assert (levels == -100).all()
        assert drawing.outline(np.zeros((2, count), np.float32), 1.0).count(" ") == 2 * min(count, 1000) - 1

    def test_an_outline_reaches_what_is_highest_and_lowest(self) -> None:
        audio = np.zeros((2, 5_000), np.float32)
        audio[0, 2_503], audio[1, 2_504], audio[0, 4_999] = 0.5, -0.25, 1.0
        points = [tuple(map(float, pair.split(","))) for pair in drawing.outline(audio, 1.0)[1:-1].split()]
        moved = {(x, y) for x, y in points if y != 1}
        assert moved == {(500.5, 0.5), (500.5, 1.25), (999.5, 0.0)}

    def test_a_heat_map_repeats_the_codes_of_slow_books(self) -> None:
        spec = wavcodes.spec("snac_24khz")
        codes = wavcodes.Codes.from_flat(np.arange(7 * 12) * 48, spec)
        found, _ = unpacked(drawing.heat_map(codes))
        assert found.shape == (3, 4 * 12)
        for row, book, stride in zip(found, codes.books, codes.strides, strict=True):
            np.testing.assert_array_equal(row, np.repeat(np.rint(book / 4095 * 255), stride))

    def test_usage_and_entropy(self) -> None:
        spec = wavcodes.spec("encodec_24khz")
        books = np.stack([np.full(64, 3), np.arange(64), np.arange(64) % 2, np.minimum(np.arange(64), 32)])
        uneven = 33 / 64 * -np.log2(1 / 64) - 1 / 64 * -np.log2(1 / 64) + 32 / 64 * 1  # 32 entries once, one 32 times
        found = drawing.usage(wavcodes.Codes.from_flat(books.ravel(), spec, num_codebooks=4))
        assert found == [(1, 0.0), (64, 6.0), (2, 1.0), (33, pytest.approx(uneven))]

    @pytest.mark.parametrize("seconds", [0.001, 0.7, 1.0, 3.21, 60.0, 300.0])
    def test_an_axis_has_a_few_round_times(self, seconds: float) -> None:
        figure = figures.waveform("w", np.zeros((1, 10), np.float32), 1.0, seconds)
        places = [
            (float(left), float(text)) for left, text in re.findall(r'<span style="left:(.*?)%">(.*?)</span>', figure)
        ]
        assert 2 <= len(places) <= 7
        for left, text in places:
            assert left == pytest.approx(100 * text / seconds, abs=1e-3)


class Watcher(html.parser.HTMLParser):
    """Elements, texts, and whether every element ends where it should."""

    VOID = frozenset(("meta", "img", "input"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))


class TestPage:
    def test_it_is_well_formed_and_names_do_not_leave_their_place(self) -> None:
        page = Watcher(page_of_sines())
        assert [text for tag, text in page.texts if tag == "h1"] == [HOSTILE]
        assert [text for tag, text in page.texts if tag == "h2"][-1] == HOSTILE
        for tag, attributes in page.found:
            assert not [name for name in attributes if name.startswith("on")], tag

    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        page = Watcher(page_of_sines())
        addresses = [
            value for _, found in page.found for name, value in found.items() if name in ("src", "href", "srcset")
        ]
        assert addresses
        assert all(value.startswith("data:image/png;base64,") for value in addresses if value is not None)
        (policy,) = (found["content"] for _, found in page.found if "http-equiv" in found)
        assert "default-src 'none'" in str(policy)

    def test_pictures_and_controls_have_names(self) -> None:
        page = Watcher(page_of_sines())
        assert all(found.get("alt") for tag, found in page.found if tag == "img")
        assert all(found.get("aria-label") for tag, found in page.found if found.get("role") in ("img",))
        (slider,) = (found for _, found in page.found if found.get("type") == "range")
        assert slider["aria-label"]

    def test_the_sounds_are_those_that_were_given_and_equally_loud(self) -> None:
        text = page_of_sines()
        sounds = [
            soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32", always_2d=True)
            for data in re.findall(r'class="sound">(.*?)</script>', text)
        ]
        gains = [float(gain) for gain in re.findall(r'data-gain="(.*?)"', text)]
        assert len(sounds) == len(gains) == 3
        np.testing.assert_allclose(sounds[0][0].T, sine(440, 0.4), atol=0.6 / 32768)
        levels = [loudness(audio.T * np.float32(gain), rate) for (audio, rate), gain in zip(sounds, gains, strict=True)]
        np.testing.assert_allclose(levels, levels[0], atol=0.01)
        assert gains[0] == pytest.approx(1.0)  # nothing goes beyond full scale

    def test_all_are_softer_where_one_would_go_beyond_full_scale(self) -> None:
        spiky = sine(440, 0.05)
        spiky[0, 100] = 0.9
        text = report.page("a", sine(440, 0.4), RATE, [report.Result("b", coded(spiky), {})])
        gains = [float(gain) for gain in re.findall(r'data-gain="(.*?)"', text)]
        assert 0.9 * gains[1] == pytest.approx(1.0, abs=1e-4)
        assert gains[1] / gains[0] == pytest.approx(8, rel=0.01)

    def test_silence_is_compared_as_it_is(self) -> None:
        silence = np.zeros((1, RATE), np.float32)
        text = report.page("a", silence, RATE, [report.Result("b", coded(sine(440, 0.4, seconds=1.0)), {})])
        assert re.findall(r'data-gain="(.*?)"', text) == ["1.000000"] * 2
        assert "silence" in text

    def test_numbers(self) -> None:
        result = report.Result(
            "b", coded(sine(880, 0.1), bits=12_345), {"stoi": 0.98765, "si_sdr": -12.34, "mel": 1.2345}
        )
        table = re.search("<table>.*</table>", report.page("a", sine(440, 0.4), RATE, [result]))
        assert table
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table[0])]
        told = dict(zip((re.sub("<small>.*", "", head) for head in rows[0]), rows[2], strict=True))
        assert told["Bit rate"] == f"{12_345 / SECONDS / 1000:.2f}"
        assert (told["STOI"], told["SI-SDR"], told["Mel distance"]) == ("0.988", "-12.3", "1.23")
        assert (told["Encodes"], told["Decodes"]) == ("12.0", "24.0")
        assert float(told["Loudness"]) == round(loudness(sine(880, 0.1), RATE), 1)
        assert rows[1][1:-2] == [""] * (len(rows[1]) - 3)

    def test_a_clip_that_is_too_long_is_refused_with_a_length_that_is_not(self) -> None:
        with pytest.raises(
            InputError, match=r"a.wav: expected at most 64 MB .* at most (\d+) s with --from and --to"
        ) as told:
            report.check_clip("a.wav", 200 * 48_000, 2, 48_000, 4)
        (longest,) = re.findall(r"at most (\d+) s with", str(told.value))
        report.check_clip("a.wav", int(longest) * 48_000, 2, 48_000, 4)
        with pytest.raises(InputError):
            report.check_clip("a.wav", (int(longest) + 1) * 48_000, 2, 48_000, 4)

    @pytest.mark.parametrize(("channels", "rate"), [(6, 16_000), (1, 400_000)])
    def test_what_has_no_loudness_is_refused_before_any_work(self, channels: int, rate: int) -> None:
        with pytest.raises(InputError, match="expected"):
            report.check_clip("a.wav", 100, channels, rate, 2)


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        return enter_folder(tmp_path, monkeypatch)

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--codecs", "nope"], "nope"),
            (["--codecs", "wavcodes_16khz@17"], "17"),
            (["--codecs", "wavcodes_16khz", "--weights", "wavcodes_16khz"], "expected a codec and its weights"),
            (["--codecs", "lyra_v2", "--weights", "lyra_v2=a", "--weights", "lyra_v2=b"], "one path for lyra_v2"),
            (["--codecs", "wavcodes_16khz", "-o", "b.png"], "expected an output named .html"),
            (["--codecs", "wavcodes_16khz", "--from", "2", "--to", "1"], "expected --from before --to"),
            ([], "--codecs"),
        ],
    )
    def test_what_is_wrong_with_a_command(
        self, folder: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("compare", "a.wav", *options) == 2
        assert told in capsys.readouterr().err
        assert names(folder) == {"a.wav"}

    @pytest.mark.usefixtures("folder")
    def test_an_existing_page_is_kept_unless_forced(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("a.html").write_text("precious")
        assert run("compare", "a.wav", "--codecs", "wavcodes_16khz") == 73
        assert "a.html exists already; use -f" in capsys.readouterr().err
        assert Path("a.html").read_text() == "precious"
