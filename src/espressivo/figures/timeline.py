"""Timelines of reports: stacked probabilities over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import EspressivoError
from espressivo.figures.style import canvas, literal_text, save
from espressivo.text import to_line
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from espressivo.report import Report

COLOURS = {
    Emotion.ANGER: "#d55e00",
    Emotion.HAPPINESS: "#e69f00",
    Emotion.NEUTRAL: "#8c8c8c",
    Emotion.SADNESS: "#0072b2",
}
"""Colour of each emotion, distinct in the common kinds of colour blindness (after Okabe
and Ito, 2008)."""

_ROOM = 0.1  # share of the width that the label of a hole takes
_FORMATS = (".png", ".svg", ".pdf")


def require_format(path: Path) -> None:
    """Check a figure's path and matplotlib before the analysis begins.

    Raises:
        EspressivoError: The format is unknown, or the folder does not exist.
        ModuleNotFoundError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise EspressivoError(
            f"{path}: a figure is one of {', '.join(_FORMATS)}; name it so"
        )
    if not path.absolute().parent.is_dir():
        raise EspressivoError(f"{path}: there is no folder {path.parent}; make it")
    with literal_text():  # fails early if matplotlib is not installed
        pass


@literal_text()
def plot_timelines(reports: Sequence[Report], path: Path) -> None:
    """Write a figure with one timeline of stacked probabilities per recording."""
    figure = canvas(9, 0.9 + 1.7 * len(reports))
    axes = figure.subplots(len(reports), 1, squeeze=False)[:, 0]
    for ax, report in zip(axes, reports, strict=True):
        _timeline(ax, report)
    axes[-1].set_xlabel("time (s)")
    figure.legend(
        handles=axes[0].get_legend_handles_labels()[0],
        loc="outside upper center",
        ncols=len(COLOURS),
        frameon=False,
    )
    save(figure, path)


def _timeline(ax: Axes, report: Report) -> None:
    for i, emotion in enumerate(report.emotions):
        ax.bar(
            [e.segment.start_s for e in report.estimates],
            [e.probabilities[i] for e in report.estimates],
            width=[e.segment.end_s - e.segment.start_s for e in report.estimates],
            bottom=[sum(e.probabilities[:i]) for e in report.estimates],
            align="edge",
            color=COLOURS[emotion],
            edgecolor="white",
            linewidth=0.6,
            label=emotion,
        )
    for gap in report.gaps:
        ax.axvspan(gap.start_s, gap.end_s, fc="none", ec="#bbbbbb", hatch="///", lw=0)
    _label_widest(ax, report)
    whole = report.probabilities
    if whole is None or report.emotion is None:
        verdict = "no speech found"
    else:
        verdict = f"{report.emotion} {whole[report.emotion]:.0%}"
    name = to_line(report.recording)
    ax.set_title(f"{name}: {verdict}", loc="left", fontsize=10)
    # matplotlib warns of limits that are equal, as of an empty recording.
    ax.set(xlim=(0, max(report.duration_s, 0.001)), ylim=(0, 1), ylabel="probability")
    ax.set_yticks([0, 0.5, 1])
    ax.spines[["top", "right"]].set_visible(False)


def _label_widest(ax: Axes, report: Report) -> None:
    """Say in the widest hole what its hatching means, where there is room for it."""
    gap = max(report.gaps, key=lambda each: each.n_samples, default=None)
    if gap is None or gap.n_samples < _ROOM * report.duration_s * SAMPLE_RATE:
        return
    ax.text(
        (gap.start_s + gap.end_s) / 2,
        0.5,
        "no sound\nin the file",
        ha="center",
        va="center",
        fontsize=8,
        color="#555555",
        bbox={"color": "white", "pad": 1.5},
    )
