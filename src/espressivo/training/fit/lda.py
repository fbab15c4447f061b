"""A linear classifier in closed form, insensitive to what differs between corpora.

Linear discriminant analysis with two changes. Means and covariances are taken within
each corpus and averaged, so that no corpus counts more. And directions in which one
corpus acts a class otherwise than the next are treated as noise, beside the scatter
within a class: a direction must mean the same emotion everywhere to be listened to.

Source: Fisher (1936) for the discriminant; Hatch et al. (2006), within-class covariance
normalization, for treating a nuisance's covariance as noise.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.scores.temperature import fit_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    _Float = NDArray[np.float64]


def fit_discriminant(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    *,
    interaction: float = 0.5,
    ridge: float = 0.1,
) -> tuple[_Float, _Float]:
    """Fit a linear classifier.

    Args:
        embeddings: [N, width]; a dimension's scale does not matter.
        labels: [N], in 0..C-1, every class in every corpus.
        corpora: [N], where each comes from.
        interaction: How much noise the corpora's disagreement about the classes is.
        ridge: Variance added to every dimension, as a share of its scatter.

    Returns:
        Weight [C, width] and bias [C]; the logits are those of C Gaussians of one
        covariance and equal prior probability.

    Raises:
        TrainingError: A corpus lacks a class, so that its means cannot be compared.
    """
    rows = embeddings.astype(np.float64)
    names, n_classes = sorted(set(corpora)), int(labels.max()) + 1
    where = np.array([names.index(corpus) for corpus in corpora])
    _require_all(where * n_classes + labels, names, n_classes)
    means = np.stack(  # [corpora, C, width]
        [
            [rows[(where == c) & (labels == k)].mean(0) for k in range(n_classes)]
            for c in range(len(names))
        ]
    )
    centred = rows - means[where, labels]
    weight = balanced(where * n_classes + labels)
    within = (centred * weight[:, None]).T @ centred
    classes = means.mean(0)  # [C, width]
    noise = within + interaction * _disagreement(means)
    noise += ridge * np.diag(within.diagonal())
    directions = np.linalg.solve(noise, classes.T).T
    return directions, -0.5 * (classes * directions).sum(1)


def left_out_temperature(
    fit: Callable[..., tuple[_Float, _Float]],
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    speakers: Sequence[str],
) -> float:
    """Find how overconfident the classifier is about speakers it was not fitted to.

    Every speaker is left out once. The fewer clips there are for so many dimensions,
    the larger the logits are that the closed form gives; divided by this, those of
    different training sets mean the same. Every corpus counts the same.

    Args:
        fit: `fit_discriminant` with its settings.
        embeddings: [N, width].
        labels: [N], in 0..C-1.
        corpora: [N], where each comes from.
        speakers: [N], who speaks.

    Returns:
        A temperature; 1 when leaving any speaker out takes an emotion from a corpus.
    """
    who, where = np.array(speakers), np.array(corpora)
    logits, rows = [], []
    everyone = sorted(set(speakers))
    for speaker in everyone if len(everyone) > 1 else []:
        kept, left = np.flatnonzero(who != speaker), np.flatnonzero(who == speaker)
        try:
            weight, bias = fit(embeddings[kept], labels[kept], where[kept].tolist())
        except TrainingError:
            continue
        logits.append(embeddings[left] @ weight.T + bias)
        rows.append(left)
    if not rows:
        return 1.0
    answered = np.concatenate(rows)
    sizes = Counter(where[answered].tolist())
    weights = np.array([1 / sizes[corpus] for corpus in where[answered].tolist()])
    return fit_temperature(np.concatenate(logits), labels[answered], weights)


def _require_all(
    groups: NDArray[np.integer], names: Sequence[str], n_classes: int
) -> None:
    counts = np.bincount(groups, minlength=len(names) * n_classes)
    for group in np.flatnonzero(counts == 0).tolist():
        raise TrainingError(
            f"corpus '{names[group // n_classes]}' has no utterance of class "
            f"{group % n_classes}; the classifier in closed form needs every emotion "
            "in every corpus: leave the corpus out, or set classifier.fit to 'logistic'"
        )


def _disagreement(means: _Float) -> _Float:
    """Covariance [width, width] of the interaction of corpus and class."""
    shapes = means - means.mean(1, keepdims=True)  # a corpus's own offset is no matter
    apart = (shapes - shapes.mean(0)).reshape(-1, means.shape[-1])
    covariance: _Float = apart.T @ apart / len(apart)
    return covariance


def balanced(groups: NDArray[np.integer]) -> _Float:
    """Weigh rows [N] such that every group counts the same; the sum is 1."""
    counts = np.bincount(groups)
    weights: _Float = 1.0 / (counts[groups] * np.count_nonzero(counts))
    return weights
