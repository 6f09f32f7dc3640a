"""Hours of audio: memory stays where it is after minutes, and a second costs what a second costs in a short clip."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import exact
import pytest

import wavcodes
from wavcodes.models import encodec

WINDOW = 10
"""Seconds that are pushed at a time and whose cost is measured together."""

# Not ru_maxrss: a process inherits that from the one that started it.
SCRIPT = """
import json, pathlib, sys, time
import numpy
import wavcodes

def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))

name, weights, threads, checkpoints, window = json.loads(sys.argv[1])
imported = memory("VmRSS")
import exact
if name in exact.SMALL:
    codec = wavcodes.Codec(*exact.small(name, pathlib.Path(weights)), threads=threads)
else:
    codec = wavcodes.load(name, weights=weights, threads=threads)
rate = codec.spec.sample_rate
audio = exact.clip(codec.spec, window * rate)
costs = {"long": [], "window": [], "second": []}  # CPU seconds per second of audio
peaks = []

def through(encoder, decoder, piece):
    decoder.push(encoder.push(piece))

def timed(kind, seconds, run):
    began = time.process_time()
    run()
    costs[kind].append((time.process_time() - began) / seconds)

def clip(seconds):
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
    through(encoder, decoder, audio[:, : seconds * rate])
    decoder.push(encoder.flush()), decoder.flush()

encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
counts = [round(minutes * 60 / window) for minutes in checkpoints]
for i in range(counts[-1]):
    piece = numpy.roll(audio, 7919 * i, axis=1)
    timed("long", window, lambda: through(encoder, decoder, piece))
    if i + 1 in counts:
        peaks.append(memory("VmHWM") - imported)
for _ in range(5):
    timed("window", window, lambda: clip(window))
for _ in range(20):
    timed("second", 1, lambda: clip(1))
print(json.dumps({"peaks": peaks, "costs": costs}))
"""


def measure(name: str, weights: Path | None, threads: int, minutes: tuple[float, float]) -> dict[str, Any]:
    """Peaks in MiB above import after so many `minutes` each, and CPU seconds per second of audio: of the windows
    of that signal, of clips of one window and of clips of one second."""
    paths = [str(Path(wavcodes.__file__).parents[1]), str(Path(__file__).parent)]
    arguments = json.dumps([name, weights and str(weights), threads, minutes, WINDOW])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_constant(name: str, found: dict[str, Any]) -> None:
    early, late = found["peaks"]
    long = found["costs"]["long"]
    quarter = len(long) // 4
    # The best of many: what other processes take from this one only ever adds.
    begin, end = min(long[:quarter]), min(long[-quarter:])
    window, second = min(found["costs"]["window"]), min(found["costs"]["second"])
    print(
        f"{name}: {early:.0f} MiB above import, {late:.0f} MiB after more time; CPU ms per second of audio: "
        f"{1e3 * second:.1f} in clips of 1 s, {1e3 * window:.1f} in clips of {WINDOW} s, {1e3 * begin:.1f} in the "
        f"first and {1e3 * end:.1f} in the last quarter of {len(long) * WINDOW / 60:.0f} min"
    )
    assert early <= 250
    assert late - early <= 10
    assert end / begin < 1.3
    assert 1 / 1.3 < end / window < 1.3
    assert second / end < 1.5


@pytest.mark.slow
def test_one_and_two_hours() -> None:
    assert_constant("wavcodes_16khz", measure("wavcodes_16khz", None, threads=1, minutes=(60, 120)))


@pytest.mark.slow
def test_the_widest_codec(tmp_path: Path) -> None:
    weights = exact.weights(encodec.network(encodec.ENCODEC_24KHZ), tmp_path)
    assert_constant("encodec_24khz", measure("encodec_24khz", weights, threads=2, minutes=(5, 10)))


@pytest.mark.slow
@pytest.mark.parametrize("name", exact.SMALL)
def test_one_and_five_minutes_of_every_family(name: str, tmp_path: Path) -> None:
    early, late = measure(name, tmp_path, threads=1, minutes=(1, 5))["peaks"]
    print(f"{name}: {early:.0f} MiB above import after 1 minute, {late:.0f} MiB after 5")
    assert late - early <= 5
