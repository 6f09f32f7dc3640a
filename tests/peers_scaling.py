"""Scales random weights of an upstream model while a signal runs through it: see `peers` for why."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def spread_out(*networks: Any, spread: Callable[[Any], float] = lambda conv: 1.0) -> Iterator[None]:
    """Within it, each convolution that runs is scaled so that its output without bias has the standard deviation
    `spread(conv)`; for good, so it should run once."""
    import torch

    def scale(conv: Any, _: Any, y: Any) -> Any:
        bias = 0.0 if conv.bias is None else conv.bias[:, None]
        factor = spread(conv) / (y - bias).std()
        _magnitude(conv).mul_(factor)
        return (y - bias) * factor + bias

    kinds = torch.nn.Conv1d | torch.nn.ConvTranspose1d
    hooks = [
        module.register_forward_hook(scale)
        for network in networks
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _magnitude(conv: Any) -> Any:
    """What to multiply in order to multiply the weights of a convolution, in either spelling of weight norm or none."""
    if hasattr(conv, "parametrizations"):
        return conv.parametrizations.weight.original0
    return conv.weight_g if hasattr(conv, "weight_g") else conv.weight
