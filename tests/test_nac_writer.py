"""Wrong use of the `.nac` container: what it refuses to write or to read, and what the system refuses."""

import dataclasses
import io
import os

import numpy as np
import pytest
from nac_case import TINY, clip, written

from wavcodes.containers import Header, write
from wavcodes.containers.nac import NacReader, NacWriter
from wavcodes.errors import InputError, ResourceError, UnsupportedError
from wavcodes.framing import Segment


def test_codes_of_another_kind_are_refused():
    writer = NacWriter(io.BytesIO(), Header.of_codes(clip()))
    for other in (clip(codec="y"), clip(strides=(1,)), clip(rate=9), clip(size=9), clip(tail=2), clip(segment=TINY)):
        with pytest.raises(InputError, match="as the header states"):
            writer.write(other)


@pytest.mark.parametrize("other", [None, np.zeros((2, 4), np.uint16), b"codes"])
def test_what_is_no_codes_is_refused_and_nothing_is_written(other, tmp_path):
    with pytest.raises(InputError, match="expected Codes"):
        write(tmp_path / "a.nac", other)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="expected Codes"):
        NacWriter(io.BytesIO(), Header.of_codes(clip())).write(other)


@pytest.mark.parametrize("digest", ["0" * 32, "0" * 64, 32, [0] * 32, bytearray(32), bytes(31), b""])
def test_a_digest_of_weights_is_32_bytes(digest, tmp_path):
    with pytest.raises(InputError, match="weights digest"):
        write(tmp_path / "a.nac", clip(), weights_digest=digest)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("num_samples", [-1, 1.5, "all"])
def test_a_length_is_a_number_of_samples(num_samples):
    with pytest.raises(InputError, match="num_samples"):
        Header(clip().framing, num_samples)


def test_samples_behind_the_end_are_refused():
    codes = clip(9, tail=0)
    writer = NacWriter(io.BytesIO(), Header(codes.framing))
    writer.write(codes)
    with pytest.raises(InputError, match="no more samples"):
        writer.write(codes)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_segments_behind_the_end_are_refused(before):
    """Also where the segment that is not full fills a block, or stands in a block before."""
    codes, full = clip(16, segment=TINY), clip(400, segment=TINY)
    assert codes.segments[-1] == 2
    writer = NacWriter(io.BytesIO(), Header(codes.framing))
    for k in range(before):
        writer.write(full.only_frames(4 * k, 4 * k + 4))
    writer.write(codes)
    with pytest.raises(InputError, match="no signal has segments"):
        writer.write(full.only_frames(0, 4))


def test_the_stated_length_must_be_met():
    codes = clip()
    writer = NacWriter(io.BytesIO(), dataclasses.replace(Header.of_codes(codes), num_samples=11))
    writer.write(codes)
    with pytest.raises(InputError, match="states 11 samples, the parts hold 10"):
        writer.close()


def test_nothing_can_follow_the_end():
    file, codes = io.BytesIO(), clip()
    writer = NacWriter(file, Header(codes.framing))
    writer.close()
    length = len(file.getvalue())
    writer.close()
    assert len(file.getvalue()) == length
    with pytest.raises(InputError, match="complete"):
        writer.write(codes)


@pytest.mark.parametrize(
    "kind",
    [
        dict(strides=(1,) * 257),
        dict(size=2**20 + 1),
        dict(codec="two words"),
        dict(codec=""),
        dict(codec="é"),
        dict(codec="x" * 256),
        dict(strides=(255, 256, 257)),
        dict(multiple=65536),
        dict(tail=65536),
        dict(channels=65536),
        dict(hop=2**32),
        dict(segment=Segment(2**32, 2**31), hop=2**20),
        dict(segment=Segment(65536, 65536), hop=1),
        dict(segment=Segment(200_000, 200_000), hop=2),
    ],
)
def test_codes_beyond_the_format_are_refused(kind):
    with pytest.raises(UnsupportedError, match="cannot hold"):
        written(clip(0, **kind))


@pytest.mark.parametrize("span", [(-1.0, None), (2.0, 1.0), (float("nan"), None), (0.0, float("inf"))])
def test_times_that_mean_nothing_are_refused(span):
    with pytest.raises(InputError, match="0 <= start <= stop"):
        list(NacReader(io.BytesIO(written(clip()))).between(*span))


def test_a_full_disk_and_a_dead_pipe():
    class Full(io.RawIOBase):
        name = "full.nac"

        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match=r"cannot write full\.nac: No space left on device; free some space"):
        NacWriter(Full(), Header.of_codes(clip()))
    out, into = os.pipe()
    os.close(out)
    with open(into, "wb", buffering=0) as file, pytest.raises(ResourceError, match="has ended"):
        NacWriter(file, Header.of_codes(clip()))
