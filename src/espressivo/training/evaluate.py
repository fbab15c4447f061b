"""Evaluate a model folder on labelled recordings: predictions, scores, intervals.

The model runs in the same runtime as for users, so the scores are those of the model
as shipped. With a condition, it hears each recording through a telephone, in noise, and
so on (`clips.conditions`).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from espressivo.analyzer import Analyzer
from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, CorpusError, ModelError
from espressivo.files.atomic import write_text
from espressivo.model.classifier import (
    Classifier,
    ModelCard,
    load_classifier,
)
from espressivo.training.clips.conditions import (
    apply_condition,
    condition_key,
    find_condition,
    require_conditions,
    utterance_seed,
)
from espressivo.training.clips.load import load_clips
from espressivo.training.clips.preprocess import find_loud
from espressivo.training.clips.surroundings import Surroundings, choose_voices
from espressivo.training.config import SignalConfig
from espressivo.training.scores.conditions import FILE as CONDITIONS_FILE
from espressivo.training.scores.conditions import ConditionMatrix, ConditionScores
from espressivo.training.scores.evaluation import Evaluation, read_evaluation
from espressivo.types import SAMPLE_RATE, Emotion, Segment, Signal, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.types import Progress

    Prediction: TypeAlias = NDArray[np.float64] | None
    """Probabilities in the order of `Emotion`, then the model's dimensions; None when
    no speech was found."""
    Change: TypeAlias = Callable[[Utterance, Signal], Signal] | None
    """An utterance, its signal [samples] -> the signal in a condition; None: clean."""


def evaluate(
    model_folder: Path,
    utterances: Sequence[Utterance],
    *,
    pipeline: bool = False,
    condition: str = "clean",
    surroundings: Surroundings | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Return predictions for every utterance; unreadable recordings are listed.

    Args:
        model_folder: Folder with `model.onnx` and `model.json`.
        utterances: The labelled utterances.
        pipeline: Whether the analyzer finds speech and windows, as in `espressivo
            analyze`. Otherwise each recording is a clip with its silent ends trimmed,
            classified whole or in equal windows.
        condition: Name of the condition that every recording is put in. It is applied
            to the whole recording; a clip is then the part between the silent ends of
            the recording as it was.
        surroundings: Sources of noise and babble for the condition, see
            `find_surroundings`.
        progress: Called after every utterance.

    Raises:
        ModelError: The folder is no model, or one without all four emotions.
        CorpusError: There is no utterance.
        ConfigError: The condition needs what this machine lacks.
    """
    if not utterances:
        raise CorpusError("no utterances to evaluate; pass a corpus that holds some")
    classifier = load_classifier(model_folder)
    # Models may list the emotions in an order of their own.
    columns = require_emotions(classifier, model_folder)
    names = classifier.card.dimensions
    columns += range(len(columns), len(columns) + len(names))
    around = surroundings or Surroundings(Path())
    require_conditions([condition], around)
    clean = condition == "clean"
    change = None if clean else partial(_in_condition, condition, around)
    predict = (
        # One thread each, since recordings are analysed in parallel already.
        partial(_analyze, Analyzer(classifier, threads=1), columns, change)
        if pipeline
        else partial(_classify, classifier, columns, change)
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
    # The shape keeps two dimensions where nothing was predicted.
    rows = np.array([row for _, row in predicted]).reshape(-1, len(columns))
    n_emotions = len(card.emotions)
    return Evaluation(
        model=card.name,
        model_version=card.version,
        model_sha256=card.sha256,
        protocol="pipeline" if pipeline else "clips",
        utterances=tuple(utterance for utterance, _ in predicted),
        probabilities=rows[:, :n_emotions],
        without_speech=tuple(silent),
        failures=tuple(failures),
        condition=condition,
        condition_key=evaluated_key(condition, around),
        dimension_names=names,
        dimensions=rows[:, n_emotions:] if names else None,
        learned_from=_training_corpora(card),
    )


def _training_corpora(card: ModelCard) -> tuple[str, ...]:
    # Names are missing in cards of models from elsewhere.
    corpora = card.details.get("training_corpora", ())
    return tuple(c["name"] for c in corpora if isinstance(c, dict) and "name" in c)


def find_surroundings(
    utterances: Sequence[Utterance], noise_folder: Path, conditions: Sequence[str]
) -> Surroundings:
    """Return the sources of noise and babble to evaluate in these conditions.

    Babble is made of recordings of the same utterances, by other speakers.

    Raises:
        ConfigError: A condition needs what this machine lacks.
    """
    voices: list[LoadedClip] = []
    if any(find_condition(name).babble for name in conditions):
        voices, _ = load_clips(choose_voices(utterances), SignalConfig())
    around = Surroundings(noise_folder, voices)
    require_conditions(conditions, around)
    return around


@dataclass(frozen=True, slots=True)
class ConditionOptions:
    """Settings of `evaluate_conditions`.

    Attributes:
        conditions: Names of conditions; `clean` is always evaluated, and first.
        pipeline: See `evaluate`.
        noise_folder: Folder of noise recordings.
        out: Folder that keeps each evaluation, in `CORPUS/CONDITION`. An evaluation
            that it holds is not computed again. None: keep none.
        watch: Function of corpus and condition that returns a context with the
            progress callback of one evaluation.
    """

    conditions: tuple[str, ...]
    pipeline: bool = False
    noise_folder: Path = Path()
    out: Path | None = None
    watch: Callable[[str, str], AbstractContextManager[Progress | None]] = (
        lambda _corpus, _condition: nullcontext()
    )


def evaluate_conditions(
    model_folder: Path,
    corpora: Mapping[str, Sequence[Utterance]],
    options: ConditionOptions,
) -> ConditionMatrix:
    """Return the scores of a model on each corpus in each condition.

    Raises:
        ModelError: The folder is no model, or one without all four emotions.
        CorpusError: A corpus has no utterance, or `out` holds an evaluation of another
            model, condition, or set of recordings.
        ConfigError: A condition needs what this machine lacks.
    """
    names = tuple(dict.fromkeys(("clean", *options.conditions)))
    # What is missing is found before the first evaluation, which may take an hour.
    around = {
        corpus: find_surroundings(utterances, options.noise_folder, names)
        for corpus, utterances in corpora.items()
    }
    rows = []
    for corpus, utterances in corpora.items():
        clean = None
        for name in names:
            with options.watch(corpus, name) as progress:
                found = _evaluate_once(
                    model_folder,
                    utterances,
                    None if options.out is None else options.out / corpus / name,
                    pipeline=options.pipeline,
                    condition=name,
                    surroundings=around[corpus],
                    progress=progress,
                )
            clean = clean or found
            rows.append(ConditionScores(corpus, found, clean))
    matrix = ConditionMatrix(rows)
    if options.out is not None:
        write_text(matrix.to_json() + "\n", options.out / CONDITIONS_FILE)
    return matrix


def _evaluate_once(
    model_folder: Path,
    utterances: Sequence[Utterance],
    folder: Path | None,
    **how: Any,
) -> Evaluation:
    if folder is None:
        return evaluate(model_folder, utterances, **how)
    wanted = {
        "model_sha256": load_classifier(model_folder).card.sha256,
        "protocol": "pipeline" if how["pipeline"] else "clips",
        "condition": how["condition"],
        "condition_key": evaluated_key(how["condition"], how["surroundings"]),
    }
    found = read_evaluation(folder, utterances, wanted)
    if found is None:
        found = evaluate(model_folder, utterances, **how)
        found.write(folder)
    return found


def evaluated_key(condition: str, surroundings: Surroundings) -> str:
    """Return the key of a condition and its sources; empty for clean recordings."""
    return "" if condition == "clean" else condition_key(condition, surroundings)


def classify_clip(
    classifier: Classifier, signal: Signal, loud: Segment | None = None
) -> NDArray[np.float64]:
    """Return probabilities and dimensions [emotions + D] of one clip, in card's order.

    Its silent ends are trimmed. A clip longer than the model's window is cut into equal
    windows, whose predictions are averaged. A clip shorter than the model's minimum is
    widened into the trimmed silence, then by zeros.

    Args:
        classifier: A loaded model.
        signal: The clip, not empty.
        loud: The part between its silent ends, if it is known.
    """
    rows, weights = clip_windows(classifier.card, signal, loud)
    names = ["probabilities", *(["dimensions"] if classifier.card.dimensions else [])]
    found = [np.hstack(classifier.run(row[None], *names))[0] for row in rows]
    return np.average(np.asarray(found, np.float64), axis=0, weights=weights)


def clip_windows(
    card: ModelCard, signal: Signal, loud: Segment | None = None
) -> tuple[list[Signal], list[int]]:
    """Return the windows of one clip, and their lengths in samples.

    See `classify_clip`.
    """
    window = round(card.window_s * SAMPLE_RATE)
    minimum = round(card.min_s * SAMPLE_RATE)
    clip = _widen(loud or find_loud(signal), minimum, len(signal))
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
    predict: Callable[[Utterance], Prediction], utterance: Utterance
) -> Prediction | AudioError:
    try:
        return predict(utterance)
    except AudioError as error:
        return error


def _in_condition(
    condition: str, surroundings: Surroundings, utterance: Utterance, signal: Signal
) -> Signal:
    seed = utterance_seed(0, utterance.id, condition)
    return apply_condition(condition, signal, seed, surroundings, utterance.speaker)


def _classify(
    classifier: Classifier, columns: list[int], change: Change, utterance: Utterance
) -> Prediction:
    signal = load_audio(utterance.path)
    if len(signal) == 0:
        raise AudioError(f"{utterance.path}: holds no samples; remove it or restore it")
    # Noise has no silent ends, so they are those of the recording as it was.
    loud = find_loud(signal)
    signal = signal if change is None else change(utterance, signal)
    return classify_clip(classifier, signal, loud)[columns]


def _analyze(
    analyzer: Analyzer, columns: list[int], change: Change, utterance: Utterance
) -> Prediction:
    path = utterance.path
    # A clean recording is read block by block, as for users.
    heard = path if change is None else change(utterance, load_audio(path))
    report = analyzer.analyze(heard)
    if report.probabilities is None:
        return None
    levels = report.dimensions or {}
    return np.array([*report.probabilities.values(), *levels.values()])[columns]


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
