"""What an export may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from espressivo.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from espressivo.training.export.quantize.ranges import RangeMethod

Precision: TypeAlias = Literal["int8", "fp16", "fp32"]


class Progress(Protocol):
    """Told what is going on."""

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None:
        """Say which step begins, and how many of how many like it are done."""


def unwatched(step: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to export.

    Attributes:
        name: Of the model; the run's when None.
        version: Of the model; the package's when None.
        precision: `int8`, `fp16`, or `fp32` for the graph as it is.
        bits: Of weights where precision is `int8`; with 4, activations stay fp32.
        temperature: Divides the logits; the run's `temperature.json` when None, else 1.
        corpora: Name of a training corpus -> its folder, where that is not the run's.
        held_out: Name of a labelled corpus -> its folder, to compare int8 with fp32 on.
        results: What `espressivo evaluate --out` wrote, for the card.
        keep: Patterns of layers that stay fp32.
        budget: Mean change of a probability by rounding that is allowed: what to round
            is then searched for, by measured change and time. None rounds every product
            with weights.
        cache: Folder in which what a search measures is kept for the next one.
        largest_bytes: Size of the graph that may be reached by keeping more layers in
            fp32, those that change most for their size; None keeps no more.
        range_method: How the ranges of activations are chosen.
        n_calibration: Recordings that choose them.
        n_checks: Further recordings that int8 is compared with fp32 on.
        seed: Draws both.
        compare_ranges: Also measure all ways to choose ranges.
        sensitivity: Also measure what each layer alone changes and saves.
        force: Replace a model that is there.
        command: How this was asked for, for the card.
    """

    name: str | None = None
    version: str | None = None
    precision: Precision = "int8"
    bits: Literal[8, 4] = 8
    temperature: float | None = None
    corpora: Mapping[str, Path] = field(default_factory=dict)
    held_out: Mapping[str, Path] = field(default_factory=dict)
    results: Sequence[Path] = ()
    keep: Sequence[str] = ()
    budget: float | None = None
    cache: Path | None = None
    largest_bytes: int | None = None
    range_method: RangeMethod = "mse"
    n_calibration: int = 100
    n_checks: int = 100
    seed: int = 0
    compare_ranges: bool = False
    sensitivity: bool = False
    force: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        """Refuse what would be ignored."""
        if self.bits == 4 and self.precision != "int8":
            raise ExportError(
                f"4 bits of weights and {self.precision} do not go together; "
                "leave --precision out, or --bits"
            )
        eight_only = {
            "a budget": self.budget is not None,
            "a largest size": self.largest_bytes is not None,
            "a comparison of ranges": self.compare_ranges,
        }
        for what, asked in eight_only.items():
            if asked and self.form != "int8":
                raise ExportError(
                    f"{what} is for int8 with 8 bits of weights, not {self.form}; "
                    "leave it out"
                )

    @property
    def form(self) -> str:
        """What comes out: `int8`, `int4` (weights only), `fp16` or `fp32`."""
        return "int4" if self.bits == 4 else self.precision

    @property
    def calibrates(self) -> bool:
        """Whether recordings decide how weights or activations are rounded."""
        return self.precision == "int8"
