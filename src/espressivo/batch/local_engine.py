"""Local engine: worker processes analyse, and the main process writes the tables.

In the second pass over an archive that is adapted, processes write them.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import chain
from multiprocessing import get_context
from typing import TYPE_CHECKING

from espressivo.batch.second_pass import adapt_shard
from espressivo.batch.shards import DoneCount, ShardBuffer
from espressivo.batch.store import is_remote
from espressivo.batch.worker import follow_parent
from espressivo.batch.workers import WorkerPool
from espressivo.errors import ArchiveError
from espressivo.files.scratch import scratch_folder
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from concurrent.futures import Future

    from espressivo.batch.second_pass import ShardToAdapt
    from espressivo.batch.shards import ArchiveJob


def run_local(
    job: ArchiveJob, shards: Sequence[int], n_workers: int
) -> Generator[DoneCount, None, None]:
    """Analyse and write shards; yield a count after every recording.

    Args:
        job: Archive, recordings and model.
        shards: Numbers of the unfinished shards.
        n_workers: Largest number of processes.

    Raises:
        ArchiveError: A shard cannot be written, or workers die at their start.
        ModelError: The model cannot be loaded.
    """
    buffer = ShardBuffer(job.archive)
    entries = chain.from_iterable(
        buffer.open_shard(shard, job.entries_of(shard)) for shard in shards
    )
    plan = job.archive.plan
    n_left = sum(map(plan.size_of, shards))
    with ExitStack() as stack:
        scratch = None
        if any(is_remote(entry.path) for entry in job.entries):
            # The main process owns this folder, since a killed worker cannot delete its
            # copies.
            scratch = stack.enter_context(scratch_folder())
        model = find_model(job.model).absolute()
        # No more processes than recordings, since each one loads the model.
        n_workers = min(n_workers, n_left)
        pool = WorkerPool(model, plan, n_workers, scratch, job.setting)
        workers = stack.enter_context(pool)
        for outcome in workers.analyze(entries):
            buffer.add(outcome)
            yield DoneCount.of([outcome])


def adapt_local(
    shards: Iterable[ShardToAdapt], n_workers: int
) -> Generator[DoneCount, None, None]:
    """Adapt shards; yield a count after each.

    Args:
        shards: Shards of a finished first pass.
        n_workers: Number of processes; 1: this one.

    Raises:
        ArchiveError: A shard cannot be written, or a process died.
    """
    if n_workers == 1:
        yield from map(adapt_shard, shards)
        return
    running: set[Future[DoneCount]] = set()
    # "spawn", since forked children inherit locks that other threads hold.
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), follow_parent)
    try:
        for shard in shards:
            running.add(pool.submit(adapt_shard, shard))
            if len(running) > 2 * n_workers:  # not all of them have to be in memory
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        yield from (each.result() for each in running)
    except BrokenProcessPool as error:
        raise ArchiveError(
            "a process that adapts recordings died; use fewer workers if memory is "
            "short, and give the command again, which goes on where it was"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
