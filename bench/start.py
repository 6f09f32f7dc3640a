"""Measures how long a new process takes to its first codes, ours and the peer's, and prints Markdown.

    python bench/start.py [--rounds 9] [--codec NAME]...

Needs the extra `peers`. The clock runs from the start of Python to the moment when the codes of 1 s of audio are there:
imports, weights from a local safetensors file (random ones, in the published layout) and encoding. The processes take
turns; one of each is started before, so that files are in the page cache and modules compiled.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from harness import Lines, in_turns, main, progress, section

# Each gets a codec's name, a folder with the weights and the file of the audio, (channels, samples).
OURS = """
import sys
import numpy
import wavcodes
name, folder, audio = sys.argv[1:]
codec = wavcodes.load(name, weights=folder + "/model.safetensors")
codes = codec.encode(numpy.load(audio), codec.spec.sample_rate)
print(codes.num_frames, flush=True)
"""
TRANSFORMERS = """
import sys
import numpy
import torch
from transformers import EncodecModel
name, folder, audio = sys.argv[1:]
model = EncodecModel.from_pretrained(folder).eval()
with torch.inference_mode():
    codes = model.encode(torch.from_numpy(numpy.load(audio))[None], bandwidth=6.0).audio_codes
print(codes.shape[-1], flush=True)
"""
SNAC = """
import sys
import numpy
import snac
import torch
from safetensors.torch import load_file
name, folder, audio = sys.argv[1:]
model = snac.SNAC.from_config(folder + "/config.json").eval()
model.load_state_dict(load_file(folder + "/model.safetensors"))
with torch.inference_mode():
    codes = model.encode(torch.from_numpy(numpy.load(audio))[None])
print(codes[-1].shape[-1], flush=True)
"""
PEERS = {"encodec_24khz": ("transformers", TRANSFORMERS), "snac_24khz": ("snac", SNAC)}


def table(rounds: int, codecs: list[str]) -> Lines:
    text = f"""
    Seconds from the start of a process to the codes of 1 s of audio, on all cores, with weights from a local
    safetensors file that is in the page cache. Medians of {rounds} processes in turns."""
    columns = ("codec", "package", "package, s", "wavcodes, s", "least to greatest", "ratio")
    yield from section("Cold start", text, *columns)
    for name in codecs:
        package, code = PEERS[name]
        theirs, ours = processes(name, code, rounds)
        yield (
            f"| `{name}` | {package} | {median(theirs):.2f} | {median(ours):.3f} "
            f"| {min(ours):.3f} to {max(ours):.3f} | **{median(theirs) / median(ours):.1f}** |"
        )
        progress(name)


def processes(name: str, peer: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the peer's processes and of ours."""
    with tempfile.TemporaryDirectory() as folder:
        audio = write_model(name, Path(folder))
        theirs, ours = in_turns([peer, OURS], rounds, lambda code: first_codes(code, name, folder, str(audio)))
    return theirs, ours


def write_model(name: str, folder: Path) -> Path:
    """Random weights, the peer's configuration and 1 s of audio, whose file this gives."""
    import peers
    import peers_snac
    from pairs import RANDOM

    model, path = RANDOM[name][1](name, 0, folder)
    path.rename(folder / "model.safetensors")
    if name in peers.ENCODEC:
        model.config.save_pretrained(folder)
    else:
        (folder / "config.json").write_text(json.dumps(peers_snac.SNAC[name]))
    audio = folder / "audio.npy"
    np.save(audio, peers.sound(1, 24_000)[None])
    return audio


def first_codes(code: str, *arguments: str) -> float:
    """Seconds from the start of a process to the line that it prints."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        line = process.stdout.readline() if process.stdout else b""
        seconds = time.perf_counter() - start
    if process.returncode or not line:
        sys.exit(f"expected codes, got none from: {code}")
    return seconds


def environment() -> dict[str, str]:
    """An installed package has its modules compiled."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


if __name__ == "__main__":
    main(table, __doc__, 9, tuple(PEERS))
