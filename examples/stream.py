"""Sound through a codec as it would come from a microphone: 20 ms at a time.

    python stream.py [FILE] [OUT.wav]

Checks that the pieces give what the whole file gives, bit for bit.
"""

import sys

import numpy as np
import soundfile

import wavcodes

source = sys.argv[1] if len(sys.argv) > 1 else "sample.flac"
codec = wavcodes.load()
audio, rate = soundfile.read(source, dtype="float32", always_2d=True)
audio = wavcodes.resample(wavcodes.to_mono(audio.T), rate, codec.spec.sample_rate)

encoder = codec.stream_encoder(bandwidth=3.0)
decoder = codec.stream_decoder()
sent, heard = [], []
piece = codec.spec.sample_rate // 50
for start in range(0, len(audio), piece):
    codes = encoder.push(audio[start : start + piece])  # what a sender would put on the wire
    sent.append(codes)
    heard.append(decoder.push(codes))  # what a receiver would play
sent.append(encoder.flush())
heard.append(decoder.push(sent[-1]))
heard.append(decoder.flush())

codes, sound = wavcodes.Codes.concat(sent), np.concatenate(heard, axis=1)
whole = codec.encode(audio, codec.spec.sample_rate, bandwidth=3.0)
if codes != whole or not np.array_equal(sound, codec.decode(whole)):
    sys.exit("the pieces differ from the whole, which is a bug")
print(f"{codes}: in {len(sent)} pieces, the same codes and the same sound as in one")
if len(sys.argv) > 2:
    soundfile.write(sys.argv[2], sound.T, codec.spec.sample_rate)
