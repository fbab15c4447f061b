"""Entry point of batch analysis: an engine analyses all unfinished shards."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from espressivo.audio.headerless import parse_format
from espressivo.batch.entries import list_source
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
    """Options of a batch run; only `shard_size` and `headerless` affect the tables.

    Attributes:
        engine: `local` for processes on this machine, `ray` for tasks on a Ray cluster
            that has access to the same files.
        workers: Number of local processes; None: one per core. Ray ignores it.
        shard_size: Number of recordings per part of the tables; None: 32, growing up to
            1,000 for more than 131,072 recordings.
        restart: Delete an existing archive instead of resuming it.
        headerless: Format of the recordings without a header, such as `mulaw` or
            `s16le:8000`; None: by the ending of their names.
    """

    engine: Engine = "local"
    workers: int | None = None
    shard_size: int | None = None
    restart: bool = False
    headerless: str | None = None

    def __post_init__(self) -> None:
        if self.headerless is not None:
            parse_format(self.headerless)  # its faults are told before hours of work
        for name, value in (("workers", self.workers), ("shard_size", self.shard_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; wanted 1 or more")


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """Progress of a batch run.

    Attributes:
        n_recordings: Number of recordings in the whole archive.
        n_before: Number of recordings finished by earlier runs.
        n_now: Number of recordings finished by this run.
        n_failed: Number of recordings in this run that failed.
        sound_s: Total duration of this run's other recordings, in seconds.
    """

    n_recordings: int
    n_before: int
    n_now: int = 0
    n_failed: int = 0
    sound_s: float = 0.0

    def plus(self, done: DoneCount) -> ArchiveProgress:
        """Return the progress with more recordings done."""
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
    """Analyse many recordings into tables, resuming an interrupted run.

    In a script, call it under `if __name__ == "__main__":`, as workers are spawned.

    Args:
        source: Folder, pattern or manifest, as for `find_entries`.
        out: Folder of the tables, or its URL in an object store.
        model: Name of a bundled model, or a model folder.
        options: Engine, workers and shard size; None: defaults.
        on_progress: Callback before the first recording and after progress is made.

    Returns:
        Summary of the whole archive, including earlier runs.

    Raises:
        ArchiveError: There is nothing to analyse, `out` contains an archive of another
            plan or other files, or it cannot be written.
        AudioError: The options' format is unknown.
        ModelError: There is no such model, or its files do not match its card.
    """
    # Missing extras are reported here, before hours of work.
    import pyarrow as pa  # noqa: F401, PLC0415

    options = options or ArchiveOptions()
    run_engine = _engine(options)
    entries, left_out = list_source(source, out)
    if any(is_remote(entry.path) for entry in entries):
        import fsspec  # noqa: F401, PLC0415
    folder = find_model(model).absolute()
    card = read_card(folder)
    plan = Plan.of(entries, card, options.shard_size, options.headerless)
    place = out if is_remote(out) else Path(out).absolute()
    with opened(place, plan, restart=options.restart) as archive:
        # A bundled model is passed by name, since its path differs between the machines
        # of a cluster.
        job = ArchiveJob(
            archive, entries, model if model in bundled_models() else folder
        )
        archive.write_left_out(left_out)
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
