"""The codec that comes out of training."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from runs import RATE, command, recipe

import wavcodes
from wavcodes import InputError


def test_an_export_loads_and_gives_the_codes_of_pytorch(tmp_path: Path, sound: Path, torch: Any) -> None:
    from wavcodes import graph, registry
    from wavcodes.engines.torch import apply
    from wavcodes.engines.torch_quantizers import quantize
    from wavcodes.training.run import pretrained

    assert command("run", recipe(tmp_path, steps=2), sound, "-o", tmp_path / "run") == 0
    (row,) = csv.DictReader((tmp_path / "run" / "curves.csv").read_text().splitlines())
    (tmp_path / "run" / "curves.csv").unlink()  # its last row is lost where a run is killed before it is written
    file = tmp_path / "own.safetensors"
    assert command("export", tmp_path / "run", "-o", file) == 0
    card = file.with_suffix(".md").read_text()
    assert "wavcodes_16khz" in card
    assert json.loads(card.split("```json")[1].split("```")[0])["batch"] == 4
    scores = {name: float(value) for name, value in re.findall(r"^\| (\w+) \| ([\d.]+) \|$", card, re.M)}
    assert scores == {name: pytest.approx(float(row[name]), rel=1e-3) for name in list(row)[-7:]}
    assert "Step 4 of 4" in card
    codec = wavcodes.load(weights=file, threads=1)
    clip = exact.signal(10 * RATE)
    codes = codec.encode(clip, RATE)
    tensors = pretrained("wavcodes_16khz", str(file))
    network = registry.checkpoint("wavcodes_16khz").network()
    assert set(tensors) == set(graph.tensor_shapes(network))
    with torch.no_grad():
        latent = apply(network.encoder, tensors, torch.from_numpy(clip)[None, :, None])
        theirs = torch.stack(quantize(network.quantizer, tensors, latent).codes, -1)[0].numpy()
    ours = np.stack(codes.books, -1)
    assert ours.shape == theirs.shape
    assert (ours == theirs).mean() >= 0.999


def test_an_export_never_replaces_its_weights_by_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("export", tmp_path, "-o", tmp_path / "own.md") == 65
    assert ".safetensors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_export_replaces_nothing_and_needs_whole_weights_of_float16(tmp_path: Path, torch: Any) -> None:
    from safetensors.torch import save

    from wavcodes.training.export import export
    from wavcodes.training.recipe import read_recipe, write_recipe

    file, card, weights = (tmp_path / name for name in ("own.safetensors", "own.md", "weights.safetensors"))
    write_recipe(read_recipe(recipe(tmp_path)), tmp_path / "recipe.json")
    data = save({"large": torch.tensor([1e6])}, {"scores": '{"step": 2}'})
    for content, said in ((data, "float16, got others in large"), (data[:-1], "damaged"), (b"", "damaged")):
        weights.write_bytes(content)
        with pytest.raises(InputError, match=said):
            export(tmp_path, file)
        assert not file.exists()
    card.write_text("mine")
    with pytest.raises(InputError, match=r"own.md exists already"):
        export(tmp_path, file)
