"""Audio in memory: what a codec takes, channels and rates, against numpy and soxr."""

import math
from fractions import Fraction

import numpy as np
import pytest
import soxr
from audio_case import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from wavcodes.audio import StreamResampler, check_audio, check_chunk, resample, resampled_length, to_channels, to_mono
from wavcodes.errors import InputError
from wavcodes.spec import CodecSpec, WeightSource


def spec(channels: int) -> CodecSpec:
    return CodecSpec(
        name="a_codec",
        sample_rate=16_000,
        channels=channels,
        hop_length=320,
        num_codebooks=1,
        codebook_size=2,
        bandwidths=(1.0,),
        default_bandwidth=1.0,
        weights=WeightSource(files=(), licence=""),
        strides=(1,),
    )


MONO, STEREO = spec(1), spec(2)


class TestCheck:
    def test_a_fitting_array_is_passed_on_without_a_copy(self) -> None:
        audio = noise(2, 100)
        assert check_audio(audio, 16_000, STEREO) is audio
        assert np.shares_memory(check_audio(audio[0], 16_000, MONO), audio)

    @pytest.mark.parametrize(
        "audio",
        [
            noise(100).astype(np.float64),
            noise(1, 100).astype(">f4"),
            noise(200)[::2],
            noise(100, 1).T,
            [0.0, 0.5, -1.0],
            noise(100).astype(np.float16),
        ],
        ids=["float64", "big-endian", "strided", "transposed view", "list", "float16"],
    )
    def test_other_floats_are_converted_to_the_same_values(self, audio: np.ndarray) -> None:
        checked = check_audio(audio, 16_000, MONO)
        assert checked.dtype == np.dtype("=f4")
        assert checked.flags.c_contiguous
        assert checked.shape == (1, np.asarray(audio).size)
        np.testing.assert_array_equal(checked[0], np.asarray(audio).ravel().astype(np.float32))

    @pytest.mark.parametrize(
        ("audio", "codec", "expected"),
        [
            (np.zeros(9, np.int16), MONO, "audio / 32768"),
            (np.zeros(9, np.uint8), MONO, "uint8"),
            (np.zeros(9, bool), MONO, "got bool"),
            (np.zeros(9, complex), MONO, "complex128"),
            (["a"], MONO, "floats"),
            ([[0.1, 0.2], [0.3]], STEREO, "expected audio as an array: .*inhomogeneous"),
            (np.zeros(0, np.float32), MONO, "at least one sample"),
            (np.zeros((1, 0), np.float32), MONO, "at least one sample"),
            (np.float32(0), MONO, r"got \(\)"),
            (noise(2, 50), MONO, r"to_mono\(audio\)"),
            (noise(50, 1), MONO, r"pass audio\.T$"),
            (noise(50, 2), MONO, r"to_mono\(audio\.T\)"),
            (noise(50, 2), STEREO, r"pass audio\.T$"),
            (noise(50), STEREO, r"\(2, samples\), got \(50,\)"),
            (noise(4, 1, 50), MONO, "list of clips"),
            (np.array([0, 0, np.nan, np.inf]), MONO, "sample 2 of channel 0 is nan"),
            (np.array([[0, 0, 0], [0, -np.inf, np.nan]]), STEREO, "sample 1 of channel 1 is -inf"),
            (np.array([0, 1e300]), MONO, "sample 1 of channel 0 is inf"),
            (np.array([0.0, -30000.0]), MONO, "sample 1 of channel 0 is -30000.*32768"),
        ],
    )
    def test_what_no_codec_takes_is_named(self, audio: object, codec: CodecSpec, expected: str) -> None:
        with pytest.raises(InputError, match=expected):
            check_audio(audio, 16_000, codec)  # type: ignore[arg-type]

    def test_another_rate_names_the_conversion(self) -> None:
        with pytest.raises(InputError, match=r"resample\(audio, 44100, 16000\)"):
            check_audio(noise(9), 44_100, MONO)

    def test_loud_audio_is_audio(self) -> None:
        assert check_audio(np.float32([64, -64]), 16_000, MONO).tolist() == [[64, -64]]

    def test_a_chunk_may_be_empty(self) -> None:
        assert check_chunk(np.zeros(0, np.float32), MONO).shape == (1, 0)


class TestChannels:
    def test_mono_is_the_mean(self) -> None:
        audio = noise(3, 1000)
        expected = audio.astype(np.float64).sum(axis=0) / 3
        np.testing.assert_array_equal(to_mono(audio), expected.astype(np.float32))
        assert np.shares_memory(to_mono(audio[0]), audio)

    def test_mono_is_repeated_for_more(self) -> None:
        audio = noise(1, 9)
        np.testing.assert_array_equal(to_channels(audio, 2), np.concatenate([audio, audio]))
        assert to_channels(audio, 1) is audio

    def test_no_channels_are_an_error(self) -> None:
        with pytest.raises(InputError, match="at least one channel"):
            to_mono(np.zeros((0, 5), np.float32))

    def test_other_counts_are_an_error(self) -> None:
        with pytest.raises(InputError, match="expected 2 channels or one, got 6"):
            to_channels(noise(6, 9), 2)
        with pytest.raises(InputError, match="int16"):
            to_mono(np.zeros((2, 9), np.int16))


RATES = [(44_100, 16_000), (48_000, 24_000), (8_000, 16_000), (16_000, 24_000), (96_000, 16_000), (22_050, 48_000)]


class TestResample:
    @pytest.mark.parametrize(("before", "after"), RATES)
    @pytest.mark.parametrize("num_samples", [1, 2, 441, 4_411, 30_001])
    def test_equals_soxr(self, before: int, after: int, num_samples: int) -> None:
        audio = noise(2, num_samples)
        expected = soxr.resample(audio.T.copy(), before, after, quality="VHQ").T
        converted = resample(audio, before, after)
        np.testing.assert_array_equal(converted, expected)
        np.testing.assert_array_equal(resample(audio[0], before, after), expected[0])
        assert converted.dtype == np.float32
        assert resampled_length(num_samples, before, after) == len(expected.T)

    @given(st.integers(0, 10**12), st.sampled_from(RATES))
    def test_lengths_round_halves_up(self, num_samples: int, rates: tuple[int, int]) -> None:
        exact = Fraction(num_samples * rates[1], rates[0])
        assert resampled_length(num_samples, *rates) == math.floor(exact + Fraction(1, 2))

    def test_a_sine_stays_a_sine(self) -> None:
        def sine(rate: int) -> np.ndarray:
            return np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)

        converted = resample(sine(44_100), 44_100, 16_000)
        np.testing.assert_allclose(converted[2_000:-2_000], sine(16_000)[2_000:-2_000], atol=3e-7)

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_chunks_do_not_matter(self, data: st.DataObject) -> None:
        before, after = data.draw(st.sampled_from(RATES))
        audio = noise(2, data.draw(st.integers(0, 5_000)))
        stream, parts, first = StreamResampler(before, after, 2), [], 0
        while first < audio.shape[1]:
            size = data.draw(st.integers(0, 2_000))
            parts.append(stream.push(audio[:, first : first + size]))
            first += size
        parts.append(stream.flush())
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), resample(audio, before, after))

    def test_the_same_rate_changes_nothing(self) -> None:
        audio = noise(1, 50)
        np.testing.assert_array_equal(resample(audio, 16_000, 16_000), audio)

    @pytest.mark.parametrize("rate", [0, -1, 999, 2**31])
    def test_absurd_rates_are_refused(self, rate: int) -> None:
        with pytest.raises(InputError, match=f"1000 to 1000000 Hz, got {rate}"):
            resample(noise(9), rate, 16_000)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
    def test_values_that_are_no_audio_are_refused(self, value: float) -> None:
        audio = np.zeros((2, 100))
        audio[1, 17] = value
        with pytest.raises(InputError, match="sample 17 of channel 1"):
            resample(audio, 8_000, 16_000)

    def test_wrong_chunks_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"\(2, samples\), got \(1, 9\)"):
            StreamResampler(8_000, 16_000, 2).push(noise(1, 9))
        with pytest.raises(InputError, match="at least one channel"):
            StreamResampler(8_000, 16_000, 0)
