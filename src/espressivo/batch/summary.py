"""Summary of an archive: counts over its tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from espressivo.batch.folder import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from espressivo.batch.folder import ArchiveFolder
    from espressivo.types import Emotion

_N_EXAMPLES = 3


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
    )


def _left_out(archive: ArchiveFolder) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the counts of what was left out by kind, and a few paths of each kind."""
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    content = archive.read_left_out()
    if content is not None:  # archives of the first versions have no such list
        for path, kind in zip(*_read(content, ("path", "kind")), strict=True):
            counts[kind] += 1
            if counts[kind] <= _N_EXAMPLES:
                examples.setdefault(kind, []).append(path)
    return _most_first(counts), examples


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda kind: (-kind[1], kind[0])))


def _columns(
    archive: ArchiveFolder, table: str, names: Sequence[str]
) -> Iterator[list[list[Any]]]:
    """Yield columns of a table part by part, so that memory stays constant."""
    for shard in sorted(archive.finished()):
        yield _read(archive.read(shard, table), names)


def _read(content: bytes, names: Sequence[str]) -> list[list[Any]]:
    import pyarrow as pa  # noqa: PLC0415 - of the extra `archive`
    from pyarrow import parquet  # noqa: PLC0415

    # On this thread alone: Arrow's own threads may free Python's bytes while the
    # interpreter ends, which aborts the process when all is done.
    with parquet.ParquetFile(pa.BufferReader(content), pre_buffer=False) as part:
        rows = part.read(columns=list(names), use_threads=False)
    return [rows[name].to_pylist() for name in names]
