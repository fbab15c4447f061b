"""Fit of the profile classifier to labelled clips of several speakers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.fit.lda import fit_lda
from espressivo.training.fit.profile_head import SUSPICION, ProfileClassifier
from espressivo.training.fit.speaker_means import (
    class_offsets,
    speaker_axes,
    speaker_means,
)
from espressivo.training.folds.weights import balanced_weights
from espressivo.training.scores.temperature import fit_temperature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.config import ProfileConfig

    _Float = NDArray[np.float64]

_N_FOLDS = 10
_FEWEST = 3  # speakers: with one left out, two remain that can differ


def fit_profile_classifier(
    embeddings: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    corpora: Sequence[str],
    speakers: Sequence[str],
    *,
    plain: NDArray[np.floating[Any]],
    config: ProfileConfig,
) -> ProfileClassifier:
    """Return a classifier fitted to embeddings minus the baseline of their speaker.

    In training the baseline is known: the mean of a speaker's clips, each
    emotion with equal weight. Two linear classifiers, LDA and logistic regression, are
    averaged, since each is better where the other is worse. The scale of their logits
    is fitted to left-out speakers, in ten folds.

    Args:
        embeddings: [N, width].
        labels: [N], in 0..C-1.
        corpora: Corpus name of each embedding [N].
        speakers: Speaker name of each embedding [N].
        plain: [C, width], weights of the plain classifier's logits.
        config: Settings of the fits, and of the use of a profile.

    Raises:
        TrainingError: Fewer than three speakers have all emotions.
    """
    rows = np.asarray(embeddings, np.float64)
    kept = _with_all_emotions(labels, np.asarray(speakers))
    rows, labels = rows[kept], labels[kept]
    speaker, corpus = np.asarray(speakers)[kept], np.asarray(corpora)[kept]
    # The penalty of the regression treats all dimensions alike, so they get one scale.
    scale = rows.std(0) + 1e-4
    rows = rows / scale
    baselines = speaker_means(rows, labels, speaker)
    centred = rows - baselines[_index(speaker)]
    weight, bias = _fit_scaled(centred, labels, corpus, speaker, config)
    # Corpora have equal weight, so that one with many speakers does not dominate.
    first = np.unique(speaker, return_index=True)[1]
    origin = np.average(baselines, axis=0, weights=_corpus_weights(corpus[first]))
    axes, limit = _fit_distances(rows, corpus, speaker)
    return ProfileClassifier(
        plain=np.asarray(plain, np.float64),
        # Back to the scale of the embeddings that `model.onnx` returns.
        weight=weight / scale,
        bias=bias,
        origin=np.asarray(origin) * scale,
        offsets=class_offsets(centred, labels, corpus) * scale,
        axes=axes / scale,
        patience=config.patience,
        discount=config.discount,
        spread=config.spread,
        distance_limit=limit,
    )


def _index(names: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return the index of each name among the sorted names."""
    return np.unique(names, return_inverse=True)[1]


def _fit_scaled(
    centred: _Float,
    labels: NDArray[np.integer[Any]],
    corpora: NDArray[Any],
    speakers: NDArray[Any],
    config: ProfileConfig,
) -> tuple[_Float, _Float]:
    """Fit the average of both classifiers, its logits at temperature 1."""
    # Speakers, not clips, are divided into folds: clips of one speaker are alike.
    index = _index(speakers)
    logits = np.zeros((2, len(labels), int(labels.max()) + 1))
    predicted = np.zeros(len(labels), bool)
    for fold in range(_N_FOLDS):
        test = index % _N_FOLDS == fold
        try:
            parts = _fit_both(centred[~test], labels[~test], corpora[~test], config)
        except (TrainingError, ValueError):
            continue  # with few speakers, no clip of a corpus or a class may be left
        predicted |= test
        for number, (weight, bias) in enumerate(parts):
            logits[number][test] = centred[test] @ weight.T + bias
    whole = _fit_both(centred, labels, corpora, config)
    factors = [0.5, 0.5]
    if predicted.any():
        counted = _corpus_weights(corpora)[predicted]
        factors = _logit_factors(logits[:, predicted], labels[predicted], counted)
    weights = [
        factor * weight for factor, (weight, _) in zip(factors, whole, strict=True)
    ]
    biases = [factor * bias for factor, (_, bias) in zip(factors, whole, strict=True)]
    return np.add(*weights), np.add(*biases)


def _logit_factors(
    logits: _Float, labels: NDArray[np.integer[Any]], counted: _Float
) -> list[float]:
    """Return the factor of each classifier's logits in the calibrated average.

    Args:
        logits: [2, N, C], of speakers to whom the classifiers were not fitted.
        labels: [N].
        counted: Weight of each row [N].
    """
    scales = [fit_temperature(part, labels, counted) for part in logits]
    both: _Float = np.mean(logits / np.reshape(scales, (2, 1, 1)), axis=0)
    whole = fit_temperature(both, labels, counted)
    return [1 / (2 * scale * whole) for scale in scales]


def _fit_both(
    centred: _Float,
    labels: NDArray[np.integer[Any]],
    corpora: NDArray[Any],
    config: ProfileConfig,
) -> list[tuple[_Float, _Float]]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow

    discriminant = fit_lda(
        centred,
        labels,
        corpora.tolist(),
        interaction=config.interaction,
        ridge=config.ridge,
    )
    regression = LogisticRegression(C=config.strength, max_iter=2000)
    groups = np.char.add(corpora.astype(str), labels.astype(str)).tolist()
    # Their sum is N, since scikit-learn's C weighs the sum of losses, not the mean.
    weights = len(labels) * balanced_weights(groups, total=1.0)
    regression.fit(centred, labels, sample_weight=weights)
    return [
        discriminant,
        (regression.coef_.astype(np.float64), regression.intercept_.astype(np.float64)),
    ]


def _with_all_emotions(
    labels: NDArray[np.integer[Any]], speakers: NDArray[Any]
) -> NDArray[np.integer[Any]]:
    """Return the rows of speakers who have clips of all emotions."""
    n_classes = int(labels.max()) + 1
    index = _index(speakers)
    found = np.zeros((int(index.max()) + 1, n_classes), bool)
    found[index, labels] = True
    # A mean without one emotion would be a baseline of the other three.
    complete: NDArray[np.bool_] = found.sum(1) == n_classes
    if complete.sum() < _FEWEST:
        raise TrainingError(
            f"{complete.sum()} of {len(complete)} speakers have utterances of all "
            f"emotions, and a head for profiles needs {_FEWEST} or more of them; set "
            "profile.fit = false"
        )
    return np.flatnonzero(complete[index])


def _corpus_weights(corpora: NDArray[Any]) -> _Float:
    """Return row weights that give every corpus equal weight; their sum is 1."""
    return balanced_weights(corpora.tolist(), total=1.0)


def _fit_distances(
    rows: _Float, corpora: NDArray[Any], speakers: NDArray[Any]
) -> tuple[_Float, float]:
    """Return the axes that separate speakers, and the distance limit.

    The limit is exceeded by 2 % of the recordings of left-out speakers, each measured
    from the mean of that speaker's others; every corpus counts the same.
    """
    index = _index(speakers)
    distances = np.zeros(len(rows))
    for fold in range(_N_FOLDS):
        test = index % _N_FOLDS == fold
        axes = speaker_axes(rows[~test], corpora[~test], speakers[~test])
        for speaker in set(index[test].tolist()):
            own = np.flatnonzero(index == speaker)
            # A recording must not be part of the mean it is compared with.
            others = (rows[own].sum(0) - rows[own]) / max(1, len(own) - 1)
            squared = (((rows[own] - others) @ axes.T) ** 2).mean(1)
            # As in `ProfileClassifier.distances`, for a mean of one recording less.
            distances[own] = squared * (len(own) - 1) / len(own)
    axes = speaker_axes(rows, corpora, speakers)
    order = np.argsort(distances)
    mass = np.cumsum(_corpus_weights(corpora)[order])
    at = int(np.searchsorted(mass, (1 - SUSPICION) * mass[-1]))
    return axes, float(distances[order][min(at, len(order) - 1)])
