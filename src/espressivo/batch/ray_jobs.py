"""Jobs as Ray tasks: connect, dispatch, repeat after a death, collect, cancel.

`archive` runs shards this way, `crossval` its folds.
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
    """What tasks need, and how their failure is told.

    Attributes:
        job: What a job is called in messages, such as `a part`.
        error: Raised when there is no cluster, or a job is lost for good.
        retries: How often a job is repeated whose process or machine died.
        n_cpus: Cores of one task.
        n_gpus: GPUs of one task.
    """

    job: str
    error: type[EspressivoError]
    retries: int
    n_cpus: int = 1
    n_gpus: int = 0


def run_on_ray(
    function: Callable[[_Job], _Result], jobs: Iterable[_Job], options: RayOptions
) -> Generator[tuple[_Job, _Result], None, None]:
    """Call `function` on every job, as tasks; yield job and result as they are done.

    Plain tasks and not Ray Data, which would carry rows about that nobody needs. The
    cluster decides how many tasks run at once, and may grow and shrink. A caller that
    stops early cancels what still runs.

    Args:
        function: Importable by its name on every machine of the cluster.
        jobs: Pickled one at a time, when the cluster has room.
        options: Cores, retries, errors.

    Raises:
        EspressivoError: What `function` raised; or `options.error`: there is no
            cluster, or a job is lost again and again.
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
            # Waiting ends after a second, to give more to a cluster that has grown.
            finished, _ = ray.wait([*running], timeout=1)
            for reference in finished:
                yield running.pop(reference), _result(reference, options)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _connect(error: type[EspressivoError]) -> None:
    if ray.is_initialized():
        return
    try:
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
    """Return how many tasks to ask for: some more than run, so that a cluster grows."""
    resources: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return 16 + 2 * int(resources.get("CPU", 0))


def _call(function: Callable[[_Job], _Result], job: _Job) -> _Result | EspressivoError:
    # An error of ours is returned: raised, it would reach the user as Ray's traceback.
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
