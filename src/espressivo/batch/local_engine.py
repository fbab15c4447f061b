"""Local engine: worker processes analyse, and the main process writes the tables."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from espressivo.batch.shards import DoneCount, ShardBuffer
from espressivo.batch.store import is_remote
from espressivo.batch.workers import WorkerPool
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

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
            folder = TemporaryDirectory(prefix="espressivo-")
            scratch = Path(stack.enter_context(folder))
        model = find_model(job.model).absolute()
        # No more processes than recordings, since each one loads the model.
        n_workers = min(n_workers, n_left)
        workers = WorkerPool(
            model, plan.model_sha256, n_workers, scratch, plan.headerless
        )
        stack.enter_context(workers)
        for outcome in workers.analyze(entries):
            buffer.add(outcome)
            yield DoneCount.of([outcome])
