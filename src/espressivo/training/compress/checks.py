"""Refusal of a distillation that would teach nothing, before its folder is written."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from espressivo.errors import ConfigError, TrainingError
from espressivo.training.runs.train import pick_precision
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig

_PARTS = ("embedding", "logits", "labels")


def require_distillable(config: ExperimentConfig, clips: Sequence[LoadedClip]) -> None:
    """Refuse a recipe by which a student learns nothing, or less than it says.

    Args:
        config: The recipe of the student.
        clips: Clips with labels; may be empty.

    Raises:
        ConfigError: A setting is out of range, or distillation does not use it.
        TrainingError: The labels lack an emotion that the closed form needs.
    """
    _require_weights(config)
    if config.training.epochs < 1:
        raise ConfigError(
            f"training.epochs is {config.training.epochs}, so that the student would "
            "learn nothing from its teacher; set it to 1 or more"
        )
    if config.task != "emotions" or config.adaptation.method != "none":
        raise ConfigError(
            f"task is '{config.task}' and adaptation.method "
            f"'{config.adaptation.method}', but a student is taught emotions, without "
            "adaptation; leave both out"
        )
    pick_precision(config)
    if not clips and config.network.dimensions:
        raise ConfigError(
            f"network.dimensions is {list(config.network.dimensions)}, which are "
            "fitted to labels, and there are none; leave it out, or name corpora"
        )
    found = {clip.utterance.emotion for clip in clips}
    missing = [str(emotion) for emotion in Emotion if emotion not in found]
    if clips and config.classifier.fit != "gradient" and missing:
        raise TrainingError(
            f"no utterance to train on is {', '.join(missing)}, and classifier.fit "
            f"'{config.classifier.fit}' needs all four emotions; add a corpus with "
            "them, or set classifier.fit to 'gradient'"
        )


def _require_weights(config: ExperimentConfig) -> None:
    given = config.distillation
    if given.n_targets < 1:
        raise ConfigError(
            f"distillation.n_targets is {given.n_targets}; set it to 1 or more"
        )
    if not 0 < given.temperature < inf:
        raise ConfigError(
            f"distillation.temperature is {given.temperature}, not a positive number"
        )
    for key in _PARTS:
        if not 0 <= getattr(given, key) < inf:
            raise ConfigError(
                f"distillation.{key} is {getattr(given, key)}; a weight is a number "
                "from 0 on"
            )
    if not (given.embedding or given.logits):
        raise ConfigError(
            "distillation.embedding and distillation.logits are both 0, so that "
            "nothing would be learned from a teacher; give one of them a weight above 0"
        )
