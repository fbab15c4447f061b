"""A classifier of how a voice differs from itself, and what it makes of a profile.

The plain classifier judges an embedding as it is. This one judges it less the speaker's
baseline, which a profile estimates from unlabelled recordings::

    baseline = trust (mean - origin - discount (1 - even) sum_k share_k offset_k)
    logits = (1 - trust) (plain logits - W0 baseline) + trust W1 (embedding - baseline)
    trust = even (n - 1) / (n - 1 + patience)

A history of nothing but anger is far from the baseline because of the anger, so a
profile counts only as far as the emotions in it are `even`: the mutual information of
window and emotion, by what the plain classifier says of the n windows heard, as a share
of the largest that there could be for how undecided it is; all from `spread` on. One
window says nothing of that. Of what remains one-sided, `offset` is how far an emotion
is from a baseline, and `share` how probable the plain classifier found it on average.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.fit.lda import (
    balanced,
    fit_discriminant,
)
from espressivo.training.fit.speaker_means import (
    class_offsets,
    per_speaker,
    speaker_axes,
)
from espressivo.training.scores.temperature import fit_temperature, softmax

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.config import ProfileConfig

    _Float = NDArray[np.float64]

_N_FOLDS = 10
_FEWEST = 3  # speakers: with one left out, two are left to differ
LEAST = 1e-9
"""Whose logarithm is taken in place of that of 0."""
LEAST_INFORMATION = 0.05
"""Nats; less than this in the largest there could be is as good as none."""
_SUSPICION = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class ProfileClassifier:
    """All that `profile.onnx` is made from; embeddings are as the graph gives them.

    Attributes:
        plain: float64 [C, width], weights of the plain classifier's logits, before any
            temperature.
        weight: float64 [C, width], of the logits of an embedding less its baseline.
        bias: float64 [C].
        origin: float64 [width], the baseline of the population.
        offsets: float64 [C, width], how far each emotion is from a baseline.
        axes: float64 [axes, width], directions in which voices differ, scaled such that
            recordings of one voice have variance 1.
        patience: Windows, beyond the first, after which a profile counts for half.
        discount: How much of what the emotions account for is believed, 0 to 1.
        spread: Share of the largest information from which on a history is even.
        distance_limit: Exceeded by `suspicion` of a voice's own recordings.
        suspicion: A share.
    """

    plain: _Float
    weight: _Float
    bias: _Float
    origin: _Float
    offsets: _Float
    axes: _Float
    patience: float
    discount: float
    spread: float
    distance_limit: float
    suspicion: float = _SUSPICION

    def probabilities(
        self,
        embeddings: NDArray[np.floating[Any]],
        plain: NDArray[np.floating[Any]],
        count: NDArray[np.floating[Any]],
        traits: NDArray[np.floating[Any]],
        temperature: float = 1.0,
    ) -> _Float:
        """Return probabilities [B, C] given profiles; what `profile.onnx` computes.

        Args:
            embeddings: [B, width].
            plain: [B, C], probabilities without a profile.
            count: [P, 1], windows heard; P is B, or 1 for all the same.
            traits: [P, width + C + 1], mean of `features_of`.
            temperature: That of the plain probabilities.
        """
        width = self.weight.shape[1]
        mean, shares = traits[:, :width], traits[:, width:-1]
        trust, even = self.trust(count, traits)
        accounted = self.discount * (1 - even) * (shares @ self.offsets)
        baseline = trust * (mean - self.origin - accounted)
        logits = np.log(np.maximum(plain, LEAST))
        logits = logits - baseline @ self.plain.T / temperature
        moved = embeddings - self.origin - baseline
        own = moved @ self.weight.T + self.bias
        return softmax((1 - trust) * logits + trust * own)

    def trust(
        self, count: NDArray[np.floating[Any]], traits: NDArray[np.floating[Any]]
    ) -> tuple[_Float, _Float]:
        """Return how much profiles count, and how even their emotions are, [P, 1]."""
        n_emotions, width = self.weight.shape
        shares = np.asarray(traits[:, width:-1], np.float64)
        undecided = np.asarray(traits[:, -1:], np.float64)
        whole = -(shares * np.log(np.maximum(shares, LEAST))).sum(1, keepdims=True)
        possible = np.maximum(np.log(n_emotions) - undecided, LEAST_INFORMATION)
        even = np.clip((whole - undecided) / (self.spread * possible), 0, 1)
        beyond = np.maximum(np.asarray(count, np.float64) - 1, 0)
        return even * beyond / (beyond + self.patience), even

    def distances(
        self,
        embeddings: NDArray[np.floating[Any]],
        count: NDArray[np.floating[Any]],
        mean: NDArray[np.floating[Any]],
    ) -> _Float:
        """Return how far embeddings [B, width] are from profiles, float64 [B, 1]."""
        n = np.asarray(count, np.float64)
        apart = (np.asarray(embeddings - mean, np.float64) @ self.axes.T) ** 2
        distances: _Float = apart.mean(1, keepdims=True) * n / (n + 1)
        return distances

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save_file  # noqa: PLC0415 - with torch, slow

        arrays = {
            name: np.array(value, np.float64, order="C")
            for name, value in asdict(self).items()
        }
        save_file(arrays, path)

    @staticmethod
    def read(path: Path) -> ProfileClassifier:
        """Read what `write` wrote.

        Raises:
            TrainingError: It is something else.
        """
        from safetensors.numpy import load_file  # noqa: PLC0415 - with torch, slow

        try:
            found = load_file(path)
            parts: dict[str, Any] = {
                f.name: found[f.name] for f in fields(ProfileClassifier)
            }
            # An array without axes is a number.
            whole: dict[str, Any] = {
                name: part if part.ndim else float(part) for name, part in parts.items()
            }
            return ProfileClassifier(**whole)
        except Exception as error:  # safetensors' own, OSError, KeyError
            raise TrainingError(
                f"{path}: is not what training with profile.fit writes ({error}); "
                "train again in another folder"
            ) from error


def fit_profile_classifier(
    embeddings: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    corpora: Sequence[str],
    speakers: Sequence[str],
    *,
    plain: NDArray[np.floating[Any]],
    config: ProfileConfig,
) -> ProfileClassifier:
    """Fit a classifier of embeddings less their speaker's baseline.

    In training the baseline is known: the mean of a speaker's clips, every emotion
    counting the same. Two linear classifiers, a discriminant and a logistic regression,
    are averaged: each is better where the other is worse. The scale of their logits is
    fitted to speakers left out, in ten parts.

    Args:
        embeddings: [N, width].
        labels: [N], in 0..C-1.
        corpora: [N], where each comes from.
        speakers: [N], who speaks.
        plain: [C, width], weights of the plain classifier's logits.
        config: Strengths of the fits, and how a profile is used.

    Raises:
        TrainingError: Fewer than three speakers have all emotions.
    """
    rows = np.asarray(embeddings, np.float64)
    who, where = np.asarray(speakers), np.asarray(corpora)
    kept = _complete(labels, who)
    rows, labels, who, where = rows[kept], labels[kept], who[kept], where[kept]
    scale = rows.std(0) + 1e-4
    rows = rows / scale
    baselines = per_speaker(rows, labels, who)
    moved = rows - baselines[who_index(who)]
    weight, bias = _fit_scaled(moved, labels, where, who, config)
    first = np.unique(who, return_index=True)[1]
    origin = _mean_of_corpora(baselines, where[first])
    axes, limit = _suspect(rows, where, who)
    return ProfileClassifier(
        plain=np.asarray(plain, np.float64),
        weight=weight / scale,
        bias=bias,
        origin=origin * scale,
        offsets=class_offsets(moved, labels, where) * scale,
        axes=axes / scale,
        patience=config.patience,
        discount=config.discount,
        spread=config.spread,
        distance_limit=limit,
    )


def who_index(who: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return the index of each row's speaker among the sorted names."""
    return np.unique(who, return_inverse=True)[1]


def _fit_scaled(
    moved: _Float,
    labels: NDArray[np.integer[Any]],
    where: NDArray[Any],
    who: NDArray[Any],
    config: ProfileConfig,
) -> tuple[_Float, _Float]:
    """Fit the average of both, its logits as calibrated as those of the plain one."""
    index = who_index(who)
    left = np.zeros((2, len(labels), int(labels.max()) + 1))
    heard = np.zeros(len(labels), bool)
    for fold in range(_N_FOLDS):
        test = index % _N_FOLDS == fold
        try:
            parts = _fit_both(moved[~test], labels[~test], where[~test], config)
        except (TrainingError, ValueError):
            continue  # with few speakers a corpus or a class may be gone
        heard |= test
        for number, (weight, bias) in enumerate(parts):
            left[number][test] = moved[test] @ weight.T + bias
    whole = _fit_both(moved, labels, where, config)
    factors = [0.5, 0.5]
    if heard.any():
        factors = _calibrated(left[:, heard], labels[heard], _of_corpora(where)[heard])
    weights = [
        factor * weight for factor, (weight, _) in zip(factors, whole, strict=True)
    ]
    biases = [factor * bias for factor, (_, bias) in zip(factors, whole, strict=True)]
    return np.add(*weights), np.add(*biases)


def _calibrated(
    left: _Float, labels: NDArray[np.integer[Any]], counted: _Float
) -> list[float]:
    """Return what to multiply each classifier's logits by, from those of left-out.

    Args:
        left: [2, N, C], logits of speakers whom they were not fitted to.
        labels: [N].
        counted: [N], how much each counts.
    """
    scales = [fit_temperature(logits, labels, counted) for logits in left]
    both: _Float = np.mean(left / np.reshape(scales, (2, 1, 1)), axis=0)
    whole = fit_temperature(both, labels, counted)
    return [1 / (2 * scale * whole) for scale in scales]


def _fit_both(
    moved: _Float,
    labels: NDArray[np.integer[Any]],
    where: NDArray[Any],
    config: ProfileConfig,
) -> list[tuple[_Float, _Float]]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow

    discriminant = fit_discriminant(
        moved,
        labels,
        where.tolist(),
        interaction=config.interaction,
        ridge=config.ridge,
    )
    regression = LogisticRegression(C=config.strength, max_iter=2000)
    groups = who_index(np.char.add(where.astype(str), labels.astype(str)))
    regression.fit(moved, labels, sample_weight=len(labels) * balanced(groups))
    return [
        discriminant,
        (regression.coef_.astype(np.float64), regression.intercept_.astype(np.float64)),
    ]


def _complete(
    labels: NDArray[np.integer[Any]], who: NDArray[Any]
) -> NDArray[np.integer[Any]]:
    """Return the rows of speakers of whom there is every emotion."""
    n_classes = int(labels.max()) + 1
    index = who_index(who)
    found = np.zeros((int(index.max()) + 1, n_classes), bool)
    found[index, labels] = True
    complete: NDArray[np.bool_] = found.sum(1) == n_classes
    if complete.sum() < _FEWEST:
        raise TrainingError(
            f"{complete.sum()} of {len(complete)} speakers have utterances of all "
            f"emotions, and a head for profiles needs {_FEWEST} or more of them; set "
            "profile.fit = false"
        )
    return np.flatnonzero(complete[index])


def _of_corpora(where: NDArray[Any]) -> _Float:
    """Weigh rows such that every corpus counts the same."""
    return balanced(who_index(where))


def _mean_of_corpora(rows: _Float, where: NDArray[Any]) -> _Float:
    return np.asarray(np.average(rows, axis=0, weights=_of_corpora(where)))


def _suspect(
    rows: _Float, where: NDArray[Any], who: NDArray[Any]
) -> tuple[_Float, float]:
    """Return the axes that tell voices apart, and the distance that is suspicious.

    It is exceeded by 2 % of the recordings of speakers left out, each from the mean of
    that speaker's others; every corpus counts the same.
    """
    index = who_index(who)
    distances = np.zeros(len(rows))
    for fold in range(_N_FOLDS):
        test = index % _N_FOLDS == fold
        axes = speaker_axes(rows[~test], where[~test], who[~test])
        for speaker in set(index[test].tolist()):
            own = np.flatnonzero(index == speaker)
            others = (rows[own].sum(0) - rows[own]) / max(1, len(own) - 1)
            apart = (((rows[own] - others) @ axes.T) ** 2).mean(1)
            distances[own] = apart * (len(own) - 1) / len(own)
    axes = speaker_axes(rows, where, who)
    order = np.argsort(distances)
    mass = np.cumsum(_of_corpora(where)[order])
    at = int(np.searchsorted(mass, (1 - _SUSPICION) * mass[-1]))
    return axes, float(distances[order][min(at, len(order) - 1)])
