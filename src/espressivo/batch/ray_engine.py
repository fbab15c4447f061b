"""The engine of a Ray cluster: a part is a task, which writes what it found.

Plain tasks and not Ray Data, which would hand rows about that nobody needs: a task's
result is three numbers. The cluster decides how many run at once, and grows and shrinks
as it likes; a task whose process or machine dies is done again, elsewhere.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import ray

from espressivo.batch.shards import (
    Done,
    Gathering,
)
from espressivo.batch.workers import Crew
from espressivo.errors import ArchiveError, EspressivoError
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from espressivo.batch.entries import Entry
    from espressivo.batch.folder import ArchiveFolder
    from espressivo.batch.shards import Job

_RETRIES = 10
"""How often a task is done again whose process or machine died."""


def on_ray(job: Job, shards: Sequence[int]) -> Generator[Done, None, None]:
    """Do these parts as tasks of one core each; yield after every part.

    Raises:
        ArchiveError: There is no cluster, a part cannot be written, or is lost again
            and again.
        ModelError: A machine has no such model.
    """
    _join()
    task: Any = ray.remote(num_cpus=1, max_retries=_RETRIES)(_do_shard)
    archive = ray.put(job.archive)
    waiting = iter(shards)
    running: list[Any] = []
    try:
        while True:
            for shard in islice(waiting, max(0, _n_at_once() - len(running))):
                entries = list(job.entries_of(shard))
                running.append(task.remote(archive, job.model, shard, entries))
            if not running:
                return
            finished, running = ray.wait(running, timeout=1)
            for reference in finished:
                yield _result(reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _join() -> None:
    if ray.is_initialized():
        return
    try:
        ray.init(
            log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        address = os.environ.get("RAY_ADDRESS")
        what = "cannot be started" if address is None else f"at {address} is not there"
        why = str(error).strip().partition("\n")[0]
        raise ArchiveError(
            f"Ray {what} ({why}); set RAY_ADDRESS, and RAY_AUTH_MODE if the cluster "
            "asks for a token, or use the engine local"
        ) from error


def _n_at_once() -> int:
    """Return how many tasks to ask for: some more than run, so that a cluster grows."""
    resources: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return 16 + 2 * int(resources.get("CPU", 0))


def _result(reference: Any) -> Done:
    try:
        done: Done | EspressivoError = ray.get(reference)
    except ray.exceptions.RayError as error:
        last = str(error).strip().rpartition("\n")[2]
        raise ArchiveError(
            f"a part could not be done on Ray ({last}); give the command again, which "
            "goes on where it was"
        ) from error
    if isinstance(done, EspressivoError):
        raise done
    return done


def _do_shard(
    archive: ArchiveFolder, model: str | Path, shard: int, entries: list[Entry]
) -> Done | EspressivoError:
    """Do one part, in a Ray worker; an error of ours is returned, to be one line."""
    gathering = Gathering(archive)
    outcomes = []
    try:
        crew = _crew(find_model(model).absolute(), archive.plan.model_sha256)
        for outcome in crew.work(gathering.begin(shard, entries)):
            gathering.add(outcome)
            outcomes.append(outcome)
    except EspressivoError as error:
        _crew.cache_clear()
        return error
    return Done.of(outcomes)


@lru_cache(maxsize=1)
def _crew(model: Path, sha256: str) -> Crew:
    """Return a process of this Ray worker's, which outlives tasks and holds the model.

    A recording that kills its process so kills no Ray worker, and is found out.
    """
    return Crew(model, sha256, n_workers=1)
