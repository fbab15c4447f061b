"""Labelled recordings of a corpus, with the metadata of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

UNLABELLED = "unlabelled"
"""Label of a recording that the corpus's own sheets should name, but do not."""


@dataclass(frozen=True, slots=True)
class Affect:
    """Listeners' ratings of an utterance, averaged, on the corpus's own scale.

    Attributes:
        valence: From unpleasant to pleasant.
        arousal: From low to high activation; IEMOCAP calls it activation.
        dominance: From submissive to dominant.
    """

    valence: float
    arousal: float
    dominance: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled recording of one of the four emotions.

    Attributes:
        id: Unique across corpora: corpus, slash, the published file name without
            its ending, as in `ravdess/03-01-05-02-01-01-12`.
        path: Path of the recording, which may be missing if only its label is there.
        speaker: Unique across corpora, as in `ravdess/12`.
        session: Recording session; the speaker where a corpus has no
            sessions. Unique across corpora.
        emotion: One of the four.
        corpus: Name of the corpus.
        text: The words spoken, where the corpus tells.
        original: The corpus's own label, which may be finer than `emotion`.
        style: `scripted` or `improvised`, where a corpus has both.
        sex: The speaker's, `female` or `male`, where the corpus tells.
        age: The speaker's age in years, where the corpus tells.
        affect: Ratings of affect, where the corpus has them.
        vote: The label that most listeners chose, in the corpus's words; several,
            joined by colons, where votes are tied.
    """

    id: str
    path: Path
    speaker: str
    session: str
    emotion: Emotion
    corpus: str
    text: str | None = None
    original: str = ""
    style: str = ""
    sex: str = ""
    age: int | None = None
    affect: Affect | None = None
    vote: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a corpus, with any label, in the corpus's own words.

    Its attributes are those of `Utterance`.
    """

    name: str
    path: Path
    speaker: str
    label: str
    text: str | None = None
    session: str | None = None
    style: str = ""
    sex: str = ""
    age: int | None = None
    affect: Affect | None = None
    vote: str = ""


def require_unique(named: Iterable[tuple[str, Path]]) -> None:
    """Refuse a recording that occurs twice: it would count twice, or leak.

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
    """Count the utterances of each emotion, zeros included."""
    counts = Counter(utterance.emotion for utterance in utterances)
    return {emotion: counts[emotion] for emotion in Emotion}
