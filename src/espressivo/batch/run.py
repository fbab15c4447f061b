"""Many recordings -> three tables: an engine does the shards that are not finished."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from espressivo.batch.entries import find_entries
from espressivo.batch.folder import opened
from espressivo.batch.local_engine import run_local
from espressivo.batch.plan import Plan
from espressivo.batch.shards import ArchiveJob, DoneCount
from espressivo.batch.store import is_remote
from espressivo.batch.summary import Summary, read_summary
from espressivo.machine import n_cores
from espressivo.model.classifier import read_card
from espressivo.model.find import DEFAULT, bundled_models, find_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

Engine = Literal["local", "ray"]
_Run: TypeAlias = (
    "Callable[[ArchiveJob, Sequence[int]], Generator[DoneCount, None, None]]"
)


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """How an archive is worked through; the tables depend on `shard_size` alone.

    Attributes:
        engine: `local`, processes of this machine; or `ray`, tasks of a Ray cluster
            that sees the same files.
        workers: Number of local processes; None: one per core. A cluster decides
            itself.
        shard_size: Recordings per part of the tables; None: 32, or more (up to 1,000)
            from 131,072 recordings on.
        restart: Delete an archive that is there, instead of going on with it.
    """

    engine: Engine = "local"
    workers: int | None = None
    shard_size: int | None = None
    restart: bool = False

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("shard_size", self.shard_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; wanted 1 or more")


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """How far a run is.

    Attributes:
        n_recordings: Recordings of the whole archive.
        n_before: Those that earlier runs did.
        n_now: Those that this run did.
        n_failed: Those of this run that have no report.
        sound_s: Total length of this run's other recordings, in seconds.
    """

    n_recordings: int
    n_before: int
    n_now: int = 0
    n_failed: int = 0
    sound_s: float = 0.0

    def plus(self, done: DoneCount) -> ArchiveProgress:
        """Return the progress after this much more."""
        return replace(
            self,
            n_now=self.n_now + done.n_recordings,
            n_failed=self.n_failed + done.n_failed,
            sound_s=self.sound_s + done.sound_s,
        )


def analyze_archive(
    source: str | Path,
    out: str | Path,
    *,
    model: str | Path = DEFAULT,
    options: ArchiveOptions | None = None,
    on_progress: Callable[[ArchiveProgress], None] | None = None,
) -> Summary:
    """Analyse many recordings into tables; go on where an earlier run was stopped.

    In a script, call it under `if __name__ == "__main__":`, as workers are spawned.

    Args:
        source: A folder, pattern or manifest, as `find_entries` takes it.
        out: The folder of the tables, or its address in an object store.
        model: A bundled model's name, or a model folder.
        options: Engine, workers, size of the shards.
        on_progress: Called before the first recording and after every one.

    Returns:
        What the tables hold, those of earlier runs included.

    Raises:
        ArchiveError: There is nothing to analyse, `out` is of something else, or it
            cannot be written.
        ModelError: There is no such model, or it is not what its card says.
    """
    import pyarrow as pa  # noqa: F401, PLC0415 - missing: say so before the work

    options = options or ArchiveOptions()
    run_engine = _engine(options)
    entries = find_entries(source)
    if any(is_remote(entry.path) for entry in entries):
        import fsspec  # noqa: F401, PLC0415 - missing: say so before the work
    folder = find_model(model).absolute()
    card = read_card(folder)
    plan = Plan.of(entries, card, options.shard_size)
    place = out if is_remote(out) else Path(out).absolute()
    with opened(place, plan, restart=options.restart) as archive:
        job = ArchiveJob(
            archive, entries, model if model in bundled_models() else folder
        )
        left = sorted({*range(plan.n_shards)} - archive.finished())
        n_left = sum(map(plan.size_of, left))
        progress = ArchiveProgress(len(entries), len(entries) - n_left)
        if on_progress is not None:
            on_progress(progress)
        # Closing ends the engine's processes, also when this one is interrupted.
        with closing(run_engine(job, left)) as counts:
            for done in counts:
                progress = progress.plus(done)
                if on_progress is not None:
                    on_progress(progress)
    return read_summary(place)


def _engine(options: ArchiveOptions) -> _Run:
    if options.engine == "local":
        return partial(run_local, n_workers=options.workers or n_cores())
    from espressivo.batch.ray_engine import run_ray  # noqa: PLC0415 - another extra

    return run_ray
