"""Packing of bits and CRC-32C against arithmetic on big integers and published vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavcodes.bits import pack, packed_size, unpack
from wavcodes.crc32c import crc32c
from wavcodes.errors import FormatError, InputError

codes_of_bits = st.integers(1, 32).flatmap(
    lambda bits: st.tuples(st.just(bits), st.lists(st.integers(0, 2**bits - 1), max_size=70))
)


@given(codes_of_bits)
def test_msb_is_one_big_endian_number(case):
    bits, codes = case
    number = 0
    for code in codes:
        number = number << bits | code
    size = -(-len(codes) * bits // 8)
    expected = (number << (8 * size - len(codes) * bits)).to_bytes(size, "big")
    assert pack(np.array(codes, np.int64), bits) == expected
    assert unpack(expected, bits, len(codes)).tolist() == codes


@given(codes_of_bits)
def test_lsb_is_one_little_endian_number(case):
    bits, codes = case
    number = sum(code << (bits * place) for place, code in enumerate(codes))
    expected = number.to_bytes(packed_size(bits, len(codes)), "little")
    assert pack(np.array(codes, np.int64), bits, "lsb") == expected
    assert unpack(expected, bits, len(codes), "lsb").tolist() == codes


def test_of_any_integer_type_and_shape():
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
        assert pack(np.array([[1, 2], [3, 4]], dtype), 4) == b"\x12\x34"
    assert pack([], 10) == b""
    assert unpack(b"\xff\xff\xff\xff", 32, 1).dtype == np.uint32


@pytest.mark.parametrize("codes", [[0, 16], [-1], [0.5], [2**40]])
def test_codes_that_do_not_fit_are_refused(codes):
    with pytest.raises(InputError, match="integers of 4 bits"):
        pack(codes, 4)


@pytest.mark.parametrize("bits", [0, 33])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(InputError, match="1 to 32 bits"):
        pack([0], bits)
    with pytest.raises(InputError, match="1 to 32 bits"):
        unpack(b"\0", bits, 1)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_data_of_another_length_is_refused(data):
    with pytest.raises(FormatError, match="take 2 bytes"):
        unpack(data, 5, 3)


@pytest.mark.parametrize(("order", "data"), [("msb", b"\x00\x01"), ("lsb", b"\x00\x80")])
def test_filling_bits_must_be_zero(order, data):
    with pytest.raises(FormatError, match="not zero"):
        unpack(data, 5, 3, order)


# RFC 3720, appendix B.4, and the check value of the CRC catalogues.
@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_published_vectors(data, checksum):
    assert crc32c(data) == checksum


@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_crc32c_is_the_remainder_of_a_polynomial_division(size, seed):
    data = np.random.default_rng(seed).bytes(size)
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(data) == register ^ 0xFFFFFFFF
    assert crc32c(data[size // 3 :], crc32c(data[: size // 3])) == crc32c(data)
