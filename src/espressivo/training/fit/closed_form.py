"""Classifiers fitted in closed form to the embeddings of unaugmented clips.

Functions with the suffix `_on_clips` compute the embeddings of clips; the functions
that they call take arrays.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from espressivo.training.fit.lda import (
    fit_lda,
    left_out_logits,
    left_out_temperature,
)
from espressivo.training.fit.predict import apply_to_clips
from espressivo.training.fit.profile_fit import fit_profile_classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.clips.batches import Batches
    from espressivo.training.config import ClassifierConfig, ProfileConfig
    from espressivo.training.fit.profile_head import ProfileClassifier

    Fit = Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]


def fit_last_layer_on_clips(
    batches: Batches, config: ClassifierConfig
) -> tuple[float, float]:
    """Fit the network's last layer in place.

    The embedding is standardized over these clips: for the regression each dimension,
    for the discriminant all dimensions by one scale (see `fit_lda`).

    Returns:
        The cross-entropy on these clips, and the temperature fitted to predictions for
        left-out corpora. The temperature is not applied to the network.
    """
    network = batches.extractor.network.eval()
    raw = torch.from_numpy(apply_to_clips(batches, network.pooled))
    utterances = [clip.utterance for clip in batches.clips.clips]
    corpora = [utterance.corpus for utterance in utterances]
    speakers = [utterance.speaker for utterance in utterances]
    labels = batches.labels
    fit = _fits()[config.fit](config)
    with torch.no_grad():
        device = network.classify.weight.device
        # The statistics of standardization are part of the network, and exported.
        network.standardize.fit(raw.to(device))
        if config.fit == "discriminant":
            scale = network.standardize.scale
            scale.fill_(scale.square().mean().sqrt())
        embeddings = network.standardize(raw.to(device))
        rows = embeddings.cpu().numpy()
        weight, bias = fit(rows, labels, corpora)
        left_out, index = left_out_logits(fit, rows, labels, corpora, speakers)
        temperature = left_out_temperature(
            left_out, labels[index], [corpora[i] for i in index]
        )
        network.classify.weight.copy_(torch.from_numpy(weight))
        network.classify.bias.copy_(torch.from_numpy(bias))
        logits = network.classify(embeddings).cpu()
    return float(cross_entropy(logits, torch.from_numpy(labels))), temperature


def fit_profile_classifier_on_clips(
    batches: Batches, config: ProfileConfig
) -> ProfileClassifier:
    """Return a profile classifier fitted to clips; the network is not changed.

    Raises:
        TrainingError: Too few speakers have all emotions.
    """
    network = batches.extractor.network.eval()
    utterances = [clip.utterance for clip in batches.clips.clips]
    # Profiles hold embeddings before standardization, so its scale is divided out.
    weight = network.classify.weight.detach().double()
    return fit_profile_classifier(
        apply_to_clips(batches, network.pooled),
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
    """Fit a multinomial logistic regression in which all classes have equal weight.

    Args:
        rows: float [N, width], standardized.
        labels: int [N]; all classes 0..C-1 occur.
        corpora: Unused; it is here because `fit_lda` has the same signature.
        strength: Inverse of the L2 penalty.

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
            fit_lda, interaction=config.interaction, ridge=config.ridge
        ),
        "logistic": lambda config: partial(fit_logistic, strength=config.strength),
    }
