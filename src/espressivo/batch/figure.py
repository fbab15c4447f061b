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
from espressivo.figures.timeline import COLOURS

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.batch.summary import Summary


@literal_text()
def plot_summary(summary: Summary, path: Path) -> None:
    """Write a bar chart of each emotion's share of the recordings with speech."""
    figure = canvas(6.4, 2.8)
    ax = figure.subplots()
    emotions = [*summary.emotions]
    shares = [100 * summary.share_of(emotion) for emotion in emotions]
    bars = ax.barh(emotions, shares, color=[COLOURS[emotion] for emotion in emotions])
    counts = [
        f"{share:.1f} %  ({summary.emotions[emotion]:,})"
        for emotion, share in zip(emotions, shares, strict=True)
    ]
    ax.bar_label(bars, counts, padding=4, fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.3 * max(*shares, 1))  # room for the counts
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
