"""Placement of labels with little overlap, and logarithmic axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from espressivo.figures.style import PALE
from espressivo.text import to_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# Candidate offsets of a label from its mark, in points, the nearest first.
_PLACES = tuple(
    (round(r * np.cos(angle)), round(r * np.sin(angle)))
    for r in (12, 20, 30, 42, 56)
    for angle in np.deg2rad((25, -25, 155, -155, 60, -60, 120, -120, 0, 180))
)


def add_label(ax: Axes, text: str, at: tuple[float, float]) -> Annotation:
    """Add a label joined to its mark by a thin line; `separate` moves it later."""
    label = ax.annotate(
        to_lines(text),
        at,
        (0, 0),
        textcoords="offset points",
        size=8,
        zorder=4,
        va="center",
        arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 0.6, "shrinkA": 1},
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    )
    label.set_in_layout(False)  # the layout must not shrink the panel for labels
    return label


def scale_axis(ax: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """Make an axis logarithmic if its values span a factor of five or more.

    Tick labels are plain numbers. Axes with values of 0 or less stay linear.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator  # noqa: PLC0415  # slow

    if min(values) <= 0 or max(values) < 5 * min(values):
        return
    # Over many decades, ticks at 2 and 5 would overlap.
    wide = max(values) > 500 * min(values)
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def separate(
    ax: Axes, labels: Sequence[Annotation], ends: Sequence[Sequence[float]] = ()
) -> None:
    """Move each label to the candidate place with the least overlap (greedy search).

    Args:
        ax: Axes that have been drawn, so that their layout is final.
        labels: Labels from `add_label`.
        ends: Ends of each mark's interval on the y axis; empty: no intervals.
    """
    from matplotlib.text import Text  # noqa: PLC0415  # slow
    from matplotlib.transforms import Bbox as Box  # noqa: PLC0415  # slow

    def boxes(kept: Sequence[Annotation]) -> list[Bbox]:
        return [Text.get_window_extent(label) for label in kept]  # without its line

    marks = []
    bars = []
    for label, reach in zip(labels, ends or [()] * len(labels), strict=True):
        mark = ax.transData.transform(label.xy)
        # Room for the marker itself, in pixels.
        marks.append(Box.from_extents(*(mark - 9), *(mark + 9)))
        tips = ax.transData.transform(
            [(label.xy[0], y) for y in reach or [label.xy[1]]]
        )
        bars.append(Box.from_extents(*(tips.min(0) - 2), *(tips.max(0) + 2)))
    inside = ax.get_window_extent()
    # The second pass corrects the first, in which later labels had no place yet.
    for label in 2 * list(labels):
        others = marks + boxes([other for other in labels if other is not label])
        costs = []
        for x, y in _PLACES:
            _move(label, x, y)
            (box,) = boxes([label])
            outside = box.width * box.height - _overlap(box, inside)
            covered = sum(_overlap(box, other) for other in others)
            crossed = sum(_overlap(box, bar) for bar in bars)
            far = float(np.hypot(x, y))
            # Areas in square pixels; the distance decides among places without overlap.
            costs.append(5 * outside + 3 * covered + 4 * crossed + 4 * far)
        _move(label, *_PLACES[int(np.argmin(costs))])


def _move(label: Annotation, x: int, y: int) -> None:
    label.set_position((x, y))
    label.set_horizontalalignment("left" if x > 3 else "right" if x < -3 else "center")


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(max(0.0, width) * max(0.0, height))
