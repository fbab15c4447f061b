"""Figure of the VAD study: scores by kind of gaps and windowing strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.figures.style import (
    ACCENT,
    INK,
    PALE,
    bare,
    canvas,
    headline,
    save,
)
from research.vad.report import STRATEGY_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from research.vad.report import VadCase

# Hollow where windows are short.
_LOOKS = {
    "whole": (ACCENT, "v", ACCENT),
    "fixed": (PALE, "s", PALE),
    "fixed-short": (PALE, "s", "white"),
    "vad": (INK, "o", INK),
    "vad-short": (INK, "o", "white"),
}
_SCORES = {"ua": "UA, %", "neutral": "other emotions called neutral, %"}


def plot_vad(cases: Sequence[VadCase], path: Path) -> None:
    """Draw one row per case: UA on the left, the neutral bias on the right.

    Rows of a panel are kinds of gaps, marks are windowing strategies and lines are 95 %
    intervals over speakers.
    """
    n_gaps = len(cases[0].gaps)
    figure = canvas(9.6, 0.6 + (0.5 + 0.32 * n_gaps) * len(cases))
    grid = figure.subplots(len(cases), 2, squeeze=False, sharey="row", sharex="col")
    for row, case in zip(grid, cases, strict=True):
        for ax, score in zip(row, _SCORES, strict=True):
            _panel(ax, case, score)
        headline(row[0], f"{case.title}, {case.n_speakers} speakers", 60)
        row[0].set_yticks(range(n_gaps), case.gaps, fontsize=8)
        row[0].invert_yaxis()
    for ax, label in zip(grid[-1], _SCORES.values(), strict=True):
        ax.set_xlabel(label)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9
    )
    save(figure, path)


def _panel(ax: Axes, case: VadCase, score: str) -> None:
    for n, (strategy, (colour, mark, fill)) in enumerate(_LOOKS.items()):
        aside = 0.15 * (n - 2)
        label = STRATEGY_TITLES[strategy]
        for i, gaps in enumerate(case.gaps):
            if (cell := case.cell(gaps, strategy)) is None:
                continue
            value, y = cell.scores[score], i + aside
            if value.interval is not None:
                low, high = 100 * value.interval.low, 100 * value.interval.high
                ax.hlines(y, low, high, color=colour, linewidth=1, alpha=0.5)
            x = 100 * value.value
            ax.plot(
                x,
                y,
                mark,
                color=colour,
                markerfacecolor=fill,
                markersize=4,
                label=label,
            )
            label = "_"  # once is enough for the legend
    ax.axhline(len(case.gaps) - 1.5, color=PALE, linewidth=0.6, linestyle=":")
    ax.grid(axis="x", linewidth=0.4, alpha=0.5)
    bare(ax)
