"""Where tasks run: here, in several processes, or on a Ray cluster. Same results."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, Literal, Protocol

from espressivo.training.runs.fold_job import (
    FoldJob,
    run_fold_job,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.runs.train import EpochReport

Engine = Literal["local", "ray"]


class Watch(Protocol):
    """Who watches runs."""

    def on_epoch(self, task: FoldJob, report: EpochReport) -> None:
        """Hear of an epoch; only of runs in this process."""

    def on_done(self, task: FoldJob) -> None:
        """Hear of a run that is done, also of those that were before."""


def run_tasks(
    tasks: Sequence[FoldJob],
    engine: Engine = "local",
    jobs: int = 1,
    watch: Watch | None = None,
) -> None:
    """Do all tasks that are not done.

    The first error ends it; tasks that are running are let finish, for they are paid
    for.
    """
    waiting = []
    for task in tasks:
        if not task.is_done:
            waiting.append(task)
        elif watch is not None:
            watch.on_done(task)
    if engine == "ray":
        _on_ray(waiting, watch)
    elif jobs > 1 and len(waiting) > 1:
        _in_processes(waiting, jobs, watch)
    else:
        for task in waiting:
            _here(task, watch)


def _here(task: FoldJob, watch: Watch | None) -> None:
    if watch is None:
        run_fold_job(task)
        return
    run_fold_job(task, lambda report: watch.on_epoch(task, report))
    watch.on_done(task)


def _in_processes(tasks: Sequence[FoldJob], jobs: int, watch: Watch | None) -> None:
    # Forked children would inherit torch's threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context)
    try:
        waiting = {pool.submit(run_fold_job, task): task for task in tasks}
        for done in as_completed(waiting):
            done.result()
            if watch is not None:
                watch.on_done(waiting[done])
    finally:
        pool.shutdown(cancel_futures=True)


def _on_ray(tasks: Sequence[FoldJob], watch: Watch | None) -> None:
    """Give every task to Ray, which must see the same files under the same paths."""
    import ray  # noqa: PLC0415 - slow, and of another extra

    if not ray.is_initialized():
        ray.init(
            log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
        )
    # A worker that dies takes its task's unfinished epoch with it, and no more: the
    # next one goes on from the checkpoint.
    remote: Any = ray.remote(max_retries=3)(run_fold_job)
    n_gpus = 1 if tasks and _on_gpu(tasks[0]) else 0
    waiting = {
        remote.options(num_cpus=task.config.threads, num_gpus=n_gpus).remote(task): task
        for task in tasks
    }
    pending = list(waiting)
    while pending:
        done, pending = ray.wait(pending)
        for reference in done:
            ray.get(reference)
            if watch is not None:
                watch.on_done(waiting[reference])


def _on_gpu(task: FoldJob) -> bool:
    from espressivo.training.runs.folder import pick_device  # noqa: PLC0415 - imports torch

    return pick_device(task.config).type == "cuda"
