"""What one step does to a codec: its average, its codebooks, and what a step that came to nothing leaves alone."""

from collections.abc import Callable
from typing import Any

import exact
import numpy as np
import pytest
from runs import RATE

from wavcodes import registry

STAGE: dict[str, float] = {"spectrum": 1.0, "mel": 1.0, "adversarial": 1.0, "features": 1.0}


@pytest.fixture
def trainer(torch: Any) -> Callable[..., Any]:
    from wavcodes.training.peers import Peers
    from wavcodes.training.recipe import Recipe, Stage
    from wavcodes.training.trainer import Trainer

    checkpoint = registry.checkpoint("wavcodes_16khz")
    network = checkpoint.network()
    start = {name: torch.from_numpy(value.copy()) for name, value in checkpoint.load(None).items()}

    def make(**recipe: Any) -> Any:
        stages = (Stage(steps=100, **STAGE),)
        settings = {"batch": 2, "warm_up": 0, "revive_every": 0} | recipe
        made = Recipe(codec="wavcodes_16khz", stages=stages, **settings)
        device = torch.device("cpu")
        return Trainer(network, RATE, start, made, device, Peers(device))

    return make


def clips(torch: Any, seed: int = 0) -> Any:
    return torch.from_numpy(np.stack([exact.signal(RATE // 5, seed + i)[:, np.newaxis] for i in range(2)]))


def test_the_average_follows_what_is_trained(trainer: Callable[..., Any], torch: Any) -> None:
    it = trainer(average=0.9)
    before = {name: value.detach().clone() for name, value in it.tensors.items()}
    average = before
    for step in range(3):
        it.advance(clips(torch, step))
        kept = min(0.9, (1 + step) / (10 + step))
        average = {name: kept * average[name] + (1 - kept) * it.tensors[name].detach() for name in average}
    for name, value in it.averaged.items():
        torch.testing.assert_close(value, average[name])
    assert all((before[name] != it.tensors[name]).any() for name in before)


def test_a_step_that_is_not_finite_changes_nothing(trainer: Callable[..., Any], torch: Any) -> None:
    it = trainer(revive_every=1, revive_until=1.0)
    it.advance(clips(torch))
    before = {name: value.detach().clone() for name, value in it.state().items()}
    bad = clips(torch)
    bad[0, 100] = np.inf
    assert not np.isfinite(it.advance(bad)["gradient"])
    after = it.state()
    for name, value in after.items():
        assert torch.isfinite(value).all(), name
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"step", "averaged"}  # the average comes nearer to what is trained in every step
    for _ in range(4):
        assert np.isfinite(it.advance(clips(torch, 5))["gradient"])


def test_an_entry_that_nobody_uses_becomes_what_its_book_is_asked_for(trainer: Callable[..., Any], torch: Any) -> None:
    it = trainer(revive_every=2, revive_until=1.0)
    (name, usage), *_ = it._usage.items()
    with torch.no_grad():
        it._trained[name][5] = 1e3  # far from everything
    it.advance(clips(torch))
    usage[5] = 0
    it.advance(clips(torch, 1))
    for tensors in (it.tensors, it.averaged):
        assert tensors[name][5].abs().max() < 100
    assert torch.equal(it.tensors[name][5].detach(), it.averaged[name][5])
    assert usage[5] > 0
