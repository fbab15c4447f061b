"""Options of an export, and the callback that reports its progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from espressivo.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Precision: TypeAlias = Literal["int8", "fp16", "fp32"]


class StepProgress(Protocol):
    """A callback that receives each step of an export when it begins."""

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None:
        """Receive the step's name, and the finished and total number of its items."""


def unwatched(step: str, done: int = 0, total: int = 0) -> None:
    """Ignore the progress of an export; the default callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        name: Name of the model; the run's when None.
        version: Version of the model; the package's when None.
        precision: `int8`, `fp16`, or `fp32` for the graph as it was trained.
        temperature: Divisor of the logits. None selects that of the run's
            `temperature.json`, or 1 without such a file.
        corpora: Name of a training corpus -> its folder, where that is not the run's.
        held_out: Name of a labelled corpus -> its folder, to compare int8 with fp32 on.
        results: Outputs of `espressivo evaluate --out`, for the card.
        keep: Patterns of layers that stay fp32.
        budget: Mean change of a probability that quantization may make. Targets are
            then searched for, by measured change and time. None quantizes every matmul
            with weights.
        cache: Folder that keeps the measurements of a search for the next one.
        n_calibration: Recordings that choose ranges of activations.
        n_checks: Further recordings on which int8 is compared with fp32.
        seed: Seed of the drawing of both sets of recordings.
        sensitivity: Measure what each target alone changes and saves, without a search.
        force: Replace a model that is there.
        command: The command line, for the card.
    """

    name: str | None = None
    version: str | None = None
    precision: Precision = "int8"
    temperature: float | None = None
    corpora: Mapping[str, Path] = field(default_factory=dict)
    held_out: Mapping[str, Path] = field(default_factory=dict)
    results: Sequence[Path] = ()
    keep: Sequence[str] = ()
    budget: float | None = None
    cache: Path | None = None
    n_calibration: int = 100
    n_checks: int = 100
    seed: int = 0
    sensitivity: bool = False
    force: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        """Raise an error for search options that the precision would ignore."""
        if self.budget is not None and self.precision != "int8":
            raise ExportError(
                f"a budget is for int8, not {self.precision}; leave it out"
            )

    @property
    def calibrates(self) -> bool:
        """Whether recordings decide how weights and activations are quantized."""
        return self.precision == "int8"

    @property
    def measures_targets(self) -> bool:
        """Whether the change and time of each quantization target are measured."""
        return self.sensitivity or self.budget is not None
