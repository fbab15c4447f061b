"""How does a speaker profile change accuracy, by size and content of the history?

Histories of unlabelled clips are drawn at random for speakers who are in no training
corpus. Every clip is then scored with the profile of a history that does not hold it,
by the exported graphs themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from espressivo.analyzer import Analyzer
from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, CorpusError
from espressivo.model.classifier import (
    Classifier,
    load_classifier,
)
from espressivo.model.speaker_statistics import features_of
from espressivo.profile.profile import Profile
from espressivo.training.evaluate import clip_windows, require_emotions
from espressivo.training.scores.bootstrap import (
    Interval,
    PairedDifference,
    compare_sums,
    percentile_interval,
    resample_speakers,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import scores_from_sums, utterance_sums
from espressivo.types import Emotion
from research.profiles.histories import (
    HISTORY_KINDS,
    HistoryKind,
    draw_order,
    leave_one_out_profiles,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.corpora import Utterance

    _Float = NDArray[np.float64]

    _Float32 = NDArray[np.float32]

    ProfileScorer: TypeAlias = Callable[
        [_Float32, _Float32, _Float, _Float], NDArray[np.floating[Any]]
    ]
    """Maps embeddings, plain probabilities, counts and features to probabilities."""
    from espressivo.types import Progress


class _ClipPrediction(NamedTuple):
    plain: _Float
    embedding: _Float


SIZES = (0, 1, 2, 5, 10, 20, None)
"""Clips in a history; None stands for all there are."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipPredictions:
    """Predictions for labelled clips, each of which counts as one window.

    Attributes:
        labels: int [N].
        speakers: Speaker of each clip.
        embeddings: float32 [N, width].
        plain: float32 [N, C], probabilities without a profile.
        calm: bool [N], whether the clip is labelled calm, which is scored as neutral.
    """

    labels: NDArray[np.int64]
    speakers: tuple[str, ...]
    embeddings: NDArray[np.float32]
    plain: NDArray[np.float32]
    calm: NDArray[np.bool_]

    def select(self, rows: NDArray[np.bool_]) -> ClipPredictions:
        """Return the clips whose row is True."""
        names = np.asarray(self.speakers)[rows].tolist()
        return ClipPredictions(
            self.labels[rows],
            tuple(names),
            self.embeddings[rows],
            self.plain[rows],
            self.calm[rows],
        )


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """Scores with one kind and size of history.

    Attributes:
        kind: Kind of the history.
        size: Clips in the history; None for all.
        n_mean: Clips that there were, mean over draws.
        ua: Unweighted average recall, mean over draws.
        interval: Bootstrap interval of UA over speakers; None with a single speaker.
        difference: Paired difference to no profile, on the same clips.
        ece: Expected calibration error over all draws.
    """

    kind: HistoryKind
    size: int | None
    n_mean: float
    ua: float
    interval: Interval | None
    difference: PairedDifference | None
    ece: float

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict."""
        interval, difference = self.interval, self.difference
        return {
            "history": self.kind.name,
            "emotions": [[*Emotion][i] for i in self.kind.emotions],
            "transductive": self.kind.transductive,
            "clips": self.size,
            "clips_mean": round(self.n_mean, 2),
            "ua": self.ua,
            "interval": interval and [interval.low, interval.high],
            "difference": difference and difference.difference,
            "difference_interval": difference
            and [difference.interval.low, difference.interval.high],
            "p": difference and difference.p,
            "ece": self.ece,
        }


@dataclass(frozen=True, slots=True)
class MismatchRates:
    """How often a clip is flagged as not fitting a speaker's profile.

    Attributes:
        n_clips: Clips in the profile.
        same: False alarms, as a share of the same speaker's other clips.
        other: Hits, as a share of other speakers' clips.
    """

    n_clips: int
    same: float
    other: float


def mismatch_rates(
    clips: ClipPredictions,
    distances: ProfileScorer,
    limit: float,
    *,
    n_clips: int = 20,
    n_draws: int = 10,
    seed: int = 0,
) -> MismatchRates | None:
    """Measure how often clips are flagged against a profile of a balanced history.

    Returns None where no speaker has more than `n_clips` clips.

    Args:
        clips: Clips of speakers who are in no training corpus.
        distances: Computes the distances [N] of clips from a profile.
        limit: Distance above which a clip is flagged.
        n_clips: Clips in a profile.
        n_draws: Profiles drawn per speaker.
        seed: Seed that draws the profiles.
    """
    names = np.asarray(clips.speakers)
    features = features_of(clips.embeddings, clips.plain)
    same, other = [], []
    for speaker in np.unique(names).tolist():
        own = np.flatnonzero(names == speaker)
        rng = np.random.default_rng([seed, *speaker.encode()])
        for _ in range(n_draws if n_clips < len(own) < len(names) else 0):
            order = own[draw_order(HISTORY_KINDS[0], clips.labels[own], rng)]
            enrolled, rest = order[:n_clips], order[n_clips:]
            mean, count = (
                features[enrolled].mean(0)[None],
                np.array([[float(len(enrolled))]]),
            )
            far = distances(clips.embeddings, clips.plain, count, mean) > limit
            same.append(far[rest].mean())
            other.append(far[names != speaker].mean())
    if not same:
        return None
    return MismatchRates(n_clips, float(np.mean(same)), float(np.mean(other)))


def predict_clips(
    folder: Path,
    utterances: Sequence[Utterance],
    progress: Progress | None = None,
    *,
    pipeline: bool = False,
) -> ClipPredictions:
    """Run a model over labelled clips, as `evaluate` does, and average their windows.

    Args:
        folder: Folder of the model.
        utterances: Utterances to predict.
        progress: Callback, called after every utterance.
        pipeline: Let the analyzer detect speech and plan windows, as users get them; a
            clip without detected speech is left out.

    Raises:
        ModelError: The folder holds no model, or one that takes no profiles.
        CorpusError: There is no utterance, or one cannot be read.
    """
    if not utterances:
        raise CorpusError("no utterances to study; pass a corpus that holds some")
    classifier = load_classifier(folder)
    classifier.require_profile_head()
    columns = require_emotions(classifier, folder)
    if columns != sorted(columns):
        raise CorpusError(f"{folder}: its emotions are in another order than ours")

    found: list[_ClipPrediction] = []
    kept: list[Utterance] = []
    predict = partial(_analyze if pipeline else _predict_clip, classifier)
    results = zip(utterances, map_recordings(predict, utterances), strict=True)
    for n, (utterance, result) in enumerate(results, 1):
        if isinstance(result, AudioError):
            raise CorpusError(f"{result}; a study needs all of a corpus: restore it")
        if result is not None:
            found.append(result)
            kept.append(utterance)
        if progress is not None:
            progress(n, len(utterances))
    order = [*Emotion]
    return ClipPredictions(
        labels=np.array([order.index(u.emotion) for u in kept]),
        speakers=tuple(u.speaker for u in kept),
        embeddings=np.array([clip.embedding for clip in found], np.float32),
        plain=np.array([clip.plain for clip in found], np.float32),
        calm=np.array([u.original == "calm" for u in kept]),
    )


def _analyze(
    classifier: Classifier, utterance: Utterance
) -> _ClipPrediction | AudioError | None:
    nobody = Profile.new("", classifier)
    try:
        report = Analyzer(classifier, threads=1, profile=nobody).analyze(utterance.path)
    except AudioError as error:
        return error
    if report.speaker_statistics is None or not report.speaker_statistics.n_windows:
        return None
    mean, width = (
        report.speaker_statistics.mean,
        classifier.require_profile_head().card.width,
    )
    return _ClipPrediction(mean[width:-1], mean[:width])


def _predict_clip(
    classifier: Classifier, utterance: Utterance
) -> _ClipPrediction | AudioError:
    try:
        signal = load_audio(utterance.path)
    except AudioError as error:
        return error
    rows, weights = clip_windows(classifier.card, signal)
    pairs = [classifier.embed(row[None]) for row in rows]
    plain, embeddings = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return _ClipPrediction(
        np.average(plain, axis=0, weights=weights),
        np.average(embeddings, axis=0, weights=weights),
    )


def score_histories(
    clips: ClipPredictions,
    scorer: ProfileScorer,
    *,
    kinds: Sequence[HistoryKind] = HISTORY_KINDS,
    sizes: Sequence[int | None] = SIZES,
    n_draws: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[HistoryResult]:
    """Score all kinds and sizes of histories.

    Args:
        clips: Clips of speakers who are in no training corpus.
        scorer: Predicts clips given profiles.
        kinds: Kinds of histories.
        sizes: Clips in a history.
        n_draws: Histories drawn for every speaker, kind and size.
        seed: Seed that draws the histories.
        progress: Callback, called after every kind.
    """
    times = resample_speakers(clips.speakers, seed)
    plain = sums_by_speaker(utterance_sums(clips.labels, clips.plain), clips.speakers)
    cells = []
    for n, kind in enumerate(kinds, 1):
        cells += [
            _cell(kind, size, found, plain, times)
            for size, found in _sums(
                clips, scorer, kind, sizes, n_draws=n_draws, seed=seed
            ).items()
        ]
        if progress is not None:
            progress(n, len(kinds))
    return cells


def _sums(
    clips: ClipPredictions,
    scorer: ProfileScorer,
    kind: HistoryKind,
    sizes: Sequence[int | None],
    *,
    n_draws: int,
    seed: int,
) -> dict[int | None, tuple[_Float, float]]:
    """Return sufficient statistics [S, K] and the mean number of clips, by size."""
    names = np.asarray(clips.speakers)
    features = features_of(clips.embeddings, clips.plain)
    sums: dict[int | None, list[_Float]] = {size: [] for size in sizes}
    counts: dict[int | None, list[float]] = {size: [] for size in sizes}
    for speaker in np.unique(names).tolist():
        own = np.flatnonzero(names == speaker)
        labels = clips.labels[own]
        # One random stream per speaker: draws do not depend on the other speakers.
        rng = np.random.default_rng([seed, *speaker.encode()])
        orders = [draw_order(kind, labels, rng) for _ in range(n_draws)]
        for size in sizes:
            total = 0.0
            for order in orders:
                n, mean = leave_one_out_profiles(
                    order, features[own], size, transductive=kind.transductive
                )
                predicted = scorer(clips.embeddings[own], clips.plain[own], n, mean)
                total = total + utterance_sums(labels, predicted).sum(0) / n_draws
                counts[size].append(float(n.mean()))
            sums[size].append(np.asarray(total))
    return {
        size: (np.stack(sums[size]), float(np.mean(counts[size]))) for size in sizes
    }


def _cell(
    kind: HistoryKind,
    size: int | None,
    found: tuple[_Float, float],
    plain: _Float,
    times: _Float | None,
) -> HistoryResult:
    sums, n_mean = found
    n_classes = len(Emotion)
    whole = scores_from_sums(sums.sum(0)[None], n_classes)
    ua, ece = float(whole["ua"][0]), float(whole["ece"][0])
    if times is None:
        return HistoryResult(kind, size, n_mean, ua, None, None, ece)
    interval = percentile_interval(scores_from_sums(times @ sums, n_classes)["ua"])
    difference = compare_sums(plain, sums, times, n_classes)["ua"]
    return HistoryResult(kind, size, n_mean, ua, interval, difference, ece)
