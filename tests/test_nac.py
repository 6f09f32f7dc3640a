"""The `.nac` container against bytes laid out by hand, and against every damage to a small file."""

import dataclasses
import hashlib
import io
import itertools
import os
import struct
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavcodes.codes import Codes
from wavcodes.containers import Header, salvage, write
from wavcodes.containers.nac import NacReader, NacWriter
from wavcodes.errors import (
    CodecError,
    FormatError,
    InputError,
    IntegrityError,
    LimitError,
    ResourceError,
    TruncatedError,
    UnsupportedError,
)
from wavcodes.registry import spec


def crc(data: bytes) -> bytes:
    """CRC-32C one bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return struct.pack("<I", register ^ 0xFFFFFFFF)


def sealed(data: bytes) -> bytes:
    return data + crc(data)


def clip(
    num_samples=10,
    *,
    strides=(1, 1),
    size=8,
    rate=8,
    hop=2,
    tail=1,
    channels=1,
    extra=0,
    seed=0,
    codec="x",
    frames=None,
):
    """Random codes of a tiny codec; by default 4 frames a second."""
    cycle = int(np.lcm.reduce(strides))
    if frames is None:
        frames = -(-num_samples // hop) + tail if num_samples else 0
        frames = -(-frames // cycle) * cycle + extra * cycle
    rng = np.random.default_rng(seed)
    books = tuple(rng.integers(0, size, frames // s) for s in strides)
    return Codes(codec, books, num_samples, rate, channels, hop, size, tuple(strides), tail)


def written(codes, parts=None, known=True, digest=None) -> bytes:
    file = io.BytesIO()
    header = Header.of_codes(codes, weights_digest=digest)
    writer = NacWriter(file, header if known else dataclasses.replace(header, num_samples=None))
    for part in [codes] if parts is None else parts:
        writer.write(part)
    writer.close()
    return file.getvalue()


def read(data: bytes) -> Codes:
    return NacReader(io.BytesIO(data)).read()


class Trickle(io.RawIOBase):
    """A pipe that gives 1 to 7 bytes a call."""

    def __init__(self, data: bytes, seed: int = 0):
        self.data, self.rng = data, np.random.default_rng(seed)

    def readable(self):
        return True

    def read(self, size=-1):
        count = min(size, int(self.rng.integers(1, 8)))
        part, self.data = self.data[:count], self.data[count:]
        return part


# ---- the specification, by hand


GOLDEN_HEADER = sealed(
    b"\x89NAC\r\n\x1a\n"
    + struct.pack("<HHIIIHHHHQ", 1, 3, 24, 2, 6, 1, 0, 12, 4, 27)
    + bytes(range(32))
    + struct.pack("<HHH", 4, 2, 1)
    + b"tiny"
)
# Codes of 3 bits in cycles of 4 frames: a0, b0 b1, c0 c1 c2 c3. One block of 3 cycles, one of 1.
GOLDEN_CYCLES = [[0, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 1], [2, 3, 4, 5, 0, 1, 2], [3, 4, 5, 0, 1, 2, 3]]


def golden_block(number, samples, frames, cycles):
    bits = "".join(f"{code:03b}" for code in itertools.chain(*cycles))
    bits += "0" * (-len(bits) % 8)
    payload = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return sealed(b"\xf5NAB" + struct.pack("<IIHBBI", number, samples, frames, 0, 0, len(payload)) + payload)


def golden_file():
    blocks = [golden_block(0, 24, 12, GOLDEN_CYCLES[:3]), golden_block(1, 3, 4, GOLDEN_CYCLES[3:])]
    digest = hashlib.sha256(struct.pack("<28I", *itertools.chain(*GOLDEN_CYCLES))).digest()
    end = sealed(b"\xf5NAE" + struct.pack("<IQQ", 2, 16, 27) + digest + struct.pack("<II", *map(len, blocks)))
    return GOLDEN_HEADER + b"".join(blocks) + end + struct.pack("<I", len(end) + 8) + b"\xf5NAZ"


def golden_codes():
    books = (
        np.array([cycle[0] for cycle in GOLDEN_CYCLES]),
        np.array([cycle[1:3] for cycle in GOLDEN_CYCLES]).ravel(),
        np.array([cycle[3:] for cycle in GOLDEN_CYCLES]).ravel(),
    )
    return Codes("tiny", books, 27, 24, 1, 2, 6, (4, 2, 1))


def test_written_bytes_are_those_of_the_specification():
    assert written(golden_codes(), digest=bytes(range(32))) == golden_file()


def test_bytes_of_the_specification_are_read():
    reader = NacReader(io.BytesIO(golden_file()))
    assert reader.header == Header("tiny", 24, 1, 2, 6, (4, 2, 1), 0, 27, bytes(range(32)))
    assert reader.read() == golden_codes()
    assert [part.num_samples for part in reader.parts()] == [24, 3]


def test_the_example_of_the_document_is_this_file():
    text = (Path(__file__).parents[1] / "docs" / "format-nac.md").read_text(encoding="utf-8")
    example = text.split("## An example")[1].split("```")[1]
    assert bytes.fromhex(example) == golden_file()


# ---- round trips


kinds = st.fixed_dictionaries(
    {
        "num_samples": st.one_of(st.integers(0, 3), st.integers(0, 400)),
        "strides": st.sampled_from([(1,), (1, 1, 1), (1,) * 17, (2, 1), (4, 2, 1), (8, 4, 2, 1), (3, 2), (2,)]),
        "size": st.one_of(st.sampled_from([2, 3, 1024, 4096, 65536, 65537, 2**20]), st.integers(2, 3000)),
        "rate": st.sampled_from([7, 40, 100]),
        "hop": st.integers(1, 9),
        "channels": st.integers(1, 2),
        "extra": st.integers(0, 3),
        "seed": st.integers(0, 99),
    }
)


@given(kinds, st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_round_trip_in_parts_of_any_size(kind, known, data):
    cycle = int(np.lcm.reduce(kind["strides"]))
    codes = clip(**kind, tail=data.draw(st.sampled_from([0, cycle])))
    cuts = data.draw(st.lists(st.integers(0, codes.num_frames // cycle), max_size=8))
    edges = [0, *sorted(cut * cycle for cut in cuts), codes.num_frames]
    whole_frames = dataclasses.replace(codes, tail_frames=0)
    parts = [
        dataclasses.replace(whole_frames.frames(a, b), tail_frames=codes.tail_frames)
        for a, b in itertools.pairwise(edges)
    ]
    file = written(codes, parts, known)
    assert file == written(codes, known=known)
    assert read(file) == codes
    reader = NacReader(Trickle(file))
    assert reader.header.num_samples == (codes.num_samples if known else None)
    assert reader.read() == codes


@given(kinds, st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_random_access_equals_slicing_the_whole(kind, pipe, data):
    codes = clip(**kind, tail=data.draw(st.sampled_from([0, 24])))
    file = written(codes, known=False)
    time = st.one_of(st.floats(0, codes.duration * 1.2), st.integers(0, 20).map(float))
    start = data.draw(time)
    stop = data.draw(st.one_of(st.none(), time.map(lambda t: max(t, start))))
    reader = NacReader(Trickle(file) if pipe else io.BytesIO(file))
    try:
        expected = codes[start:stop]
    except InputError:
        with pytest.raises(InputError, match="before the start"):
            list(reader.between(start, stop))
        return
    assert Codes.concat([reader.header.empty(), *reader.between(start, stop)]) == expected


def test_random_access_reads_little():
    codes = clip(40_000, rate=8, hop=2)
    file = written(codes)

    class Counting(io.BytesIO):
        count = 0

        def read(self, size=-1):
            data = super().read(size)
            self.count += len(data)
            return data

    source = Counting(file)
    reader = NacReader(source)
    assert Codes.concat(reader.between(3000, 3002)) == codes[3000:3002]
    index = 4 * 5001
    assert source.count < index + 500 < len(file) / 5


def test_through_a_pipe():
    codes = clip(5000)
    out, into = os.pipe()
    with open(out, "rb", buffering=0) as reading:

        def produce():
            with open(into, "wb", buffering=0) as writing:
                writer = NacWriter(writing, dataclasses.replace(Header.of_codes(codes), num_samples=None))
                for start in range(0, codes.num_frames, 7):
                    stop = min(start + 7, codes.num_frames)
                    books = tuple(book[start:stop] for book in codes.books)
                    samples = max(0, min(codes.num_samples, stop * 2) - start * 2)
                    writer.write(dataclasses.replace(codes, books=books, num_samples=samples))
                writer.close()

        thread = threading.Thread(target=produce)
        thread.start()
        reader = NacReader(reading)
        assert reader.read() == codes
        thread.join()
        with pytest.raises(InputError, match="pipe"):
            reader.read()


def test_a_raw_file_that_takes_a_few_bytes_a_call():
    class Sluggish(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data[:3])
            return min(3, len(data))

    file, codes = Sluggish(), clip(100)
    writer = NacWriter(file, Header.of_codes(codes))
    writer.write(codes)
    writer.close()
    assert file.data == written(codes)


def test_a_reader_starts_where_the_file_stands():
    codes = clip(100)
    file = io.BytesIO(b"before" + written(codes))
    file.seek(6)
    reader = NacReader(file)
    assert reader.read() == codes
    assert Codes.concat(reader.between(2, 3)) == codes[2:3]


@pytest.mark.parametrize(
    ("rate", "hop", "strides", "block_frames"),
    [(24_000, 320, (1,) * 8, 75), (44_100, 512, (1,) * 9, 86), (24_000, 512, (4, 2, 1), 48), (16_000, 32_000, (1,), 1)],
)
def test_blocks_are_about_one_second(rate, hop, strides, block_frames):
    codes = clip(3 * block_frames * hop, rate=rate, hop=hop, strides=strides, size=1024, tail=0)
    assert [part.num_frames for part in NacReader(io.BytesIO(written(codes))).parts()] == [block_frames] * 3


# ---- damage


def small() -> tuple[Codes, bytes, list[int]]:
    """A file of three blocks, and where each of them ends."""
    codes = clip(19, size=1000)
    data = written(codes, known=False)
    starts = [data.index(b"\xf5NAB" + struct.pack("<I", number)) for number in range(3)]
    return codes, data, [*starts[1:], data.index(b"\xf5NAE")]


def block(codes, number):
    """Frames and codes of one block of `small`."""
    start, stop = 4 * number, min(4 * number + 4, codes.num_frames)
    samples = max(0, min(19, 2 * stop) - 2 * start)
    return start, dataclasses.replace(codes, books=tuple(b[start:stop] for b in codes.books), num_samples=samples)


def test_every_truncation_is_noticed_and_salvage_gives_the_whole_blocks():
    codes, data, ends = small()
    header_length = data.index(b"\xf5NAB")
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            read(data[:length])
        with pytest.raises(TruncatedError):
            NacReader(Trickle(data[:length])).read()
        if length < header_length:
            with pytest.raises(TruncatedError):
                salvage(io.BytesIO(data[:length]))
            continue
        result = salvage(io.BytesIO(data[:length]))
        whole = sum(end <= length for end in ends)
        assert result.blocks == tuple(block(codes, number) for number in range(whole))
        assert result.lost == ((min(4 * whole, codes.num_frames), None),)


def test_every_flipped_bit_is_noticed_and_salvage_loses_only_its_block():
    codes, data, ends = small()
    header_length = data.index(b"\xf5NAB")
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodecError) as caught:
            read(bytes(damaged))
        assert isinstance(caught.value, FormatError | UnsupportedError)
        whole_header = io.BytesIO(data) if bit < 8 * header_length else None
        result = salvage(io.BytesIO(damaged), header_from=whole_header)
        hit = sum(8 * end <= bit for end in ends) if bit >= 8 * header_length else None
        assert result.blocks == tuple(block(codes, number) for number in range(3) if number != hit)
        if hit in (0, 1, 2):
            assert result.lost == ((4 * hit, min(4 * hit + 4, codes.num_frames)),)
        elif hit is None:
            assert result.lost == ()
        else:
            assert result.lost == ((codes.num_frames, None),)


def test_random_access_notices_a_damaged_block_or_index():
    _, data, ends = small()
    for start, first_byte in ((1.0, 10), (2.3, ends[1])):
        for position in range(first_byte, len(data)):
            damaged = bytearray(data)
            damaged[position] ^= 0x10
            with pytest.raises(FormatError):
                list(NacReader(io.BytesIO(damaged)).between(start))


def test_the_message_names_block_and_time():
    _, data, ends = small()
    damaged = bytearray(data)
    damaged[ends[0] + 21] ^= 1
    with pytest.raises(IntegrityError, match=r"block 1 \(1\.000 to 2\.000 s\).*salvage"):
        read(bytes(damaged))
    with pytest.raises(TruncatedError, match=r"block 1 \(1\.000 to 2\.000 s\)"):
        read(data[: ends[1] - 1])


def test_salvage_finds_blocks_between_rubbish_and_out_of_order():
    codes, data, ends = small()
    start = data.index(b"\xf5NAB")
    first, second, third = data[start : ends[0]], data[ends[0] : ends[1]], data[ends[1] : ends[2]]
    rubbish = np.random.default_rng(1).bytes(999) + b"\xf5NAB" * 3
    mixed = data[:start] + rubbish + third + rubbish + first[:-1] + b"?" + second + rubbish + second + data[ends[2] :]
    result = salvage(io.BytesIO(mixed))
    assert result.blocks == (block(codes, 1), block(codes, 2))
    assert result.lost == ((0, 4),)
    assert result.report() == "lost: 0.000 s to 1.000 s"
    assert salvage(io.BytesIO(data)).report() == "nothing is lost"


def test_of_two_blocks_of_one_number_salvage_takes_the_first():
    data, other = (written(clip(19, size=1000, seed=seed)) for seed in (1, 2))
    second, third = (data.index(b"\xf5NAB" + struct.pack("<I", number)) for number in (1, 2))
    doubled = data[:third] + other[second:third] + data[third:]
    assert salvage(io.BytesIO(doubled)).blocks == salvage(io.BytesIO(data)).blocks


def test_salvage_knows_the_end_from_the_header():
    codes, _, _ = small()
    data = written(codes, known=True)
    cut = data[: data.index(b"\xf5NAB" + struct.pack("<I", 1))]
    assert salvage(io.BytesIO(cut)).lost == ((4, codes.num_frames),)


def test_random_access_notices_what_no_record_accounts_for():
    _, data, ends = small()
    with pytest.raises(FormatError, match="do not fill the file"):
        list(NacReader(io.BytesIO(data[: ends[2]] + bytes(8) + data[ends[2] :])).between(2.3, 2.3))


def test_blocks_of_another_file_are_noticed():
    """All checksums of a spliced file are right; the digest is not."""
    data, other = (written(clip(19, size=1000, seed=seed)) for seed in (1, 2))
    second, third = (data.index(b"\xf5NAB" + struct.pack("<I", number)) for number in (1, 2))
    spliced = data[:second] + other[second:third] + data[third:]
    with pytest.raises(IntegrityError, match="digest"):
        read(spliced)


@pytest.mark.parametrize("extra", [b"\0", b"PK\x03\x04", written(clip())])
def test_what_follows_the_end_is_refused(extra):
    with pytest.raises(FormatError, match="goes on behind its end"):
        read(written(clip()) + extra)


# ---- hostile files: valid checksums, wrong contents


def header_record(**changes):
    fields = dict(
        version=1,
        num_codebooks=2,
        sample_rate=8,
        hop_length=2,
        codebook_size=8,
        channels=1,
        tail_frames=0,
        block_frames=4,
        name_length=1,
        num_samples=8,
        digest=bytes(32),
        strides=struct.pack("<HH", 1, 1),
        name=b"x",
    )
    fields.update(changes)
    digest, strides, name = (fields.pop(key) for key in ("digest", "strides", "name"))
    return sealed(b"\x89NAC\r\n\x1a\n" + struct.pack("<HHIIIHHHHQ", *fields.values()) + digest + strides + name)


def block_record(number=0, samples=8, frames=4, coding=0, zero=0, length=None, payload=b"\0\0\0"):
    size = len(payload) if length is None else length
    return sealed(b"\xf5NAB" + struct.pack("<IIHBBI", number, samples, frames, coding, zero, size) + payload)


def end_record(blocks, frames=4, samples=8, codes=8, index=None):
    digest = hashlib.sha256(bytes(4 * codes)).digest()
    lengths = [len(each) for each in blocks] if index is None else index
    end = sealed(b"\xf5NAE" + struct.pack(f"<IQQ32s{len(lengths)}I", len(lengths), frames, samples, digest, *lengths))
    return end + struct.pack("<I", len(end) + 8) + b"\xf5NAZ"


def refused(data: bytes, error: type[CodecError], match: str):
    """The file is refused in the same way as a file and as a pipe, and without taking memory."""
    for source in (io.BytesIO(data), Trickle(data)):
        tracemalloc.start()
        with pytest.raises(error, match=match):
            NacReader(source).read()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20


def test_the_parts_that_hostile_files_are_made_of_are_valid():
    good = block_record()
    assert read(header_record() + good + end_record([good])).num_frames == 4
    assert read(header_record(num_samples=0) + end_record([], 0, 0, 0)).num_frames == 0


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        (dict(version=2), UnsupportedError, "update wavcodes"),
        (dict(num_codebooks=0), FormatError, "1 to 256 codebooks"),
        (dict(num_codebooks=257), FormatError, "1 to 256 codebooks"),
        (dict(num_codebooks=65535), FormatError, "1 to 256 codebooks"),
        (dict(num_codebooks=256, strides=bytes([1, 0]) * 256, block_frames=4097), FormatError, "codes in a block"),
        (dict(name_length=0), FormatError, "name of 1 to 255"),
        (dict(name_length=256), FormatError, "name of 1 to 255"),
        (dict(name=b"\n"), FormatError, "visible ASCII"),
        (dict(name=b"\xe9"), FormatError, "visible ASCII"),
        (dict(sample_rate=0), FormatError, "sample_rate"),
        (dict(hop_length=0), FormatError, "hop_length"),
        (dict(hop_length=2**31), FormatError, "samples in a block"),
        (dict(codebook_size=0), FormatError, "codebook_size"),
        (dict(codebook_size=1), FormatError, "codebook_size"),
        (dict(codebook_size=2**20 + 1), FormatError, "codebook_size"),
        (dict(channels=0), FormatError, "channels"),
        (dict(block_frames=0), FormatError, "whole cycles"),
        (dict(strides=struct.pack("<HH", 3, 1)), FormatError, "whole cycles"),
        (dict(strides=struct.pack("<HH", 65535, 65534)), FormatError, "whole cycles"),
        (dict(strides=struct.pack("<HH", 0, 1)), FormatError, "strides"),
    ],
)
def test_hostile_headers(changes, error, match):
    refused(header_record(**changes) + bytes(100), error, match)


def test_a_header_of_256_large_prime_strides():
    primes = [n for n in range(60_000, 65_536) if all(n % d for d in range(2, 257))][:256]
    data = header_record(num_codebooks=256, strides=struct.pack("<256H", *primes))
    refused(data, FormatError, "whole cycles")


@pytest.mark.parametrize("num_samples", [2**31, 2**40, 2**63, 2**64 - 2])
def test_a_header_that_states_far_too_many_samples(num_samples):
    good = block_record()
    refused(header_record(num_samples=num_samples), TruncatedError, "block 0")
    refused(header_record(num_samples=num_samples) + good, TruncatedError, "block 1")
    refused(header_record(num_samples=num_samples) + good + end_record([good]), FormatError, "the blocks hold 8")


def test_a_block_as_large_as_the_format_allows_takes_no_memory_before_it_is_there():
    strides = struct.pack("<256H", *[1] * 256)
    header = header_record(num_codebooks=256, strides=strides, codebook_size=2**20, block_frames=4096)
    refused(header + block_record(frames=4096, length=4096 * 256 * 20 // 8), TruncatedError, "block 0")


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        (dict(number=1), FormatError, "got block 1"),
        (dict(samples=9), FormatError, "does not fit"),
        (dict(samples=2**32 - 1), FormatError, "does not fit"),
        (dict(frames=0, samples=0, payload=b""), FormatError, "does not fit"),
        (dict(frames=5), FormatError, "does not fit"),
        (dict(frames=65535, length=2**31), FormatError, "does not fit"),
        (dict(zero=1), FormatError, "does not fit"),
        (dict(length=2**32 - 1), FormatError, "does not fit"),
        (dict(payload=b"\0\0"), FormatError, "does not fit"),
        (dict(payload=b"\0\0\0\0"), FormatError, "does not fit"),
        (dict(coding=1), UnsupportedError, "coding 1"),
        (dict(coding=255, payload=b""), UnsupportedError, "coding 255"),
        (dict(coding=1, payload=b"\0\0\0\0"), FormatError, "does not fit"),
        (dict(frames=3, samples=6, payload=b"\0\0\1"), FormatError, "not zero"),
    ],
)
def test_hostile_blocks(changes, error, match):
    bad = block_record(**changes)
    refused(header_record() + bad + end_record([bad]), error, match)


def test_a_code_beyond_the_codebook():
    bad = block_record(payload=b"\xe0\0\0")
    refused(header_record(codebook_size=7) + bad + end_record([bad]), FormatError, "codes below 7")


def test_a_block_behind_a_short_one_and_samples_behind_the_end():
    blocks = [block_record(frames=3, samples=6), block_record(number=1)]
    refused(header_record() + b"".join(blocks) + end_record(blocks), FormatError, "follow on frame 3")
    blocks = [block_record(samples=7), block_record(number=1)]
    refused(header_record() + b"".join(blocks) + end_record(blocks), FormatError, "audio has ended")


def test_what_stands_between_blocks_is_refused():
    good = block_record()
    refused(header_record() + good + b"rubbish!" + end_record([good]), FormatError, "block 1 .* or the end record")


@pytest.mark.parametrize(
    "changes", [dict(frames=5), dict(samples=7), dict(samples=2**63), dict(codes=7), dict(index=[26]), dict(index=[])]
)
def test_hostile_end_records(changes):
    good = block_record()
    data = header_record() + good + end_record([good], **changes)
    refused(data, FormatError, "end record|digest")


@pytest.mark.parametrize("index", [[2**32 - 1], [26], [26, 2], [0] * 1000])
def test_a_hostile_index_leads_nowhere(index):
    good = block_record()
    data = header_record() + good + end_record([good], index=index)
    with pytest.raises(FormatError):
        list(NacReader(io.BytesIO(data)).between(1.5, 1.6))


def test_salvage_of_overlapping_candidates_takes_no_time_out_of_proportion():
    """Each of 50,000 marks announces 240 kB, which would be 12 GB to check."""
    header = header_record(codebook_size=1 << 16, block_frames=60_000)
    fields = b"\xf5NAB" + struct.pack("<IIHBBI", 0, 0, 60_000, 0, 0, 240_000)
    start = time.process_time()
    with pytest.raises(LimitError, match="header_from"):
        salvage(io.BytesIO(header + fields * 50_000))
    assert time.process_time() - start < 1


def test_salvage_checks_no_block_that_the_file_cannot_hold():
    """Marks of blocks that end behind the file cost nothing, so they do not use up the limit either."""
    header = header_record(codebook_size=1 << 16, block_frames=60_000)
    fields = b"\xf5NAB" + struct.pack("<IIHBBI", 0, 0, 60_000, 0, 0, 240_000)
    good = block_record(number=7, frames=1, samples=2, payload=bytes(4))
    found = salvage(io.BytesIO(header + fields * 9_000 + good)).blocks
    assert [(first, codes.num_frames) for first, codes in found] == [(7 * 60_000, 1)]


def test_salvage_takes_every_block_of_a_file_of_many_cut_ones():
    """Three of four blocks lose three quarters of their bytes: the candidates overlap, and the rest is found."""
    data = written(clip(4 * 64 * 2, rate=128, hop=2, size=1 << 16, strides=(1,) * 64, tail=0))
    marks = [at for at in range(len(data)) if data.startswith(b"\xf5NAB", at)]
    blocks = [data[at:stop] for at, stop in itertools.pairwise([*marks, data.index(b"\xf5NAE")])]
    cut = b"".join(each if n % 4 == 3 else each[: len(each) // 4] for n, each in enumerate(blocks * 200))
    result = salvage(io.BytesIO(data[: marks[0]] + cut))
    assert [first for first, _ in result.blocks] == [3 * 64]


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_any_bytes_anywhere_give_a_typed_error_or_the_same_codes(noise, at, removed):
    codes, data, _ = small()
    header_length = data.index(b"\xf5NAB")
    mutant = data[:at] + noise + data[at + removed :]
    try:
        assert read(mutant) == codes
    except (FormatError, UnsupportedError):
        assert mutant != data
    try:
        salvage(io.BytesIO(mutant))
    except (FormatError, UnsupportedError):
        assert mutant[:header_length] != data[:header_length]


# ---- wrong use


def test_codes_of_another_kind_are_refused():
    writer = NacWriter(io.BytesIO(), Header.of_codes(clip()))
    for other in (clip(codec="y"), clip(strides=(1,)), clip(rate=9), clip(size=9), clip(tail=2)):
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


def test_scales_are_refused():
    codes = dataclasses.replace(clip(), scales=np.ones(1, np.float32))
    with pytest.raises(UnsupportedError, match="scales"):
        written(codes)


def test_samples_behind_the_end_are_refused():
    codes = clip(9, tail=0)
    writer = NacWriter(io.BytesIO(), dataclasses.replace(Header.of_codes(codes), num_samples=None))
    writer.write(codes)
    with pytest.raises(InputError, match="no more samples"):
        writer.write(codes)


def test_the_stated_length_must_be_met():
    codes = clip()
    writer = NacWriter(io.BytesIO(), dataclasses.replace(Header.of_codes(codes), num_samples=11))
    writer.write(codes)
    with pytest.raises(InputError, match="states 11 samples, the parts hold 10"):
        writer.close()


def test_nothing_can_follow_the_end():
    file, codes = io.BytesIO(), clip()
    writer = NacWriter(file, dataclasses.replace(Header.of_codes(codes), num_samples=None))
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
        dict(tail=65536),
        dict(channels=65536),
        dict(hop=2**32),
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


def test_a_cut_empty_clip_has_lost_nothing():
    empty = Codes.of(spec("wavcodes_16khz"), [np.zeros(0, np.uint16)] * 3, 0)
    file = io.BytesIO()
    writer = NacWriter(file, Header.of_codes(empty))
    writer.write(empty)
    writer.close()
    found = salvage(io.BytesIO(file.getvalue()[:-5]))
    assert found.blocks == ()
    assert found.lost == ()
