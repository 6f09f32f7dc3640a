"""How many operations a network takes for a second of audio, filtered directly; a fused multiply-add is two.

What a core does one by one, such as activations, norms and padding, is not counted, nor are quantizers.
"""

from wavcodes import graph
from wavcodes.graph import Layer


def flops(layers: tuple[Layer, ...], rate: float) -> tuple[float, float]:
    """Operations a second, and the rows a second that come out, if `rate` go in."""
    total = 0.0
    for layer in layers:
        more, rate = _flops(layer, rate)
        total += more
    return total, rate


def _flops(layer: Layer, rate: float) -> tuple[float, float]:
    match layer:
        case graph.Conv1d():
            rate /= layer.stride
            return 2 * rate * layer.kernel * layer.in_channels * layer.out_channels / layer.groups, rate
        case graph.ConvTranspose1d():
            taps = 2 * rate * layer.kernel * layer.in_channels * layer.out_channels / layer.groups
            return taps, rate * layer.stride
        case graph.Lstm():
            return 2 * rate * layer.layers * 8 * layer.channels**2, rate
        case graph.Noise():
            return 2 * rate * layer.channels**2, rate
        case graph.LocalAttention():
            return 2 * rate * (4 * layer.channels + 2 * layer.window) * layer.channels, rate
        case graph.TransformerLayer():
            widths = 4 * layer.channels + 2 * layer.hidden + 2 * layer.context
            return 2 * rate * widths * layer.channels, rate
        case graph.Residual():
            shortcut = (layer.shortcut,) if layer.shortcut else ()
            return flops(layer.body, rate)[0] + flops(shortcut, rate)[0], rate
        case graph.Sum():
            branches = [flops(branch, rate) for branch in layer.branches]
            return sum(each for each, _ in branches), branches[0][1]
        case _:
            return 0.0, rate
