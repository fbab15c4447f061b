"""Accuracy against size and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from espressivo.training.figures.style import ACCENT, INK, PALE, bare, canvas, save

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Cost = Literal["size_mb", "time_ms"]

_AXES: dict[Cost, str] = {
    "size_mb": "size (MB)",
    "time_ms": "time per recording (ms)",
}
# Where a label may stand: points from its mark, the nearest first.
_PLACES = tuple(
    (round(r * np.cos(angle)), round(r * np.sin(angle)))
    for r in (12, 20, 30, 42, 56)
    for angle in np.deg2rad((25, -25, 155, -155, 60, -60, 120, -120, 0, 180))
)


@dataclass(frozen=True, slots=True)
class Point:
    """One system in the figure.

    Attributes:
        name: Its label.
        ua: Unweighted accuracy, 0..1.
        low: Lower end of its 95 % interval; None when not known.
        high: Upper end.
        size_mb: In MB; None when not known.
        time_ms: Of one recording of a length that the caller says, in ms.
        published: Quoted, not measured here: drawn hollow, and never on the frontier.
    """

    name: str
    ua: float
    low: float | None = None
    high: float | None = None
    size_mb: float | None = None
    time_ms: float | None = None
    published: bool = False


def frontier(points: Sequence[Point], cost: Cost) -> list[Point]:
    """Return the measured points that none is better than, at the same cost or less.

    Sorted by cost; points without that cost are left out.
    """
    known = [p for p in points if getattr(p, cost) is not None and not p.published]
    best: list[Point] = []
    for point in sorted(known, key=lambda p: (getattr(p, cost), -p.ua)):
        if not best or point.ua > best[-1].ua:
            best.append(point)
    return best


def plot_pareto(points: Sequence[Point], path: Path, title: str = "") -> None:
    """Draw UA against size and against time into `path`, and the frontier of each.

    A panel is left out when no point has its cost.

    Args:
        points: At least one with a size or a time.
        path: A .png, .svg or .pdf file.
        title: What UA was measured on.

    Raises:
        ValueError: No point has a size or a time.
    """
    costs = [c for c in _AXES if any(getattr(p, c) is not None for p in points)]
    if not costs:
        raise ValueError("no point has a size or a time; give one of them")
    figure = canvas(0.8 + 4.6 * len(costs), 4.4)
    axes = figure.subplots(1, len(costs), squeeze=False, sharey=True)[0]
    labels = [_panel(ax, points, c) for ax, c in zip(axes, costs, strict=True)]
    axes[0].set_ylabel("UA")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.draw_without_rendering()  # where things are depends on the layout
    figure.set_layout_engine("none")
    for ax, texts in zip(axes, labels, strict=True):
        _separate(ax, *texts)
    save(figure, path)


def _panel(
    ax: Axes, points: Sequence[Point], cost: Cost
) -> tuple[list[Point], list[Annotation]]:
    known = [p for p in points if getattr(p, cost) is not None]
    best = frontier(points, cost)
    ax.step(
        [getattr(p, cost) for p in best],
        [p.ua for p in best],
        where="post",
        color=ACCENT,
        linewidth=1.2,
        zorder=1,
    )
    labels = []
    for p in known:
        x = getattr(p, cost)
        ink = PALE if p.published else INK
        if p.low is not None and p.high is not None:
            ax.vlines(x, p.low, p.high, color=ink, linewidth=1, zorder=2)
        face = "white" if p.published else ink
        ax.plot(x, p.ua, "o", color=ink, markerfacecolor=face, markersize=6, zorder=3)
        text = f"{p.name} (published)" if p.published else p.name
        labels.append(_label(ax, text, (x, p.ua)))
    _scale(ax, [getattr(p, cost) for p in known])
    ax.set_xlabel(_AXES[cost])
    ax.margins(x=0.2, y=0.15)
    ax.grid(color="#e5e5e5", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    return known, labels


def _label(ax: Axes, text: str, at: tuple[float, float]) -> Annotation:
    """Name a mark, joined to it by a thin line."""
    label = ax.annotate(
        text,
        at,
        (0, 0),
        textcoords="offset points",
        size=8,
        zorder=4,
        va="center",
        arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 0.6, "shrinkA": 1},
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    )
    label.set_in_layout(False)  # it stands within the panel
    return label


def _scale(ax: Axes, costs: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator  # noqa: PLC0415  # slow

    if min(costs) > 0 and max(costs) >= 5 * min(costs):
        ax.set_xscale("log")
        wide = max(costs) > 500 * min(costs)
        ax.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _separate(ax: Axes, points: Sequence[Point], labels: Sequence[Annotation]) -> None:
    """Put each label where it covers least: of marks, intervals, labels, the border."""
    from matplotlib.text import Text  # noqa: PLC0415  # slow
    from matplotlib.transforms import Bbox as Box  # noqa: PLC0415  # slow

    def boxes(kept: Sequence[Annotation]) -> list[Bbox]:
        return [Text.get_window_extent(label) for label in kept]  # without its line

    marks = []
    bars = []
    for point, label in zip(points, labels, strict=True):
        mark = ax.transData.transform(label.xy)
        marks.append(Box.from_extents(*(mark - 9), *(mark + 9)))
        ends = [end for end in (point.low, point.high) if end is not None]
        tips = ax.transData.transform(
            [(label.xy[0], end) for end in ends or [point.ua]]
        )
        bars.append(Box.from_extents(*(tips.min(0) - 2), *(tips.max(0) + 2)))
    inside = ax.get_window_extent()
    for label in 2 * list(labels):  # again, now that the others have a place
        others = marks + boxes([other for other in labels if other is not label])
        costs = []
        for x, y in _PLACES:
            _move(label, x, y)
            (box,) = boxes([label])
            outside = box.width * box.height - _overlap(box, inside)
            covered = sum(_overlap(box, other) for other in others)
            crossed = sum(_overlap(box, bar) for bar in bars)
            far = float(np.hypot(x, y))
            costs.append(5 * outside + 3 * covered + 4 * crossed + 4 * far)
        _move(label, *_PLACES[int(np.argmin(costs))])


def _move(label: Annotation, x: int, y: int) -> None:
    label.set_position((x, y))
    label.set_horizontalalignment("left" if x > 3 else "right" if x < -3 else "center")


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(max(0.0, width) * max(0.0, height))
