"""The mel scale: frequencies as far apart as they sound."""

from functools import cache

import numpy as np
from numpy.typing import NDArray


def mel(frequency: float) -> float:
    """Pitch of a frequency in Hz that is heard as equally spaced, by the formula of O'Shaughnessy (1987)."""
    return float(2595 * np.log10(1 + frequency / 700))


@cache
def mel_filters(bins: int, rate: int, bands: int) -> NDArray[np.float64]:
    """Triangles `(bins, bands)` whose peak is 1, at equal distances on the mel scale, over the bins of a spectrum."""
    edges = 700 * (10 ** (np.linspace(0, mel(rate / 2), bands + 2) / 2595) - 1)
    hertz = np.linspace(0, rate / 2, bins)[:, np.newaxis]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return filters
