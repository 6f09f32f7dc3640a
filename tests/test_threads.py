"""Several threads: clips long enough for layers to run side by side, failures on other threads, a busy machine."""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import exact
import numpy as np
import pytest
from layer_case import tensors_of
from test_engine import run, sequence

import wavcodes
from wavcodes import Codec, graph, registry
from wavcodes.errors import EngineError, InputError

DEEP = (  # layers of every kind that can delay, batch or gather rows
    graph.Conv1d("in", 1, 16, kernel=7, left=3, right=3, padding="reflect"),
    graph.Residual((graph.Elu(), graph.Conv1d("a", 16, 16, kernel=7, dilation=9, left=27, right=27),
                    graph.Conv1d("b", 16, 16, kernel=1))),
    graph.Conv1d("half", 16, 32, kernel=4, stride=2, left=1, right=1),
    graph.Residual((graph.Conv1d("c", 32, 32, kernel=3, left=1, right=1),)),
    graph.Sum(((graph.Conv1d("d", 32, 32, kernel=5, left=2, right=2),), (graph.Conv1d("e", 32, 32, kernel=1),))),
    graph.Conv1d("eighth", 32, 64, kernel=16, stride=8, left=8, padding="reflect", complete=True),
    graph.Lstm("l", 64, 2),
    graph.LocalAttention("w", 64, window=8),
    graph.TransformerLayer("t", 64, heads=2, hidden=48, context=20),
    graph.Noise("n", 64, number=1),
    graph.ConvTranspose1d("up", 64, 32, kernel=16, stride=8, trim_left=4, trim_right=4),
    graph.Residual((graph.Elu(), graph.Conv1d("f", 32, 32, kernel=3, left=2), graph.Conv1d("g", 32, 32, kernel=1))),
    graph.Conv1d("out", 32, 1, kernel=7, left=3, right=3),
)  # fmt: skip


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_layers_side_by_side_give_what_they_give_one_after_the_other(threads: int) -> None:
    engine = sequence(DEEP, tensors_of(DEEP))
    rows = exact.signal(150_000)[:, np.newaxis]
    expected = run(engine, rows)
    assert len(np.unique(expected)) > 10_000
    for cuts in [(), (1, 2, 70_001), (149_999,)]:
        assert run(engine, rows, cuts, threads).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["own", *exact.SMALL])
def test_long_clips(name: str, tmp_path: Path) -> None:
    codec = wavcodes.load() if name == "own" else Codec(*exact.small(name, tmp_path))
    rate = codec.spec.sample_rate
    audio = exact.clip(codec.spec, 5 * rate + 77)
    expected = codec.encode(audio, rate, threads=1)
    sound = codec.decode(expected, threads=1).tobytes()
    for threads in (2, 3):
        assert codec.encode(audio, rate, threads=threads) == expected
        assert codec.decode(expected, threads=threads).tobytes() == sound


def test_several_callers_share_the_threads() -> None:
    codec = wavcodes.load()
    rate = codec.spec.sample_rate
    batches = [[exact.clip(codec.spec, rate + 100 * i + j, seed=i) for j in range(3)] for i in range(4)]
    expected = [codec.encode(batch, rate, threads=1) for batch in batches]
    with ThreadPoolExecutor(len(batches)) as callers:
        for _ in range(3):
            assert list(callers.map(lambda batch: codec.encode(batch, rate, threads=3), batches)) == expected


def test_a_layer_that_fails_ends_the_push_and_the_stream_and_nothing_else() -> None:
    convolutions = tuple(graph.Conv1d(f"c{i}", 1 if i == 0 else 16, 16, kernel=3, left=2) for i in range(6))
    # Twice as many rows as it gets, which its sum finds out.
    broken = graph.Residual(
        (graph.ConvTranspose1d("t", 16, 16, kernel=2, stride=2), graph.Conv1d("l", 16, 16, kernel=1))
    )
    layers = (*convolutions, broken)
    failing, whole = sequence(layers, tensors_of(layers)), sequence(convolutions, tensors_of(convolutions))
    rows = exact.signal(100_000)[:, np.newaxis]
    expected = run(whole, rows)
    for _ in range(20):
        stream = failing.encoder()
        with pytest.raises(EngineError, match="must keep the length"):
            stream.push(rows, 2)
        with pytest.raises(InputError, match="has failed before"):
            stream.push(rows, 2)
        assert run(whole, rows, (), 2).tobytes() == expected.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_push_ends_at_once_and_so_does_its_stream(threads: int) -> None:
    engine = sequence(DEEP, tensors_of(DEEP))
    rows = exact.signal(6_000_000)[:, np.newaxis]  # takes seconds
    stream = engine.encoder()
    interrupt = threading.Timer(0.1, _thread.interrupt_main)
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        stream.push(rows, threads)
    interrupt.join()
    with pytest.raises(InputError, match="has failed before"):  # not so if the push had come to its end
        stream.push(rows, threads)
    expected = run(engine, rows[:100_000])
    assert run(engine, rows[:100_000], (), threads).tobytes() == expected.tobytes()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_signal_that_is_no_error_is_handled_within_a_push_and_changes_nothing(threads: int) -> None:
    engine = sequence(DEEP, tensors_of(DEEP))
    rows = exact.signal(1_500_000 * threads)[:, np.newaxis]  # takes half a second or more
    expected = run(engine, rows, (), threads)
    handled = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        began = time.monotonic()
        stream = engine.encoder()
        parts = [stream.push(rows, threads), stream.flush(threads)]
        ended = time.monotonic()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.concatenate(parts).tobytes() == expected.tobytes()
    assert sum(began < at < ended - 0.1 for at in handled) > 1


CHILD = """
import os, sys
import exact, wavcodes
codec = wavcodes.load()
audio = exact.clip(codec.spec, 20 * codec.spec.sample_rate)
expected = codec.encode(audio, codec.spec.sample_rate, threads=2)
child = os.fork()
same = codec.encode(audio, codec.spec.sample_rate, threads=2) == expected
if child == 0:
    os._exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not same)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", CHILD], env=here, timeout=60).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("hogs", [1, os.cpu_count() or 1])
def test_two_threads_do_not_collapse_beside_busy_processes(hogs: int) -> None:
    codec = Codec(registry.checkpoint("wavcodes_16khz"))
    rate = codec.spec.sample_rate
    audio = exact.clip(codec.spec, 30 * rate)
    codes = codec.encode(audio, rate, threads=1)
    clips = [audio[:, i * rate : (i + 3) * rate] for i in range(8)]
    works: list[Callable[[int], object]] = [
        lambda threads: codec.encode(audio, rate, threads=threads),
        lambda threads: codec.decode(codes, threads=threads),
        lambda threads: codec.encode(clips, rate, threads=threads),
    ]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(hogs)]
    try:
        for work in works:
            times: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(5):
                for threads, found in times.items():
                    start = time.perf_counter()
                    work(threads)
                    found.append(time.perf_counter() - start)
            # They should gain; threads that wait for one another at every layer take several times as long.
            assert median(times[2]) < 1.5 * median(times[1])
    finally:
        for other in others:
            other.kill()
            other.wait()
