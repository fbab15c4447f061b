"""Risk-coverage curves: accuracy of the answers against their share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.figures.style import (
    ACCENT,
    INK,
    PALE,
    bare,
    canvas,
    headline,
    literal_text,
    save,
)
from espressivo.training.scores.selective import MIN_ANSWERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from espressivo.training.calibrate import FittedCertainty
    from espressivo.training.scores.selective import RiskCoverage

_LEAST_GAP = 2.8  # between labels, in percent


@literal_text()
def plot_risk_coverage(
    curves: Mapping[str, RiskCoverage],
    overall: RiskCoverage,
    certainty: FittedCertainty | None,
    path: Path,
) -> None:
    """Draw the risk-coverage curves of left-out sets, and of all together, into `path`.

    The vertical axis is the accuracy of the answers, which is 1 - risk. Parts of curves
    with fewer than 50 answers are left out.

    Args:
        curves: Name of a set -> its curve.
        overall: Curve of all sets with equal weight.
        certainty: Threshold to mark on it; None: no mark.
        path: A .png, .svg or .pdf file.
    """
    figure = canvas(7.2, 4.4)
    ax = figure.subplots()
    for curve in curves.values():
        ax.plot(*_points(curve), color=PALE, linewidth=0.9)
    ax.plot(*_points(overall), color=INK, linewidth=2.4)
    ends = {name: 100 * float(curve.accuracy[-1]) for name, curve in curves.items()}
    if len(curves) > 1:
        ends["all, equal weights"] = 100 * float(overall.accuracy[-1])
    _label_ends(ax, ends)
    if certainty is not None:
        _mark(ax, overall, certainty)
    ax.set(xlim=(0, 100), ylim=(min(50, *ends.values()) - 2, 101))
    ax.set_xlabel("share of answers, the most confident first (coverage, %)")
    ax.set_ylabel("right among them (1 - risk, %)")
    headline(ax, "Risk-coverage curves on speakers left out of training", 80)
    bare(ax)
    save(figure, path)


def _points(curve: RiskCoverage) -> tuple[np.ndarray, np.ndarray]:
    enough = curve.n_answers >= min(MIN_ANSWERS, curve.n_answers[-1])
    return 100 * curve.coverage[enough], 100 * curve.accuracy[enough]


def _mark(ax: Axes, overall: RiskCoverage, certainty: FittedCertainty) -> None:
    coverage, accuracy = overall.at_threshold(certainty.threshold)
    x, y = 100 * coverage, 100 * accuracy
    ax.axhline(100 * certainty.accuracy, color=ACCENT, linewidth=0.8, linestyle="--")
    ax.plot([x], [y], "o", color=ACCENT, markersize=7, zorder=3)
    ax.annotate(
        f"top probability of {certainty.threshold:.3f} or more:\n"
        f"{coverage:.0%} of the answers, {accuracy:.0%} right",
        (x, y),
        (0.03, 0.04),
        textcoords="axes fraction",
        fontsize=9,
        color=ACCENT,
        arrowprops={"arrowstyle": "-", "color": ACCENT, "linewidth": 0.8},
    )


def _label_ends(ax: Axes, ends: Mapping[str, float]) -> None:
    """Name the curves at their right ends, moved apart where they would overlap."""
    names = sorted(ends, key=ends.__getitem__)
    places = np.array([ends[name] for name in names])
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + _LEAST_GAP)
    # Back by the mean shift, or labels would only ever move up.
    places -= (places - [ends[name] for name in names]).mean()
    for name, place in zip(names, places, strict=True):
        own = name.startswith("all, ")
        ax.annotate(
            name,
            (100, ends[name]),
            (104, place),
            fontsize=8,
            va="center",
            color=INK if own else "#333333",
            weight="bold" if own else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": PALE,
                "linewidth": 0.5,
                "relpos": (0, 0.5),
                "shrinkA": 0,
            },
        )
