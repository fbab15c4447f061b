"""Linear discriminant analysis (LDA) that is robust to differences between corpora.

It differs from textbook LDA in three ways. Means and covariances are computed within
each corpus and class and then averaged, so that each class of each corpus has equal
weight, whatever its number of clips. What moves the
mean of a class from one corpus to another (speakers, room, language, acting) is noise,
in addition to the scatter within a class: only a direction that indicates the same
emotion in every corpus has weight. And a share of the mean variance is added to every
dimension, since there are few corpora for many dimensions.

Source: Fisher (1936) for the discriminant; Hatch et al. (2006), within-class covariance
normalization, for treating a nuisance's covariance as noise; Friedman (1989),
regularized discriminant analysis, for the ridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.folds.weights import balanced_weights
from espressivo.training.scores.temperature import fit_model_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    _Float = NDArray[np.float64]

ENOUGH_CORPORA = 3  # with one left out, two remain whose difference can be seen


def fit_lda(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    *,
    interaction: float = 1.0,
    ridge: float = 0.3,
    weights: Mapping[str, float] | None = None,
) -> tuple[_Float, _Float]:
    """Return the weight and bias of the linear discriminant.

    A corpus may lack classes, as read speech does, which is neutral only: it then says
    nothing of the others.

    Args:
        embeddings: [N, width]; dimensions keep their scale, see `ridge`.
        labels: [N], in 0..C-1; every class occurs in some corpus.
        corpora: Corpus name of each embedding [N].
        interaction: Weight of the disagreement between corpora in the noise covariance.
        ridge: Variance added to every dimension, as a share of the mean variance of all
            dimensions, so that those of small scale count less.
        weights: Corpus -> its weight; 1 for those that are not named.

    Returns:
        Weight [C, width] and bias [C]. The logits are those of C Gaussians with a
        common covariance and equal prior probabilities.

    Raises:
        TrainingError: No corpus has a class.
    """
    classes, noise = _class_statistics(
        embeddings, labels, corpora, interaction=interaction, weights=weights or {}
    )
    solved = np.linalg.solve(_regularized(noise, ridge), classes.T)
    directions = np.asarray(solved.T, np.float64)
    # Gaussian log densities without the term that all classes share.
    bias: _Float = -0.5 * (classes * directions).sum(1)
    return directions, bias


def noise_covariance(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    *,
    interaction: float = 1.0,
    ridge: float = 0.3,
) -> _Float:
    """Return what the discriminant takes for noise, a covariance [width, width].

    The arguments are those of `fit_lda`, and so are the errors.
    """
    _, noise = _class_statistics(
        embeddings, labels, corpora, interaction=interaction, weights={}
    )
    return _regularized(noise, ridge)


def _regularized(noise: _Float, ridge: float) -> _Float:
    width = len(noise)
    found: _Float = noise + ridge * noise.trace() / width * np.eye(width)
    return found


def _class_statistics(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    *,
    interaction: float,
    weights: Mapping[str, float],
) -> tuple[_Float, _Float]:
    """Return class means [C, width] and the noise covariance [width, width]."""
    rows = np.asarray(embeddings, np.float64)
    names, corpus = np.unique(corpora, return_inverse=True)
    n_classes = int(labels.max()) + 1
    width = rows.shape[1]
    means = np.full((len(names), n_classes, width), np.nan)
    within = np.zeros((width, width))
    share = np.array([weights.get(name, 1.0) for name in names.tolist()])
    for c, k in np.unique(np.stack([corpus, labels], 1), axis=0).tolist():
        members = rows[(corpus == c) & (labels == k)]
        means[c, k] = members.mean(0)
        centred = members - means[c, k]
        within += share[c] * (centred.T @ centred) / len(members)
    has = ~np.isnan(means[..., 0])  # [corpora, C]
    if absent := np.flatnonzero(~has.any(0)).tolist():
        raise TrainingError(
            f"no corpus has an utterance of class {absent[0]}; "
            "the classifier needs every emotion in at least one"
        )
    shares = np.where(has, share[:, None], 0.0)
    total = shares.sum()
    sums = np.einsum("ck,ckd->kd", shares, np.where(has[..., None], means, 0.0))
    classes = sums / shares.sum(0)[:, None]  # [C, width]
    deviations = (means - classes)[has] * np.sqrt(shares[has])[:, None]
    noise = within / total
    noise += interaction * (deviations.T @ deviations) / total
    return classes, noise


@dataclass(frozen=True, slots=True)
class LeftOutLogits:
    """Logits of clips whose corpus, or speaker, a classifier was not fitted to.

    Attributes:
        logits: float64 [M, C]; M is 0 if there was nothing to leave out.
        labels: int [M].
        corpora: Corpus name of each clip [M].
        part: What was left out in turn, `corpus` or `speaker`.
    """

    logits: _Float
    labels: NDArray[np.integer]
    corpora: tuple[str, ...]
    part: str

    @property
    def by_corpus(self) -> dict[str, tuple[_Float, NDArray[np.integer]]]:
        """Logits and labels of each corpus; empty if speakers were left out."""
        if self.part != "corpus":
            return {}
        corpus = np.array(self.corpora)
        return {
            name: (self.logits[corpus == name], self.labels[corpus == name])
            for name in np.unique(corpus).tolist()
        }

    @property
    def temperature(self) -> float:
        """The temperature fitted to the logits, all corpora alike; 1 if there are none.

        A closed form of few clips in many dimensions gives logits that are too large.
        """
        if not len(self.labels):
            return 1.0
        weights = balanced_weights(self.corpora)
        return fit_model_temperature(self.logits, self.labels, weights)


def left_out_logits(
    fit: Callable[..., tuple[_Float, _Float]],
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    corpora: Sequence[str],
    speakers: Sequence[str],
    *,
    n_clips: int | None = None,
) -> LeftOutLogits:
    """Return the logits of clips whose corpus was left out of the fit.

    A classifier is surer of the corpora that it knows than of the next one, so what it
    says of left-out ones is what a temperature has to be fitted to. With fewer than
    three corpora with all classes, speakers are left out instead. A corpus that lacks a
    class is never left out: alone it teaches its class, and it measures no recall.

    Args:
        fit: Function that fits the classifier, such as `fit_lda`, with its settings.
        embeddings: [N, width].
        labels: [N], in 0..C-1.
        corpora: Corpus name of each embedding [N].
        speakers: Speaker name of each embedding [N].
        n_clips: Only the first of the embeddings are predicted; the others, copies of
            them in other conditions, are left out together with them. All if None.
    """
    corpus_of, speaker_of = np.array(corpora), np.array(speakers)
    n_classes = int(labels.max()) + 1
    predicted = np.arange(len(labels)) < (len(labels) if n_clips is None else n_clips)
    complete = [
        name
        for name in np.unique(corpus_of).tolist()
        if len(np.unique(labels[corpus_of == name])) == n_classes
    ]
    by_corpus = len(complete) >= ENOUGH_CORPORA
    parts = (
        [corpus_of == name for name in complete]
        if by_corpus
        else [speaker_of == name for name in np.unique(speaker_of)]
    )
    logits, rows = [np.zeros((0, n_classes))], [np.zeros(0, np.intp)]
    for is_left in parts:
        kept, left = np.flatnonzero(~is_left), np.flatnonzero(is_left & predicted)
        if len(np.unique(labels[kept])) < n_classes:
            continue  # without this part a class is missing
        weight, bias = fit(embeddings[kept], labels[kept], corpus_of[kept].tolist())
        logits.append(embeddings[left] @ weight.T + bias)
        rows.append(left)
    index = np.concatenate(rows)
    return LeftOutLogits(
        np.concatenate(logits),
        labels[index],
        tuple(corpus_of[index].tolist()),
        "corpus" if by_corpus else "speaker",
    )
