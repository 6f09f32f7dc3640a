"""Every published layout of weights, written by the library that publishes it and read back: names, dtypes, shapes and
values. How the models use them is the matter of their own tests."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import layouts
import numpy as np
import pytest

from wavcodes.weights import fold_weight_norm, read

# Layouts in each spelling of weight norm, by the ending of the magnitudes.
SPELLINGS = {
    ".weight_g": {
        "encodec_24khz.th",
        "dac_16khz.pth",
        "dac_24khz.pth",
        "dac_44khz.pth",
        "dac_44khz_16kbps.pth",
        "hf_encodec_24khz.wg",
        "hf_encodec_32khz.wg",
    },
    ".parametrizations.weight.original0": {
        "snac_24khz",
        "snac_32khz",
        "snac_44khz",
        "hf_encodec_24khz.param",
        "hf_encodec_32khz.param",
    },
}

# Files of more than 200 MB, which take seconds.
LARGE = re.compile("(hf_)?dac.*|snac_(32|44)khz|.*encodec_32khz.*|.*mimi.*")
CASES = [pytest.param(name, marks=[pytest.mark.slow] * bool(LARGE.fullmatch(name))) for name in layouts.PUBLISHED]


@pytest.mark.parametrize("name", CASES)
def test_every_published_layout_is_read(
    name: str, shared: Path, peer: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    if not layouts.PUBLISHED[name].endswith(".safetensors"):
        peer("torch")
    path = layouts.write(name, tmp_path, seed=len(name))
    tensors = read(path)
    assert sorted(tensors) == sorted(layouts.layout(name))
    for tensor, values in layouts.draw(name, seed=len(name)):
        np.testing.assert_array_equal(tensors[tensor], values, strict=True)
    path.unlink()  # hundreds of megabytes


def test_no_layout_is_left_out(shared: Path) -> None:
    described = {path.stem for path in (shared / "facts/weights/layouts").glob("*.json")} - {"fps"}
    assert described == set(layouts.PUBLISHED)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_both_spellings_of_weight_norm_occur_and_fold(spelling: str, shared: Path) -> None:
    found = set()
    for name in layouts.PUBLISHED:
        layout = layouts.layout(name)
        stems = [tensor.removesuffix(spelling) for tensor in layout if tensor.endswith(spelling)]
        if not stems:
            continue
        found.add(name)
        folded = fold_weight_norm({t: v for t, v in layouts.draw(name, seed=0) if t.startswith(f"{stems[0]}.")})
        _, shape = layout[stems[0] + spelling.replace("_g", "_v").replace("original0", "original1")]
        assert folded[f"{stems[0]}.weight"].shape == shape
        assert len(stems) > 10
    assert found == SPELLINGS[spelling]
