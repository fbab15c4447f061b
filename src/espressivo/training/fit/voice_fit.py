"""Fit of adaptation: the projection to voice vectors, and how voices are distributed.

The projection to the dimensions of emotions is a linear discriminant of embeddings less
the mean of their speaker, so that it ignores what a speaker's emotions have in common.
The means and covariances of `AdaptationCard` are those of clips whose corpus the
discriminant was not fitted to: of known corpora it would find voices too much alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import TrainingError
from espressivo.model.adaptation import AdaptationCard
from espressivo.training.fit.lda import ENOUGH_CORPORA, fit_lda
from espressivo.training.fit.speaker_means import speaker_axes, speaker_means
from espressivo.training.folds.weights import balanced_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.config import ProfileConfig

    _Float = NDArray[np.float64]
    _Mask = NDArray[np.bool_]

SUSPICION = 0.02
"""Share of a speaker's own recordings and histories that may exceed a limit."""

_N_FOLDS = 10
_FEWEST = 3  # speakers: with one left out, two remain that can differ
_HISTORY = 20  # clips at most in a history that the spread is measured of
_N_HISTORIES = 50  # of each speaker
_SHRINK = 0.02  # of the offsets' covariances, which few corpora and speakers give
_WORST_CONDITION = 1e6  # of the covariance within a speaker and emotion
_LEAST = 1e-6  # added to the interactions' variances, in logits

# Orthonormal contrasts of the logits of four emotions, whose sum says nothing.
_CONTRASTS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2


@dataclass(frozen=True, slots=True, eq=False)
class VoiceProjection:
    """The fitted projection of embeddings to voice vectors, and its card.

    Attributes:
        weight: float64 [D + A, width], the dimensions of emotions, then the axes.
        bias: float64 [D + A].
        card: Entry `adaptation` of `model.json`.
    """

    weight: _Float
    bias: _Float
    card: AdaptationCard

    def voices(
        self,
        embeddings: NDArray[np.floating[Any]],
        noise: NDArray[np.floating[Any]] | float = 0.0,
    ) -> _Float:
        """Return voice vectors [B, D + 1 + A], as `model.onnx` computes them.

        Args:
            embeddings: [B, width].
            noise: Probability that each is no speech, [B].
        """
        found = np.asarray(embeddings, np.float64) @ self.weight.T + self.bias
        return np.insert(found, self.card.n_dims, noise, axis=1)

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save_file  # noqa: PLC0415 - with torch, slow

        parts = {"weight": self.weight, "bias": self.bias} | self.card.to_dict()
        # C order, since safetensors stores the bytes as they lie.
        arrays = {n: np.array(part, np.float64, order="C") for n, part in parts.items()}
        save_file(arrays, path)

    @staticmethod
    def read(path: Path) -> VoiceProjection:
        """Return the projection from a file that `write` wrote.

        Raises:
            TrainingError: The file is missing or is none.
        """
        from safetensors.numpy import load_file  # noqa: PLC0415 - with torch, slow

        try:
            found = load_file(path)
            card = AdaptationCard.from_dict(found)
            n_rows = card.n_dims + card.n_axes
            weight, bias = found["weight"].reshape(n_rows, -1), found["bias"]
            return VoiceProjection(weight, bias.reshape(n_rows), card)
        except Exception as error:  # safetensors' own, OSError, KeyError
            raise TrainingError(
                f"{path}: is not what training with profile.fit writes ({error}); "
                "train again in another folder"
            ) from error


@dataclass(frozen=True, slots=True, eq=False)
class _Clips:
    """Embeddings of clips in several conditions, the first as they are.

    Attributes:
        rows: [conditions, N, width].
        labels: [N].
        corpora: [N], names.
        speakers: [N], names.
    """

    rows: NDArray[np.floating[Any]]
    labels: NDArray[np.integer[Any]]
    corpora: NDArray[Any]
    speakers: NDArray[Any]

    def where(self, kept: NDArray[Any]) -> _Clips:
        """Return the clips of a mask or an index."""
        parts = (self.labels, self.corpora, self.speakers)
        return _Clips(self.rows[:, kept], *(part[kept] for part in parts))

    def with_all_emotions(self, names: NDArray[Any]) -> _Mask:
        """Return which clips are of a name, such as a corpus, with all emotions."""
        wanted = len(np.unique(self.labels))
        complete = [
            name
            for name in np.unique(names)
            if len(np.unique(self.labels[names == name])) == wanted
        ]
        return np.isin(names, complete)


def fit_voices(
    conditions: Sequence[NDArray[np.floating[Any]]],
    labels: NDArray[np.integer[Any]],
    corpora: Sequence[str],
    speakers: Sequence[str],
    config: ProfileConfig,
) -> VoiceProjection:
    """Return the projection and its card, fitted to labelled clips of several speakers.

    The means and covariances are those of clips that the discriminant was not fitted
    to: each corpus with all emotions is left out in turn, and counts the same. With
    fewer than three such corpora, speakers are left out in turn. From a single corpus
    nothing is known of other settings; they are taken to differ as its speakers do.

    Args:
        conditions: Embeddings [N, width] of the clips, and of a copy of each of them in
            other conditions. Copies only take part in the discriminant.
        labels: [N], in 0..3.
        corpora: Corpus name of each clip [N].
        speakers: Speaker name of each clip [N].
        config: Settings of the discriminant.

    Raises:
        TrainingError: Fewer than three speakers have all emotions, or no corpus has two
            of them.
    """
    raw = np.stack(conditions)
    origin = raw.mean((0, 1), np.float64)
    # One scale for all dimensions, as for the classifier: see `fit_lda`.
    scale = float(np.sqrt(raw[0].var(0, np.float64).mean())) or 1.0
    rows = (raw - origin) / scale
    clips = _Clips(rows, np.asarray(labels), np.array(corpora), np.array(speakers))
    complete = clips.with_all_emotions(clips.speakers)
    _require_speakers(clips, complete)
    places = np.full((len(labels), _CONTRASTS.shape[1]), np.nan)
    for left in _parts(clips, complete):
        weight, bias = _discriminant(clips.where(~left), config)
        places[left] = clips.rows[0, left] @ weight.T + bias
    known = ~np.isnan(places[:, 0])
    found = _Distribution.of(places[known], clips.where(known))
    weight, bias = _discriminant(clips, config)
    # In the end, windows of one speaker and emotion have unit covariance.
    white = np.linalg.cholesky(np.linalg.inv(found.within))
    middle = found.means.mean(0)
    own = clips.where(complete)
    axes, distance_limit, spread_limit = _fit_axes(own)
    # From the scale of the clips to that of the embeddings.
    projection = np.concatenate([white.T @ weight, axes]) / scale
    shift = np.concatenate([white.T @ (bias - middle), np.zeros(len(axes))])
    card = AdaptationCard(
        means=(found.means - middle) @ white,
        speaker=white.T @ found.speaker @ white,
        setting=white.T @ found.setting @ white,
        n_axes=len(axes),
        distance_limit=distance_limit,
        spread_limit=spread_limit,
        suspicion=SUSPICION,
    )
    return VoiceProjection(projection, shift - projection @ origin, card)


def _require_speakers(clips: _Clips, complete: _Mask) -> None:
    n = len(np.unique(clips.speakers[complete]))
    if n < _FEWEST:
        raise TrainingError(
            f"{n} of {len(np.unique(clips.speakers))} speakers have utterances of all "
            f"emotions, and adaptation to speakers needs {_FEWEST} or more of them; "
            "set profile.fit = false"
        )
    if all(
        len(np.unique(clips.speakers[complete & (clips.corpora == name)])) < 2
        for name in np.unique(clips.corpora)
    ):
        raise TrainingError(
            "no corpus has two speakers with utterances of all emotions, and "
            "adaptation needs to know how speakers differ; set profile.fit = false"
        )


def _parts(clips: _Clips, complete: _Mask) -> Iterator[_Mask]:
    """Yield what is left out of the discriminant in turn, as `left_out_logits` does."""
    whole = clips.with_all_emotions(clips.corpora)
    # Without a corpus, the others must still have speakers with all emotions.
    by_corpus = len(np.unique(clips.corpora[complete])) >= ENOUGH_CORPORA
    names = clips.corpora if by_corpus else clips.speakers
    for name in np.unique(names[whole]):
        yield whole & (names == name)


def _discriminant(clips: _Clips, config: ProfileConfig) -> tuple[_Float, _Float]:
    """Return weight [3, width] and bias [3] of the contrasts of emotions' logits.

    The mean of each speaker is subtracted in each condition, each emotion with equal
    weight; only speakers with all emotions have one.
    """
    origin = clips.rows.mean((0, 1))
    own = clips.where(clips.with_all_emotions(clips.speakers))
    index = np.unique(own.speakers, return_inverse=True)[1]
    rows = [
        condition - speaker_means(condition, own.labels, own.speakers)[index]
        for condition in own.rows
    ]
    weight, bias = fit_lda(
        np.concatenate(rows),
        np.tile(own.labels, len(rows)),
        np.tile(own.corpora, len(rows)).tolist(),
        interaction=config.interaction,
        ridge=config.ridge,
    )
    return _CONTRASTS.T @ weight, _CONTRASTS.T @ (bias - weight @ origin)


@dataclass(frozen=True, slots=True, eq=False)
class _Distribution:
    """How the places of clips are distributed; corpora have equal weight.

    Attributes:
        means: Means of the emotions [C, D].
        within: Covariance of clips of one speaker and emotion [D, D].
        speaker: Covariances of speakers' offsets and interactions [2, D, D].
        setting: The same of corpora.
    """

    means: _Float
    within: _Float
    speaker: _Float
    setting: _Float

    @staticmethod
    def of(places: _Float, clips: _Clips) -> _Distribution:
        """Return the moments of places [N, D] of clips, all of complete corpora."""
        names = np.unique(clips.corpora).tolist()
        n_classes = int(clips.labels.max()) + 1
        means, within, offsets, interactions = [], [], [], []
        for name in names:
            own = clips.corpora == name
            mean = np.stack(
                [places[own & (clips.labels == k)].mean(0) for k in range(n_classes)]
            )
            inside, offset, interaction = _speakers_of(
                places[own], clips.labels[own], clips.speakers[own], mean
            )
            means.append(mean)
            if inside is not None:
                within.append(inside)
            if len(offset) > 1:
                # Their mean is that of the corpus, which is known: it is not estimated.
                offsets.append(offset.T @ offset / (len(offset) - 1))
            if interaction is not None and len(offset) > 1:
                interactions.append(interaction)
        if not within or np.linalg.cond(np.mean(within, 0)) > _WORST_CONDITION:
            raise TrainingError(
                "the speakers have too few utterances of each emotion to tell how one "
                "speaker's vary; add some, or set profile.fit = false"
            )
        centre = np.mean(means, axis=0)
        speaker = _covariances(np.mean(offsets, 0), np.mean(interactions, 0))
        setting = speaker
        if (n := len(names)) > 1:
            apart = np.array(means) - centre
            moved = apart.mean(1)
            own = (apart - moved[:, None]).reshape(n * n_classes, -1)
            setting = _covariances(
                moved.T @ moved / (n - 1), own.T @ own / ((n_classes - 1) * (n - 1))
            )
        return _Distribution(centre, np.mean(within, 0), speaker, setting)


def _speakers_of(
    places: _Float,
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[Any],
    mean: _Float,
) -> tuple[_Float | None, _Float, _Float | None]:
    """Return the scatter of a corpus within and between its speakers.

    Args:
        places: [N, D].
        labels: [N].
        speakers: [N], names.
        mean: Means of the corpus's emotions [C, D].

    Returns:
        The covariance of clips of one speaker and emotion [D, D], None where there is
        one clip of each; the offsets of the speakers [S, D]; and the covariance of
        their interactions [D, D], None where no speaker has all emotions.
    """
    n_classes, d = mean.shape
    within, n, offsets, interactions = np.zeros((d, d)), 0, [], []
    for name in np.unique(speakers):
        apart = []
        for k in range(n_classes):
            rows = places[(speakers == name) & (labels == k)]
            if not len(rows):
                continue
            apart.append(rows.mean(0) - mean[k])
            inside = rows - rows.mean(0)
            within += inside.T @ inside
            n += len(rows) - 1
        if len(apart) >= n_classes - 1:  # one emotion less hardly moves the mean
            offsets.append(np.mean(apart, 0))
        if len(apart) == n_classes:
            own = np.array(apart) - offsets[-1]
            interactions.append(own.T @ own / (n_classes - 1))
    return (
        within / n if n else None,
        np.array(offsets),
        np.mean(interactions, 0) if interactions else None,
    )


def _covariances(offset: _Float, interaction: _Float) -> _Float:
    """Return both [2, D, D], regularized: few speakers give singular ones."""
    unit = np.eye(len(offset))
    even = np.trace(offset) / len(offset) * unit
    offset = (1 - _SHRINK) * offset + _SHRINK * even
    return np.stack([offset, interaction + _LEAST * unit])


def _fit_axes(clips: _Clips) -> tuple[_Float, float, float]:
    """Return the axes that separate speakers, and the limits of distance and spread.

    They are exceeded by 2 % of the recordings, and of random histories of 20
    recordings, of speakers whose corpus was left out (of left-out speakers, if there
    are fewer than three corpora): axes show less of speakers in a setting that they
    were not fitted to. A recording is measured from the mean of that speaker's others.
    Every corpus counts the same.
    """
    rows, corpora, speakers = clips.rows[0], clips.corpora, clips.speakers
    index = np.unique(speakers, return_inverse=True)[1]
    names, corpus = np.unique(corpora, return_inverse=True)
    part = corpus if len(names) >= ENOUGH_CORPORA else index % _N_FOLDS
    distances = np.zeros(len(rows))
    spreads: list[float] = []
    histories: list[str] = []
    rng = np.random.default_rng(0)
    for left in np.unique(part):
        test = part == left
        axes = speaker_axes(rows[~test], corpora[~test], speakers[~test])
        for speaker in sorted(set(index[test].tolist())):
            own = np.flatnonzero(index == speaker)
            along, n = rows[own] @ axes.T, len(own)
            # A recording must not be part of the mean it is compared with.
            others = (along.sum(0) - along) / max(1, n - 1)
            # As in `adaptation.distance`, for a mean of one recording less.
            distances[own] = ((along - others) ** 2).mean(1) * (n - 1) / n
            for _ in range(_N_HISTORIES):
                history = along[rng.permutation(n)[:_HISTORY]]
                covariance = np.cov(history, rowvar=False).reshape(len(axes), -1)
                spreads.append(float(np.linalg.eigvalsh(covariance)[-1]))
                histories.append(corpora[own[0]])
    return (
        speaker_axes(rows, corpora, speakers),
        _limit(distances, corpora.tolist()),
        _limit(np.array(spreads), histories),
    )


def _limit(values: _Float, corpora: Sequence[str]) -> float:
    """Return what a share `SUSPICION` of the values exceeds; corpora count the same."""
    order = np.argsort(values)
    mass = np.cumsum(balanced_weights(corpora, total=1.0)[order])
    at = int(np.searchsorted(mass, (1 - SUSPICION) * mass[-1]))
    return float(values[order][min(at, len(order) - 1)])
