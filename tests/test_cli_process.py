"""The command line as a process of its own: pipes, signals, terminals, the time that it takes to start."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile
from cli_case import RATE, enter_folder, names, run, vowel

import wavcodes
from wavcodes.cli.report import Progress, clock, size

PACKAGE = {"PYTHONPATH": str(Path(wavcodes.__file__).parents[1])}  # for subprocesses in other folders


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, monkeypatch)


class TestProgress:
    def draw(self, monkeypatch: pytest.MonkeyPatch, total: float | None, columns: int = 100) -> str:
        now = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "__stdout__", sys.stdout, raising=False)
        stream = io.StringIO()
        with Progress("speech.wav", total, stream) as progress:
            for step in range(1, 9):
                now[0] = step * 0.25
                progress.update(step * 15.0)
        return stream.getvalue()

    def test_is_drawn_after_a_second_and_wiped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first, *_, last, end = self.draw(monkeypatch, 240.0).split("\r\x1b[K")
        assert first == end == ""
        assert last == "speech.wav  50% [############------------] 2:00 of 4:00, 60x, 0:02 left"

    def test_without_a_known_length(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.draw(monkeypatch, None).split("\r\x1b[K")[-2] == "speech.wav 2:00, 60x"

    def test_short_work_draws_nothing(self) -> None:
        stream = io.StringIO()
        with Progress("a", 1.0, stream) as progress:
            progress.update(0.5)
        assert stream.getvalue() == ""

    @pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3_725, "1:02:05")])
    def test_clock(self, seconds: float, text: str) -> None:
        assert clock(seconds) == text

    @pytest.mark.parametrize(
        ("count", "text"), [(0, "0 B"), (999, "999 B"), (9_440, "9.44 kB"), (93_119_608, "93.1 MB")]
    )
    def test_size(self, count: int, text: str) -> None:
        assert size(count) == text


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def process(folder: Path) -> Iterator[Start]:
    """Starts the command as a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, colourless: bool = False, **options: object) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "wavcodes", *argv]
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {**os.environ, **PACKAGE, "NO_COLOR": "1" if colourless else ""}
        started.append(subprocess.Popen(command, env=environment, **options))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()
        for stream in (each.stdin, each.stdout, each.stderr):
            if stream is not None and not stream.closed:
                stream.close()


class TestProcess:
    def test_pipes(self, folder: Path, process: Start) -> None:
        encoded, said = process("encode", "-").communicate(Path("a.wav").read_bytes())
        assert said == b""
        run("encode", "a.wav")
        assert encoded == Path("a.nac").read_bytes()
        decoded, said = process("decode", "-").communicate(encoded)
        assert said == b""
        run("decode", "a.nac", "b.wav")
        assert decoded == Path("b.wav").read_bytes()
        described, _ = process("info", "-", "--json").communicate(encoded)
        assert json.loads(described)["num_samples"] == len(vowel(3.21))

    def test_standard_output_as_the_second_name(self, folder: Path, process: Start) -> None:
        run("encode", "a.wav")
        encoded, _ = process("encode", "a.wav", "-").communicate()
        assert encoded == Path("a.nac").read_bytes()

    @pytest.mark.skipif(not Path("/dev/fd/1").exists(), reason="needs /dev/stdout and /dev/fd")
    @pytest.mark.parametrize("output", [["/dev/stdout"], ["-o", "/dev/stdout"], ["-o", "/dev/fd/1"]])
    def test_a_pipe_by_its_name(self, folder: Path, process: Start, output: list[str]) -> None:
        run("encode", "a.wav")
        before = names(folder)
        encoded, said = process("encode", "a.wav", *output).communicate(timeout=30)
        assert (encoded, said) == (Path("a.nac").read_bytes(), b"")
        decoding = process("decode", "a.nac", *output)
        assert decoding.stdout is not None
        assert decoding.stdout.read(4) == b"RIFF"
        decoding.stdout.close()
        assert decoding.wait(30) == 141
        assert names(folder) == before

    @pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs /dev/null")
    def test_a_device_as_the_second_name(self, folder: Path, process: Start) -> None:
        run("encode", "a.wav")
        before = names(folder)
        assert run("decode", "a.nac", "/dev/null") == 0
        with open("out", "wb") as file:  # a file behind the name of a device: neither read nor replaced
            assert process("decode", "a.nac", "/dev/stdout", stdout=file).wait(30) == 2
        assert names(folder) == before | {"out"}

    def test_empty_standard_input(self, process: Start) -> None:
        _, said = process("info", "-").communicate(b"")
        assert b"got standard input that is empty" in said

    def test_a_stretch_from_a_pipe(self, folder: Path, process: Start) -> None:
        run("encode", "a.wav")
        decoded, _ = process("decode", "-", "--from", "2").communicate(Path("a.nac").read_bytes())
        run("decode", "a.nac", "b.wav", "--from", "2")
        assert decoded == Path("b.wav").read_bytes()

    @pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="needs POSIX signals")
    @pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
    def test_an_interrupted_run_leaves_nothing(self, folder: Path, process: Start, name: str, code: int) -> None:
        soundfile.write("long.wav", vowel(20.0), RATE)
        run("encode", "long.wav")
        before = names(folder)
        number = getattr(signal, name)
        handler = signal.getsignal(number)
        if number == signal.SIGHUP:  # which these tests may have been told to ignore
            signal.signal(number, signal.SIG_DFL)
        try:
            running = process("decode", "-", "-o", "b.wav")
        finally:
            signal.signal(number, handler)
        assert running.stdin is not None
        running.stdin.write(Path("long.nac").read_bytes()[:8_000])  # and then it waits for more
        running.stdin.flush()
        deadline = time.monotonic() + 30
        while names(folder) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert names(folder) != before
        running.send_signal(number)
        assert running.wait(30) == code
        _, said = running.communicate()
        assert b"no unfinished file is left" in said
        assert b"Traceback" not in said
        assert names(folder) == before

    @pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="needs POSIX pipes")
    def test_a_reader_that_goes_away_is_no_news(self, folder: Path, process: Start) -> None:
        soundfile.write("long.wav", vowel(20.0), RATE)
        run("encode", "long.wav")
        running = process("decode", "long.nac", "-")
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        assert running.wait(30) == 141
        assert running.stderr.read() == b""

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
    def test_a_terminal_gets_no_binary_but_colour(self, folder: Path, process: Start) -> None:
        import pty

        def on_terminal(*argv: str, colourless: bool = False) -> tuple[int, bytes]:
            ours, theirs = pty.openpty()
            running = process(*argv, colourless=colourless, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
            code = running.wait(30)
            os.close(theirs)
            said = os.read(ours, 100_000)
            os.close(ours)
            return code, said

        code, said = on_terminal("encode", "a.wav", "-")
        assert code == 2
        assert b"wavcodes: \x1b[1;31merror:\x1b[0m standard output is a terminal" in said
        code, said = on_terminal("encode", "a.wav", "-", colourless=True)
        assert said.startswith(b"wavcodes: error: standard output is a terminal")
        code, said = on_terminal("encode", "a.wav", "-", "-f")
        assert code == 0
        assert b"\x89NAC" in said
        code, said = on_terminal("encode", "a.wav")
        assert b"a.wav -> a.nac" in said  # somebody watches

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
    @pytest.mark.parametrize(
        ("line", "code", "expected"),
        [
            ("encode a.wav -f >&-", 0, ""),
            ("encode a.wav -f <&- >&- 2>&-", 0, ""),
            ("encode a.wav -o - >&-", 74, "standard output, where the result goes, is closed"),
            ("encode a.wav -f --json >&-", 74, "standard output, where the result goes, is closed"),
            ("codecs >&-", 74, "standard output, where the result goes, is closed"),
            ("info a.nac >&-", 74, "standard output, where the result goes, is closed"),
            ("encode - -o x.nac <&-", 66, "standard input (-) is closed"),
            ("decode - -o x.wav <&-", 66, "standard input (-) is closed"),
            ("info - <&-", 66, "standard input (-) is closed"),
            ("encode none.wav 2>&-", 66, ""),
        ],
    )
    def test_closed_streams(self, folder: Path, line: str, code: int, expected: str) -> None:
        run("encode", "a.wav")
        before = Path("a.nac").read_bytes()
        assert self.shell(line) == (code, [expected] if expected else [])
        assert Path("a.nac").read_bytes() == before
        assert names(folder) == {"a.wav", "a.nac"}

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
    @pytest.mark.parametrize(
        ("line", "code", "expected"),
        [
            ("encode a.wav -f --json >/dev/full", 74, "a.wav: cannot write standard output: No space left on device"),
            ("encode a.wav -o - >/dev/full", 74, "a.wav: cannot write standard output: No space left on device"),
            ("--help >/dev/full", 74, ""),
            ("codecs >/dev/full", 74, "cannot write standard output: No space left on device"),
            ("encode none.wav 2>/dev/full", 66, ""),
            ("encode none.wav -v 2>/dev/full", 66, ""),
            ("encode none.wav --json >/dev/full", 66, "cannot read none.wav: No such file or directory"),
            ("--bogus 2>/dev/full", 2, ""),
        ],
    )
    def test_full_streams(self, folder: Path, line: str, code: int, expected: str) -> None:
        assert self.shell(line) == (code, [expected] if expected else [])

    def shell(self, line: str) -> tuple[int, list[str]]:
        """The exit code, and what errors say up to the first `;`."""
        done = subprocess.run(
            ["/bin/sh", "-c", f'"$0" -m wavcodes {line}', sys.executable],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **PACKAGE, "PYTHONUNBUFFERED": ""},
        )
        return done.returncode, [
            each.removeprefix("wavcodes: error: ").split(";")[0] for each in done.stderr.splitlines()
        ]

    def test_info_and_help_load_no_library_for_audio_or_downloads(self, folder: Path) -> None:
        run("encode", "a.wav")
        heavy = {"soundfile", "soxr", "huggingface_hub", "safetensors", "tempfile", "concurrent"}
        env = {**os.environ, **PACKAGE}
        for argv in (["--help"], ["info", "a.nac"], ["codecs"]):
            code = f"import sys; from wavcodes import cli; cli.main({argv!r}); print(*sorted(sys.modules))"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
            assert not heavy & set(done.stdout.splitlines()[-1].split())
