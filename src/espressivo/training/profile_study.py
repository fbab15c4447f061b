"""How much does a profile help, by how much it heard and of what?

Speakers whom the model has never heard are given histories of their own clips, drawn at
random, unlabelled; every clip is then judged with the profile of such a history, by the
very graphs that are shipped.
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
from espressivo.training.histories import KINDS, Kind, draw_order, profiles_of
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.corpora import Utterance

    _Float = NDArray[np.float64]

    _Float32 = NDArray[np.float32]

    Answer: TypeAlias = Callable[
        [_Float32, _Float32, _Float, _Float], NDArray[np.floating[Any]]
    ]
    """Embeddings, plain probabilities, counts, traits -> probabilities."""
    from espressivo.types import Progress


class _Heard(NamedTuple):
    plain: _Float
    embedding: _Float


SIZES = (0, 1, 2, 5, 10, 20, None)
"""Clips heard before; None: all there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Listened:
    """What a model makes of labelled clips; each counts as one window.

    Attributes:
        labels: int [N].
        speakers: Who speaks.
        embeddings: float32 [N, width].
        plain: float32 [N, C], probabilities without a profile.
        calm: bool [N], whether what counts as neutral is calm.
    """

    labels: NDArray[np.int64]
    speakers: tuple[str, ...]
    embeddings: NDArray[np.float32]
    plain: NDArray[np.float32]
    calm: NDArray[np.bool_]

    def kept(self, rows: NDArray[np.bool_]) -> Listened:
        """Return some of the clips."""
        names = np.asarray(self.speakers)[rows].tolist()
        return Listened(
            self.labels[rows],
            tuple(names),
            self.embeddings[rows],
            self.plain[rows],
            self.calm[rows],
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """The scores with one kind and size of history.

    Attributes:
        kind: Of the history.
        size: Clips asked for; None: all.
        n_mean: Clips there were on average.
        ua: Mean recall, averaged over draws.
        interval: Of it, over speakers; None with a single one.
        difference: To no profile, on the same clips.
        ece: Expected calibration error, of the answers of all draws.
    """

    kind: Kind
    size: int | None
    n_mean: float
    ua: float
    interval: Interval | None
    difference: PairedDifference | None
    ece: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        interval, difference = self.interval, self.difference
        return {
            "history": self.kind.name,
            "emotions": [[*Emotion][i] for i in self.kind.emotions],
            "transductive": self.kind.own,
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
class Suspicions:
    """How often a clip is said to be of someone else than a profile.

    Attributes:
        n_clips: Clips in the profile.
        same: Share of the speaker's other clips of which that is said, wrongly.
        other: Share of other speakers' clips of which it is said, rightly.
    """

    n_clips: int
    same: float
    other: float


def suspect(
    listened: Listened,
    distances: Answer,
    limit: float,
    *,
    n_clips: int = 20,
    n_draws: int = 10,
    seed: int = 0,
) -> Suspicions | None:
    """Count how often a voice does not fit a profile of balanced clips.

    None where no speaker has more clips than that.

    Args:
        listened: Clips of speakers whom the model has never heard.
        distances: Of clips [N] from profiles.
        limit: What is said to be too far.
        n_clips: In a profile.
        n_draws: Profiles a speaker.
        seed: Draws them.
    """
    names = np.asarray(listened.speakers)
    traits = features_of(listened.embeddings, listened.plain)
    same, other = [], []
    for speaker in np.unique(names).tolist():
        own = np.flatnonzero(names == speaker)
        rng = np.random.default_rng([seed, *speaker.encode()])
        for _ in range(n_draws if n_clips < len(own) < len(names) else 0):
            order = own[draw_order(KINDS[0], listened.labels[own], rng)]
            heard, rest = order[:n_clips], order[n_clips:]
            mean, count = traits[heard].mean(0)[None], np.array([[float(len(heard))]])
            far = distances(listened.embeddings, listened.plain, count, mean) > limit
            same.append(far[rest].mean())
            other.append(far[names != speaker].mean())
    if not same:
        return None
    return Suspicions(n_clips, float(np.mean(same)), float(np.mean(other)))


def listen(
    folder: Path,
    utterances: Sequence[Utterance],
    progress: Progress | None = None,
    *,
    pipeline: bool = False,
) -> Listened:
    """Run a model over labelled clips, as `evaluate` does; windows are averaged.

    Args:
        folder: The model.
        utterances: What to hear.
        progress: Called after every utterance.
        pipeline: Let the analyzer find speech and windows, as users get them; a clip in
            which it finds no speech is left out.

    Raises:
        ModelError: The folder is no model, or takes no profiles.
        CorpusError: There is no utterance, or one cannot be read.
    """
    if not utterances:
        raise CorpusError("no utterances to study; pass a corpus that holds some")
    classifier = load_classifier(folder)
    classifier.require_profile_head()
    columns = require_emotions(classifier, folder)
    if columns != sorted(columns):
        raise CorpusError(f"{folder}: its emotions are in another order than ours")

    found: list[_Heard] = []
    kept: list[Utterance] = []
    hear = partial(_analyze if pipeline else _try, classifier)
    results = zip(utterances, map_recordings(hear, utterances), strict=True)
    for n, (utterance, result) in enumerate(results, 1):
        if isinstance(result, AudioError):
            raise CorpusError(f"{result}; a study needs all of a corpus: restore it")
        if result is not None:
            found.append(result)
            kept.append(utterance)
        if progress is not None:
            progress(n, len(utterances))
    order = [*Emotion]
    return Listened(
        labels=np.array([order.index(u.emotion) for u in kept]),
        speakers=tuple(u.speaker for u in kept),
        embeddings=np.array([heard.embedding for heard in found], np.float32),
        plain=np.array([heard.plain for heard in found], np.float32),
        calm=np.array([u.original == "calm" for u in kept]),
    )


def _analyze(
    classifier: Classifier, utterance: Utterance
) -> _Heard | AudioError | None:
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
    return _Heard(mean[width:-1], mean[:width])


def _try(classifier: Classifier, utterance: Utterance) -> _Heard | AudioError:
    try:
        signal = load_audio(utterance.path)
    except AudioError as error:
        return error
    rows, weights = clip_windows(classifier.card, signal)
    pairs = [classifier.embed(row[None]) for row in rows]
    plain, embeddings = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return _Heard(
        np.average(plain, axis=0, weights=weights),
        np.average(embeddings, axis=0, weights=weights),
    )


def study(
    listened: Listened,
    answer: Answer,
    *,
    kinds: Sequence[Kind] = KINDS,
    sizes: Sequence[int | None] = SIZES,
    n_draws: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Cell]:
    """Score all kinds and sizes of histories.

    Args:
        listened: Clips of speakers whom the model has never heard.
        answer: Judges clips by profiles.
        kinds: Of histories.
        sizes: Clips in them.
        n_draws: Histories drawn for every speaker, kind and size.
        seed: Draws them.
        progress: Called after every kind.
    """
    times = resample_speakers(listened.speakers, seed)
    plain = sums_by_speaker(
        utterance_sums(listened.labels, listened.plain), listened.speakers
    )
    cells = []
    for n, kind in enumerate(kinds, 1):
        cells += [
            _cell(kind, size, found, plain, times)
            for size, found in _sums(
                listened, answer, kind, sizes, n_draws=n_draws, seed=seed
            ).items()
        ]
        if progress is not None:
            progress(n, len(kinds))
    return cells


def _sums(
    listened: Listened,
    answer: Answer,
    kind: Kind,
    sizes: Sequence[int | None],
    *,
    n_draws: int,
    seed: int,
) -> dict[int | None, tuple[_Float, float]]:
    """Return for each size the speakers' sums [S, K] and how many clips there were."""
    names = np.asarray(listened.speakers)
    traits = features_of(listened.embeddings, listened.plain)
    sums: dict[int | None, list[_Float]] = {size: [] for size in sizes}
    counts: dict[int | None, list[float]] = {size: [] for size in sizes}
    for speaker in np.unique(names).tolist():
        own = np.flatnonzero(names == speaker)
        labels = listened.labels[own]
        # A stream of its own a speaker: whom else there is changes nothing.
        rng = np.random.default_rng([seed, *speaker.encode()])
        orders = [draw_order(kind, labels, rng) for _ in range(n_draws)]
        for size in sizes:
            total = 0.0
            for order in orders:
                n, mean = profiles_of(order, traits[own], size, own=kind.own)
                judged = answer(listened.embeddings[own], listened.plain[own], n, mean)
                total = total + utterance_sums(labels, judged).sum(0) / n_draws
                counts[size].append(float(n.mean()))
            sums[size].append(np.asarray(total))
    return {
        size: (np.stack(sums[size]), float(np.mean(counts[size]))) for size in sizes
    }


def _cell(
    kind: Kind,
    size: int | None,
    found: tuple[_Float, float],
    plain: _Float,
    times: _Float | None,
) -> Cell:
    sums, n_mean = found
    n_classes = len(Emotion)
    whole = scores_from_sums(sums.sum(0)[None], n_classes)
    ua, ece = float(whole["ua"][0]), float(whole["ece"][0])
    if times is None:
        return Cell(kind, size, n_mean, ua, None, None, ece)
    interval = percentile_interval(scores_from_sums(times @ sums, n_classes)["ua"])
    difference = compare_sums(plain, sums, times, n_classes)["ua"]
    return Cell(kind, size, n_mean, ua, interval, difference, ece)
