"""The classifier's last layer fitted at once, to clips as they are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from espressivo.training.fit.lda import (
    fit_discriminant,
    left_out_temperature,
)
from espressivo.training.fit.predict import outputs
from espressivo.training.fit.profile_head import (
    ProfileClassifier,
    fit_profile_classifier,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.clips.feature_cache import Batches
    from espressivo.training.config import ClassifierConfig, ProfileConfig

    Fit = Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]


def fit_classifier(batches: Batches, config: ClassifierConfig) -> tuple[float, float]:
    """Fit the last layer in place; return its cross-entropy, and the temperature.

    The embedding's zero and one become those of these clips. The temperature is fitted
    to answers about speakers left out of the fit, and is not applied.
    """
    network = batches.front.network.eval()
    raw = torch.from_numpy(outputs(batches, network.pooled))
    utterances = [clip.utterance for clip in batches.variations.clips]
    corpora = [utterance.corpus for utterance in utterances]
    speakers = [utterance.speaker for utterance in utterances]
    labels = batches.labels
    fit = _fits()[config.fit](config)
    with torch.no_grad():
        device = network.classify.weight.device
        network.standardize.fit(raw.to(device))
        embeddings = network.standardize(raw.to(device))
        rows = embeddings.cpu().numpy()
        weight, bias = fit(rows, labels, corpora)
        temperature = left_out_temperature(fit, rows, labels, corpora, speakers)
        network.classify.weight.copy_(torch.from_numpy(weight))
        network.classify.bias.copy_(torch.from_numpy(bias))
        logits = network.classify(embeddings).cpu()
    return float(cross_entropy(logits, torch.from_numpy(labels))), temperature


def fit_profile_head(batches: Batches, config: ProfileConfig) -> ProfileClassifier:
    """Fit what takes a speaker's profile to clips as they are, the network as it is.

    Raises:
        TrainingError: Too few speakers have all emotions.
    """
    network = batches.front.network.eval()
    utterances = [clip.utterance for clip in batches.variations.clips]
    weight = network.classify.weight.detach().double()
    return fit_profile_classifier(
        outputs(batches, network.pooled),
        batches.labels,
        [utterance.corpus for utterance in utterances],
        [utterance.speaker for utterance in utterances],
        plain=(weight / network.standardize.scale.double()).cpu().numpy(),
        config=config,
    )


def fit_logistic(
    rows: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    corpora: Sequence[str],
    *,
    strength: float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit multinomial logistic regression, every class counting the same.

    Args:
        rows: float [N, width], standardized.
        labels: int [N]; all classes 0..C-1 occur.
        corpora: Not used: all utterances are of one kind to it.
        strength: Inverse of the penalty.

    Returns:
        Weight [C, width] and bias [C] of the logits.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow

    del corpora
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    model.fit(rows, labels)
    return model.coef_.astype(np.float64), model.intercept_.astype(np.float64)


def _fits() -> dict[str, Callable[[ClassifierConfig], Fit]]:
    return {
        "discriminant": lambda config: partial(
            fit_discriminant, interaction=config.interaction, ridge=config.ridge
        ),
        "logistic": lambda config: partial(fit_logistic, strength=config.strength),
    }
