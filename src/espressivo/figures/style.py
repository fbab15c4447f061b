"""Common style of all figures: colours, canvas, saving (matplotlib)."""

from __future__ import annotations

import logging
import textwrap
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espressivo.files.atomic import replacing
from espressivo.text import to_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#0072b2"
"""Blue, for our results."""
PALE = "#8c8c8c"
"""Grey, for results that ours are compared with. It is distinct from `INK` in the
common kinds of colour blindness and in greyscale print (after Okabe and Ito, 2008)."""
ACCENT = "#d55e00"
"""Vermilion, for highlighted results."""


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw names as they are inside the `with` block, or in a function that it wraps.

    matplotlib takes what is between dollar signs for formulas, and warns of characters
    that no font has (they become boxes) and of a missing home folder.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import matplotlib as mpl  # noqa: PLC0415  # slow

        with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            yield
    finally:
        logger.setLevel(level)


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches.

    It is created without pyplot, which would need a display.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # slow

    return Figure(figsize=(width, height), layout="constrained")


def panels(n: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with `n` panels, three per row, each of a size in inches."""
    n_columns = min(3, n)
    n_rows = -(-n // n_columns)
    figure = canvas(0.8 + width * n_columns, 0.3 + height * n_rows)
    # `squeeze=False` returns an array for a single panel, too.
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for ax in grid[n:]:
        ax.remove()
    return figure, grid[:n]


def save(figure: Figure, path: Path | Sequence[Path]) -> None:
    """Write a figure as .png, .svg or .pdf, atomically; equal ones give equal bytes.

    For several files, the figure is laid out once, which takes much of the time.
    """
    import matplotlib as mpl  # noqa: PLC0415  # slow
    from matplotlib.text import Text  # noqa: PLC0415  # slow

    for text in figure.findobj(Text):
        text.set_text(to_lines(text.get_text()))
    # Creation dates and the random ids of SVG would change the bytes at every run.
    dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for each in [path] if isinstance(path, Path) else path:
        form = each.suffix.lower().removeprefix(".")
        with mpl.rc_context({"svg.hashsalt": "espressivo"}), replacing(each) as partial:
            figure.savefig(partial, format=form, dpi=150, metadata=dates.get(form))
        figure.set_layout_engine("none")


def wrapped(text: str, width: int) -> str:
    """Return text with lines wrapped at `width` characters."""
    return "\n".join(textwrap.fill(line, width) for line in to_lines(text).split("\n"))


def headline(ax: Axes, text: str, width: int) -> None:
    """Set a left-aligned title, wrapped at `width` characters."""
    ax.set_title(wrapped(text, width), loc="left", fontsize=10)


def bare(ax: Axes) -> None:
    """Hide the upper and right side of the frame."""
    ax.spines[["top", "right"]].set_visible(False)
