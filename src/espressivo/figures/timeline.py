"""Timelines of reports: stacked probabilities over time."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from espressivo.errors import EspressivoError
from espressivo.figures.style import canvas, literal_text, save
from espressivo.report import name_levels
from espressivo.text import to_clock, to_line
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

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
PALE = 0.4
"""Opacity of what is uncertain."""
HATCH = r"\\\\"
"""Hatching of what is uncertain, so that it is seen without colour too."""

_MOST_EDGED = 150
"""Number of windows up to which bars have edges and hatching: 4 points each."""
_LETTER = 0.015  # share of the width that a question mark takes
_SHORT_S = 90  # up to which time axes have seconds
# Between ticks of longer ones.
_STEPS_S = (1, 2, 5, 15, 30, 60, 120, 300, 600, 900, 1800)
_MOST_TICKS = 10
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
    figure = canvas(9, 0.9 + 1.9 * len(reports))
    axes = figure.subplots(len(reports), 1, squeeze=False)[:, 0]
    long = any(report.duration_s > _SHORT_S for report in reports)
    for ax, report in zip(axes, reports, strict=True):
        _timeline(ax, report)
        if long:
            _show_clock(ax, report.duration_s)
    axes[-1].set_xlabel("time" if long else "time (s)")
    handles = _legend(reports)
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
    )
    save(figure, path)


def _timeline(ax: Axes, report: Report) -> None:
    for i in range(len(report.emotions)):
        _draw_bars(ax, report, i, unsure=False)
        _draw_bars(ax, report, i, unsure=True)
    for gap in report.gaps:
        ax.axvspan(gap.start_s, gap.end_s, fc="none", ec="#bbbbbb", hatch="///", lw=0)
    _label_widest(ax, report)
    _mark_uncertain(ax, report)
    name = to_line(report.recording)
    levels = name_levels(report.dimensions) if report.dimensions else ""
    below = f"{report.summary or ''}   {levels}".strip()
    ax.set_title(f"{name}: {report.verdict}", loc="left", fontsize=10, pad=20)
    ax.text(0, 1.05, below, transform=ax.transAxes, fontsize=9, color="#555555")
    # matplotlib warns of limits that are equal, as of an empty recording.
    ax.set(xlim=(0, max(report.duration_s, 0.001)), ylim=(0, 1), ylabel="probability")
    ax.set_yticks([0, 0.5, 1])
    ax.spines[["top", "right"]].set_visible(False)


def _show_clock(ax: Axes, duration_s: float) -> None:
    """Label the time axis as m:ss, or h:mm:ss from one hour on."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator  # noqa: PLC0415  # slow

    step = next((s for s in _STEPS_S if duration_s <= _MOST_TICKS * s), None)
    step = step or 3600 * ceil(duration_s / _MOST_TICKS / 3600)
    ax.xaxis.set_major_locator(MultipleLocator(step))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: to_clock(round(at))))


def _draw_bars(ax: Axes, report: Report, i: int, *, unsure: bool) -> None:
    """Draw the probabilities of emotion `i` in all certain or all uncertain windows."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415  # slow

    corners = []
    for e in report.estimates:
        if bool(report.is_uncertain(e)) is unsure:
            start, end = e.segment.start_s, e.segment.end_s
            # The first emotion on top, as in lists, legends and the browser app.
            values = [*e.probabilities.values()][i:]
            low, high = sum(values[1:]), sum(values)
            corners.append([(start, low), (start, high), (end, high), (end, low)])
    # White lines around bars that are as narrow as they are would leave nothing.
    wide = len(report.estimates) <= _MOST_EDGED
    # One collection: a patch for each window takes seconds for an hour of sound.
    ax.add_collection(
        PolyCollection(
            corners,
            facecolor=COLOURS[report.emotions[i]],
            edgecolor="white",
            linewidth=0.6 if wide else 0,
            alpha=PALE if unsure else None,
            hatch=HATCH if unsure and wide else None,
        ),
        autolim=False,
    )


def _legend(reports: Sequence[Report]) -> list[Patch]:
    """Return entries of the emotions, and of uncertain windows if there are some."""
    from matplotlib.patches import Patch  # noqa: PLC0415  # slow

    entries = [Patch(fc=COLOURS[e], label=e) for e in reports[0].emotions]
    if any(any(map(report.is_uncertain, report.estimates)) for report in reports):
        pale = Patch(fc="#777777", ec="white", lw=0, alpha=PALE, hatch=HATCH)
        pale.set_label("? uncertain")
        entries.append(pale)
    return entries


def _mark_uncertain(ax: Axes, report: Report) -> None:
    """Put a question mark on uncertain windows that are wide enough for it."""
    for estimate in report.estimates:
        segment = estimate.segment
        wide = segment.n_samples >= _LETTER * report.duration_s * SAMPLE_RATE
        if report.is_uncertain(estimate) and wide:
            ax.text(
                (segment.start_s + segment.end_s) / 2,
                0.5,
                "?",
                ha="center",
                va="center",
                fontsize=11,
                weight="bold",
                color="#333333",
                bbox={"boxstyle": "circle,pad=0.2", "color": "white"},
            )


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
