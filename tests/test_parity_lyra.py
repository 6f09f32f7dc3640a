"""Lyra v2 on the native engine with the real weights: against LiteRT on real speech, and by its sound."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import real
import soundfile
from pairs import LyraPair
from parity import Pair

from wavcodes import cli


@pytest.fixture(scope="module")
def pair(shared: Path, peer: Callable[..., Any]) -> Pair:
    return peer("ai-edge-litert", lambda: LyraPair(real.lyra_weights(shared)))


@pytest.mark.parametrize("clip", real.SPEECH)
def test_agrees_with_litert(clip: str, pair: Pair, shared: Path) -> None:
    found = pair.compare(real.speech(shared, clip)).hold()
    assert np.all(found.equal, axis=0).mean() >= 0.995


@pytest.mark.parametrize(("bandwidth", "least"), [("3.2", 0.87), ("6", 0.90), ("9.2", 0.92)])
def test_the_command_line_keeps_the_sound(bandwidth: str, least: float, shared: Path, tmp_path: Path) -> None:
    clip = shared / "audio" / "test" / real.SPEECH[0]
    nac, wav = tmp_path / "a.nac", tmp_path / "b.wav"
    weights = ["--weights", str(real.lyra_weights(shared))]
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
