"""Trials of a study: which shape is trained next, shared by processes through SQLite.

Optuna keeps the trials and proposes shapes. A process holds the lock of a trial while
it trains; the system releases it when the process ends, however it ends. A trial that
is marked as running and whose lock is free was killed: its shape is the next proposal,
and its run folder resumes after its last epoch.
"""

from __future__ import annotations

import itertools
import random
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import optuna
from optuna.trial import TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from espressivo.errors import TrainingError
from espressivo.files.locks import locked
from espressivo.training.compress.search.folder import study_lock
from espressivo.training.compress.search.space import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from optuna.trial import FrozenTrial

    from espressivo.training.compress.search.space import Shape, Space

DATABASE = "study.db"
TRIALS = "trials"

_REPEATS = 10  # proposals of what is known, after which a shape is drawn


@contextmanager
def open_study(folder: Path) -> Iterator[optuna.Study]:
    """Open the study of a folder, which is created: UA up, MB and ms down.

    Raises:
        TrainingError: The database is damaged, or cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / DATABASE
    url = URL.create("sqlite", database=str(path)).render_as_string()
    try:
        # Locks of processes are ours; the timeout is for other programs' queries.
        storage = optuna.storages.RDBStorage(
            url, engine_kwargs={"connect_args": {"timeout": 60}}
        )
        try:
            yield optuna.create_study(
                storage=storage,
                study_name="students",
                directions=["maximize", "minimize", "minimize"],
                load_if_exists=True,
            )
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise TrainingError(
            f"{path}: cannot be read or written ({reason}); make room, or pass another "
            "--study"
        ) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study is to try.

    Attributes:
        space: The values that are searched.
        shapes: Shapes within the budget; others that Optuna proposes are pruned.
        n_trials: Number of shapes to train in all, by all processes and commands.
        seed: Seed of the proposals.
    """

    space: Space
    shapes: list[Shape]
    n_trials: int
    seed: int


class Trial(NamedTuple):
    """A shape that this process trains."""

    number: int
    shape: Shape


@contextmanager
def next_trial(folder: Path, plan: Plan) -> Iterator[Trial | None]:
    """Yield a new trial, which no other process takes; None if all have begun.

    Raises:
        TrainingError: The database is damaged, or cannot be written.
    """
    with ExitStack() as held:
        with study_lock(folder), open_study(folder) as study:
            trial = _choose(study, folder, plan)
            if trial is not None:
                held.enter_context(locked(_lock_of(folder, trial.shape), 0))
        yield trial


def finish_trial(folder: Path, trial: Trial, values: tuple[float, ...]) -> None:
    """Record the UA, milliseconds and megabytes of a trial."""
    with study_lock(folder), open_study(folder) as study:
        study.tell(trial.number, values)


def best_shapes(folder: Path) -> list[Shape]:
    """Return the shapes of the Pareto front of all finished trials."""
    with study_lock(folder), open_study(folder) as study:
        return [trial.params for trial in study.best_trials]


def _choose(study: optuna.Study, folder: Path, plan: Plan) -> Trial | None:
    _release_killed(study, folder)
    begun = _trials(study, TrialState.COMPLETE, TrialState.RUNNING)
    known = {name_of(trial.params) for trial in begun}
    left = [shape for shape in plan.shapes if name_of(shape) not in known]
    if len(begun) >= plan.n_trials or not left:
        return None
    choices: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(values)
        for name, values in plan.space.items()
    }
    for repeats in itertools.count():
        n_asked = len(study.trials)
        # Seeded anew, or a command that goes on would draw the same shapes again.
        study.sampler = optuna.samplers.TPESampler(seed=plan.seed + n_asked)
        if repeats >= _REPEATS:
            rng = random.Random(plan.seed + n_asked)  # noqa: S311 - no secret
            study.enqueue_trial(rng.choice(left))
        asked = study.ask(choices)
        if asked.params in left:
            return Trial(asked.number, asked.params)
        over = name_of(asked.params) not in known
        study.tell(asked, state=TrialState.PRUNED if over else TrialState.FAIL)
    raise AssertionError  # the count has no end


def _release_killed(study: optuna.Study, folder: Path) -> None:
    """Propose the shapes again whose process has ended before they were finished."""
    for trial in _trials(study, TrialState.RUNNING):
        try:
            with locked(_lock_of(folder, trial.params), 0):
                study.tell(trial.number, state=TrialState.FAIL)
                study.enqueue_trial(trial.params)
        except TimeoutError:  # it is being trained
            continue


def _trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=states)


def _lock_of(folder: Path, shape: Shape) -> Path:
    return folder / TRIALS / f"{name_of(shape)}.lock"
