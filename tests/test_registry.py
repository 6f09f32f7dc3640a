"""Every entry of the registry is complete, true to its own network, and found by the names that people type."""

import json
import re
from pathlib import Path

import pytest

from wavcodes import registry
from wavcodes.errors import InputError
from wavcodes.graph import Conv1d, Layer, LocalAttention, Residual, Sum, tensor_shapes
from wavcodes.weights import check, digest, locate

ALL = registry.list_codecs()


def looks_ahead(layers: tuple[Layer, ...]) -> bool:
    """Whether a row of the output depends on rows of the input that come later."""
    for layer in layers:
        match layer:
            case Residual():
                found = looks_ahead(layer.body)
            case Sum():
                found = any(looks_ahead(branch) for branch in layer.branches)
            case Conv1d():
                found = layer.right > 0
            case _:
                found = isinstance(layer, LocalAttention)
        if found:
            return True
    return False


def test_the_codecs() -> None:
    encodec, dac = ["encodec_24khz", "encodec_32khz", "encodec_48khz"], ["dac_16khz", "dac_24khz", "dac_44khz"]
    snac = ["snac_24khz", "snac_32khz", "snac_44khz"]
    assert ["wavcodes_16khz", *encodec, *dac, "dac_44khz_16kbps", *snac, "mimi", "lyra_v2"] == ALL
    assert registry.DEFAULT_CODEC in ALL
    assert registry.spec(registry.DEFAULT_CODEC).weights.packaged


@pytest.mark.parametrize("name", ALL)
def test_facts_agree_with_each_other_and_with_the_network(name: str) -> None:
    entry = registry.checkpoint(name)
    spec, network = entry.spec, entry.network()
    assert spec.name == name
    assert spec.description
    assert network.quantizer.num_codebooks == spec.num_codebooks == len(spec.strides)
    assert network.quantizer.codebook_size == spec.codebook_size
    assert list(spec.bandwidths) == sorted(set(spec.bandwidths))
    assert spec.default_bandwidth in spec.bandwidths
    for bandwidth in spec.bandwidths:  # each is that of some number of codebooks, to the second decimal
        assert abs(spec.bandwidth(spec.resolve_codebooks(bandwidth=bandwidth)) - bandwidth) <= 0.005
    assert spec.causal == (spec.segment is None and not looks_ahead(network.encoder))
    shapes = tensor_shapes(network)
    assert shapes
    assert all(min(shape, default=1) > 0 for shape in shapes.values())


@pytest.mark.parametrize(
    ("name", "books"),
    [
        ("encodec_24khz", {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}),
        ("lyra_v2", {3.2: 16, 6.0: 30, 9.2: 46}),
        ("wavcodes_16khz", {k / 2: k for k in range(1, 13)}),
        ("encodec_32khz", {2.2: 4}),
        ("encodec_48khz", {3.0: 2, 6.0: 4, 12.0: 8, 24.0: 16}),
        ("dac_16khz", {0.5: 1, 1.0: 2, 2.0: 4, 4.0: 8, 6.0: 12}),
        ("dac_24khz", {0.75: 1, 1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}),
        ("dac_44khz", {0.86: 1, 1.72: 2, 3.45: 4, 6.89: 8, 7.75: 9}),
        ("dac_44khz_16kbps", {0.86: 1, 1.72: 2, 3.45: 4, 6.89: 8, 13.78: 16, 15.5: 18}),
        ("snac_24khz", {0.14: 1, 0.42: 2, 0.98: 3}),
        ("snac_32khz", {0.125: 1, 0.375: 2, 0.875: 3, 1.875: 4}),
        ("snac_44khz", {0.17: 1, 0.52: 2, 1.21: 3, 2.58: 4}),
        ("mimi", {0.14: 1, 0.55: 4, 1.1: 8, 2.2: 16, 4.4: 32}),
    ],
)
def test_codebooks_of_each_bandwidth(name: str, books: dict[float, int]) -> None:
    spec = registry.spec(name)
    assert {bandwidth: spec.resolve_codebooks(bandwidth=bandwidth) for bandwidth in spec.bandwidths} == books


@pytest.mark.parametrize("name", ALL)
def test_weights_are_pinned_and_licensed(name: str) -> None:
    source = registry.spec(name).weights
    assert source.files
    assert source.licence
    for file in source.files:
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.url is None or file.url.startswith("https://")
        assert source.packaged or file.url is not None or source.repo is not None
    assert (source.repo is None) == (source.revision is None)
    assert source.revision is None or re.fullmatch("[0-9a-f]{40}", source.revision)


def test_pins_are_those_of_the_collected_facts(shared: Path) -> None:
    facts = json.loads((shared / "facts/weights/registry.json").read_text())["artifacts"]
    published = {(fact["file"], fact["sha256"], fact["bytes"]): fact for fact in facts}
    for name in ALL:
        source = registry.spec(name).weights
        for file in source.files:
            if not source.packaged:
                fact = published[file.name, file.sha256, file.size]
                assert fact["url"].endswith(file.url or f"/{source.repo}/resolve/{source.revision}/{file.name}")


def test_the_packaged_weights_fit_their_network() -> None:
    entry = registry.checkpoint("wavcodes_16khz")
    paths = tuple(found.path for found in locate(entry.spec))
    tensors = check(entry.tensors(paths), tensor_shapes(entry.network()), "package")
    assert sum(value.size for value in tensors.values()) == 1_960_673
    assert len(digest(tensors)) == 32


def test_the_real_lyra_files_fit_their_network(shared: Path) -> None:
    entry = registry.checkpoint("lyra_v2")
    found = locate(entry.spec, shared / "weights/lyra_v2_1.2")
    dict(check(entry.tensors(tuple(one.path for one in found)), tensor_shapes(entry.network()), "shared"))


@pytest.mark.parametrize(("typed", "name"), [("EnCodec-24kHz", "encodec_24khz"), ("LYRA_V2", "lyra_v2")])
def test_names_as_people_type_them(typed: str, name: str) -> None:
    assert registry.checkpoint(typed) is registry.checkpoint(name)
    assert registry.spec(typed).name == name


@pytest.mark.parametrize(
    ("typed", "near"), [("encodec_24", "encodec_24khz"), ("lyra", "lyra_v2"), ("wavcodes", "wavcodes_16khz")]
)
def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(typed: str, near: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {near}") as caught:
        registry.spec(typed)
    assert all(name in str(caught.value) for name in ALL)


def test_a_name_that_is_near_to_nothing_gets_the_list_only() -> None:
    with pytest.raises(InputError) as caught:
        registry.spec("???")
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in ALL)
