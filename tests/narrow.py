"""The codecs of the registry with few channels: the same facts and the same kinds of layers, much faster.

For tests of what is done with a codec. What it computes is tested at full width; that it is the same everywhere, also
with `exact.SMALL`, whose frames are short as well.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import exact
import pytest

from wavcodes import registry

# Fields of the families' `Config`; 64 is the width of one head of SNAC's attention.
_WIDTHS: dict[str, dict[str, int]] = {
    "encodec": {"num_filters": 4, "dim": 16},
    "dac": {"encoder_dim": 4, "decoder_dim": 32, "dim": 16},
    "snac": {"encoder_dim": 4, "decoder_dim": 64},
    "mimi": {"num_filters": 2, "dim": 32, "heads": 2, "hidden": 64, "codebook_dim": 8, "transformer_layers": 2},
}


def narrow(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> dict[str, Path]:
    """Puts narrow codecs into the registry, under the names of the wide ones; the files of their random weights."""
    paths = {}
    for name in names:
        entry = registry.checkpoint(name)
        assert isinstance(entry.network, partial)
        build, config = entry.network.func, entry.network.args[0]
        thin = replace(entry, network=partial(build, replace(config, **_WIDTHS[name.partition("_")[0]])))
        monkeypatch.setitem(registry._BY_NAME, name, thin)
        if entry.spec.weights.repo:
            monkeypatch.setitem(registry._BY_REPO, entry.spec.weights.repo.lower(), thin)
        own = folder / f"narrow_{name}"
        own.mkdir(exist_ok=True)
        paths[name] = exact.weights(thin.network(), own)
    return paths
