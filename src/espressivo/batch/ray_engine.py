"""Ray engine: a shard is a task, which analyses its recordings and writes the tables.

A task's result is three numbers, so no rows travel through the cluster.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from espressivo.batch.ray_jobs import RayOptions, run_on_ray
from espressivo.batch.shards import DoneCount, ShardBuffer
from espressivo.batch.workers import WorkerPool
from espressivo.errors import ArchiveError, EspressivoError
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from espressivo.batch.entries import Entry
    from espressivo.batch.folder import ArchiveFolder
    from espressivo.batch.shards import ArchiveJob

# Machines that a cluster rents cheaply are taken back often, and a shard is short.
_OPTIONS = RayOptions(job="a part", error=ArchiveError, retries=10)


class _Shard(NamedTuple):
    """What a task is sent; `model` is looked up on the machine that runs it."""

    archive: ArchiveFolder
    model: str | Path
    number: int
    entries: list[Entry]


def run_ray(job: ArchiveJob, shards: Sequence[int]) -> Generator[DoneCount, None, None]:
    """Analyse and write these shards, one core each; yield after every shard.

    Raises:
        ArchiveError: There is no cluster, or a shard cannot be written, or is lost
            again and again.
        ModelError: A machine has no such model.
    """
    tasks = (
        _Shard(job.archive, job.model, shard, list(job.entries_of(shard)))
        for shard in shards
    )
    for _, done in run_on_ray(_do_shard, tasks, _OPTIONS):
        yield done


def _do_shard(shard: _Shard) -> DoneCount:
    """Analyse and write one shard, in a Ray worker."""
    buffer = ShardBuffer(shard.archive)
    outcomes = []
    try:
        model = find_model(shard.model).absolute()
        workers = _workers(model, shard.archive.plan.model_sha256)
        for outcome in workers.analyze(buffer.open_shard(shard.number, shard.entries)):
            buffer.add(outcome)
            outcomes.append(outcome)
    except EspressivoError:
        _workers.cache_clear()  # the next shard begins with a new process
        raise
    return DoneCount.of(outcomes)


@lru_cache(maxsize=1)
def _workers(model: Path, sha256: str) -> WorkerPool:
    """Return a pool of one process, which keeps the model from task to task.

    A recording that kills its process thus does not kill the Ray worker, and the pool
    knows which recording it was.
    """
    return WorkerPool(model, sha256, n_workers=1)
