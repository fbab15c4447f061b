"""Figures of the study: UA by size of the history, and the change by setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.figures.style import ACCENT, INK, PALE, bare, headline, panels, save
from espressivo.training.scores.bootstrap import percentile_interval
from research.adaptation.histories import (
    ALMOST_NEUTRAL,
    BALANCED,
    MOSTLY_NEUTRAL,
    PAIRS,
    SINGLE,
)
from research.adaptation.parts import ALL, condition_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from research.adaptation.histories import Content
    from research.adaptation.tables import Case

_GREEN = "#009e73"
_SIZES = (2, 5, 8, 20)


def plot_speakers(cases: Sequence[Case], path: Path) -> None:
    """Draw one panel per case: UA by size of the speaker's history.

    Vertical lines are 95 % intervals over speakers; bars reach from the worst to the
    best one-sided history.
    """
    figure, axes = panels(len(cases), 3.4, 3.0)
    for ax, case in zip(axes, cases, strict=True):
        _speakers(ax, case)
    _finish(figure, axes, "UA, %", path)


def plot_settings(cases: Sequence[Case], path: Path) -> None:
    """Draw one panel per case: UA by number of recordings of the setting."""
    figure, axes = panels(len(cases), 3.4, 3.0)
    for ax, case in zip(axes, cases, strict=True):
        _settings(ax, case)
    _finish(figure, axes, "change of UA, points", path)


def _finish(figure: Figure, axes: Sequence[Axes], label: str, path: Path) -> None:
    for ax in axes[::3]:  # the first of each row
        ax.set_ylabel(label)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    save(figure, path)


def _speakers(ax: Axes, case: Case) -> None:
    found = case.parts["speakers"]

    def ua(name: str, of: str = "adapted") -> np.ndarray:
        return 100 * found[name].scores(case.name, of)["ua"]  # type: ignore[arg-type]

    names = [condition_name(BALANCED, n) for n in _SIZES]
    x = np.arange(len(names) + 2)
    rows = [ua(names[0], "plain"), *map(ua, names), ua(ALL)]
    ax.axhline(rows[0][0], color=PALE, linewidth=0.8, linestyle=":")
    ax.plot(x, [r[0] for r in rows], "o-", color=INK, label="balanced", markersize=4)
    _intervals(ax, x, rows, INK)
    mostly = ua(condition_name(MOSTLY_NEUTRAL, 20))
    at = len(_SIZES) + 0.15
    ax.plot(at, mostly[0], "s", color=_GREEN, label="mostly neutral", markersize=5)
    _intervals(ax, [at], [mostly], _GREEN)
    for contents, n, aside, colour, label in (
        (SINGLE, 10, 3.5, ACCENT, "one emotion only (10 clips)"),
        (PAIRS, 20, 4.3, PALE, "two emotions only (20 clips)"),
    ):
        names = [condition_name(content, n) for content in contents]
        values = [ua(name)[0] for name in names if name in found]
        if values:
            ax.plot([aside] * len(values), values, "_", color=colour, markersize=9)
            ax.vlines(aside, min(values), max(values), color=colour, label=label)
    ax.set_xticks(x, ["0", *map(str, _SIZES), "all"])
    ax.set_xlabel("clips of the speaker")
    headline(ax, case.title, 40)
    bare(ax)


def _settings(ax: Axes, case: Case) -> None:
    found = case.parts["settings"]
    lines: tuple[tuple[Content, str, str], ...] = (
        (BALANCED, INK, "o-"),
        (MOSTLY_NEUTRAL, _GREEN, "s-"),
        (ALMOST_NEUTRAL, ACCENT, "v--"),
    )
    sizes = (5, 20, 100)
    ax.axhline(0, color=PALE, linewidth=0.8, linestyle=":")
    for k, (content, colour, style) in enumerate(lines):
        names = [condition_name(content, n) for n in sizes]
        if not all(name in found for name in names):
            continue
        rows = [100 * found[name].scores(case.name)["ua"] for name in names]
        x = np.arange(len(sizes)) + 0.06 * (k - 1)
        values = [row[0] for row in rows]
        ax.plot(x, values, style, color=colour, label=content.title, markersize=4)
        _intervals(ax, x, rows, colour)
    ax.set_xticks(np.arange(len(sizes)), [str(n) for n in sizes])
    ax.set_xlabel("recordings of the setting")
    headline(ax, case.title, 40)
    bare(ax)


def _intervals(
    ax: Axes, x: Sequence[float] | np.ndarray, rows: Sequence[np.ndarray], colour: str
) -> None:
    for at, row in zip(x, rows, strict=True):
        if len(row) > 1:
            interval = percentile_interval(row[1:])
            ends = (interval.low, interval.high)
            ax.vlines(at, *ends, color=colour, linewidth=1, alpha=0.4)
