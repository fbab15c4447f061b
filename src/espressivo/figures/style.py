"""The style of all figures: colours, canvas, saving (matplotlib)."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#0072b2"
"""Blue: our results."""
PALE = "#8c8c8c"
"""Grey: results beside ours. It differs from `INK` in the common kinds of colour
blindness, and in print without colour (after Okabe and Ito, 2008)."""
ACCENT = "#d55e00"
"""Vermilion: what a figure points at."""


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure, size in inches; without pyplot it needs no display."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # slow

    return Figure(figsize=(width, height), layout="constrained")


def panels(n: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels, three in a row, each of that size in inches."""
    n_columns = min(3, n)
    n_rows = -(-n // n_columns)
    figure = canvas(0.8 + width * n_columns, 0.3 + height * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for ax in grid[n:]:
        ax.remove()
    return figure, grid[:n]


def save(figure: Figure, path: Path) -> None:
    """Write a .png, .svg or .pdf, the same bytes for the same figure."""
    import matplotlib as mpl  # noqa: PLC0415  # slow

    dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with mpl.rc_context({"svg.hashsalt": "espressivo"}):
        figure.savefig(path, dpi=150, metadata=dates.get(path.suffix.lower()))


def wrapped(text: str, width: int) -> str:
    """Break lines that are longer than `width` letters."""
    return "\n".join(textwrap.fill(line, width) for line in text.split("\n"))


def headline(ax: Axes, text: str, width: int) -> None:
    """Set a title on the left, wrapped."""
    ax.set_title(wrapped(text, width), loc="left", fontsize=10)


def bare(ax: Axes) -> None:
    """Leave out the frame's upper and right side."""
    ax.spines[["top", "right"]].set_visible(False)
