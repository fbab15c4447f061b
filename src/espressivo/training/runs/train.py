"""Train one model into a run folder, which can be resumed and exported."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.errors import ConfigError, TrainingError
from espressivo.training.calibrate import calibrate_sets
from espressivo.training.clips.batches import CLASSES, Batches, make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_target
from espressivo.training.clips.parts import parts_of
from espressivo.training.clips.sampling import EpochSampler
from espressivo.training.fit.adaptation import make_adaptation
from espressivo.training.fit.closed_form import (
    fit_last_layer_on_clips,
    fit_voices_on_clips,
)
from espressivo.training.fit.loop import Validation, train_epochs
from espressivo.training.fit.objective import Objective
from espressivo.training.fit.predict import predict_dimensions
from espressivo.training.folds.weights import class_weights
from espressivo.training.networks import build_network, load_pretrained
from espressivo.training.runs.folder import (
    finish_run,
    open_run,
    pick_device,
    write_metrics,
    write_voice_projection,
)
from espressivo.training.scores.dimensions import (
    RatedPredictions,
    mean_ccc,
    ratings_of,
    votes_of,
)
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import softmax, write_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig, Task
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.networks.network import EmotionNetwork


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Measurements of one epoch, written as a line of `metrics.jsonl`.

    Attributes:
        stage: `gradient`, or how the classifier was fitted in closed form.
        epoch: Number of the epoch, from 1.
        n_epochs: Largest possible number of epochs.
        loss: Mean loss over the steps; over the clips if fitted in closed form.
        seconds: Wall-clock time.
        mean_recall: UA on the validation part, 0 to 1; None without any.
        ccc: CCC of each dimension on the validation part; None without ratings.
    """

    stage: str
    epoch: int
    n_epochs: int
    loss: float
    seconds: float
    mean_recall: float | None = None
    ccc: dict[str, float] | None = None


def train(
    config: ExperimentConfig,
    clips: Sequence[LoadedClip],
    folder: Path,
    *,
    validation: Sequence[LoadedClip] = (),
    select: bool = False,
    left_out: Sequence[LoadedClip] = (),
    cache: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> EmotionNetwork:
    """Train one model into `folder`; continue where a stopped run left off.

    Args:
        config: The configuration.
        clips: The clips to train on.
        folder: The run folder. It is created; a run of another configuration in it is
            refused.
        validation: Clips scored after every epoch.
        select: Whether that score chooses the epoch, and ends the run when patience
            ends; else it is only recorded.
        left_out: Clips that are left out of training: they are the target without
            labels where `adaptation.target` is `left-out`.
        cache: A folder that caches features of frozen layers, between epochs and runs.
        on_epoch: Callback after every epoch, and first for the epochs of a stopped run.

    Raises:
        TrainingError: An emotion has no utterance, a dimension of the task no rating,
            no utterance has the votes that [loss] asks for, the folder holds another
            run, or [adaptation] lacks its target or its domains.
    """
    _require_trainable(clips)
    require_rated([clip.utterance for clip in clips], config)
    target = load_target(config, clips, left_out, cache)
    open_run(folder, config, clips, target)
    # Sums split among another number of threads differ in their last digits.
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)  # of the initial weights
    network = build_network(config.network)
    load_pretrained(network, config.network)
    extractor = FeatureExtractor(network.to(pick_device(config)), cache)
    clips = [*clips, *parts_of(clips, config)]
    batches = make_batches(extractor, clips, config)
    held_out = make_batches(extractor, validation, config) if validation else None
    drawn = make_batches(extractor, clips, config, target) if target else batches
    n_reported = 0
    reports: list[EpochReport] = []
    for reports in _train(batches, drawn, held_out, config, folder, select=select):
        write_metrics(map(asdict, reports), folder)
        for report in reports[n_reported:] if on_epoch else ():
            assert on_epoch is not None  # or there is nothing to go through
            on_epoch(report)
        n_reported = len(reports)
    if config.classifier.fit != "gradient":
        report = fit_classifier(batches, held_out, config, folder)
        write_metrics(map(asdict, [*reports, report]), folder)
        if on_epoch is not None:
            on_epoch(report)
    if config.profile.fit:
        projection = fit_voices_on_clips(batches, config.profile)
        write_voice_projection(projection, folder)
    finish_run(folder, network)
    return network.eval()


def _train(
    batches: Batches,
    drawn: Batches,
    held_out: Batches | None,
    config: ExperimentConfig,
    folder: Path,
    *,
    select: bool,
) -> Iterator[list[EpochReport]]:
    if not config.training.epochs:
        return
    network, clips = batches.extractor.network, batches.clips.clips
    with torch.no_grad():
        steps = batches.unaugmented()
        # On unaugmented clips, once: the statistics are buffers that training keeps.
        network.eval().fit(batch.frames for batch in batches.load(steps))
    alpha = None
    if config.loss.weights == "balanced":
        weights = class_weights([clip.utterance for clip in clips])
        alpha = torch.tensor(list(weights.values()))
    n_speakers = len({clip.utterance.speaker for clip in clips})
    sampler = EpochSampler(drawn.clips, config, len(clips))
    n_steps = config.training.epochs * sampler.n_steps
    adaptation = make_adaptation(config.adaptation, network, drawn.n_domains, n_steps)
    objective = Objective(
        network, config.loss, n_speakers, alpha, adaptation, task=config.task
    )
    objective.to(batches.extractor.device)
    epochs = train_epochs(
        objective,
        config.training,
        lambda epoch: drawn.load(list(sampler.epoch(epoch))),
        sampler.n_steps,
        validate=None if held_out is None else lambda: validate(held_out, config.task),
        select=select and held_out is not None,
        seed=config.seed,
        precision=pick_precision(config),
        checkpoint=folder / "training.checkpoint",
    )
    for found in epochs:
        yield [
            EpochReport("gradient", e.epoch, config.training.epochs, *e[1:])
            for e in found
        ]


def validate(batches: Batches, task: Task) -> Validation:
    """Return the scores on all clips; the task determines which one chooses."""
    logits, predicted = predict_dimensions(batches)
    ua = score(batches.labels, softmax(logits)).ua
    if batches.ratings is None:
        return Validation(ua, ua)
    names = batches.extractor.network.config.dimensions
    speakers = [clip.utterance.speaker for clip in batches.clips.clips]
    rated = RatedPredictions(names, batches.ratings, predicted, speakers)
    mean, each = mean_ccc(rated), {n: rated.scores[f"ccc_{n}"] for n in names}
    if isnan(mean):  # no ratings here, as if another corpus validates
        return Validation(ua, ua)
    known = {name: ccc for name, ccc in each.items() if not isnan(ccc)}
    if isnan(ua):  # or no emotions
        return Validation(mean, None, known)
    chosen = {"emotions": ua, "dimensions": mean, "both": (ua + mean) / 2}[task]
    return Validation(chosen, ua, known or None)


def fit_classifier(
    batches: Batches, held_out: Batches | None, config: ExperimentConfig, folder: Path
) -> EpochReport:
    """Fit the last layer in closed form, and write its temperature into the run."""
    began = time.monotonic()
    loss, left_out = fit_last_layer_on_clips(batches, config.classifier)
    if sets := left_out.by_corpus:
        calibrate_sets(sets).write(folder)
    else:
        fitted = "on the speakers trained on, each left out of a fit once"
        written = {"temperature": left_out.temperature, "fitted": fitted}
        write_temperature(folder, written)
    scores = () if held_out is None else validate(held_out, config.task)[1:]
    seconds = time.monotonic() - began
    return EpochReport(config.classifier.fit, 1, 1, loss, seconds, *scores)


def pick_precision(config: ExperimentConfig) -> torch.dtype:
    """Return the precision of matrix products in training.

    Raises:
        ConfigError: It is float16, and there is no GPU.
    """
    on_gpu = pick_device(config).type == "cuda"
    name = config.precision
    if name == "auto":
        # bfloat16 has the range of float32, so that no loss needs scaling.
        name = "bfloat16" if on_gpu else "float32"
    if name == "float16" and not on_gpu:
        raise ConfigError(
            "precision is 'float16', which needs a GPU; choose 'bfloat16' or 'auto'"
        )
    chosen = getattr(torch, name)
    assert isinstance(chosen, torch.dtype)
    return chosen


def _require_trainable(clips: Sequence[LoadedClip]) -> None:
    found = {clip.utterance.emotion for clip in clips if clip.utterance.emotion}
    if missing := set(CLASSES) - found:
        raise TrainingError(
            f"no utterance to train on is {', '.join(sorted(missing))}; "
            "all four emotions are needed"
        )


def require_rated(utterances: Sequence[Utterance], config: ExperimentConfig) -> None:
    """Check that what is trained on has the ratings and votes that the task needs.

    Raises:
        TrainingError: A dimension has fewer than two ratings, or nothing has votes.
    """
    if config.loss.votes and np.isnan(votes_of(utterances)).all():
        raise TrainingError(
            "no utterance to train on has votes of listeners, which 'loss.votes' asks "
            "for; add a corpus that has some, or remove it"
        )
    if config.task == "emotions":
        return
    names = config.network.dimensions
    n_rated = (~np.isnan(ratings_of(utterances, names))).sum(0)
    if few := [name for name, n in zip(names, n_rated, strict=True) if n < 2]:
        raise TrainingError(
            f"fewer than two utterances to train on have ratings of {', '.join(few)}, "
            f"which task '{config.task}' learns from; add a corpus with ratings, or "
            "remove it from network.dimensions"
        )
