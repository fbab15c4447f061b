"""Executors of fold jobs: this process, several processes, or a Ray cluster."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Protocol

from espressivo.errors import TrainingError
from espressivo.training.runs.fold_job import FoldJob, run_fold_job

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from espressivo.batch.run import Engine
    from espressivo.training.runs.train import EpochReport


class RunProgress(Protocol):
    """Receives the progress of runs."""

    def on_epoch(self, job: FoldJob, report: EpochReport) -> None:
        """Receive the report of an epoch; called only for runs in this process."""

    def on_done(self, job: FoldJob) -> None:
        """Receive a run that is done, now or by an earlier command."""


def run_fold_jobs(
    jobs: Sequence[FoldJob],
    engine: Engine = "local",
    n_processes: int = 1,
    watch: RunProgress | None = None,
) -> None:
    """Run all unfinished jobs; the first error stops the rest.

    Local jobs that have started are finished, since most of
    their cost is already paid; jobs on Ray are cancelled, and resume from their last
    epoch when the command is run again.

    Args:
        jobs: Folds and seeds; those that are done are only reported.
        engine: `local`, this machine; or `ray`, a cluster that sees the same files
            under the same paths.
        n_processes: Local jobs at once; with 1 they run in this process.
        watch: Receives the progress.

    Raises:
        TrainingError: A job fails, or there is no cluster.
    """
    waiting = []
    for job in jobs:
        if not job.is_done:
            waiting.append(job)
        elif watch is not None:
            watch.on_done(job)
    if engine == "ray":
        finished = _on_ray(waiting)
    elif n_processes > 1 and len(waiting) > 1:
        finished = _in_processes(waiting, n_processes)
    else:
        finished = _here(waiting, watch)
    with closing(finished):  # which stops what still runs, whatever interrupts
        for job in finished:
            if watch is not None:
                watch.on_done(job)


def _here(
    jobs: Sequence[FoldJob], watch: RunProgress | None
) -> Generator[FoldJob, None, None]:
    for job in jobs:
        if watch is None:
            run_fold_job(job)
        else:
            run_fold_job(job, partial(watch.on_epoch, job))
        yield job


def _in_processes(
    jobs: Sequence[FoldJob], n_processes: int
) -> Generator[FoldJob, None, None]:
    # Not the worker pool of `espressivo.batch`, which repeats what kills a worker: here
    # that is a lack of memory, which hours of training would only meet again.
    # Forked children would inherit torch's threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(n_processes, len(jobs)), mp_context=context)
    try:
        waiting = {pool.submit(run_fold_job, job): job for job in jobs}
        # In the order of completion, so that an error is noticed at once.
        for done in as_completed(waiting):
            done.result()
            yield waiting[done]
    finally:
        # After an error or an interrupt, jobs that have not begun are dropped.
        pool.shutdown(cancel_futures=True)


def _on_ray(jobs: Sequence[FoldJob]) -> Generator[FoldJob, None, None]:
    from espressivo.batch.ray_jobs import (  # noqa: PLC0415 - slow, and another extra
        RayOptions,
        run_on_ray,
    )

    # No cluster is started for nothing.
    if not jobs:
        return
    # A worker that dies costs the epoch that it was in: the next one goes on from the
    # checkpoint.
    options = RayOptions(
        job="a run",
        error=TrainingError,
        retries=3,
        n_cpus=jobs[0].config.threads,
        n_gpus=int(_on_gpu(jobs[0])),
    )
    for job, _ in run_on_ray(run_fold_job, jobs, options):
        yield job


def _on_gpu(job: FoldJob) -> bool:
    from espressivo.training.runs.folder import pick_device  # noqa: PLC0415 - torch

    return pick_device(job.config).type == "cuda"
