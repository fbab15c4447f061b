"""Figure of a model's scores by corpus and condition, a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.figures.style import canvas, headline, literal_text, save

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.training.scores.conditions import ConditionMatrix, ConditionScores


@literal_text()
def plot_conditions(matrix: ConditionMatrix, path: Path) -> None:
    """Draw UA in % and, in colour, its change from clean, into `path`.

    Args:
        matrix: The scores.
        path: A .png, .svg or .pdf file.
    """
    rows = [
        [matrix.rows[corpus, name] for corpus in matrix.corpora]
        for name in matrix.conditions
    ]
    n_rows, n_columns = len(rows), len(rows[0])
    figure = canvas(2.2 + 0.95 * n_columns, 1.6 + 0.36 * n_rows)
    ax = figure.subplots()
    changes = np.array([[_change(row) for row in line] for line in rows])
    # Beyond 30 points below, models differ little: near chance.
    image = ax.imshow(changes, cmap="RdBu", vmin=-30, vmax=30, aspect="auto")
    for (y, x), change in np.ndenumerate(changes):
        scores = rows[y][x]
        if np.isnan(scores.ua):
            continue
        ink = "white" if abs(change) > 20 else "black"
        text = f"{100 * scores.ua:.0f}"
        if scores.condition != "clean":
            text += f" ({change:+.0f})"
        ax.text(x, y, text, ha="center", va="center", size=9, color=ink)
    ax.set_xticks(range(n_columns), labels=matrix.corpora, rotation=30, ha="left")
    ax.xaxis.tick_top()
    ax.set_yticks(range(n_rows), labels=matrix.conditions)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.colorbar(image, ax=ax, label="change of UA from clean, points")
    model = matrix.model
    headline(ax, f"{model.model} {model.model_version}: UA in %", 60)
    save(figure, path)


def _change(row: ConditionScores) -> float:
    """Return the change from clean, in points."""
    if np.isnan(row.ua) or not row.clean.utterances:
        return float("nan")
    return 100 * (row.ua - row.clean.scores.ua)
