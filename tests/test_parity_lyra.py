"""Lyra v2 on the native engine with the real weights: against LiteRT on real speech, and by its sound."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, cli

CLIPS = [
    "speech_f_en_16k_libri_1088.flac",
    "speech_m_en_16k_arctic_aew.wav",
    "speech_l2_en_16k_SPEAKER2380.flac",
]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "weights" / "lyra_v2_1.2"


@pytest.fixture(scope="module")
def codec(folder: Path) -> Codec:
    return wavcodes.load("lyra_v2", weights=folder)


class Upstream:
    """Google's files run by LiteRT, one frame of 320 samples after the other."""

    def __init__(self, litert: ModuleType, folder: Path) -> None:
        self._open: Callable[[str], Any] = lambda name: litert.Interpreter(str(folder / name))
        self._quantizer = self._open("quantizer.tflite")

    def codes(self, audio: NDArray) -> NDArray[np.int64]:
        """(K, T)."""
        frames = np.pad(audio, (0, -len(audio) % 320)).reshape(-1, 320)
        encode = self._quantizer.get_signature_runner("encode")
        found = []
        for latent in self._run("soundstream_encoder.tflite", frames):
            outputs = encode(input_frames=latent.reshape(1, 1, 64), num_quantizers=np.int32(46))
            (indices,) = (value for value in outputs.values() if value.shape == (46, 1, 1))
            found.append(indices.ravel().astype(np.int64))
        return np.array(found).T

    def sound(self, codes: NDArray) -> NDArray[np.float32]:
        """(N,), N the whole of the frames, from codes (46, T); code -1 in the last books leaves them out."""
        decode = self._quantizer.get_signature_runner("decode")
        latents = [
            decode(encoding_indices=frame.astype(np.int32).reshape(46, 1, 1))["output_0"].ravel() for frame in codes.T
        ]
        return self._run("lyragan.tflite", np.array(latents)).ravel()

    def _run(self, name: str, rows: NDArray) -> NDArray[np.float32]:
        interpreter = self._open(name)  # a new one, whose history is silence
        interpreter.allocate_tensors()
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        outputs = []
        for row in rows:
            interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(target["index"]).ravel())
        return np.array(outputs)


@pytest.mark.parametrize("clip", CLIPS)
def test_agrees_with_litert(
    clip: str, codec: Codec, folder: Path, shared: Path, peer: Callable[[str], ModuleType]
) -> None:
    upstream = Upstream(peer("ai_edge_litert.interpreter"), folder)
    audio, rate = soundfile.read(shared / "audio" / "test" / clip, dtype="float32")
    assert rate == 16_000

    theirs = upstream.codes(audio)
    ours = np.asarray(codec.encode(audio, rate, bandwidth=9.2))
    assert ours.shape == theirs.shape
    print(f"{clip}: {(ours == theirs).all(0).mean():.4%} of {ours.shape[1]} frames have all 46 codes equal")
    assert (ours == theirs).all(0).mean() >= 0.995

    sound = codec.decode(Codes.of(codec.spec, list(theirs), len(audio)))
    assert sound.shape == (1, len(audio))
    np.testing.assert_allclose(sound[0], upstream.sound(theirs)[: len(audio)], rtol=0, atol=1e-4)


@pytest.mark.parametrize("count", [16, 30])
def test_fewer_books_sound_as_with_litert(
    count: int, codec: Codec, folder: Path, shared: Path, peer: Callable[[str], ModuleType]
) -> None:
    upstream = Upstream(peer("ai_edge_litert.interpreter"), folder)
    audio, rate = soundfile.read(shared / "audio" / "test" / CLIPS[1], dtype="float32", frames=24_000)
    codes = codec.encode(audio, rate, num_codebooks=count)
    padded = np.concatenate([np.asarray(codes, np.int64), np.full((46 - count, codes.num_frames), -1)])
    expected = upstream.sound(padded)[: len(audio)]
    np.testing.assert_allclose(codec.decode(codes)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("bandwidth", "least"), [("3.2", 0.87), ("6", 0.90), ("9.2", 0.92)])
def test_the_command_line_keeps_the_sound(
    bandwidth: str, least: float, folder: Path, shared: Path, tmp_path: Path
) -> None:
    clip = shared / "audio" / "test" / CLIPS[0]
    nac, wav = tmp_path / "a.nac", tmp_path / "b.wav"
    weights = ["--weights", str(folder)]
    assert cli.main(["encode", str(clip), str(nac), "--codec", "lyra_v2", "--bandwidth", bandwidth, *weights]) == 0
    assert cli.main(["decode", str(nac), "-o", str(wav), *weights]) == 0
    before, after = soundfile.read(clip)[0], soundfile.read(wav)[0]
    assert len(before) == len(after)
    correlation = np.corrcoef(before, after)[0, 1]  # at a delay of zero: the codec adds none
    print(f"{bandwidth} kbps: correlation {correlation:.4f}")
    assert correlation >= least
    # The payload is what was paid for: the rest of the file is a header, checksums and an index.
    payload = float(bandwidth) * 1000 / 8 * len(before) / 16_000
    assert payload <= nac.stat().st_size <= 1.05 * payload + 500
