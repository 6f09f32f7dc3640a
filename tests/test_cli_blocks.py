"""How much goes through a codec at a time: blocks of files, what is there of pipes, all that precedes damage."""

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
import soundfile
from cli_case import RATE, enter_folder, run, vowel
from nac_case import written

import wavcodes
from wavcodes import Codec, Codes
from wavcodes.audio import BLOCK_SECONDS
from wavcodes.cli import blocks, pieces
from wavcodes.containers import open_reader
from wavcodes.errors import FormatError


@pytest.fixture(scope="module")
def codec() -> Codec:
    return wavcodes.load("wavcodes_16khz")


@pytest.fixture(scope="module")
def codes(codec: Codec) -> Codes:
    return codec.encode(exact.clip(codec.spec, 25 * RATE + 77), RATE)


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of each push to any stream."""
    pushed: list[float] = []

    def watch(kind: type, seconds: Callable[[Any], float]) -> None:
        push = kind.push

        def watched(self: Any, piece: Any) -> Any:
            pushed.append(seconds(piece))
            return push(self, piece)

        monkeypatch.setattr(kind, "push", watched)

    watch(wavcodes.StreamEncoder, lambda audio: audio.shape[1] / RATE)
    watch(wavcodes.StreamDecoder, lambda part: part.num_samples / RATE)
    return pushed


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 1), (48_000, 2)])
def test_files_go_through_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[float], rate: int, channels: int
) -> None:
    enter_folder(tmp_path, monkeypatch)
    soundfile.write("long.wav", np.stack([vowel(3.5 * BLOCK_SECONDS, rate)] * channels, axis=1), rate)
    stretch = f"--from 1 --to {3.4 * BLOCK_SECONDS}"
    for command in ("encode long.wav", "decode long.nac -o b.wav", f"decode long.nac -o c.wav {stretch}"):
        lengths.clear()
        assert run(*command.split()) == 0
        longest = [length for length in lengths if length >= BLOCK_SECONDS - 0.1]  # a resampler keeps some
        assert len(longest) == 3, command
        assert max(longest) < BLOCK_SECONDS + 5


def test_a_pipe_goes_through_as_it_comes(codec: Codec, codes: Codes, lengths: list[float]) -> None:
    data = written(codes)
    pipe = Pipe(data)
    sound = pieces.whole(open_reader(pipe), codec, codes.num_codebooks)
    given = [next(sound)]
    assert pipe.tell() < len(data) * 3 / 25
    given += sound
    assert max(lengths) < 1.5
    assert np.concatenate(given, axis=1).tobytes() == codec.decode(codes).tobytes()


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
def test_what_precedes_damage_goes_through(codec: Codec, codes: Codes, kind: type[io.BytesIO]) -> None:
    data = bytearray(written(codes))
    data[data.index(b"\xf5NAB\x0d\0\0\0") + 30] ^= 1  # the fourteenth second
    given: list[np.ndarray] = []
    with pytest.raises(FormatError):
        given.extend(pieces.whole(open_reader(kind(data)), codec, codes.num_codebooks))
    sound = np.concatenate(given, axis=1)
    assert sound.shape[1] > 12.9 * RATE
    assert sound.tobytes() == codec.decode(codes)[:, : sound.shape[1]].tobytes()


def test_pieces_are_joined_and_none_is_lost() -> None:
    full = BLOCK_SECONDS * 100
    cuts = [0, 3, 3, full - 1, full, full + 700, 5_000, 5_001]
    rows = exact.signal(5_001)[np.newaxis]
    split = [rows[:, a:b] for a, b in pairwise(cuts)]
    joined = list(blocks.of_audio(split, sample_rate=100))
    assert [block.shape[1] for block in joined] == [full, 5_000 - full, 1]
    np.testing.assert_array_equal(np.concatenate(joined, axis=1), rows)
    assert list(blocks.of_audio([], sample_rate=100)) == []
