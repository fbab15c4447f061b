"""Summary of an archive: counts over its tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from espressivo.batch.folder import read_archive
from espressivo.batch.tables import read_columns
from espressivo.errors import ArchiveError
from espressivo.text import shortened, to_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from espressivo.batch.folder import ArchiveFolder
    from espressivo.types import Emotion

_N_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class AdaptationSummary:
    """What adaptation has changed in an archive.

    Attributes:
        n_groups: Number of groups with speech; 0 if recordings have none.
        n_speakers: Number of named speakers with speech.
        n_changed: Number of recordings with another emotion than without adaptation.
        change: Total variation distance of the probabilities with and without
            adaptation, mean over the recordings with speech, 0 to 1.
        setting: Name of the setting that all were judged by; None: there was none.
        several_speakers: Speakers whose recordings are probably of several people, and
            recordings without a speaker that are, sorted.
    """

    n_groups: int
    n_speakers: int
    n_changed: int
    change: float
    setting: str | None = None
    several_speakers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts and total durations of an archive.

    Attributes:
        n_planned: Number of recordings in the archive, finished or not.
        n_analysed: Number of recordings with a report.
        failures: Number of failed recordings by kind, the most frequent kind first.
        emotions: Number of recordings by emotion; the rest of `n_analysed` contains no
            speech.
        duration_s: Total duration of the analysed recordings, in seconds.
        speech_s: Total duration of the speech in them, in seconds.
        left_out: Number of files and folders that were taken for no recordings, by
            kind, the most frequent kind first.
        left_out_examples: Up to three paths of each kind.
        uncertain: Number of uncertain recordings by their most probable emotion; None
            if the model has no threshold, or the archive is of a version before it.
        adaptation: What adaptation has changed; None: the archive is not adapted.
    """

    n_planned: int
    n_analysed: int
    failures: dict[str, int]
    emotions: dict[Emotion, int]
    duration_s: float
    speech_s: float
    left_out: dict[str, int] = field(default_factory=dict)
    left_out_examples: dict[str, list[str]] = field(default_factory=dict)
    uncertain: dict[Emotion, int] | None = None
    adaptation: AdaptationSummary | None = None

    @property
    def n_failed(self) -> int:
        """Number of failed recordings."""
        return sum(self.failures.values())

    @property
    def n_with_speech(self) -> int:
        """Number of recordings with speech, and so with an emotion."""
        return sum(self.emotions.values())

    @property
    def n_uncertain(self) -> int | None:
        """Number of uncertain recordings; None if that is not known."""
        return None if self.uncertain is None else sum(self.uncertain.values())

    def share_of(self, emotion: Emotion) -> float:
        """Return an emotion's share of the recordings with speech, 0 to 1."""
        return self.emotions[emotion] / max(1, self.n_with_speech)


def read_summary(place: str | Path) -> Summary:
    """Return the summary of the finished parts of an archive.

    Raises:
        ArchiveError: The folder contains no archive.
    """
    archive = read_archive(place)
    plan = archive.plan
    n_analysed = 0
    duration_s = speech_s = 0.0
    found: Counter[str | None] = Counter()
    uncertain: Counter[str | None] = Counter()
    names = ["emotion", "duration_s", "speech_s"]
    if plan.certainty is not None:
        names.append("uncertain")
    for emotions, durations, speech, *flags in _columns(archive, "recordings", names):
        n_analysed += len(emotions)
        found.update(emotions)
        for flag in flags:
            uncertain.update(e for e, true in zip(emotions, flag, strict=True) if true)
        duration_s += sum(durations)
        speech_s += sum(speech)
    failures: Counter[str] = Counter()
    for (kinds,) in _columns(archive, "failures", ("kind",)):
        failures.update(kinds)
    left_out, examples = _left_out(archive)
    return Summary(
        n_planned=plan.n_recordings,
        n_analysed=n_analysed,
        failures=_most_first(failures),
        emotions={emotion: found[emotion] for emotion in plan.emotions},
        duration_s=duration_s,
        speech_s=speech_s,
        left_out=left_out,
        left_out_examples=examples,
        uncertain=(
            None
            if plan.certainty is None
            else {emotion: uncertain[emotion] for emotion in plan.emotions}
        ),
        adaptation=_adaptation(archive) if plan.tells_effects else None,
    )


def _adaptation(archive: ArchiveFolder) -> AdaptationSummary:
    names = ("id", "group", "speaker", "emotion", "emotion_without", "change")
    groups, speakers, several = set(), set(), set()
    n = n_changed = 0
    change = 0.0
    for part in _columns(archive, "recordings", (*names, "several_speakers")):
        for id_, group, speaker, emotion, before, moved, is_mixed in zip(
            *part, strict=True
        ):
            if emotion is None:
                continue
            n += 1
            n_changed += emotion != before
            change += moved
            groups.add(group)
            speakers.add((group, speaker))
            if is_mixed:
                several.add(speaker or id_)
    return AdaptationSummary(
        n_groups=len(groups - {None}),
        n_speakers=sum(speaker is not None for _, speaker in speakers),
        n_changed=n_changed,
        change=change / max(1, n),
        setting=archive.plan.setting_name,
        several_speakers=tuple(sorted(several)),
    )


def _left_out(archive: ArchiveFolder) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the counts of what was left out by kind, and a few paths of each kind."""
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    content = archive.read_left_out()
    if content is not None:  # archives of the first versions have no such list
        for path, kind in zip(*read_columns(content, ("path", "kind")), strict=True):
            counts[kind] += 1
            if counts[kind] <= _N_EXAMPLES:
                examples.setdefault(kind, []).append(path)
    return _most_first(counts), examples


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda kind: (-kind[1], kind[0])))


def _columns(
    archive: ArchiveFolder, table: str, names: Sequence[str]
) -> Iterator[list[list[Any]]]:
    """Yield columns of a table part by part, so that memory stays constant.

    Raises:
        ArchiveError: A part is damaged.
    """
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`

    for shard in sorted(archive.finished()):
        try:
            yield read_columns(archive.read(shard, table), names)
        except (pa.ArrowException, KeyError, OSError) as error:
            raise ArchiveError(
                f"{archive.place}: part {shard} of {table} is damaged "
                f"({shortened(to_line(error))}); delete this part of recordings, and "
                "give the command again, which makes it anew"
            ) from error
