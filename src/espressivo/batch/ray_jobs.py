"""Dispatch of jobs as Ray tasks: connection, retries, results, cancellation.

`archive` runs its shards this way, and `crossval` its folds.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import ray

from espressivo.errors import EspressivoError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Resources of Ray tasks, and the reporting of their failures.

    Attributes:
        job: Name of a job in messages, such as `a part`.
        error: Exception type to raise if there is no cluster or a job fails for good.
        retries: Number of retries of a job whose process or machine died.
        n_cpus: Number of cores of one task.
        n_gpus: Number of GPUs of one task.
    """

    job: str
    error: type[EspressivoError]
    retries: int
    n_cpus: int = 1
    n_gpus: int = 0


def run_on_ray(
    function: Callable[[_Job], _Result], jobs: Iterable[_Job], options: RayOptions
) -> Generator[tuple[_Job, _Result], None, None]:
    """Run `function` on every job as a Ray task; yield jobs and results as they finish.

    Plain tasks are used, not Ray Data, which would send rows through the cluster. The
    cluster decides how many tasks run in parallel and can grow or shrink. Closing the
    generator cancels the running tasks.

    Args:
        function: Function that every machine of the cluster can import by name.
        jobs: Jobs, pickled one at a time when the cluster has room.
        options: Resources, retries and error reporting.

    Raises:
        EspressivoError: `function` raised it; or, as `options.error`, there is no
            cluster, or a job is lost repeatedly.
    """
    _connect(options.error)
    task: Any = ray.remote(_call).options(
        name=function.__name__,
        max_retries=options.retries,
        num_cpus=options.n_cpus,
        num_gpus=options.n_gpus,
    )
    waiting = iter(jobs)
    running: dict[Any, _Job] = {}
    try:
        while True:
            for job in islice(waiting, max(0, _n_at_once() - len(running))):
                running[task.remote(function, job)] = job
            if not running:
                return
            # The wait ends after a second, to submit more if the cluster has grown.
            finished, _ = ray.wait([*running], timeout=1)
            for reference in finished:
                yield running.pop(reference), _result(reference, options)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _connect(error: type[EspressivoError]) -> None:
    if ray.is_initialized():
        return
    # Ray reports its use to its makers unless told not to; a cluster decides itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        # Log output of workers would mix with the progress bar on stderr.
        ray.init(
            log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as cause:
        address = os.environ.get("RAY_ADDRESS")
        what = "cannot be started" if address is None else f"at {address} is not there"
        why = str(cause).strip().partition("\n")[0]
        raise error(
            f"Ray {what} ({why}); set RAY_ADDRESS, and RAY_AUTH_MODE if the cluster "
            "asks for a token, or use the engine local"
        ) from cause


def _n_at_once() -> int:
    """Return how many tasks to submit: more than cores, so that a cluster scales up."""
    resources: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return 16 + 2 * int(resources.get("CPU", 0))


def _call(function: Callable[[_Job], _Result], job: _Job) -> _Result | EspressivoError:
    # Our errors are returned instead of raised: Ray would wrap them in its traceback.
    try:
        return function(job)
    except EspressivoError as error:
        return error


def _result(reference: Any, options: RayOptions) -> Any:
    try:
        result = ray.get(reference)
    except ray.exceptions.RayError as error:
        last = str(error).strip().rpartition("\n")[2]
        raise options.error(
            f"{options.job} could not be done on Ray ({last}); give the command again, "
            "which goes on where it was"
        ) from error
    if isinstance(result, EspressivoError):
        raise result
    return result
