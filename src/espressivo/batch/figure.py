"""Bar chart of the emotions in an archive (matplotlib, extra `plot`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.figures.style import (
    bare,
    canvas,
    headline,
    literal_text,
    save,
)
from espressivo.figures.timeline import COLOURS, HATCH, PALE

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from espressivo.batch.summary import Summary
    from espressivo.types import Emotion


@literal_text()
def plot_summary(summary: Summary, path: Path) -> None:
    """Write a bar chart of each emotion's share of the recordings with speech."""
    figure = canvas(6.4, 2.8)
    ax = figure.subplots()
    emotions = [*summary.emotions]
    shares = [100 * summary.share_of(emotion) for emotion in emotions]
    bars = ax.barh(emotions, shares, color=[COLOURS[emotion] for emotion in emotions])
    counts = [
        f"{share:.1f} %  ({_count(summary, emotion)})"
        for emotion, share in zip(emotions, shares, strict=True)
    ]
    ax.bar_label(bars, counts, padding=4, fontsize=9)
    _cover_uncertain(ax, summary, shares)
    ax.invert_yaxis()
    room = 1.55 if summary.n_uncertain else 1.3  # for the counts
    ax.set_xlim(0, room * max(*shares, 1))
    ax.set_xlabel("share of the recordings with speech (%)")
    ax.tick_params(axis="y", length=0)
    bare(ax)
    silent = summary.n_analysed - summary.n_with_speech
    headline(
        ax,
        f"{summary.n_with_speech:,} recordings with speech; {silent:,} without, "
        f"{summary.n_failed:,} failed",
        70,
    )
    save(figure, path)


def _count(summary: Summary, emotion: Emotion) -> str:
    n = f"{summary.emotions[emotion]:,}"
    uncertain = (summary.uncertain or {}).get(emotion, 0)
    return f"{n}, {uncertain:,} uncertain" if uncertain else n


def _cover_uncertain(ax: Axes, summary: Summary, shares: list[float]) -> None:
    """Make the uncertain part at the end of each bar pale and hatched."""
    for y, (emotion, n) in enumerate((summary.uncertain or {}).items()):
        if n:
            part = shares[y] * n / summary.emotions[emotion]
            ax.barh(
                [y],
                [part],
                left=[shares[y] - part],
                color="white",
                alpha=1 - PALE,
                edgecolor="white",
                linewidth=0,
            )
            ax.barh(
                [y],
                [part],
                left=[shares[y] - part],
                color="none",
                edgecolor="white",
                hatch=HATCH,
                linewidth=0,
            )
