"""A search: every shape is measured, and some are distilled in few epochs and scored.

The score of a shape is the mean UA of corpora that are left out of its training, and of
its teachers'. Such a corpus has chosen the shape: it is no test of it any more.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

import torch

from espressivo.errors import ConfigError
from espressivo.files.atomic import write_text
from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.compress.checks import require_distillable
from espressivo.training.compress.distil import distil
from espressivo.training.compress.search.costs import (
    Budget,
    Cost,
    load_or_measure_costs,
    require_possible,
)
from espressivo.training.compress.search.folder import (
    describe_study,
    open_folder,
    study_lock,
)
from espressivo.training.compress.search.front import FrontPoint
from espressivo.training.compress.search.space import (
    count_all,
    name_of,
    network_config,
    require_smaller,
    shapes_of,
    space_of,
)
from espressivo.training.compress.search.trials import (
    TRIALS,
    Plan,
    best_shapes,
    finish_trial,
    next_trial,
)
from espressivo.training.compress.teachers import load_teachers
from espressivo.training.config import ProfileConfig, SearchConfig
from espressivo.training.export.options import unwatched
from espressivo.training.fit.predict import predict_clips
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.folder import is_finished, load_run
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import softmax
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.compress.search.space import Shape
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.export.options import StepProgress

SCORES = "scores.json"


@dataclass(frozen=True, slots=True)
class Search:
    """What a study trains and scores; it can be pickled.

    Attributes:
        config: The recipe of the students, with its space.
        teachers: Run folders of the teachers.
        clips: Clips with labels to learn from.
        left_out: Clips of corpora that choose, on which nothing is trained.
        folder: The study's folder.
        cache: Folder of features and of the teachers' outputs.
        unlabelled: Clips without labels to learn from.
        budget: The most that a student may cost.
        n_trials: Number of shapes to train in all.
    """

    config: ExperimentConfig
    teachers: Sequence[Path]
    clips: Sequence[LoadedClip]
    left_out: Sequence[LoadedClip]
    folder: Path
    cache: Path
    unlabelled: Sequence[LoadedClip] = ()
    budget: Budget = field(default_factory=Budget)
    n_trials: int = 20


def search_students(
    search: Search,
    n_workers: int = 1,
    progress: StepProgress = unwatched,
    on_trial: Callable[[FrontPoint], None] | None = None,
) -> list[FrontPoint]:
    """Run or continue a study; return the Pareto front, the smallest student first.

    Args:
        search: The study.
        n_workers: Number of processes that train at once; one trains here.
        progress: Callback with the steps before the first trial.
        on_trial: Callback after every trial of this call.

    Raises:
        ConfigError: There is nothing to search, or a corpus that is left out lacks an
            emotion.
        TrainingError: No shape is within the budget, a student is as large as its
            teachers, a teacher knows a corpus that is left out, or the folder holds
            another study.
    """
    _require_emotions(search.left_out)
    require_distillable(_trial_config(search.config), search.clips)
    space = space_of(search.config)
    shapes = shapes_of(space)
    n_parameters = count_all(search.config, shapes)
    teachers = load_teachers(search.teachers, _by_corpus(search.left_out), search.cache)
    sizes = {str(teacher.run): teacher.n_parameters for teacher in teachers}
    require_smaller(shapes, n_parameters, sizes)
    parts = {"labelled": search.clips, "unlabelled": search.unlabelled}
    described = describe_study(
        search.config, space, teachers, parts | _by_corpus(search.left_out)
    )
    del teachers  # their memory, before students are trained
    (search.folder / TRIALS).mkdir(parents=True, exist_ok=True)
    with study_lock(search.folder):
        open_folder(search.folder, described)
        costs = load_or_measure_costs(search.folder, search.config, shapes, progress)
    require_possible(search.budget, shapes, costs)
    within = [s for s in shapes if search.budget.excess(costs[name_of(s)]) <= 1]
    plan = Plan(space, within, search.n_trials, search.config.seed)
    progress("training students")
    for done, point in enumerate(_run(search, plan, costs, n_workers), 1):
        progress(f"students trained: {done}")
        if on_trial is not None:
            on_trial(point)
    best = [
        _point(search.folder, shape, costs[name_of(shape)])
        for shape in best_shapes(search.folder)
        if shape in within
    ]
    return sorted(best, key=lambda point: point.megabytes)


def _run(
    search: Search, plan: Plan, costs: Mapping[str, Cost], n_workers: int
) -> Iterator[FrontPoint]:
    """Yield every trial when it is done; the first error stops the others."""
    if n_workers == 1:
        while (point := _run_trial(search, plan, costs)) is not None:
            yield point
        return
    # As in `runs.executors`: forked children would inherit torch's threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        n_workers, mp_context=context, initializer=_end_with_parent
    )
    try:
        waiting = {
            pool.submit(_run_trial, search, plan, costs) for _ in range(n_workers)
        }
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for point in filter(None, [one.result() for one in done]):
                waiting.add(pool.submit(_run_trial, search, plan, costs))
                yield point
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when its parent ends, which a pool does not if it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_trial(
    search: Search, plan: Plan, costs: Mapping[str, Cost]
) -> FrontPoint | None:
    """Train and score one shape; None if all have begun."""
    with next_trial(search.folder, plan) as trial:
        if trial is None:
            return None
        run = search.folder / TRIALS / name_of(trial.shape)
        cost = costs[name_of(trial.shape)]
        if not (run / SCORES).is_file():
            _train_and_score(search, trial.shape, run)
        point = _point(search.folder, trial.shape, cost)
        values = (point.ua, cost.milliseconds, cost.megabytes)
        finish_trial(search.folder, trial, values)
        return point


def _train_and_score(search: Search, shape: Shape, run: Path) -> None:
    config = _trial_config(search.config)
    config = replace(config, network=network_config(config, shape))
    if is_finished(run):
        network = load_run(run)
    else:
        network = distil(
            config,
            search.clips,
            run,
            teachers=search.teachers,
            unlabelled=search.unlabelled,
            validation=search.left_out,
            cache=search.cache,
        )
    torch.set_num_threads(config.threads)
    extractor = FeatureExtractor(network, search.cache)
    found = {}
    for corpus, clips in _by_corpus(search.left_out).items():
        batches = make_batches(extractor, clips, config)
        probabilities = softmax(predict_clips(batches))
        found[corpus] = score(batches.labels, probabilities).ua
    scores = {"ua": found, "n_parameters": count_parameters(network)[0]}
    write_text(json.dumps(scores, indent=2) + "\n", run / SCORES)


def _trial_config(config: ExperimentConfig) -> ExperimentConfig:
    return replace(
        config,
        training=replace(config.training, epochs=config.search.epochs),
        profile=ProfileConfig(),  # nobody asks a trial about voices
        search=SearchConfig(),  # a run is of one shape
    )


def _point(folder: Path, shape: Shape, cost: Cost) -> FrontPoint:
    scores = json.loads((folder / TRIALS / name_of(shape) / SCORES).read_text("utf-8"))
    return FrontPoint(
        shape=shape,
        ua=fmean(scores["ua"].values()),
        by_corpus=scores["ua"],
        megabytes=cost.megabytes,
        milliseconds=cost.milliseconds,
        n_parameters=scores["n_parameters"],
    )


def _by_corpus(clips: Sequence[LoadedClip]) -> dict[str, list[LoadedClip]]:
    found: defaultdict[str, list[LoadedClip]] = defaultdict(list)
    for clip in clips:
        found[clip.utterance.corpus].append(clip)
    return dict(found)


def _require_emotions(left_out: Sequence[LoadedClip]) -> None:
    if not left_out:
        raise ConfigError(
            "no corpus is left out to score students on; name one or more with "
            "--leave-out CORPUS (they are no test of the student any more)"
        )
    for corpus, clips in _by_corpus(left_out).items():
        found = {clip.utterance.emotion for clip in clips}
        if missing := [str(e) for e in Emotion if e not in found]:
            raise ConfigError(
                f"corpus '{corpus}' has no {', '.join(missing)}, so that its UA would "
                "reward a student for giving one answer; leave out a corpus with all "
                "four emotions"
            )
