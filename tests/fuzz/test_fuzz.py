"""A short run of the fuzzer, the corpus of past faults, every truncation, and inputs that give little at a time."""

import io
import os
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from container_case import BY_NAME, clip, written
from seeds import DAC, LYRA, MAKERS, MONO, SPEECH, Case
from watch import Dribble

import wavcodes
from wavcodes import CodecError, FormatError, LimitError, Limits
from wavcodes.codes import Codes
from wavcodes.containers import FORMATS, dac, open_reader

HERE = Path(__file__).parent
CASES = {name: make() for name, make in MAKERS.items()}
CORPUS = sorted((HERE / "corpus").glob("*/*"))

linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is set as Linux has it")
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def read(file: Any, case: Case, hints: dict[str, Any]) -> Codes:
    return open_reader(file, case.name, **hints).read()


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A process of its own: what watches the interpreter stays until its end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_every_format_is_fuzzed() -> None:
    assert {each.name for each in FORMATS} <= set(MAKERS)
    assert {path.parent.name for path in CORPUS} <= set(MAKERS)


@pytest.mark.slow
@linux
def test_a_short_run(tmp_path: Path) -> None:
    done = python(HERE / "mutate.py", "--count", "200", "--jobs", "2", "--faults", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr + "".join(p.read_text() for p in tmp_path.glob("*.txt"))
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == list(MAKERS)
    for _, files, accepted, refused, *_, faults in rows:
        assert (int(files), int(faults)) == (200, 0)
        assert int(accepted) > 0
        assert int(refused) > 0


@linux
def test_files_that_once_broke_a_rule_do_so_no_more() -> None:
    assert len(CORPUS) >= 10
    done = python(HERE / "mutate.py", "--replay", HERE / "corpus")
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert len(said) == sum(len(CASES[path.parent.name].hints) for path in CORPUS)


WRONG = {
    "raises KeyError: 'x'": "{}['x']",
    "raises MemoryError": "bytearray(24 << 20)",
    "took ": "next(1 for end in [time.thread_time() + 0.08] for _ in iter(int, 1) if time.thread_time() > end)",
    "tell of open ('/dev/null'": "open('/dev/null').close()",
    "tell of import ('colorsys'": "__import__('colorsys')",
    "tell of subprocess.Popen": "__import__('subprocess').run(['true'])",
    "tell of os.listdir": "__import__('os').listdir('/')",
    "a message of 5000 characters": "(_ for _ in ()).throw(CodecError('x' * 5000))",
    "raises RuntimeWarning": "__import__('numpy').float32(1) / __import__('numpy').float32(0)",
}


@pytest.fixture(scope="module")
def seen() -> list[str]:
    """What the watch says of each of `WRONG`, which a reader does when it reads the first seed again."""
    program = f"""
import subprocess, sys, time
sys.path[:0] = [{str(HERE.parent)!r}, {str(HERE)!r}]
import watch, seeds
from wavcodes import CodecError
case = seeds.MAKERS["lyra"]()
look, data, hints = watch.Watch(), case.seeds[0].data, case.hints[1]
watch.strict()
look.warm_up(case)
real, room = watch.open_reader, watch.Room()
for code in {list(WRONG.values())!r}:
    exec(f"def wrong(*arguments, **options):\\n    {{code}}\\n    return real(*arguments, **options)")
    watch.open_reader = real
    assert look.read(data, case.name, hints)
    watch.open_reader = wrong
    room.limit()
    try:
        look.read(data, case.name, hints)
        print("nothing")
    except watch.Fault as fault:
        print(fault)
    room.lift()
"""
    done = python("-c", program)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@linux
@pytest.mark.parametrize(("said", "code"), WRONG.items())
def test_the_watch_sees(said: str, code: str, seen: list[str]) -> None:
    assert len(seen) == len(WRONG)
    assert said in seen[list(WRONG.values()).index(code)]


@every
def test_every_truncation_of_4_kib(case: Case) -> None:
    """Is an error, or where nothing tells the length, the same codes up to where the file was cut."""
    data, hints = case.seeds[-1].data, case.hints[-1]
    if case.name == "a.lyra":
        hints = {"framing": LYRA.framing(46)}
    elif case.name == "a.dac":
        hints = {"framing": DAC}
    whole = read(io.BytesIO(data), case, hints)
    assert 3000 < len(data) < 5000 or "language_model" in hints
    shorter = 0
    for length in range(len(data)):
        for file in (io.BytesIO, *([lambda part: Dribble(part, 200)] if length % 97 == 0 else [])):
            try:
                codes = read(file(data[:length]), case, hints)  # type: ignore[operator]
            except CodecError:
                continue
            assert case.name == "a.lyra"
            assert codes == whole.frames(0, codes.num_frames)
            shorter += 1
    assert (shorter > 0) == (case.name == "a.lyra")


@every
@pytest.mark.parametrize("most", [1, 2, 13])
def test_short_reads_change_nothing(case: Case, most: int) -> None:
    accepted = 0
    for seed in case.seeds:
        for hints in case.hints:
            try:
                codes = read(io.BytesIO(seed.data), case, hints)
            except CodecError:
                continue
            if hints or case.name != "a.lyra":  # the size of its packets follows from that of the file
                assert read(Dribble(seed.data, most), case, hints) == codes
                accepted += 1
    assert accepted >= len(case.seeds) // 2


@every
def test_from_a_socket(case: Case) -> None:
    data, hints = case.seeds[0].data, case.hints[0] or case.hints[-1]
    here, there = socket.socketpair()

    def send() -> None:
        with there:
            for start in range(0, len(data), 7):
                there.sendall(data[start : start + 7])

    thread = threading.Thread(target=send)
    thread.start()
    with here, here.makefile("rb", buffering=0) as file:
        got = _outcome(lambda: read(file, case, hints))
    thread.join()
    assert got == _outcome(lambda: read(io.BytesIO(data), case, hints))


def _outcome(read: Callable[[], Codes]) -> Codes | type:
    try:
        return read()
    except CodecError as error:
        return type(error)


# ---- limits


@every
def test_a_longer_clip_than_is_allowed(case: Case) -> None:
    data, hints = case.seeds[-1].data, case.hints[-1]
    if case.name == "a.dac":
        hints = {"framing": DAC}
    codes = read(io.BytesIO(data), case, hints)
    for file in (io.BytesIO, Dribble):
        most = codes.extent
        assert open_reader(file(data), case.name, **hints, limits=Limits(most)).read() == codes  # type: ignore[arg-type]
        with pytest.raises(LimitError, match="a larger limit max_samples"):
            open_reader(file(data), case.name, **hints, limits=Limits(codes.num_samples // 2)).read()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ecdc-hermes", "snac", "snac-v1", "snac-torch", "snac-zlib", "dac"])
def test_a_larger_file_than_is_allowed(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path, data = tmp_path / case.name, case.seeds[-1].data
    path.write_bytes(data)
    size = len(data) if name != "snac-zlib" else len(zlib.decompress(data))
    codes = wavcodes.read(path, limits=Limits(max_bytes=size))
    assert codes == wavcodes.read(path)
    with pytest.raises(LimitError, match="a larger limit max_"):
        wavcodes.read(path, limits=Limits(max_bytes=size // 2))


def test_an_input_without_end_takes_no_more_than_is_allowed() -> None:
    class Endless(Dribble):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return super().read(size) or bytes(size)

    hermes = written(clip(MONO.first(1), 320), BY_NAME["ecdc-hermes"])
    starts = {
        "ecdc-hermes": hermes[:20] + b"\xff\xff\xff\x7f",
        "snac": b"SNAC\1" + bytes.fromhex("c05d000000000100000000000080080000000080"),
        "dac": b"\x93NUMPY\1\0",
        "snac-torch": b"PK\3\4",
    }
    for name, start in starts.items():
        pipe = Endless(start, 1 << 16)
        with pytest.raises(LimitError, match="max_bytes"):
            open_reader(pipe, CASES[name].name, limits=Limits(max_bytes=1 << 20)).read()  # type: ignore[arg-type]
        assert pipe.given < 3 << 20


def test_what_was_compressed_too_well() -> None:
    import pickle

    import numpy as np

    silence = {"codes": [np.zeros(count, np.int64) for count in (5000, 10_000, 20_000)], "sr": 24_000}
    data = zlib.compress(pickle.dumps(silence, 4))
    with pytest.raises(LimitError, match=r"compressed ones, got more; .*max_expansion"):
        open_reader(io.BytesIO(data))
    codes = open_reader(io.BytesIO(data), limits=Limits(max_expansion=1100)).read()
    assert codes.num_frames == 20_000
    assert codes.framing == SPEECH


def test_a_dac_file_of_several_channels_has_limits_too() -> None:
    two = next(seed.data for seed in CASES["dac"].seeds if dac.read(io.BytesIO(seed.data)).channels == 2)
    with pytest.raises(LimitError, match="max_bytes"):
        dac.read(io.BytesIO(two), Limits(max_bytes=len(two) - 1))
    with pytest.raises(LimitError, match="max_samples"):
        dac.read(io.BytesIO(two), Limits(max_samples=100))


def test_a_tensor_that_repeats_one_number() -> None:
    data = (HERE / "corpus/snac-torch/one-number-a-million-times").read_bytes()
    with pytest.raises(FormatError, match="a stored number for each code"):
        open_reader(io.BytesIO(data))
