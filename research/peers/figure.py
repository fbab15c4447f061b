"""Figure of the comparison: UA against size and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.figures.style import ACCENT, INK, PALE, bare, panels, save
from research.peers.results import MEAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from research.peers.results import Result

_CHANCE = 25.0  # percent, with four emotions
_LEAST_MB = 1e-3  # a logarithmic axis has no place for nothing


def plot_peers(results: Sequence[Result], path: Path) -> None:
    """Draw the mean UA with its interval, against MB (left) and time (right).

    Systems without a mean or a cost are left out.
    """
    figure, (by_size, by_time) = panels(2, 4.6, 4.0)
    shown = [result for result in results if MEAN in result.scores]
    sizes = {
        r.name: max(_LEAST_MB, r.cost.n_bytes / 1e6)
        for r in shown
        if r.cost.n_bytes is not None
    }
    times = {r.name: r.cost.ms_per_s for r in shown if r.cost.ms_per_s is not None}
    _panel(by_size, shown, sizes)
    _panel(by_time, shown, times)
    by_size.set_xlabel("size, MB")
    by_time.set_xlabel("CPU time per second of audio, one thread, ms")
    by_size.set_ylabel("UA on a corpus left out, mean of seven, %")
    handles, labels = by_size.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    save(figure, path)


def _panel(ax: Axes, results: Sequence[Result], at: Mapping[str, float]) -> None:
    from matplotlib.ticker import (  # noqa: PLC0415 - slow
        FuncFormatter,
        LogLocator,
        NullFormatter,
    )

    markers = "os^vDPX*<>h"
    for marker, result in zip(markers * len(results), results, strict=False):
        if result.name not in at:
            continue
        score = result.scores[MEAN]
        ua = 100 * score.value
        low, high = 100 * score.interval.low, 100 * score.interval.high
        ax.errorbar(
            at[result.name],
            ua,
            yerr=[[max(0.0, ua - low)], [max(0.0, high - ua)]],
            fmt=marker,
            color=_colour(result.name),
            elinewidth=0.8,
            label=result.name,
        )
    ax.axhline(_CHANCE, color=PALE, linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    if max(at.values()) < 100 * min(at.values()):
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    bare(ax)


def _colour(name: str) -> str:
    if name.startswith("espressivo"):
        return INK
    return ACCENT if name.startswith("whisper") else PALE
