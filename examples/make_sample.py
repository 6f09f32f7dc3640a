"""Makes sample.flac: one sentence spoken by espeak-ng, a formant synthesizer, at 16 kHz.

Run once by hand; the result is part of the repository. Needs the program espeak-ng.
"""

import io
import subprocess
from pathlib import Path

import soundfile

import wavcodes

SENTENCE = "Speech is a stream of numbers. A few hundred of them a second are enough to hear it again."
RATE = 16_000

spoken = subprocess.run(
    ["espeak-ng", "-v", "en-gb", "-s", "165", "--stdout", SENTENCE], check=True, capture_output=True
).stdout
audio, rate = soundfile.read(io.BytesIO(spoken), dtype="float32")
audio = wavcodes.resample(audio, rate, RATE)
soundfile.write(Path(__file__).with_name("sample.flac"), 0.7 * audio / abs(audio).max(), RATE)
