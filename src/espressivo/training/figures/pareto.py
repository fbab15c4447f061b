"""Figure of UA against size and time, with the Pareto front of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from espressivo.figures.labels import (
    add_label,
    scale_axis,
    separate,
)
from espressivo.figures.pareto import pareto_front
from espressivo.figures.style import (
    ACCENT,
    INK,
    PALE,
    bare,
    canvas,
    literal_text,
    save,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

Cost = Literal["size_mb", "time_ms"]

_AXES: dict[Cost, str] = {
    "size_mb": "size (MB)",
    "time_ms": "time per recording (ms)",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One system in the figure.

    Attributes:
        name: Label of the system.
        ua: Unweighted accuracy, 0..1.
        low: Lower end of the 95 % interval of `ua`; None if not known.
        high: Upper end of the interval; None if not known.
        size_mb: Size in MB; None if not known.
        time_ms: Time per recording in ms; None if not known.
        published: Whether `ua` is quoted, not measured here; such points are drawn
            hollow and are never on the front.
    """

    name: str
    ua: float
    low: float | None = None
    high: float | None = None
    size_mb: float | None = None
    time_ms: float | None = None
    published: bool = False


def measured_front(points: Sequence[Point], cost: Cost) -> list[Point]:
    """Return the Pareto front of UA against a cost, sorted by cost.

    Points without that cost, and published ones, are left out.
    """
    known = [p for p in points if getattr(p, cost) is not None and not p.published]
    return pareto_front(known, lambda p: (getattr(p, cost), p.ua), high_is_good=True)


@literal_text()
def plot_pareto(
    points: Sequence[Point], path: Path | Sequence[Path], title: str = ""
) -> None:
    """Plot UA against size and against time, each with its Pareto front, and save it.

    A panel is left out when no point has its cost.

    Args:
        points: Points, at least one with a size or a time.
        path: A .png, .svg or .pdf file, or several.
        title: Title of the figure, such as the corpus that was tested.

    Raises:
        ValueError: No point has a size or a time.
    """
    costs = [c for c in _AXES if any(getattr(p, c) is not None for p in points)]
    if not costs:
        raise ValueError("no point has a size or a time; give one of them")
    figure = canvas(0.8 + 4.6 * len(costs), 4.4)
    axes = figure.subplots(1, len(costs), squeeze=False, sharey=True)[0]
    drawn = [_panel(ax, points, c) for ax, c in zip(axes, costs, strict=True)]
    axes[0].set_ylabel("UA")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.draw_without_rendering()  # labels are placed once the layout is known
    # Another layout while saving would move the panels under placed labels.
    figure.set_layout_engine("none")
    for ax, (labels, ends) in zip(axes, drawn, strict=True):
        separate(ax, labels, ends)
    save(figure, path)


def _panel(
    ax: Axes, points: Sequence[Point], cost: Cost
) -> tuple[list[Annotation], list[list[float]]]:
    known = [p for p in points if getattr(p, cost) is not None]
    best = measured_front(points, cost)
    ax.step(
        [getattr(p, cost) for p in best],
        [p.ua for p in best],
        # At a cost between two systems, only the UA of the cheaper one can be had.
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
        labels.append(add_label(ax, text, (x, p.ua)))
    scale_axis(ax, "x", [getattr(p, cost) for p in known])
    ax.set_xlabel(_AXES[cost])
    ax.margins(x=0.2, y=0.15)
    ax.grid(color="#e5e5e5", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    return labels, [[end for end in (p.low, p.high) if end is not None] for p in known]
