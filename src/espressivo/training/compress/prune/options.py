"""Options of a pruning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from espressivo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """Options of a pruning.

    Attributes:
        share: Share of the parameters of heads, neurons, channels and blocks that is
            left, between 0 and 1.
        megabytes: Size of the int8 graph instead, in units of 1,000,000 bytes.
        n_steps: Steps of the schedule: each removes as many parameters, and recovers.
        epochs: Epochs of recovery after each step; 0 turns the recovery off.
        n_draws: Clips drawn for an epoch, balanced over corpora and emotions.
        learning_rate: Peak learning rate of the recovery.
        n_calibration: Recordings that the importance is measured on.
        seed: Seed of the drawn recordings and of the random directions.
        corpora: Name of a training corpus -> its folder, where that is not the run's.
        cache: Folder that caches decoded recordings and features.
        skip_unreadable: Go on without recordings that cannot be read.
    """

    share: float | None = None
    megabytes: float | None = None
    n_steps: int = 3
    epochs: int = 2
    n_draws: int = 2000
    learning_rate: float = 3e-5
    n_calibration: int = 64
    seed: int = 0
    corpora: Mapping[str, Path] = field(default_factory=dict)
    cache: Path | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        """Raise an error unless there is exactly one budget."""
        if (self.share is None) == (self.megabytes is None):
            raise ConfigError("pruning needs one budget: give share or megabytes")

    def to_dict(self) -> dict[str, Any]:
        """Return what determines the result, as JSON values."""
        keys = ("share", "megabytes", "n_steps", "epochs", "n_draws", "learning_rate")
        return {key: getattr(self, key) for key in (*keys, "n_calibration", "seed")}
