"""`.dac` files with Descript's own package on the other side: theirs in our decoder, ours in theirs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
from dac_case import NAMES, Descript
from narrow import narrow
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, InputError, UnsupportedError, containers
from wavcodes.audio import loudness, resample, resampled_length
from wavcodes.containers import dac
from wavcodes.descript import DacDecoder, encode_dac

CLOSE = 1e-4
SHORT = {"dac_16khz": 8, "dac_24khz": 8}


@pytest.fixture(scope="module")
def patch() -> Any:
    with pytest.MonkeyPatch.context() as context:
        yield context


# The two that are left out have the network of one of these, with other numbers of books.
@pytest.fixture(
    scope="module",
    params=[each if each == "dac_44khz" else pytest.param(each, marks=pytest.mark.slow) for each in NAMES],
)
def theirs(request: Any, patch: Any, peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Descript:
    peer("torch").set_num_threads(1)
    folder = tmp_path_factory.mktemp("dac")
    narrow(patch, folder, request.param)
    made: Descript = peer("dac", lambda: Descript(request.param, folder))
    return made


@pytest.fixture
def decoder(theirs: Descript) -> DacDecoder:
    return DacDecoder(theirs.spec.name, theirs.weights)


@pytest.fixture
def codec(theirs: Descript) -> Codec:
    return wavcodes.load(theirs.spec.name, weights=theirs.weights)


def whole(decoder: DacDecoder, file: dac.DacFile) -> NDArray[np.float32]:
    return np.concatenate(list(decoder.at_codec_rate(file)), axis=1)


def sounds(channels: int, num_samples: int) -> NDArray[np.float32]:
    return np.stack([peers.sound(10 * num_samples + i, num_samples) for i in range(channels)])


# The numbers of facts that Descript's own arithmetic gives: frames of a window of 1 s, and the samples that they make.
WINDOWS = {"dac_16khz": (34, 5_346), "dac_24khz": (59, 13_346), "dac_44khz": (72, 28_522)}


@pytest.mark.parametrize("channels", [1, 2])
def test_their_windows_decode_here(channels: int, theirs: Descript, decoder: DacDecoder, tmp_path: Path) -> None:
    rate = theirs.spec.sample_rate
    frames, samples = WINDOWS[theirs.spec.name[:9]]
    for num_samples in (rate + 1, 3 * samples):
        theirs.save(sounds(channels, num_samples), tmp_path / "x.dac", window=1.0)
        file = dac.read(tmp_path / "x.dac")
        assert (file.padded, file.window_frames, file.num_samples) == (False, frames, num_samples)
        ours = whole(decoder, file)
        assert ours.shape == (channels, -(-num_samples // samples) * samples)
        sound = theirs.sound(tmp_path / "x.dac", ours.shape[1])
        assert np.abs(ours - sound).max() < CLOSE
        assert sound.std() > 0.1
        assert decoder.decode(file)[0].shape == (channels, num_samples)
        with pytest.raises(UnsupportedError, match="coded without padding, and their codes are not those of a clip"):
            file.clips(theirs.spec.framing())


@pytest.mark.parametrize("channels", [1, 2])
def test_their_whole_clips_decode_here(channels: int, theirs: Descript, decoder: DacDecoder, tmp_path: Path) -> None:
    hop, short = theirs.spec.hop_length, SHORT.get(theirs.spec.name, 0)
    for num_samples in (1, hop - 1, hop, hop + 1, 9_000):
        theirs.save(sounds(channels, num_samples), tmp_path / "x.dac", window=None)
        file = dac.read(tmp_path / "x.dac")
        ours = whole(decoder, file)
        assert ours.shape == (channels, -(-num_samples // hop) * hop)
        sound = theirs.sound(tmp_path / "x.dac", ours.shape[1] - short)
        assert np.abs(ours[:, : sound.shape[1]] - sound).max() < CLOSE
        assert not ours[:, sound.shape[1] :].any()
        assert decoder.decode(file)[0].shape == (channels, num_samples)
        if channels == 1:
            codes = containers.read(tmp_path / "x.dac", framing=theirs.spec.framing())
            assert codes.num_samples == num_samples
            assert np.array_equal(np.asarray(codes), file.codes[0])


def test_their_codes_of_whole_clips_are_ours(theirs: Descript, codec: Codec, tmp_path: Path) -> None:
    audio = sounds(2, 6_000)
    theirs.save(audio, tmp_path / "x.dac", window=None)
    clips = dac.read(tmp_path / "x.dac").clips(theirs.spec.framing())
    for clip, channel in zip(clips, audio, strict=True):
        ours = codec.encode(channel, theirs.spec.sample_rate, num_codebooks=theirs.spec.num_codebooks)
        assert (np.asarray(ours) == np.asarray(clip)).mean() > 0.99


@pytest.mark.parametrize("channels", [1, 2])
def test_our_files_decode_there(channels: int, theirs: Descript, codec: Codec, tmp_path: Path) -> None:
    hop, rate = theirs.spec.hop_length, theirs.spec.sample_rate
    for num_samples in (1, hop - 9, hop - 8, hop - 7, hop, hop + 1, 9_001):
        audio = sounds(channels, num_samples)
        clips = codec.encode(list(audio), rate)
        dac.write(tmp_path / "x.dac", dac.DacFile.of(clips, weights_digest=codec.weights_digest))
        sound = theirs.sound(tmp_path / "x.dac")
        # Descript's decoder has no more; the samples that it lacks are zeros here.
        length = min(num_samples, clips[0].num_frames * hop - SHORT.get(theirs.spec.name, 0))
        assert sound.shape == (channels, length)
        ours = np.concatenate(codec.decode(clips))
        assert np.abs(ours[:, :length] - sound).max() < CLOSE
        file = dac.read(tmp_path / "x.dac")
        assert file.clips() == tuple(clips)
        assert file.weights_digest == codec.weights_digest


def test_their_loader_sees_what_theirs_would_save(theirs: Descript, codec: Codec, tmp_path: Path) -> None:
    audio, rate = sounds(2, 5_000), theirs.spec.sample_rate
    theirs.save(audio, tmp_path / "theirs.dac", window=None)
    dac.write(tmp_path / "ours.dac", encode_dac(codec, audio, rate, num_codebooks=theirs.spec.num_codebooks))
    one, two = (theirs.load(tmp_path / f"{who}.dac") for who in ("theirs", "ours"))
    for fact, value in vars(one).items():
        assert type(value) is type(getattr(two, fact)), fact
        if fact not in ("codes", "input_db", "original_length"):
            assert value == getattr(two, fact), fact
    assert one.codes.shape == two.codes.shape
    assert one.codes.dtype == two.codes.dtype
    assert (one.input_db.dtype, one.input_db.shape) == (two.input_db.dtype, two.input_db.shape)


def test_the_loudness_of_a_file_is_that_of_its_sound(theirs: Descript, decoder: DacDecoder, tmp_path: Path) -> None:
    rate = theirs.spec.sample_rate
    for window in (1.0, None):
        theirs.save(sounds(2, 2 * rate), tmp_path / "x.dac", window)
        file = dac.read(tmp_path / "x.dac")
        assert file.loudness == -23.5
        sound, got = decoder.decode(file)
        assert got == rate
        raw = whole(decoder, file)
        gain = sound[0, 1_000] / raw[0, 1_000]
        assert np.allclose(gain * raw[:, : sound.shape[1]], sound, atol=1e-5)  # one for both channels
        # As Descript does, all that was decoded is measured, and a little of that lies behind the end.
        assert loudness(gain * raw, rate) == pytest.approx(-23.5, abs=1e-4)


def test_any_rate_there_and_back(theirs: Descript, decoder: DacDecoder, codec: Codec, tmp_path: Path) -> None:
    spec = theirs.spec
    for rate, num_samples in [(48_000, 30_001), (8_000, 9_999), (11_025, 12_000)]:
        audio = sounds(2, num_samples)
        file = encode_dac(codec, audio, rate)
        assert (file.sample_rate, file.num_samples) == (rate, num_samples)
        assert file.loudness == pytest.approx(
            loudness(resample(audio, rate, spec.sample_rate), spec.sample_rate), abs=1e-4
        )
        dac.write(tmp_path / "x.dac", file)
        read = dac.read(tmp_path / "x.dac")
        assert read.num_samples == num_samples
        sound, got = decoder.decode(read)
        assert (sound.shape, got) == ((2, num_samples), rate)
        (left, _) = read.clips()
        assert 0 <= left.num_samples - resampled_length(num_samples, rate, spec.sample_rate) <= 1


def test_a_file_of_unknown_loudness_is_left_as_it_is(decoder: DacDecoder, codec: Codec, tmp_path: Path) -> None:
    codes = codec.encode(peers.sound(3, 7_000), codec.spec.sample_rate)
    containers.write(tmp_path / "x.dac", codes)
    file = dac.read(tmp_path / "x.dac")
    assert file.loudness is None
    assert np.array_equal(decoder.decode(file)[0], codec.decode(codes))
    containers.write(tmp_path / "y.dac", codes, format=dac.stating(-31.25))
    assert dac.read(tmp_path / "y.dac").loudness == -31.25
    assert loudness(whole(decoder, file), codec.spec.sample_rate) != pytest.approx(-31.25, abs=1)
    assert containers.read(tmp_path / "y.dac") == codes


def test_windows_of_another_codec_are_refused(theirs: Descript, decoder: DacDecoder, tmp_path: Path) -> None:
    theirs.save(sounds(1, 2 * theirs.spec.sample_rate), tmp_path / "x.dac", window=1.0)
    file = dac.read(tmp_path / "x.dac")
    for num_samples in (file.num_samples // 2, 2 * file.num_samples):
        with pytest.raises(InputError, match="another codec"):
            decoder.decode(replace(file, num_samples=num_samples))
    with pytest.raises(InputError, match="too short for"):
        decoder.decode(replace(file, window_frames=1))


def test_only_descripts_models() -> None:
    with pytest.raises(UnsupportedError, match="Descript's models"):
        DacDecoder("encodec_24khz")
    framing = wavcodes.spec("encodec_24khz").framing(2)
    with pytest.raises(UnsupportedError, match="Descript's models"):
        dac.DacFile.of([Codes(framing, (np.zeros(3, np.uint16),) * 2, 900)])
