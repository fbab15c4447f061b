"""Second pass over an archive that is adapted: from voices to adapted tables.

Every recording is judged with two histories: the *setting* of its group, to which each
recording of the group adds the same weight, and all windows of its *speaker* in that
group. Both are merged in the order of ids, so that the rows do not depend on who heard
which recording when.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from espressivo.batch.first_pass import read_outcomes, read_statistics
from espressivo.batch.folder import VOICES
from espressivo.batch.outcome import row_of
from espressivo.batch.shards import DoneCount
from espressivo.batch.tables import parts_of
from espressivo.model.adaptation import adapt, infer
from espressivo.pipeline.window_classifier import what_is_known
from espressivo.profile.profile import warning_of_several
from espressivo.report import Adaptation, Report
from espressivo.types import Segment, to_estimates

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from espressivo.batch.entries import Entry
    from espressivo.batch.folder import ArchiveFolder
    from espressivo.batch.outcome import Outcome, Voices
    from espressivo.batch.plan import Plan
    from espressivo.batch.shards import ArchiveJob
    from espressivo.model.adaptation import AdaptationCard, Posterior
    from espressivo.model.window_statistics import WindowStatistics
    from espressivo.types import Estimate

_infer = lru_cache(maxsize=64)(infer)  # recordings of a speaker share the statistics

_Speaker: TypeAlias = tuple[str, str]
"""Group and name of a speaker."""

_OF_WINDOWS = (
    "emotion",
    "uncertain",
    "probabilities",
    "windows",
    "warnings",
    "adaptation",
)
"""Entries of a report that the adaptation changes."""


class ShardToAdapt(NamedTuple):
    """Input of the second pass over one shard.

    Attributes:
        archive: Folder of the tables.
        number: Number of the shard.
        entries: Recordings of the shard, in order.
        card: The model's card of adaptation.
        settings: Statistics of the groups in the shard; a group of one speaker is none.
        speakers: Statistics of the speakers in the shard who have several recordings.
    """

    archive: ArchiveFolder
    number: int
    entries: Sequence[Entry]
    card: AdaptationCard
    settings: dict[str, WindowStatistics]
    speakers: dict[_Speaker, WindowStatistics]


class Histories:
    """Statistics of the groups and speakers of an archive; some kilobytes each.

    Args:
        entries: All recordings, sorted by id.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        counts = Counter(_speaker_of(entry) for entry in entries if entry.speaker)
        # Others are in their shard's file alone, since there may be millions of them.
        self._repeated = {speaker for speaker, n in counts.items() if n > 1}
        self._settings: dict[str, WindowStatistics] = {}
        self._speakers: dict[_Speaker, WindowStatistics] = {}
        self._first: dict[str, str] = {}
        self._shared: set[str] = set()

    def add(self, entry: Entry, statistics: WindowStatistics) -> None:
        """Add a recording; sums depend, in their last digits, on the order of calls."""
        group, one = entry.group, statistics.as_one()
        heard = self._settings.get(group)
        self._settings[group] = heard.merged(one) if heard else one
        voice = entry.speaker or f"\0{entry.id}"  # no name has a NUL
        if self._first.setdefault(group, voice) != voice:
            self._shared.add(group)
        if (speaker := _speaker_of(entry)) in self._repeated:
            heard = self._speakers.get(speaker)
            self._speakers[speaker] = heard.merged(statistics) if heard else statistics

    def of(
        self, entries: Iterable[Entry]
    ) -> tuple[dict[str, WindowStatistics], dict[_Speaker, WindowStatistics]]:
        """Return the statistics of the groups and speakers of some recordings.

        What the recordings of one speaker share may be of the speaker as well as of the
        setting, so that the setting of a group needs at least two.
        """
        groups = {entry.group for entry in entries} & self._shared
        speakers = {_speaker_of(entry) for entry in entries} & self._speakers.keys()
        return (
            {group: self._settings[group] for group in groups},
            {speaker: self._speakers[speaker] for speaker in speakers},
        )


def collect(job: ArchiveJob, histories: Histories) -> Generator[DoneCount, None, None]:
    """Add all recordings of a finished first pass; yield a count after each shard."""
    for shard in range(job.archive.plan.n_shards):
        entries = job.entries_of(shard)
        content = job.archive.read(shard, VOICES)
        for entry, statistics in read_statistics(content, entries):
            if statistics is not None:
                histories.add(entry, statistics)
        yield DoneCount(len(entries), 0, 0.0)


def shards_to_adapt(
    job: ArchiveJob, shards: Iterable[int], card: AdaptationCard, histories: Histories
) -> Iterator[ShardToAdapt]:
    """Yield the input of the second pass over each shard."""
    for shard in shards:
        entries = list(job.entries_of(shard))
        yield ShardToAdapt(job.archive, shard, entries, card, *histories.of(entries))


def adapt_shard(shard: ShardToAdapt) -> DoneCount:
    """Write a shard's part of the tables.

    Raises:
        ArchiveError: A file cannot be read or written.
    """
    archive = shard.archive
    plain = read_outcomes(archive.read(shard.number, VOICES), shard.entries)
    outcomes = [_adapted(shard, outcome) for outcome in plain]
    plan = archive.plan
    columns = plan.emotions, plan.dimensions
    files = parts_of(outcomes, *columns, adapted=True, columns=plan.columns)
    archive.write(shard.number, files)
    return DoneCount.of(outcomes)


def _adapted(shard: ShardToAdapt, outcome: Outcome) -> Outcome:
    """Return an outcome with a report of adapted windows, if it has any."""
    plain, voices, plan = outcome.report, outcome.voices, shard.archive.plan
    if plain is None or voices is None:
        return outcome
    posterior, effect = _judge(shard, outcome.entry, voices)
    rows = adapt(shard.card, posterior, voices.probabilities, voices.vectors)
    report = Report(
        recording=outcome.entry.id,
        model=plan.model,
        model_version=plan.model_version,
        model_sha256=plan.model_sha256,
        emotions=plan.emotions,
        duration_s=plain["duration_s"],
        segments=(),
        estimates=_estimates(plan, voices, rows),
        warnings=(*plain["warnings"], *effect.warnings),
        adaptation=effect,
        certainty=plan.certainty,
        dimension_names=plan.dimensions,
    )
    # What is about the sound is as it was.
    found = {k: v for k, v in row_of(report).items() if k in _OF_WINDOWS}
    return outcome._replace(report=plain | found)


def _judge(
    shard: ShardToAdapt, entry: Entry, voices: Voices
) -> tuple[Posterior | None, Adaptation]:
    """Return what is known of a recording's speaker and setting, and what from."""
    card = shard.card
    speaker = shard.speakers.get(_speaker_of(entry), voices.statistics)
    setting = shard.settings.get(entry.group)
    posterior = _infer(card, speaker, setting)
    heard = [speaker] if setting is None else [speaker, setting]
    who = "the recording", "cut it into one recording for each speaker"
    if entry.speaker:
        who = f"speaker '{entry.speaker}'", "name them apart in the manifest"
    return posterior, Adaptation(
        speaker=entry.speaker or None,
        setting=entry.group or None,
        recording=True,
        **what_is_known(card, posterior, heard),
        distance=None,
        distance_limit=card.distance_limit,
        several=warning_of_several(card, speaker, *who),
        without=_estimates(shard.archive.plan, voices, voices.probabilities),
    )


def _estimates(
    plan: Plan, voices: Voices, rows: NDArray[np.float32]
) -> tuple[Estimate, ...]:
    """Return the estimates of a recording's windows with other probabilities."""
    spans = [Segment(*span) for span in voices.spans.tolist()]
    return to_estimates(spans, plan.emotions, rows, plan.dimensions, voices.dimensions)


def _speaker_of(entry: Entry) -> _Speaker:
    return entry.group, entry.speaker
