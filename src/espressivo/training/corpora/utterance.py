"""Labelled recordings of a corpus, with the metadata of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Literal

from espressivo.errors import CorpusError
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SpeakerHalf = Literal["all", "even", "odd"]
"""Speakers of a corpus sorted by name: all, every second from the first or second."""

UNLABELLED = "unlabelled"
"""Label of a recording that the corpus's own label sheets do not list."""


UNKNOWN = "unknown-"
"""Beginning of the name of a speaker who is not known, see `msp_podcast`."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """Listeners' ratings of an utterance, averaged; NaN where one is missing.

    Those of a `Clip` are on the corpus's own scale, those of an `Utterance` 0 to 1.

    Attributes:
        valence: From unpleasant to pleasant.
        arousal: From low to high activation; IEMOCAP calls it activation.
        dominance: From submissive to dominant.
    """

    valence: float
    arousal: float
    dominance: float

    def scaled(self, lowest: float, highest: float) -> Ratings:
        """Return ratings on a scale from `lowest` to `highest` as 0 to 1.

        Ratings outside of the scale, of which IEMOCAP has a few, are 0 or 1.
        """
        values = (self.valence, self.arousal, self.dominance)
        shares = ((value - lowest) / (highest - lowest) for value in values)
        # In this order, so that NaN stays.
        return Ratings(*(min(max(share, 0.0), 1.0) for share in shares))


def shares_of(votes: Mapping[Emotion, float]) -> tuple[float, ...] | None:
    """Return each emotion's share of the votes, in the order of `Emotion`, sum 1.

    Args:
        votes: Votes for the four emotions, in any unit; votes for other emotions do not
            belong there.

    Returns:
        None without any vote for the four.
    """
    total = sum(votes.values())
    if total <= 0:
        return None
    return tuple(votes.get(emotion, 0.0) / total for emotion in Emotion)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of one of the four emotions, or of none of them but with ratings.

    Attributes:
        id: Identifier, unique across corpora: corpus, slash, the published file name
            without its ending, as in `ravdess/03-01-05-02-01-01-12`.
        path: Path of the recording; the file may be absent where only labels are.
        speaker: Speaker, unique across corpora, as in `ravdess/12`.
        session: Recording session, unique across corpora; the speaker where a corpus
            has no sessions.
        emotion: One of the four emotions; None if it is none of them, or not known.
            Such an utterance has ratings, from which dimensions are learned.
        corpus: Name of the corpus.
        text: The words spoken; None if the corpus does not give them.
        original: The corpus's own label, which may be finer than `emotion`.
        style: `scripted` or `improvised`; empty unless a corpus has both.
        sex: Sex of the speaker, `female` or `male`; empty if not given.
        age: Age of the speaker in years; None if not given.
        ratings: Listeners' ratings from 0 to 1; None if the corpus has none.
        vote: The label that most listeners chose, in the corpus's words; tied labels
            are joined by colons, and it is empty if there are no votes.
        votes: Share of the listeners' votes for each emotion, in the order of
            `Emotion`, sum 1; None if nobody voted for one of the four.
        part: Part of the corpus that it belongs to, such as `Train`; empty if the
            corpus is undivided.
    """

    id: str
    path: Path
    speaker: str
    session: str
    emotion: Emotion | None
    corpus: str
    text: str | None = None
    original: str = ""
    style: str = ""
    sex: str = ""
    age: int | None = None
    ratings: Ratings | None = None
    vote: str = ""
    votes: tuple[float, ...] | None = None
    part: str = ""

    @property
    def emotion_name(self) -> str:
        """Name of the emotion, as tables hold it; empty without one."""
        return str(self.emotion or "")


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a corpus, with any label, in the corpus's own words.

    The attributes are those of `Utterance`, except that `label` is any label of the
    corpus, and speaker and session are unique only within the corpus. `part` is the
    part of the corpus that it belongs to, where parts are published, or kept, by
    themselves.
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
    ratings: Ratings | None = None
    vote: str = ""
    votes: tuple[float, ...] | None = None
    part: str = ""


def require_unique(named: Iterable[tuple[str, Path]]) -> None:
    """Refuse a recording that occurs twice: it would count twice or leak.

    Raises:
        CorpusError: Two paths have the same name.
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


def has_ratings(ratings: Ratings | None) -> bool:
    """Return whether any dimension is rated."""
    return ratings is not None and not all(
        isnan(value) for value in (ratings.valence, ratings.arousal, ratings.dominance)
    )


def select_speakers(
    utterances: Sequence[Utterance], half: SpeakerHalf
) -> list[Utterance]:
    """Return the utterances of half of the speakers, in the given order.

    The speakers are sorted by name: the first, third, ... are `even` (numbers 0, 2,
    ...), the others `odd`. No speaker is in both halves.

    Args:
        utterances: All utterances of one corpus; a part of them has other halves.
        half: The half; `all` keeps every utterance.
    """
    if half == "all":
        return list(utterances)
    names = sorted({utterance.speaker for utterance in utterances})
    chosen = set(names[0 if half == "even" else 1 :: 2])
    return [utterance for utterance in utterances if utterance.speaker in chosen]
