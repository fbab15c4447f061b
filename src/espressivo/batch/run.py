"""Entry point of batch analysis: an engine analyses all unfinished shards.

An archive that is adapted is made in two passes: `first_pass.py` and `second_pass.py`
describe them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from espressivo.audio.headerless import parse_format
from espressivo.batch.entries import list_source, require_groups
from espressivo.batch.folder import VOICES, opened
from espressivo.batch.local_engine import adapt_local, run_local
from espressivo.batch.plan import Plan
from espressivo.batch.second_pass import Histories, collect, shards_to_adapt
from espressivo.batch.shards import ArchiveJob, DoneCount
from espressivo.batch.store import is_remote
from espressivo.batch.summary import Summary, read_summary
from espressivo.batch.tables import columns_of_manifest
from espressivo.machine import n_cores
from espressivo.model.classifier import load_classifier, read_card
from espressivo.model.find import DEFAULT, bundled_models, find_model
from espressivo.profile.profile import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from espressivo.batch.second_pass import ShardToAdapt
    from espressivo.model.adaptation import AdaptationCard
    from espressivo.profile.profile import Profile
    from espressivo.speech.segments import SpeechOptions

    Counts = Generator[DoneCount, None, None]

Engine = Literal["local", "ray"]
Stage = Literal["analysis", "voices", "adaptation"]

_WORTH_A_PROCESS = 200
"""Recordings that are adapted in about the time that a process takes to start."""


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """Options of a batch run; the last four and `shard_size` affect the tables.

    Attributes:
        engine: `local` for processes on this machine, `ray` for tasks on a Ray cluster
            that has access to the same files.
        workers: Number of local processes; None: one per core. Ray ignores it.
        shard_size: Number of recordings per part of the tables; None: 32, growing up to
            1,000 for more than 131,072 recordings.
        restart: Delete an existing archive instead of resuming it.
        headerless: Format of the recordings without a header, such as `mulaw` or
            `s16le:8000`; None: by the ending of their names.
        adapt: Judge recordings by what the others of their group and speaker sound
            like, in two passes; `group` and `speaker` are columns of the manifest.
        setting: Setting that every recording is judged by, made of other recordings;
            None: none. Not together with `adapt`.
        speech: Thresholds and durations of the speech segmentation; None: defaults.

    Raises:
        AudioError: The format is unknown.
        ValueError: A number is less than 1, or both `adapt` and `setting` are given.
    """

    engine: Engine = "local"
    workers: int | None = None
    shard_size: int | None = None
    restart: bool = False
    headerless: str | None = None
    adapt: bool = False
    setting: Profile | None = None
    speech: SpeechOptions | None = None

    def __post_init__(self) -> None:
        if self.headerless is not None:
            parse_format(self.headerless)  # its faults are told before hours of work
        for name, value in (("workers", self.workers), ("shard_size", self.shard_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; wanted 1 or more")
        if self.adapt and self.setting is not None:
            raise ValueError(
                "adapt finds the setting of each group itself; pass it or a setting"
            )


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """Progress of a stage of a batch run.

    Attributes:
        n_recordings: Number of recordings in the whole archive.
        n_before: Number of recordings finished by earlier runs.
        n_now: Number of recordings finished by this run.
        n_failed: Number of recordings in this run that failed.
        sound_s: Total duration of this run's other recordings, in seconds.
        stage: `analysis`; if the archive is adapted, `voices` (of groups and speakers,
            which are summed up) and `adaptation` follow.
    """

    n_recordings: int
    n_before: int
    n_now: int = 0
    n_failed: int = 0
    sound_s: float = 0.0
    stage: Stage = "analysis"

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
        on_progress: Callback before the first recording of each stage, and after
            progress is made.

    Returns:
        Summary of the whole archive, including earlier runs.

    Raises:
        ArchiveError: There is nothing to analyse, `out` contains an archive of another
            plan or other files, or it cannot be written.
        AudioError: The options' format is unknown.
        ModelError: There is no such model, its files do not match its card, or it
            cannot adapt and is to.
        ProfileError: The options' setting is of another model, or a speaker.
    """
    # Missing extras are reported here, before hours of work.
    import pyarrow as pa  # noqa: F401, PLC0415

    options = options or ArchiveOptions()
    engine = _engine(options)
    entries, left_out, named = list_source(source, out)
    if any(is_remote(entry.path) for entry in entries):
        import fsspec  # noqa: F401, PLC0415
    folder = find_model(model).absolute()
    card = read_card(folder)
    if options.adapt:
        require_groups(source, entries)
        card.require_adaptation()
    if options.setting is not None:
        options.setting.require_kind(
            Kind.SETTING,
            "make a setting with `espressivo adapt`; speakers are told apart by "
            "--adapt, with a column speaker in the manifest",
        )
        options.setting.require_model(load_classifier(folder))
    columns = columns_of_manifest(
        named,
        card.emotions,
        card.dimensions,
        adapted=options.adapt or options.setting is not None,
    )
    plan = Plan.of(
        entries,
        card,
        options.shard_size,
        options.headerless,
        adapt=options.adapt,
        setting=options.setting,
        columns=columns,
        speech=options.speech,
    )
    place = out if is_remote(out) else Path(out).absolute()
    with opened(place, plan, restart=options.restart) as archive:
        # A bundled model is passed by name, since its path differs between the machines
        # of a cluster.
        known = model if model in bundled_models() else folder
        job = ArchiveJob(archive, entries, known, options.setting)
        archive.write_left_out(left_out)
        for stage, n_left, counts in _stages(job, engine, card.adaptation):
            progress = ArchiveProgress(len(entries), len(entries) - n_left, stage=stage)
            if on_progress is not None:
                on_progress(progress)
            # Closing ends the engine's processes, also when this one is interrupted.
            with closing(counts):
                for done in counts:
                    progress = progress.plus(done)
                    if on_progress is not None:
                        on_progress(progress)
    return read_summary(place)


def _stages(
    job: ArchiveJob, engine: _Engine, card: AdaptationCard | None
) -> Iterator[tuple[Stage, int, Counts]]:
    """Yield each stage, how many recordings it has to do, and what does them.

    A stage begins when the one before it is done.
    """
    archive, n_recordings = job.archive, len(job.entries)
    size_of, left = archive.plan.size_of, archive.unfinished()
    if not archive.plan.is_adapted or card is None:
        yield "analysis", sum(map(size_of, left)), engine.analyze(job, left)
        return
    # Which recordings of a group are heard decides about all of its rows. So no part is
    # written before the first pass is complete, which is deleted after the last one.
    unheard = archive.unfinished(VOICES) if left else []
    yield "analysis", sum(map(size_of, unheard)), engine.analyze(job, unheard)
    if left:
        histories = Histories(job.entries)
        yield "voices", n_recordings, collect(job, histories)
        shards = shards_to_adapt(job, left, card, histories)
        n_left = sum(map(size_of, left))
        yield "adaptation", n_left, engine.adapt(shards, n_left)
    archive.delete_first_pass()


class _Engine(NamedTuple):
    """Functions that analyse and adapt shards; `adapt` knows how many recordings."""

    analyze: Callable[[ArchiveJob, Sequence[int]], Counts]
    adapt: Callable[[Iterable[ShardToAdapt], int], Counts]


def _engine(options: ArchiveOptions) -> _Engine:
    if options.engine == "local":
        n = options.workers or n_cores()
        return _Engine(
            partial(run_local, n_workers=n),
            lambda shards, n_left: adapt_local(
                shards, min(n, 1 + n_left // _WORTH_A_PROCESS)
            ),
        )
    from espressivo.batch.ray_engine import (  # noqa: PLC0415 - another extra
        adapt_ray,
        run_ray,
    )

    return _Engine(run_ray, lambda shards, _: adapt_ray(shards))
