"""Stretches and salvaged rests of files of codes, for codecs whose decoders look ahead and that code in segments."""

import io

import exact
import numpy as np
import pytest
from nac_case import written

from wavcodes import Codec, Codes
from wavcodes.cli import pieces
from wavcodes.containers import Reader, open_reader, salvage


@pytest.fixture(scope="module", params=["dac", "encodec_segments", "snac", "snac_attention"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return Codec(*exact.small(request.param, tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def codes(codec: Codec) -> Codes:
    num_samples = 4 * codec.spec.sample_rate + 77
    return codec.encode(exact.clip(codec.spec, num_samples), codec.spec.sample_rate)


def reader(codes: Codes) -> Reader:
    return open_reader(io.BytesIO(written(codes)))


@pytest.mark.parametrize(("start", "stop"), [(0, 1.5), (1.7, 2.3), (2.5, 2.50001), (3.0, None), (0.9, 4.0)])
def test_a_stretch_is_that_part_of_the_whole(codec: Codec, codes: Codes, start: float, stop: float | None) -> None:
    first = round(start * codes.sample_rate)
    last = None if stop is None else round(stop * codes.sample_rate)
    part = np.concatenate(list(pieces.between(reader(codes), codec, codes.num_codebooks, first, last)), axis=1)
    np.testing.assert_array_equal(part, codec.decode(codes)[:, first:last])


def test_silence_stands_for_what_is_lost(codec: Codec, codes: Codes) -> None:
    data = bytearray(written(codes))
    data[data.index(b"\xf5NAB\1\0\0\0") + 30] ^= 1
    found = salvage(io.BytesIO(data))
    ((first, behind),) = found.lost
    assert behind is not None
    audio = np.concatenate(list(pieces.intact(found, codec, codes.num_codebooks, codes.num_samples)), axis=1)
    whole = codec.decode(codes)
    assert audio.shape == whole.shape
    assert not audio[:, first:behind].any()
    settled = codec.spec.sample_rate // 2  # beside the gap, a decoder lacks what it would look at
    np.testing.assert_array_equal(audio[:, : first - settled], whole[:, : first - settled])
    np.testing.assert_array_equal(audio[:, behind + settled :], whole[:, behind + settled :])
