"""Rate and distortion as a picture: one panel for each metric, one line with its band for each codec."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, BinaryIO

from ..programs import MissingProgram
from .evaluation import METRICS, Summary

SUFFIXES = (".svg", ".png")
"""Of the files that `draw` writes."""

_COLUMNS = 4
_MARKS = "osD^vPX*<>"
_TICKS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 9, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # kbps that are marked
_MARGIN = 1.15  # to the left and right of the points
_SIZE = (4.0, 3.2)  # inches of a panel
_STYLE: Any = {
    "font.size": 10.0,
    "svg.hashsalt": "wavcodes",  # names inside the file would be random otherwise
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def require() -> None:
    """Finds out whether `draw` can do its work, before others have done theirs.

    Raises:
        MissingProgram: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise MissingProgram("a picture needs the package matplotlib; install the extra: pip install 'wavcodes[eval]'")


def draw(summaries: Sequence[Summary], file: BinaryIO, suffix: str) -> None:
    """Draws each metric over the real bit rate, with the 95 % confidence intervals.

    Args:
        summaries: What was measured, at least one.
        file: Gets the picture.
        suffix: One of `SUFFIXES`.

    Raises:
        MissingProgram: matplotlib is missing.
    """
    require()
    import matplotlib  # type: ignore[import-not-found, unused-ignore]
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    keys = [key for key in METRICS if key in summaries[0].metrics]
    lines: dict[str, list[Summary]] = {}
    for each in summaries:
        lines.setdefault(each.codec, []).append(each)
    rows = -(-(len(keys) + 1) // _COLUMNS)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_SIZE[0] * _COLUMNS, _SIZE[1] * rows), layout="constrained")
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for panel, key in zip(panels, keys, strict=False):
            _panel(panel, key, lines)
        for panel in panels[len(keys) :]:
            panel.set_axis_off()
        panels[len(keys)].legend(
            *panels[0].get_legend_handles_labels(),
            title="bands and bars: 95 % confidence",
            alignment="left",
            loc="center left",
            frameon=False,
            fontsize=12,
        )
        figure.savefig(
            file, format=suffix.removeprefix("."), dpi=120, metadata={"Date": None} if suffix == ".svg" else {}
        )


def _panel(panel: Any, key: str, lines: dict[str, list[Summary]]) -> None:
    for index, (codec, unsorted) in enumerate(lines.items()):
        points = sorted(unsorted, key=lambda each: each.kbps)
        rates = [each.kbps for each in points]
        means, lows, highs = zip(*(each.metrics[key] for each in points), strict=True)
        colour, mark = f"C{index % 10}", _MARKS[index % len(_MARKS)]
        panel.plot(rates, means, color=colour, marker=mark, label=codec)
        if len(points) > 1:
            panel.fill_between(rates, lows, highs, color=colour, alpha=0.15, linewidth=0)
        else:
            panel.vlines(rates, lows, highs, color=colour, alpha=0.4, linewidth=4)
    rates = [each.kbps for points in lines.values() for each in points]
    left, right = min(rates) / _MARGIN, max(rates) * _MARGIN
    ticks = [tick for tick in _TICKS if left <= tick <= right]
    panel.set_xscale("log")
    panel.set_xlim(left, right)
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_xticks([], minor=True)
    better = "less" if "distance" in METRICS[key].title else "more"
    panel.set_title(f"{METRICS[key].title} ({better} is better)", fontsize=10)
    panel.set_xlabel("kbps")
    panel.grid(alpha=0.3)
