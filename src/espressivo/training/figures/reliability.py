"""Reliability diagrams: accuracy against confidence."""

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
from espressivo.training.scores.metrics import N_BINS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from espressivo.training.scores.pooled import PooledPredictions

_CHANCE = 0.25  # of four emotions: no top probability is lower


@literal_text()
def plot_reliability(
    pools: Mapping[str, PooledPredictions], path: Path | Sequence[Path]
) -> None:
    """Draw a reliability diagram for each system into `path`, three in a row.

    The upper panel shows accuracy against mean confidence per bin, with 95 % intervals
    over speakers; the diagonal is perfect calibration. The lower panel shows the number
    of predictions per bin.

    Args:
        pools: Name of a system -> its predictions.
        path: A .png, .svg or .pdf file, or several.
    """
    n_columns = min(3, len(pools))
    n_rows = -(-len(pools) // n_columns)
    figure = canvas(0.6 + 3.3 * n_columns, 4.4 * n_rows)
    axes = figure.subplots(
        2 * n_rows, n_columns, squeeze=False, sharex=True, height_ratios=[3, 1] * n_rows
    )
    places = [(r, c) for r in range(n_rows) for c in range(n_columns)]
    for r, c in places[len(pools) :]:
        axes[2 * r, c].remove()
        axes[2 * r + 1, c].remove()
    for (r, c), (name, pool) in zip(places, pools.items(), strict=False):
        _diagram(axes[2 * r, c], axes[2 * r + 1, c], name, pool)
    for r in range(n_rows):
        axes[2 * r, 0].set_ylabel("share of right answers")
        axes[2 * r + 1, 0].set_ylabel("answers")
    save(figure, path)


def _diagram(above: Axes, below: Axes, name: str, pool: PooledPredictions) -> None:
    bins = pool.reliability()
    some = bins.n > 0
    x, y = bins.confidence[some], bins.right[some]
    above.plot([_CHANCE, 1], [_CHANCE, 1], color=PALE, linewidth=1, linestyle="--")
    above.vlines(x, x, y, color=ACCENT, linewidth=3, alpha=0.35, label="gap")
    # A test of a single speaker has no intervals.
    known = ~np.isnan(bins.low[some])
    above.vlines(
        x[known], bins.low[some][known], bins.high[some][known], color=INK, linewidth=1
    )
    above.plot(x, y, "o-", color=INK, markersize=4, linewidth=1.2)
    above.set(xlim=(_CHANCE - 0.02, 1.02), ylim=(-0.02, 1.02))
    headline(above, f"{name}\nECE {pool.scores.ece:.3f}", 34)
    edges = np.arange(N_BINS + 1) / N_BINS
    below.bar(
        edges[:-1], bins.n, width=1 / N_BINS, align="edge", color=INK, edgecolor="white"
    )
    below.set_xlabel("top probability")
    below.tick_params(labelbottom=True)
    for ax in (above, below):
        bare(ax)
