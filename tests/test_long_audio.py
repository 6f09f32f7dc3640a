"""Hours of audio: memory stays where it is after minutes, and a second costs what a second costs in a short clip."""

from pathlib import Path
from typing import Any

import exact
import pytest
from long_audio import WINDOW, measure

from wavcodes.models import encodec


def assert_constant(name: str, found: dict[str, Any]) -> None:
    early, late = found["peaks"]
    # The best of many: what other processes take from this one only ever adds.
    begin, end, window, second = (min(found["costs"][kind]) for kind in ("early", "late", "window", "second"))
    print(
        f"{name}: {early:.0f} MiB above import, {late:.0f} MiB after more time; CPU ms per second of audio: "
        f"{1e3 * second:.1f} in clips of 1 s, {1e3 * window:.1f} in clips of {WINDOW} s, {1e3 * begin:.1f} early in a "
        f"stream and {1e3 * end:.1f} late in it"
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
def test_one_and_thirty_minutes_of_every_family(name: str, tmp_path: Path) -> None:
    early, late = measure(name, tmp_path, threads=1, minutes=(1, 30), small=True)["peaks"]
    print(f"{name}: {early:.0f} MiB above import after 1 minute, {late:.0f} MiB after 30")
    assert late - early <= 5
