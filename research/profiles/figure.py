"""Figure of the profile study: UA by size and kind of history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.figures.style import (
    ACCENT,
    INK,
    PALE,
    bare,
    headline,
    panels,
    save,
)
from research.profiles.report import size_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from research.profiles.report import ProfileCase
    from research.profiles.study import HistoryResult

_GREEN = "#009e73"
_LINES = {
    "balanced": ("balanced", INK, "o-"),
    "natural": ("mostly neutral", _GREEN, "s-"),
    "two": ("two emotions only", PALE, "^--"),
    "one": ("one emotion only", ACCENT, "v--"),
}


def plot_profiles(cases: Sequence[ProfileCase], path: Path) -> None:
    """Draw one panel per case: UA by size of the history, one line per kind.

    One-sided histories are averaged over their emotions; the band shows the best and
    the worst of them. Vertical lines are 95 % intervals over speakers.
    """
    figure, axes = panels(len(cases), 3.6, 3.3)
    for ax, case in zip(axes, cases, strict=True):
        _panel(ax, case)
    for ax in axes[::3]:  # the first of each row
        ax.set_ylabel("UA, %")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    save(figure, path)


def _panel(ax: Axes, case: ProfileCase) -> None:
    sizes = list(dict.fromkeys(cell.size for cell in case.cells))
    x = np.arange(len(sizes))
    (plain,) = {round(c.ua, 6) for c in case.cells if c.size == 0}
    ax.axhline(100 * plain, color=PALE, linewidth=0.8, linestyle=":")
    for name, (label, colour, style) in _LINES.items():
        rows = [
            [
                c
                for c in case.cells
                if c.kind.name == name and not c.kind.transductive and c.size == s
            ]
            for s in sizes
        ]
        if not all(rows):
            continue
        values = np.array([[100 * c.ua for c in row] for row in rows])
        mean = values.mean(1)
        ax.plot(x, mean, style, color=colour, label=label, markersize=4, linewidth=1.3)
        if len(rows[0]) > 1:
            low, high = values.min(1), values.max(1)
            ax.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
        else:
            # Side by side, where two kinds have intervals.
            aside = x + (0.05 if name == "natural" else -0.05)
            _intervals(ax, aside, [row[0] for row in rows], colour)
    ax.set_xticks(x, [size_name(size) for size in sizes])
    ax.set_xlabel("clips heard before")
    headline(ax, f"{case.title}\n{case.n_speakers} speakers", 40)
    bare(ax)


def _intervals(
    ax: Axes, x: np.ndarray, cells: Sequence[HistoryResult], colour: str
) -> None:
    for at, cell in zip(x, cells, strict=True):
        if cell.interval is not None:
            low, high = 100 * cell.interval.low, 100 * cell.interval.high
            ax.vlines(at, low, high, color=colour, linewidth=1, alpha=0.45)
