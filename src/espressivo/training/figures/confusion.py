"""Figures of how good a model is (matplotlib)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def plot_confusion(
    confusion: NDArray[np.int64],
    path: Path,
    title: str = "",
    emotions: Sequence[Emotion] = tuple(Emotion),
) -> None:
    """Draw a confusion matrix into `path`: share of each actual class, and counts.

    Args:
        confusion: Utterances [C, C]; rows actual, columns predicted.
        path: A .png, .svg or .pdf file.
        title: What was evaluated.
        emotions: Names of rows and columns.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # no pyplot: no display

    total = confusion.sum(1, keepdims=True).clip(1)
    shares = confusion / total
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(confusion):
        for column, count in enumerate(counts):
            share = shares[row, column]
            ink = "white" if share > 0.65 else "black"
            place: dict[str, Any] = {"ha": "center", "color": ink}
            ax.text(column, row - 0.04, f"{share:.0%}", va="bottom", size=12, **place)
            ax.text(column, row + 0.10, f"{count}", va="top", size=8, **place)
    ticks = range(len(emotions))
    ax.set_xticks(ticks, labels=[str(e) for e in emotions])
    ax.set_yticks(ticks, labels=[str(e) for e in emotions])
    ax.set(xlabel="predicted", ylabel="actual")
    ax.set_title(title, loc="left", fontsize=10)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.savefig(path, dpi=150)
