"""What an export may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from espressivo.training.export.calibration import RangeMethod

Precision: TypeAlias = Literal["int8", "fp32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to export.

    Attributes:
        name: Of the model; the run's when None.
        version: Of the model; the package's when None.
        precision: `int8`, or `fp32` for the graph as it is.
        temperature: Divides the logits; the run's `temperature.json` when None, else 1.
        corpora: Name of a training corpus -> its folder, where that is not the run's.
        held_out: Name of a labelled corpus -> its folder, to compare int8 with fp32 on.
        results: What `espressivo evaluate --out` wrote, for the card.
        keep: Patterns of layers that stay fp32.
        largest_bytes: Size of the graph that may be reached by keeping more layers in
            fp32, those that change most for their size; None keeps no more.
        range_method: How the ranges of activations are chosen.
        n_calibration: Recordings that choose them.
        n_checks: Further recordings that int8 is compared with fp32 on.
        seed: Draws both.
        sensitivity: Also measure each layer alone in int8.
        force: Replace a model that is there.
        command: How this was asked for, for the card.
    """

    name: str | None = None
    version: str | None = None
    precision: Precision = "int8"
    temperature: float | None = None
    corpora: Mapping[str, Path] = field(default_factory=dict)
    held_out: Mapping[str, Path] = field(default_factory=dict)
    results: Sequence[Path] = ()
    keep: Sequence[str] = ()
    largest_bytes: int | None = None
    range_method: RangeMethod = "mse"
    n_calibration: int = 100
    n_checks: int = 100
    seed: int = 0
    sensitivity: bool = False
    force: bool = False
    command: str = ""
