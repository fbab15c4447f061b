"""Refusal of settings that are wrong, or would have no effect, when a file is read."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from espressivo.errors import ConfigError
from espressivo.training.config.sections import AdaptationConfig, LossConfig
from espressivo.training.corpora.licence import find_licence
from espressivo.training.networks import NETWORKS
from espressivo.training.networks.config import require_dimensions
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from espressivo.training.config.sections import (
        AdaptationMethod,
        ClassifierConfig,
        ExperimentConfig,
    )

# Setting of [adaptation] -> the methods that use it; any other combination is refused.
_ADAPTATION_USES: dict[str, tuple[AdaptationMethod, ...]] = {
    "weight": ("dann", "cdan", "coral", "class-coral"),
    "target": ("dann", "cdan", "coral", "class-coral", "mixstyle", "style"),
    "probability": ("mixstyle", "style"),
    "alpha": ("mixstyle",),
    "step": ("group-dro",),
}


def require_consistent(config: ExperimentConfig, path: Path) -> None:
    """Refuse an experiment that cannot be run as it is written.

    Args:
        config: The settings, before their paths are made absolute.
        path: The file, for the messages.

    Raises:
        ConfigError: A value does not exist, or a setting would have no effect.
    """
    # Not a `Literal`, since networks can be registered from outside.
    _require_kind(config.network.kind, path)
    _require_licences(config.licences, path)
    _require_corpora(config, path)
    _require_closed_form(config.classifier, path)
    _require_shares(config, path)
    _require_adaptable(config, path)
    _require_task(config, path)


def _require_kind(kind: str, path: Path) -> None:
    """Refuse an unregistered network, with the same message as `toml.build`."""
    if kind not in NETWORKS:
        kinds = ", ".join(repr(name) for name in NETWORKS)
        raise ConfigError(
            f"{path}: 'network.kind' is {kind!r}; it should be one of {kinds}"
        )


def _require_licences(licences: Mapping[str, str], path: Path) -> None:
    """Refuse a stated licence that is not known, before anything is trained."""
    for name, identifier in licences.items():
        try:
            find_licence(identifier)
        except ConfigError as error:
            raise ConfigError(f"{path}: 'licences.{name}' is {error}") from None


def _require_corpora(config: ExperimentConfig, path: Path) -> None:
    for name in config.speakers:
        if name not in config.corpora:
            raise ConfigError(
                f"{path}: 'speakers.{name}' names no corpus of the file (it has: "
                f"{', '.join(config.corpora) or 'none'}); add it under [corpora]"
            )


def _require_closed_form(classifier: ClassifierConfig, path: Path) -> None:
    if classifier.background and classifier.fit == "gradient":
        raise ConfigError(
            f"{path}: 'classifier.background' is for closed forms, and gradient "
            "descent would ignore it; set classifier.fit to 'discriminant' or "
            "'logistic', or leave background out"
        )


def _require_shares(config: ExperimentConfig, path: Path) -> None:
    """Refuse weights of corpora and priors of emotions that would have no effect."""
    classifier = config.classifier
    for key, known in (("weights", config.corpora), ("priors", tuple(Emotion))):
        shares = getattr(classifier, key)
        if key == "weights" and shares and classifier.fit != "discriminant":
            raise ConfigError(
                f"{path}: 'classifier.weights' is for classifier.fit = 'discriminant', "
                f"not '{classifier.fit}'; leave it out"
            )
        if shares and classifier.fit == "gradient":
            raise ConfigError(
                f"{path}: 'classifier.{key}' is for closed forms, and gradient descent "
                "would ignore it; leave it out"
            )
        for name, share in shares.items():
            if name not in known:
                raise ConfigError(
                    f"{path}: 'classifier.{key}' names '{name}'; it should be one of "
                    f"{', '.join(known)}"
                )
            if not 0 < share < inf:
                raise ConfigError(
                    f"{path}: 'classifier.{key}.{name}' is {share}, not a positive "
                    "number"
                )


def _require_adaptable(config: ExperimentConfig, path: Path) -> None:
    """Refuse settings of [adaptation] that would have no effect."""
    adaptation, plain = config.adaptation, AdaptationConfig()
    for key, methods in _ADAPTATION_USES.items():
        value = getattr(adaptation, key)
        if value != getattr(plain, key) and adaptation.method not in methods:
            raise ConfigError(
                f"{path}: 'adaptation.{key}' is {value!r}, which method "
                f"'{adaptation.method}' does not use; remove it, or set "
                f"adaptation.method to one of {', '.join(methods)}"
            )
    if adaptation.method == "none":
        return
    if config.classifier.fit != "gradient":
        raise ConfigError(
            f"{path}: 'adaptation.method' is '{adaptation.method}', which needs "
            f"gradient descent, but 'classifier.fit' is '{config.classifier.fit}'; set "
            "classifier.fit to 'gradient' and training.epochs, or remove [adaptation]"
        )
    if not config.training.epochs:
        raise ConfigError(
            f"{path}: 'adaptation.method' is '{adaptation.method}', but "
            "'training.epochs' is 0, so that nothing is trained; set it, or remove "
            "[adaptation]"
        )


def _require_task(config: ExperimentConfig, path: Path) -> None:
    """Refuse a task without its dimensions, and settings that have no effect on it."""
    task, loss, plain = config.task, config.loss, LossConfig()
    names = config.network.dimensions
    unused: tuple[str, ...] = ()
    if task == "emotions":
        unused = ("emotions", "dimensions", "dimension_weights")
        if names and config.classifier.fit == "gradient":
            raise ConfigError(
                f"{path}: 'network.dimensions' is {list(names)}, but nothing trains "
                "them with task 'emotions'; set task to 'both' or 'dimensions' (from "
                "ratings), or classifier.fit to 'discriminant' (from the order of "
                "emotions)"
            )
    else:
        _require_dimensions(config, path)
        if task == "dimensions":
            unused = ("emotions", "dimensions")
    for key in unused:
        if getattr(loss, key) != getattr(plain, key):
            raise ConfigError(
                f"{path}: 'loss.{key}' is {getattr(loss, key)!r}, which task '{task}' "
                'does not use; remove it, or set task = "both"'
            )
    require_dimensions(config.network)
    _require_weights(config, path)


def _require_weights(config: ExperimentConfig, path: Path) -> None:
    """Refuse weights of losses that are negative or endless, or of other dimensions."""
    loss = config.loss
    names, weights = config.network.dimensions, loss.dimension_weights
    for key in ("emotions", "dimensions"):
        if not 0 <= getattr(loss, key) < inf:
            raise ConfigError(
                f"{path}: 'loss.{key}' is {getattr(loss, key)}; a weight is a number "
                "from 0 on"
            )
    if config.task == "both" and not (loss.emotions or loss.dimensions):
        raise ConfigError(
            f"{path}: 'loss.emotions' and 'loss.dimensions' are both 0, so that "
            "nothing would be trained; give one of them a weight above 0"
        )
    if weights and not (
        len(weights) == len(names)
        and all(0 <= weight < inf for weight in weights)
        and any(weights)
    ):
        raise ConfigError(
            f"{path}: 'loss.dimension_weights' is {list(weights)}; give one weight for "
            f"each of {', '.join(names)}, none below 0 and not all of them 0"
        )


def _require_dimensions(config: ExperimentConfig, path: Path) -> None:
    """Refuse a configuration in which dimensions cannot be learned from ratings."""
    what = f"{path}: 'task' is '{config.task}'"
    if not config.network.dimensions:
        raise ConfigError(
            f"{what}, but 'network.dimensions' names none; add dimensions = "
            '["arousal", "valence", "dominance"] to [network], for example'
        )
    if config.classifier.fit != "gradient" or not config.training.epochs:
        raise ConfigError(
            f"{what}, which needs gradient descent; set training.epochs, and "
            "classifier.fit to 'gradient'"
        )
    if config.task == "dimensions" and config.adaptation.method != "none":
        raise ConfigError(
            f"{what}, but 'adaptation.method' is '{config.adaptation.method}', which "
            "is for emotions; set task to 'both', or remove [adaptation]"
        )
