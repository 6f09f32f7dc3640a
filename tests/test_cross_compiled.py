"""The engine's self-test on 64-bit Arm: cross-compiled, run in an emulator, the same digests as here."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(folder: Path, *options: str) -> Path:
    """The self-test, built by CMake; its path."""
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DWAVCODES_SELF_TEST=ON"]
    for command in ([*configure, *options], ["cmake", "--build", str(folder), "--target", "selftest", "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "selftest"


def lines(*command: str | Path) -> list[str]:
    """What the self-test prints; that it succeeds."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_arm_gives_the_digests_of_this_machine(cross: tuple[str, str], tmp_path: Path) -> None:
    compiler, emulator = cross
    arm = build(
        tmp_path / "arm",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={compiler}",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    )
    header = arm.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64: not by mistake the native one
    there, here = lines(emulator, arm), lines(build(tmp_path / "native"))
    print(*there, *here, sep="\n")
    assert there[-1] == here[-1]
    assert here[-1].startswith("digest=")
    assert int(here[-1].removeprefix("digest="), 16) != 0
    assert {line.split()[0] for line in there[:-1]} == {"generic", "neon"}
