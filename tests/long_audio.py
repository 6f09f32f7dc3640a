"""What hours of audio take: memory, and time per second of audio. For the tests and for bench/long.py."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wavcodes

WINDOW = 10
"""Seconds that are pushed at a time and whose cost is measured together."""

TURNS = 12
"""How many windows the long streams and new ones take in turns in the end: only what runs at the same time compares."""

# Not ru_maxrss: a process inherits that from the one that started it.
SCRIPT = """
import json, pathlib, sys, time
import numpy
import wavcodes

def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))

name, weights, small, threads, checkpoints, window, turns = json.loads(sys.argv[1])
imported = memory("VmRSS")
import exact
if small:
    codec = wavcodes.Codec(*exact.small(name, pathlib.Path(weights)), threads=threads)
else:
    codec = wavcodes.load(name, weights=weights, threads=threads)
loaded = memory("VmRSS") - imported
rate = codec.spec.sample_rate
audio = exact.clip(codec.spec, window * rate)
costs = {"early": [], "late": [], "window": [], "second": []}  # CPU seconds per second of audio
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

def piece(i):
    return numpy.roll(audio, 7919 * i, axis=1)

streams = codec.stream_encoder(), codec.stream_decoder()
counts = [round(minutes * 60 / window) for minutes in checkpoints]
for i in range(counts[-1]):
    through(*streams, piece(i))
    if i + 1 in counts:
        peaks.append(memory("VmHWM") - imported)
others = codec.stream_encoder(), codec.stream_decoder()
for i in range(turns):
    timed("late", window, lambda: through(*streams, piece(i)))
    timed("early", window, lambda: through(*others, piece(i)))
for _ in range(5):
    timed("window", window, lambda: clip(window))
for _ in range(20):
    timed("second", 1, lambda: clip(1))
print(json.dumps({"loaded": loaded, "peaks": peaks, "costs": costs}))
"""


def measure(
    name: str, weights: Path | None, threads: int, minutes: Sequence[float], *, small: bool = False
) -> dict[str, Any]:
    """Encodes and decodes one signal as streams, in a process of its own.

    Args:
        name: A codec of the registry.
        weights: Its file of weights.
        threads: Of the engine.
        minutes: Lengths after which the peak of memory is read; the signal has the last one.
        small: `name` is one of `exact.SMALL`, and `weights` a folder for its own.

    Returns:
        `loaded`: MiB that the codec took, `peaks`: MiB above import after each of `minutes`, and `costs`: CPU seconds
        per second of audio: of windows `late` in the long signal and `early` in a new one, measured in turns, of clips
        of one `window` and of clips of one `second`.
    """
    paths = [str(Path(wavcodes.__file__).parents[1]), str(Path(__file__).parent)]
    arguments = json.dumps([name, weights and str(weights), small, threads, list(minutes), WINDOW, TURNS])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
