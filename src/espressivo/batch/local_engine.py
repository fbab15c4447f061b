"""The engine of one machine: a crew of processes, and one that writes."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from espressivo.batch.shards import (
    Done,
    Gathering,
)
from espressivo.batch.store import is_remote
from espressivo.batch.workers import Crew
from espressivo.model.find import find_model

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from espressivo.batch.shards import Job


def in_processes(
    job: Job, shards: Sequence[int], n_workers: int
) -> Generator[Done, None, None]:
    """Do these parts; yield after every recording.

    Args:
        job: What is to be done.
        shards: The parts that are left.
        n_workers: How many processes at most.

    Raises:
        ArchiveError: A part cannot be written, or workers die before they begin.
        ModelError: The model cannot be loaded.
    """
    gathering = Gathering(job.archive)
    entries = chain.from_iterable(
        gathering.begin(shard, job.entries_of(shard)) for shard in shards
    )
    plan = job.archive.plan
    n_left = sum(map(plan.size_of, shards))
    with ExitStack() as stack:
        scratch = None
        if any(is_remote(entry.path) for entry in job.entries):
            folder = TemporaryDirectory(prefix="espressivo-")
            scratch = Path(stack.enter_context(folder))
        model = find_model(job.model).absolute()
        crew = Crew(model, plan.model_sha256, min(n_workers, n_left), scratch)
        stack.enter_context(crew)
        for outcome in crew.work(entries):
            gathering.add(outcome)
            yield Done.of([outcome])
