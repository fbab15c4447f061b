"""Declaration of a corpus: its reader, and its content as published."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.corpora.files import find_recordings
from espressivo.training.corpora.utterance import (
    UNLABELLED,
    Clip,
    Utterance,
    has_ratings,
    require_unique,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from espressivo.training.corpora.licence import Licence
    from espressivo.types import Emotion


@dataclass(frozen=True, slots=True)
class ScoringVariant:
    """A corpus label that some studies count as an emotion and others leave out.

    Scores are therefore reported twice: with its utterances, and without them.

    Attributes:
        label: The corpus's own label, also the heading of columns in tables.
        emotion: The emotion that the label is counted as.
    """

    label: str
    emotion: Emotion

    @property
    def included(self) -> str:
        """Table cell that marks scores with these utterances."""
        return f"as {self.emotion}"

    @property
    def excluded(self) -> str:
        """Table cell that marks scores without these utterances."""
        return "left out"

    @property
    def title(self) -> str:
        """Title of scores with these utterances."""
        return f"{self.label} {self.included}"

    @property
    def title_without(self) -> str:
        """Title of scores without these utterances."""
        return f"without {self.label}"

    @property
    def key_without(self) -> str:
        """JSON key of the scores without these utterances."""
        return f"without_{self.label}"


@dataclass(frozen=True, slots=True)
class PublishedCounts:
    """Published numbers of recordings, grouped by some attributes of `Clip`.

    Attributes:
        of: Grouping attributes of `Clip`, such as `("speaker", "label")`. Unless
            `label` is among them, only recordings of the four emotions are counted. A
            part (`part`) of which nothing is present is left out, not missing.
        counts: Values of these attributes -> number of recordings.
    """

    of: tuple[str, ...]
    counts: Mapping[tuple[str, ...], int]

    def count(
        self, clips: Iterable[Clip], used: Iterable[str]
    ) -> Counter[tuple[str, ...]]:
        """Count `clips` in the same groups.

        Args:
            clips: Recordings of any label.
            used: Labels that belong to the four emotions.
        """
        kept = frozenset(used)
        return Counter(
            tuple(getattr(clip, name) or "" for name in self.of)
            for clip in clips
            if "label" in self.of or clip.label in kept
        )

    def part(self, group: tuple[str, ...]) -> str:
        """Return the part of the corpus that a group is in; empty if not by parts."""
        return group[self.of.index("part")] if "part" in self.of else ""


def by_speaker_and_label(
    counts: Mapping[tuple[str, str], int],
) -> tuple[PublishedCounts]:
    """Return published counts by speaker and label."""
    cells = {tuple(cell): n for cell, n in counts.items()}
    return (PublishedCounts(("speaker", "label"), cells),)


def no_names(_root: Path) -> frozenset[str]:
    """Return no names: for corpora whose complete list of files is not known."""
    return frozenset()


def no_part(_name: str) -> str:
    """Return the unnamed part: for corpora that are published as one."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One corpus: how it is read, and its content when complete.

    Attributes:
        name: Name in commands.
        title: Title in tables.
        license: Terms of the recordings, with the source to cite.
        emotions: The corpus's label -> emotion, for the labels that are used.
        clips: Function from a folder to its recordings of all labels.
        speakers: All speakers of the complete corpus; empty where they are too many
            to be listed, and `speaker_count` says how many.
        published: Numbers of recordings, from the authors or from later counts.
        names: Function from the folder to the names of all recordings of the complete
            corpus; it returns none where they are not known.
        part_of: Function from such a name to the part of the corpus that it is in.
        same_audio: Groups of names that the authors published with the same audio.
        broken: Names of recordings that the authors published empty or silent.
        recordings: Function that finds the audio files of all utterances, misnamed ones
            included; the check reports those that `clips` does not recognise.
        variants: Labels with and without which scores are reported.
        speaker_count: Number of speakers, where `speakers` does not list them.
        rating_scale: Lowest and highest rating that a listener could give.
    """

    name: str
    title: str
    license: Licence
    emotions: Mapping[str, Emotion]
    clips: Callable[[Path], list[Clip]]
    speakers: frozenset[str]
    published: tuple[PublishedCounts, ...]
    names: Callable[[Path], frozenset[str]] = no_names
    part_of: Callable[[str], str] = no_part
    same_audio: frozenset[frozenset[str]] = frozenset()
    broken: frozenset[str] = frozenset()
    recordings: Callable[[Path], list[Path]] = find_recordings
    variants: tuple[ScoringVariant, ...] = ()
    speaker_count: int = 0
    rating_scale: tuple[float, float] = (0.0, 1.0)

    @property
    def n_speakers(self) -> int:
        """Number of speakers of the complete corpus."""
        return len(self.speakers) or self.speaker_count

    @property
    def published_labels(self) -> dict[str, int]:
        """Map each label whose number of recordings was published to that number."""
        return self.labels_of(self.parts)

    @property
    def parts(self) -> dict[str, int]:
        """Map each part to its number of recordings; one, unnamed, if undivided."""
        table = self._by_label()
        totals: Counter[str] = Counter()
        for key, count in table.counts.items():
            totals[table.part(key)] += count
        return dict(totals)

    def labels_of(self, parts: Iterable[str]) -> dict[str, int]:
        """Map each label to its published number of recordings in some parts."""
        table, kept = self._by_label(), frozenset(parts)
        totals: Counter[str] = Counter()
        for key, count in table.counts.items():
            if table.part(key) in kept:
                totals[key[table.of.index("label")]] += count
        return dict(totals)

    def _by_label(self) -> PublishedCounts:
        nothing = PublishedCounts(("label",), {})  # releases differ, or none is known
        return next((p for p in self.published if "label" in p.of), nothing)

    def read(self, root: Path, *, rated: bool = False) -> list[Utterance]:
        """Read the utterances of the four emotions, sorted by id.

        Only names and labels are read; no recording is opened.

        Args:
            root: Folder of the corpus.
            rated: Also return utterances of other labels that listeners have rated;
                their emotion is None.

        Raises:
            CorpusError: No recording of the corpus is present, or one is present
                twice, or a session has recordings but no labels.
        """
        clips = self.inventory(root)
        self._require_labels(root, clips)
        return [
            Utterance(
                id=f"{self.name}/{clip.name}",
                path=clip.path,
                speaker=f"{self.name}/{clip.speaker}",
                session=f"{self.name}/{clip.session or clip.speaker}",
                emotion=self.emotions.get(clip.label),
                corpus=self.name,
                text=clip.text,
                original=clip.label,
                style=clip.style,
                sex=clip.sex,
                age=clip.age,
                ratings=clip.ratings and clip.ratings.scaled(*self.rating_scale),
                vote=clip.vote,
                votes=clip.votes,
                part=clip.part,
            )
            for clip in clips
            if clip.label in self.emotions or (rated and has_ratings(clip.ratings))
        ]

    def inventory(self, root: Path) -> list[Clip]:
        """Find the recordings of all labels, sorted by name.

        Raises:
            CorpusError: No recording of the corpus is present, or one is present twice.
        """
        clips = sorted(self.clips(root), key=lambda clip: clip.name)
        if not clips:
            raise CorpusError(
                f"{root}: holds no recording named as in {self.title}; pass the "
                "folder that it was unpacked into, with .wav, .flac or .opus files"
            )
        require_unique((clip.name, clip.path) for clip in clips)
        return clips

    def _require_labels(self, root: Path, clips: Iterable[Clip]) -> None:
        labelled: dict[str, bool] = {}
        for clip in clips:
            session = clip.session or clip.speaker
            known = labelled.get(session, False)
            labelled[session] = known or clip.label != UNLABELLED
        if bare := [session for session, known in labelled.items() if not known]:
            raise CorpusError(
                f"{root}: {', '.join(bare)} of {self.title}: recordings, but no "
                "labels; unpack the rest of the corpus there"
            )
