"""Figure of the variants: time against changed predictions; mark area is file size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.quantization.variants import PLAIN
from espressivo.figures.labels import (
    add_label,
    scale_axis,
    separate,
)
from espressivo.figures.style import (
    INK,
    PALE,
    bare,
    canvas,
    headline,
    save,
)

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

_LARGEST = 350.0  # area of the mark of a panel's largest file, in points squared
_SHARES = (0, 1, 2, 5, 10, 20, 50)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw one panel per network into `path`."""
    models = results["models"]
    figure = canvas(0.4 + 5.2 * len(models), 4.8)
    axes = figure.subplots(1, len(models), squeeze=False)[0].tolist()
    drawn = []
    for ax, (model, study) in zip(axes, models.items(), strict=True):
        drawn.append(_panel(ax, study["variants"]))
        headline(ax, f"{model}: {study['n']} recordings nobody trained on", 60)
    axes[0].set_ylabel("predictions that differ from those of fp32 (%)")
    figure.draw_without_rendering()  # computes the layout, on which positions depend
    figure.set_layout_engine("none")
    for ax, labels in zip(axes, drawn, strict=True):
        separate(ax, labels)
    save(figure, path)


def _panel(ax: Axes, variants: dict[str, Any]) -> list[Annotation]:
    largest = max(found["bytes"] for found in variants.values())
    labels, times = [], []
    for name, found in variants.items():
        time = 1.0 if name == PLAIN else found["native"][PLAIN]["ratio"]
        share = 100 * (1 - found["top1"])
        ours = name.startswith("ours")
        ax.scatter(
            time,
            share,
            s=_LARGEST * found["bytes"] / largest,
            color=INK if ours else PALE,
            marker="o" if ours else "s",  # shapes differ for colour-blind readers
            alpha=0.75,
            linewidths=0,
            zorder=3,
        )
        text = f"{name}, {found['bytes'] / 1e6:.1f} MB"
        labels.append(add_label(ax, text, (time, share)))
        times.append(time)
    scale_axis(ax, "x", times)
    ax.set_xlabel("time over plain fp32 (onnxruntime, 1 thread)")
    # Linear up to 1 %, logarithmic beyond: most variants change few predictions.
    ax.set_yscale("symlog", linthresh=1, linscale=0.6)
    ax.set_yticks(_SHARES, [str(share) for share in _SHARES])
    ax.set_ylim(-0.5, 90)
    ax.margins(x=0.15)
    ax.grid(color="#e5e5e5", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    return labels
