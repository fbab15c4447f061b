"""What a corpus gives: labelled recordings, and what its authors say it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled recording of one of the four emotions.

    Attributes:
        id: Unique across corpora: corpus, slash, the published file name without
            its ending, as in `ravdess/03-01-05-02-01-01-12`.
        path: Of the recording.
        speaker: Unique across corpora, as in `ravdess/12`.
        session: What was recorded together; the speaker where a corpus has no
            sessions. Unique across corpora.
        emotion: One of the four.
        corpus: Name of the corpus.
        text: What is said, where the corpus tells.
        original: The corpus's own label, which is finer than `emotion` (RAVDESS's
            `calm` counts as neutral).
    """

    id: str
    path: Path
    speaker: str
    session: str
    emotion: Emotion
    corpus: str
    text: str | None = None
    original: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a corpus, of any of its emotions, in the corpus's own words."""

    name: str
    path: Path
    speaker: str
    label: str
    text: str | None = None
    session: str | None = None


def no_names(_root: Path) -> frozenset[str]:
    """Say that a corpus is no full grid: its missing files have no known names."""
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """How to read one corpus, and what it holds when complete.

    Attributes:
        name: As in commands.
        title: As in tables.
        license: Short name of its licence, and the source to cite.
        emotions: Its own label -> emotion, for the labels that are used.
        clips: Finds every recording under a folder, of whatever label.
        published: (speaker, label) -> number of recordings, as its authors say.
        names: The recordings' names when complete, given the folder; empty where
            they do not follow from a rule.
        same_audio: Groups of names that its authors published with the same audio.
    """

    name: str
    title: str
    license: str
    emotions: Mapping[str, Emotion]
    clips: Callable[[Path], list[Clip]]
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    names: Callable[[Path], frozenset[str]] = no_names
    same_audio: frozenset[frozenset[str]] = frozenset()

    def read(self, root: Path) -> list[Utterance]:
        """Read the utterances of the four emotions, sorted by id.

        Raises:
            CorpusError: No recording of the corpus is there, or one is there twice.
        """
        return [
            Utterance(
                id=f"{self.name}/{clip.name}",
                path=clip.path,
                speaker=f"{self.name}/{clip.speaker}",
                session=f"{self.name}/{clip.session or clip.speaker}",
                emotion=self.emotions[clip.label],
                corpus=self.name,
                text=clip.text,
                original=clip.label,
            )
            for clip in self.inventory(root)
            if clip.label in self.emotions
        ]

    def inventory(self, root: Path) -> list[Clip]:
        """Find the recordings of all labels, sorted by name.

        Raises:
            CorpusError: No recording of the corpus is there, or one is there twice.
        """
        clips = sorted(self.clips(root), key=lambda clip: clip.name)
        if not clips:
            raise CorpusError(
                f"{root}: holds no recording named as in {self.title}; pass the "
                "folder that it was unpacked into, with .wav, .flac or .opus files"
            )
        require_unique((clip.name, clip.path) for clip in clips)
        return clips


def require_unique(named: Iterable[tuple[str, Path]]) -> None:
    """Refuse a recording that is there twice: it would count twice, or leak.

    Raises:
        CorpusError: Two paths have one name.
    """
    first: dict[str, Path] = {}
    for name, path in named:
        if name in first:
            raise CorpusError(
                f"{path}: {name} is also at {first[name]}; keep one of the two "
                "(some downloads hold a second copy of the whole corpus)"
            )
        first[name] = path


def count_emotions(utterances: Iterable[Utterance]) -> dict[Emotion, int]:
    """Count the utterances of each emotion, none left out."""
    counts = Counter(utterance.emotion for utterance in utterances)
    return {emotion: counts[emotion] for emotion in Emotion}
