"""Linear discriminant analysis (LDA) that is robust to differences between corpora.

It differs from textbook LDA in two ways. Means and covariances are computed within each
corpus and then averaged, so that all corpora have equal weight. Directions in which
corpora disagree about a class are treated as noise, in addition to the scatter within a
class: only a direction that indicates the same emotion in every corpus has weight.

Source: Fisher (1936) for the discriminant; Hatch et al. (2006), within-class covariance
normalization, for treating a nuisance's covariance as noise.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.folds.weights import balanced_weights
from espressivo.training.scores.temperature import fit_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    _Float = NDArray[np.float64]


def fit_lda(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    *,
    interaction: float = 0.5,
    ridge: float = 0.1,
) -> tuple[_Float, _Float]:
    """Return the weight and bias of the linear discriminant.

    Args:
        embeddings: [N, width]; the scale of a dimension has no effect.
        labels: [N], in 0..C-1; every class occurs in every corpus.
        corpora: Corpus name of each embedding [N].
        interaction: Weight of the disagreement between corpora in the noise covariance.
        ridge: Variance added to every dimension, as a share of its scatter.

    Returns:
        Weight [C, width] and bias [C]. The logits are those of C Gaussians with a
        common covariance and equal prior probabilities.

    Raises:
        TrainingError: A corpus lacks a class, so that its means cannot be compared.
    """
    rows = embeddings.astype(np.float64)
    names, n_classes = sorted(set(corpora)), int(labels.max()) + 1
    corpus = np.array([names.index(name) for name in corpora])
    groups = corpus * n_classes + labels
    _require_all(groups, names, n_classes)
    means = np.stack(  # [corpora, C, width]
        [
            [rows[(corpus == c) & (labels == k)].mean(0) for k in range(n_classes)]
            for c in range(len(names))
        ]
    )
    centred = rows - means[corpus, labels]
    weight = balanced_weights(groups.tolist(), total=1.0)
    within = (centred * weight[:, None]).T @ centred
    classes = means.mean(0)  # [C, width]
    noise = within + interaction * _interaction_covariance(means)
    noise += ridge * np.diag(within.diagonal())
    directions = np.linalg.solve(noise, classes.T).T
    # Gaussian log densities without the term that all classes share.
    return directions, -0.5 * (classes * directions).sum(1)


def left_out_temperature(
    fit: Callable[..., tuple[_Float, _Float]],
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    speakers: Sequence[str],
) -> float:
    """Fit the temperature of a classifier on speakers left out of its fit.

    Every speaker is left out once. With few clips for many dimensions, the closed form
    gives logits that are too large (overconfident). Division by this temperature makes
    logits of different training sets comparable. All corpora have equal weight.

    Args:
        fit: Function that fits the classifier, such as `fit_lda`, with its settings.
        embeddings: [N, width].
        labels: [N], in 0..C-1.
        corpora: Corpus name of each embedding [N].
        speakers: Speaker name of each embedding [N].

    Returns:
        The temperature; 1 if a corpus lacks an emotion whichever speaker is left out.
    """
    speaker_of, corpus_of = np.array(speakers), np.array(corpora)
    logits, rows = [], []
    names = sorted(set(speakers))
    for speaker in names if len(names) > 1 else []:
        is_left = speaker_of == speaker
        kept, left = np.flatnonzero(~is_left), np.flatnonzero(is_left)
        try:
            weight, bias = fit(embeddings[kept], labels[kept], corpus_of[kept].tolist())
        except TrainingError:
            continue  # without this speaker a corpus lacks a class
        logits.append(embeddings[left] @ weight.T + bias)
        rows.append(left)
    if not rows:
        return 1.0
    predicted = np.concatenate(rows)
    found = corpus_of[predicted].tolist()
    sizes = Counter(found)
    weights = np.array([1 / sizes[corpus] for corpus in found])
    return fit_temperature(np.concatenate(logits), labels[predicted], weights)


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


def _interaction_covariance(means: _Float) -> _Float:
    """Return the covariance [width, width] of the interaction of corpus and class."""
    # The offset of a whole corpus does not count as disagreement.
    offsets = means - means.mean(1, keepdims=True)
    # As in a two-way analysis of variance: both main effects are removed.
    interaction = (offsets - offsets.mean(0)).reshape(-1, means.shape[-1])
    covariance: _Float = interaction.T @ interaction / len(interaction)
    return covariance
