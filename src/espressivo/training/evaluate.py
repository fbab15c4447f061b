"""Evaluate a model folder on labelled recordings: predictions, scores, intervals.

The model runs in the same runtime as for users, so the scores are those of the model
as shipped.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from espressivo.analyzer import Analyzer
from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, CorpusError, ModelError
from espressivo.model.classifier import (
    Classifier,
    ModelCard,
    load_classifier,
)
from espressivo.training.clips.preprocess import find_loud
from espressivo.training.scores.evaluation import Evaluation
from espressivo.types import SAMPLE_RATE, Emotion, Segment, Signal, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.types import Progress

    Prediction: TypeAlias = NDArray[np.float64] | None
    """Probabilities in the order of `Emotion`; None when no speech was found."""


def evaluate(
    model_folder: Path,
    utterances: Sequence[Utterance],
    *,
    pipeline: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Return predictions for every utterance; unreadable recordings are listed.

    Args:
        model_folder: Folder with `model.onnx` and `model.json`.
        utterances: The labelled utterances.
        pipeline: Whether the analyzer finds speech and windows, as in `espressivo
            analyze`. Otherwise each recording is a clip with its silent ends trimmed,
            classified whole or in equal windows.
        progress: Called after every utterance.

    Raises:
        ModelError: The folder is no model, or one without all four emotions.
        CorpusError: There is no utterance.
    """
    if not utterances:
        raise CorpusError("no utterances to evaluate; pass a corpus that holds some")
    classifier = load_classifier(model_folder)
    # Models may list the emotions in an order of their own.
    columns = require_emotions(classifier, model_folder)
    predict = (
        # One thread each, since recordings are analysed in parallel already.
        partial(_analyze, Analyzer(classifier, threads=1), columns)
        if pipeline
        else partial(_classify, classifier, columns)
    )
    predicted: list[tuple[Utterance, NDArray[np.float64]]] = []
    silent: list[Utterance] = []
    failures: list[Unreadable] = []
    # Errors are returned, not raised: an unreadable recording must not end the rest.
    results = map_recordings(partial(_try, predict), utterances, progress)
    for utterance, result in zip(utterances, results, strict=True):
        if isinstance(result, AudioError):
            failures.append(Unreadable(utterance.id, utterance.path, str(result)))
        elif result is None:
            silent.append(utterance)
        else:
            predicted.append((utterance, result))
    card = classifier.card
    return Evaluation(
        model=card.name,
        model_version=card.version,
        model_sha256=card.sha256,
        protocol="pipeline" if pipeline else "clips",
        utterances=tuple(utterance for utterance, _ in predicted),
        # The shape keeps two dimensions where nothing was predicted.
        probabilities=np.array([p for _, p in predicted]).reshape(-1, len(columns)),
        without_speech=tuple(silent),
        failures=tuple(failures),
    )


def classify_clip(classifier: Classifier, signal: Signal) -> NDArray[np.float64]:
    """Return the probabilities [emotions] of one clip, in the model's order.

    Its silent ends are trimmed. A clip longer than the model's window is cut into equal
    windows, whose predictions are averaged. A clip shorter than the model's minimum is
    widened into the trimmed silence, then by zeros.

    Args:
        classifier: A loaded model.
        signal: The clip, not empty.
    """
    rows, weights = clip_windows(classifier.card, signal)
    found = [classifier(row[None])[0] for row in rows]
    return np.average(np.asarray(found, np.float64), axis=0, weights=weights)


def clip_windows(card: ModelCard, signal: Signal) -> tuple[list[Signal], list[int]]:
    """Return the windows of one clip, and their lengths in samples.

    See `classify_clip`.
    """
    window = round(card.window_s * SAMPLE_RATE)
    minimum = round(card.min_s * SAMPLE_RATE)
    clip = _widen(find_loud(signal), minimum, len(signal))
    # Equal windows, since a short rest would be judged by little sound.
    n_windows = -(-clip.n_samples // window)
    edges = np.linspace(clip.start, clip.end, n_windows + 1).round().astype(int)
    rows, weights = [], []
    for start, end in pairwise(edges.tolist()):
        samples = signal[start:end]
        rows.append(np.pad(samples, (0, max(0, minimum - len(samples)))))
        weights.append(end - start)
    return rows, weights


def _widen(span: Segment, minimum: int, n_samples: int) -> Segment:
    length = max(span.n_samples, min(minimum, n_samples))
    start = span.start - (length - span.n_samples) // 2
    start = max(0, min(start, n_samples - length))
    return Segment(start, start + length)


def _try(
    predict: Callable[[Path], Prediction], utterance: Utterance
) -> Prediction | AudioError:
    try:
        return predict(utterance.path)
    except AudioError as error:
        return error


def _classify(classifier: Classifier, columns: list[int], path: Path) -> Prediction:
    signal = load_audio(path)
    if len(signal) == 0:
        raise AudioError(f"{path}: holds no samples; remove it or restore it")
    return classify_clip(classifier, signal)[columns]


def _analyze(analyzer: Analyzer, columns: list[int], path: Path) -> Prediction:
    whole = analyzer.analyze(path).probabilities
    return None if whole is None else np.array(list(whole.values()))[columns]


def require_emotions(classifier: Classifier, folder: Path) -> list[int]:
    """Return the position of each `Emotion` among the model's outputs.

    Raises:
        ModelError: The model has other emotions.
    """
    emotions = classifier.card.emotions
    if set(emotions) != set(Emotion):
        raise ModelError(
            f"{folder}: its emotions are {', '.join(emotions)}, "
            f"not {', '.join(Emotion)}; evaluate a model of these four"
        )
    return [emotions.index(emotion) for emotion in Emotion]
