"""Figure of the study: UA of strangers against size and against time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.figures.labels import add_label, scale_axis, separate
from espressivo.figures.pareto import pareto_front
from espressivo.figures.style import ACCENT, INK, PALE, bare, canvas, save

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

    from research.compression.systems import System

_COSTS = {
    "megabytes": "size, MB",
    "milliseconds": "processor time of 8 s, ms",
}


def plot_frontier(systems: Sequence[System], path: Path) -> None:
    """Draw both panels; full marks are means of seven corpora, hollow ones published.

    Args:
        systems: The systems; those without a cost are left out of its panel.
        path: Image to write.
    """
    figure = canvas(11.0, 4.6)
    panels = figure.subplots(1, 2, sharey=True)
    labels = [
        _panel(ax, systems, cost) for ax, cost in zip(panels, _COSTS, strict=True)
    ]
    panels[0].set_ylabel("UA, %")
    marks = {"color": PALE, "linestyle": "", "markersize": 6}
    panels[0].plot([], [], "o", label="strangers, mean of seven corpora", **marks)
    hollow = marks | {"markerfacecolor": "white"}
    panels[0].plot([], [], "s", label="as published, of other data", **hollow)
    panels[0].plot([], [], ":", color=PALE, label="size only, no UA")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.draw_without_rendering()  # labels are placed once the layout is known
    figure.set_layout_engine("none")
    for ax, placed in zip(panels, labels, strict=True):
        separate(ax, placed)
    save(figure, path)


def _panel(ax: Axes, systems: Sequence[System], cost: str) -> list[Annotation]:
    known = [s for s in systems if getattr(s, cost) is not None]
    scored = [(getattr(s, cost), s.ua, s) for s in known if s.ua is not None]
    front = pareto_front(scored, lambda one: one[:2], high_is_good=True)
    ax.step(
        [x for x, _, _ in front],
        [ua for _, ua, _ in front],
        # At a cost between two systems, only the UA of the cheaper one can be had.
        where="post",
        color=ACCENT,
        linewidth=1.2,
        zorder=1,
    )
    labels = []
    for system in known:
        x, ua = getattr(system, cost), system.ua
        ink = INK if system.is_ours else PALE
        if ua is not None:
            marker, y, face = "o", ua, ink
        elif system.published is not None:
            marker, y, face = "s", system.published, "white"
        else:
            _add_line(ax, x, system.name)
            continue
        ax.plot(x, y, marker, color=ink, markerfacecolor=face, markersize=6, zorder=3)
        text = system.name if ua is not None or not system.of else _noted(system)
        labels.append(add_label(ax, text, (x, y)))
    scale_axis(ax, "x", [getattr(s, cost) for s in known])
    ax.set_xlabel(_COSTS[cost])
    ax.margins(x=0.2, y=0.15)
    bare(ax)
    return labels


def _add_line(ax: Axes, x: float, text: str) -> None:
    """Mark a cost without a UA by a line over the whole height."""
    ax.axvline(x, color=PALE, linewidth=0.8, linestyle=":", zorder=0)
    ax.annotate(
        text,
        (x, 1),
        (3, -2),
        xycoords=ax.get_xaxis_transform(),
        textcoords="offset points",
        size=8,
        va="top",
    )


def _noted(system: System) -> str:
    return f"{system.name},\n{system.of}"
