"""Figure of time against size and accuracy against time (matplotlib, extra `plot`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.figures.labels import (
    add_label,
    scale_axis,
    separate,
)
from espressivo.figures.pareto import pareto_front
from espressivo.figures.style import (
    ACCENT,
    INK,
    bare,
    canvas,
    literal_text,
    save,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

    from espressivo.bench.report import BenchReport


@dataclass(frozen=True, slots=True)
class Mark:
    """Point of one model in a panel, in the units of its axes."""

    name: str
    x: float
    y: float


@literal_text()
def plot_costs(report: BenchReport, path: Path) -> None:
    """Write a figure of time against size, with the Pareto front.

    A second panel shows accuracy against time if the cards of at least two models have
    UA on the same corpus.
    """
    times_ms = {model.name: 1000 * model.time_s.median for model in report.models}
    sizes = [Mark(m.name, m.bytes / 1e6, times_ms[m.name]) for m in report.models]
    corpus = _shared_corpus(report)
    figure = canvas(5.4 if corpus is None else 10.0, 4.4)
    axes = figure.subplots(1, 1 if corpus is None else 2, squeeze=False)[0]
    time_label = f"time for {report.seconds:g} s, 1 thread (ms)"
    labels = [_panel(axes[0], sizes, "size (MB)", time_label, high_is_good=False)]
    scale_axis(axes[0], "y", [mark.y for mark in sizes])
    if corpus is not None:
        scores = [
            Mark(model.name, times_ms[model.name], model.ua[corpus])
            for model in report.models
            if corpus in model.ua
        ]
        labels.append(
            _panel(axes[1], scores, time_label, f"UA, {corpus}", high_is_good=True)
        )
    title = f"{report.machine.processor}; orange: none is better on both axes"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.draw_without_rendering()  # labels are placed once the layout is known
    figure.set_layout_engine("none")
    for ax, texts in zip(axes, labels, strict=True):
        separate(ax, texts)
    save(figure, path)


def _shared_corpus(report: BenchReport) -> str | None:
    """Return the corpus on which the most models have UA; None for fewer than two."""
    counts: dict[str, int] = {}
    for model in report.models:
        for corpus in model.ua:
            counts[corpus] = counts.get(corpus, 0) + 1
    shared = [corpus for corpus, n in counts.items() if n > 1]
    return max(shared, key=lambda corpus: counts[corpus], default=None)


def _panel(
    ax: Axes, marks: Sequence[Mark], x_label: str, y_label: str, *, high_is_good: bool
) -> list[Annotation]:
    best = pareto_front(marks, lambda mark: (mark.x, mark.y), high_is_good=high_is_good)
    ax.step(
        [mark.x for mark in best],
        [mark.y for mark in best],
        where="post",
        color=ACCENT,
        linewidth=1.2,
        zorder=1,
    )
    for mark in marks:
        colour = ACCENT if mark in best else INK
        ax.plot(mark.x, mark.y, "o", color=colour, markersize=6, zorder=3)
    scale_axis(ax, "x", [mark.x for mark in marks])
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.margins(x=0.25, y=0.2)
    ax.grid(color="#e5e5e5", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    return [add_label(ax, mark.name, (mark.x, mark.y)) for mark in marks]
