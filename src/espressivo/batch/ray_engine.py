"""Ray engine: each shard is one Ray task, which analyses and writes its recordings.

A task returns three counts, so that no table rows are sent through the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from espressivo.batch.plan import Plan, Software
from espressivo.batch.ray_jobs import RayOptions, run_on_ray
from espressivo.batch.second_pass import adapt_shard
from espressivo.batch.shards import DoneCount, ShardBuffer
from espressivo.batch.workers import WorkerPool
from espressivo.errors import ArchiveError, EspressivoError
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from espressivo.batch.entries import Entry
    from espressivo.batch.folder import ArchiveFolder
    from espressivo.batch.second_pass import ShardToAdapt
    from espressivo.batch.shards import ArchiveJob
    from espressivo.profile.profile import Profile

# Ten retries, since spot machines are preempted often and a shard takes little time.
_OPTIONS = RayOptions(job="a part", error=ArchiveError, retries=10)


class _Shard(NamedTuple):
    """Arguments of a task; `model` is looked up on the machine that runs it."""

    archive: ArchiveFolder
    model: str | Path
    number: int
    entries: list[Entry]
    setting: Profile | None


def run_ray(job: ArchiveJob, shards: Sequence[int]) -> Generator[DoneCount, None, None]:
    """Analyse and write shards, one core per shard; yield a count after each.

    Args:
        job: Archive, recordings and model.
        shards: Numbers of the unfinished shards.

    Raises:
        ArchiveError: There is no cluster, or a shard cannot be written or is lost
            repeatedly.
        ModelError: A machine does not have the model.
    """
    tasks = (
        _Shard(job.archive, job.model, shard, list(job.entries_of(shard)), job.setting)
        for shard in shards
    )
    for _, done in run_on_ray(_do_shard, tasks, _OPTIONS):
        yield done


def adapt_ray(shards: Iterable[ShardToAdapt]) -> Generator[DoneCount, None, None]:
    """Adapt shards, one core per shard; yield a count after each.

    Raises:
        ArchiveError: There is no cluster, or a shard cannot be written or is lost
            repeatedly.
    """
    for _, done in run_on_ray(adapt_shard, shards, _OPTIONS):
        yield done


def _do_shard(shard: _Shard) -> DoneCount:
    """Analyse and write one shard, in a Ray worker."""
    buffer = ShardBuffer(shard.archive)
    outcomes = []
    try:
        model = find_model(shard.model).absolute()
        workers = _workers(model, shard.archive.plan, shard.setting)
        for outcome in workers.analyze(buffer.open_shard(shard.number, shard.entries)):
            buffer.add(outcome)
            outcomes.append(outcome)
    except EspressivoError:
        _pools.clear()  # the next shard starts with a new process
        raise
    return DoneCount.of(outcomes)


_pools: dict[tuple[Path, Plan], WorkerPool] = {}


def _workers(model: Path, plan: Plan, setting: Profile | None) -> WorkerPool:
    """Return a pool of one process that keeps its model loaded between tasks.

    A recording that crashes the process therefore does not crash the Ray worker, and
    the pool can identify the recording.
    """
    if (model, plan) not in _pools:
        if plan.software and (odd := Software.installed().differences(plan.software)):
            raise ArchiveError(
                f"a machine of the cluster has other software: {'; '.join(odd)}; "
                "install the same on all machines"
            )
        _pools.clear()
        _pools[model, plan] = WorkerPool(model, plan, n_workers=1, setting=setting)
    return _pools[model, plan]
