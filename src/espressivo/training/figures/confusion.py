"""Figures of confusion matrices, one or several side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.figures.style import (
    canvas,
    headline,
    literal_text,
    save,
    wrapped,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_WIDTH = 38  # letters of a title that fit a panel
_CELL = "#08519c"  # blue of a share of 1
_DARK = 0.7  # share whose cell is too dark for black letters


@dataclass(frozen=True, eq=False)
class Confusion:
    """One confusion matrix [C, C]: rows are actual, columns predicted classes.

    Attributes:
        cells: Numbers of utterances, or shares of each row if only these are known.
        title: Name of what was evaluated; newlines separate lines.
        are_counts: Whether `cells` are numbers of utterances.
    """

    cells: NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
    title: str
    are_counts: bool = True


def plot_confusion(
    confusion: NDArray[np.int64],
    path: Path,
    title: str = "",
    emotions: Sequence[Emotion] = tuple(Emotion),
) -> None:
    """Draw a confusion matrix into `path`: shares of each actual class, and counts.

    Args:
        confusion: Numbers of utterances [C, C]; rows actual, columns predicted.
        path: A .png, .svg or .pdf file.
        title: Name of what was evaluated.
        emotions: Names of rows and columns.
    """
    plot_confusions([Confusion(confusion, title)], path, emotions)


@literal_text()
def plot_confusions(
    confusions: Sequence[Confusion],
    path: Path | Sequence[Path],
    emotions: Sequence[Emotion] = tuple(Emotion),
) -> None:
    """Draw confusion matrices side by side into `path`, on one colour scale.

    Args:
        confusions: At least one matrix; counts are drawn below shares where known.
        path: A .png, .svg or .pdf file, or several.
        emotions: Names of rows and columns.
    """
    n = len(confusions)
    n_lines = max(wrapped(c.title, _WIDTH).count("\n") for c in confusions) + 1
    figure = canvas(0.9 + 3.7 * n, 4.0 + 0.2 * n_lines)
    axes = figure.subplots(1, n, squeeze=False, sharey=True)[0]
    for ax, confusion in zip(axes, confusions, strict=True):
        _matrix(ax, confusion, [str(emotion) for emotion in emotions])
    axes[0].set_ylabel("actual")
    save(figure, path)


def _matrix(ax: Axes, confusion: Confusion, names: list[str]) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415  # slow

    cells = np.asarray(confusion.cells, np.float64)
    total = cells.sum(1, keepdims=True) if confusion.are_counts else np.ones((1, 1))
    shares = cells / np.where(total > 0, total, 1)
    for (row, column), share in np.ndenumerate(shares):
        # Transparent, not mixed with white, so that it suits dark paper, too.
        ax.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5), 1, 1, color=_CELL, alpha=share, linewidth=0
            )
        )
        ink = "white" if share > _DARK else "black"
        place: dict[str, Any] = {"ha": "center", "color": ink}
        if confusion.are_counts:
            # A mean over seeds need not be whole.
            count = f"{cells[row, column]:.1f}".removesuffix(".0")
            ax.text(column, row - 0.04, f"{share:.0%}", va="bottom", size=12, **place)
            ax.text(column, row + 0.10, count, va="top", size=8, **place)
        else:
            ax.text(column, row, f"{share:.0%}", va="center", size=12, **place)
    ends = (-0.5, len(names) - 0.5)
    ax.set(xlim=ends, ylim=ends[::-1], aspect="equal")
    ticks = range(len(names))
    ax.set_xticks(ticks, labels=names)
    ax.set_yticks(ticks, labels=names)
    ax.set_xlabel("predicted")
    headline(ax, confusion.title, _WIDTH)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
