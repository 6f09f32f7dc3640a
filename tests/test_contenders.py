"""Contenders: what is asked for, and that sound keeps its length and place and the bits are those of real files."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from judge_case import speech
from real import lyra_weights

import wavcodes
from wavcodes.audio import AudioWriter, lossy
from wavcodes.errors import CodecError, InputError, ModelError
from wavcodes.judge.contenders import Contender, parse
from wavcodes.legacy import codec2
from wavcodes.programs import MissingProgram

OURS = wavcodes.list_codecs()[0]


def only(text: str, **weights: Path) -> Contender:
    (contender,) = parse(text, weights)
    return contender


class TestParse:
    def test_names_and_bandwidths(self) -> None:
        found = parse(f"{OURS}@3,0.5 opus mp3@16,32 Opus@6")
        labels = [f"{OURS} 3 kbps", f"{OURS} 0.5 kbps", "opus 12 kbps", "mp3 16 kbps", "mp3 32 kbps", "opus 6 kbps"]
        assert [each.label for each in found] == labels
        assert [each.codec for each in found] == [OURS, OURS, "opus", "mp3", "mp3", "opus"]

    def test_the_default_bandwidth(self) -> None:
        assert only(OURS.replace("_", "-")).label == f"{OURS} {wavcodes.spec(OURS).default_bandwidth:g} kbps"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "at least one codec"),
            ("opsu", "opsu.*besides: opus, mp3, lpcnet"),
            (f"{OURS}@x", "'x' in"),
            (f"{OURS}@3,", "'' in"),
            (f"{OURS}@", "'' in"),
            ("opus@0", "'0' in"),
            ("mp3@nan", "'nan' in"),
            (f"{OURS}@7", "bandwidths of"),
            (f"{OURS}@3 {OURS}@3", "twice"),
            ("lpcnet@3", "one bandwidth only"),
        ],
    )
    def test_what_is_none(self, text: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            parse(text)

    def test_weights_are_for_who_is_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="lyra_v2"):
            parse("opus", {"lyra_v2": tmp_path})
        with pytest.raises(InputError, match="mp3"):
            parse("mp3", {"mp3": tmp_path})
        with pytest.raises(ModelError):
            parse(OURS, {OURS: tmp_path / "none.safetensors"})

    def test_lpcnet_needs_its_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codec2, "is_there", lambda: False)
        with pytest.raises(MissingProgram, match="libcodec2"):
            parse("lpcnet")


# ---- bits


def payload_bytes(data: bytes) -> int:
    """Of the blocks of a `.nac` file, as docs/format-nac.md lays them out."""
    (length,) = struct.unpack("<I", data[-8:-4])
    end = data[-length:]
    (blocks,) = struct.unpack("<I", end[4:8])
    sizes = struct.unpack(f"<{blocks}I", end[56 : 56 + 4 * blocks])
    first = len(data) - length - sum(sizes)
    starts = [first + sum(sizes[:k]) for k in range(blocks)]
    assert all(data[start : start + 4] == b"\xf5NAB" for start in starts)
    return sum(struct.unpack("<I", data[start + 16 : start + 20])[0] for start in starts)


@pytest.mark.parametrize("kbps", [0.5, 3, 6])
def test_bits_are_those_of_a_file_without_its_headers(kbps: float, tmp_path: Path) -> None:
    coded = only(f"{OURS}@{kbps}").run(speech(2.345), 16_000)
    assert coded.codes is not None
    wavcodes.write(tmp_path / "a.nac", coded.codes)
    blocks = 3
    assert 0 <= 8 * payload_bytes((tmp_path / "a.nac").read_bytes()) - coded.bits < 8 * blocks
    assert coded.bits == 10 * 2 * kbps * (-(-2.345 * 50 // 1) + 1)


def test_gains_of_segments_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from narrow import narrow

    path = narrow(monkeypatch, tmp_path, "encodec_48khz")["encodec_48khz"]
    coded = only("encodec_48khz@3", encodec_48khz=path).run(speech(1.5, 48_000), 48_000)
    # two segments: 150 frames, and from 0.99 s on 76.5
    assert coded.bits == (150 + 77) * 2 * 10 + 2 * 32


def test_bits_of_lpcnet(codec2: None) -> None:
    coded = only("lpcnet").run(speech(1), 16_000)
    frames = -(-(16_000 + 920) // 480)
    assert coded.bits == -(-52 * frames // 8) * 8


@pytest.mark.parametrize("suffix", [".opus", ".mp3"])
def test_bytes_of_packets_are_those_that_ffmpeg_finds(suffix: str, tmp_path: Path, pyav: Any) -> None:
    path = tmp_path / f"a{suffix}"
    with open(path, "w+b") as file:
        with AudioWriter(file, suffix, 48_000, 1) as writer:
            writer.write(speech(3, 48_000))
        found = lossy._opus_bytes(file) if suffix == ".opus" else lossy._mp3_bytes(file)
    with pyav.open(str(path)) as container:
        assert found == sum(packet.size for packet in container.demux(audio=0))


@pytest.mark.parametrize("kbps", [6, 9, 24])
def test_opus_keeps_about_to_its_rate(kbps: float) -> None:
    assert only(f"opus@{kbps}").run(speech(4), 16_000).bits / 4_000 == pytest.approx(kbps, rel=0.25)


@pytest.mark.parametrize(("kbps", "rate"), [(8, 16_000), (16, 48_000), (64, 44_100), (64, 16_000), (320, 48_000)])
def test_mp3_keeps_to_its_rate(kbps: int, rate: int) -> None:
    # A frame is 36 or 24 ms, and what LAME adds for its delay is in the last ones.
    assert only(f"mp3@{kbps}").run(speech(4, rate), rate).bits / 4_000 == pytest.approx(kbps, rel=0.04)


@pytest.mark.parametrize(("text", "said"), [("opus@5", "6 to 256"), ("mp3@20", "24, 32"), ("mp3@400", "320")])
def test_rates_that_an_anchor_has_not(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        only(text).run(speech(1, 48_000), 48_000)


# ---- length and place


def contender(text: str, request: pytest.FixtureRequest) -> Contender:
    if text == "lpcnet":
        request.getfixturevalue("codec2")
    if text.startswith("lyra_v2"):
        return only(text, lyra_v2=lyra_weights(request.getfixturevalue("shared")))
    return only(text)


CONTENDERS = (f"{OURS}@6", "lyra_v2@9.2", "opus@12", "opus@32", "mp3@32", "lpcnet")


def click(at: float, rate: int) -> np.ndarray:
    """A tone of 600 Hz for 40 ms about `at` seconds, swelling and fading, in a whisper of noise."""
    time = np.arange(round(1.2 * rate)) / rate - at
    return whispered(np.sin(2 * np.pi * 600 * time), time, 0.04)


def syllable(at: float, rate: int) -> np.ndarray:
    """Speech for 120 ms about `at` seconds, swelling and fading, in a whisper of noise."""
    clip = wavcodes.resample(speech(1.5), 16_000, rate)[0]
    return whispered(clip, np.arange(len(clip)) / rate - at, 0.12)


def whispered(sound: np.ndarray, time: np.ndarray, seconds: float) -> np.ndarray:
    swell = np.cos(np.pi * np.clip(time / seconds, -0.5, 0.5)) ** 2
    breath = np.random.default_rng(0).standard_normal(len(sound)) * 1e-4
    return (0.5 * swell * sound + breath).astype(np.float32)


def centre(clip: np.ndarray) -> float:
    """Of the energy of `(N,)`, samples."""
    energy = clip.astype(np.float64) ** 2
    return float(np.sum(np.arange(len(energy)) * energy) / np.sum(energy))


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("text", CONTENDERS)
def test_sound_stays_in_its_place(text: str, rate: int, request: pytest.FixtureRequest) -> None:
    # Our codec moves a tone that is no speech by 5 ms, and one of these stretches, 20 dB below the others, by 11 ms:
    # what it is for has to be in its place, by the median.
    sounds = [syllable(at, rate) for at in (0.2, 0.4, 0.6, 0.8, 1.0)] if text.startswith(OURS) else [click(0.7, rate)]
    chosen = contender(text, request)
    shifts = [centre(chosen.run(sound[np.newaxis], rate).audio[0]) - centre(sound) for sound in sounds]
    # LPCNet has frames of 10 ms, whose energy is all that it knows of time.
    assert abs(np.median(shifts)) / rate < (0.010 if text == "lpcnet" else 0.002)


@pytest.mark.parametrize("text", [text for text in CONTENDERS if text != "lpcnet"])
def test_periods_stay_in_their_place(text: str, request: pytest.FixtureRequest) -> None:
    clip = speech(1.5)
    back = contender(text, request).run(clip, 16_000).audio
    lags = np.arange(-60, 61)
    likeness = [clip[0, 100:-100] @ np.roll(back[0], -lag)[100:-100] for lag in lags]
    assert abs(lags[int(np.argmax(likeness))]) <= 2


@pytest.mark.parametrize("text", CONTENDERS)
@pytest.mark.parametrize(
    ("rate", "num_samples", "channels"), [(8_000, 7_001, 1), (22_050, 20_003, 2), (48_000, 999, 1)]
)
def test_length_and_channels_stay(
    text: str, rate: int, num_samples: int, channels: int, request: pytest.FixtureRequest
) -> None:
    clip = np.repeat(speech(1, rate)[:, :num_samples], channels, axis=0)
    coded = contender(text, request).run(clip, rate)
    assert coded.audio.shape == clip.shape
    assert coded.audio.dtype == np.float32
    assert coded.encode_seconds > 0 < coded.decode_seconds


def test_codes_are_those_of_the_codec() -> None:
    clip = speech(1)
    coded = only(f"{OURS}@3").run(clip, 16_000)
    codec = wavcodes.load(OURS)
    assert coded.codes == codec.encode(clip, 16_000, bandwidth=3)
    np.testing.assert_array_equal(coded.audio, codec.decode(coded.codes))
    assert only("opus").run(clip, 16_000).codes is None


def test_more_than_two_channels_are_for_nobody_stereo() -> None:
    with pytest.raises(CodecError, match="2 channels or one, got 3"):
        only("opus").run(np.zeros((3, 16_000), np.float32), 16_000)
    assert only(OURS).run(np.repeat(speech(1), 2, axis=0), 16_000).audio.shape == (2, 16_000)


def test_a_libsndfile_without_the_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TypeError("unexpected argument compression_level")

    monkeypatch.setattr(soundfile, "SoundFile", refuse)
    with pytest.raises(CodecError, match="pip install -U soundfile"):
        only("opus").run(speech(1), 16_000)
