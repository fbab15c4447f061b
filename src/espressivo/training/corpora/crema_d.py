"""CREMA-D: 91 actors say twelve English sentences in six emotions.

The label is the emotion that the actor was asked for, as the file name states it. The
emotion that most listeners chose for the voice alone is kept as the vote, and as a soft
label.

Sources: Cao et al. (2014), "CREMA-D: Crowd-sourced Emotional Multimodal Actors
Dataset", IEEE Transactions on Affective Computing 5(4), and the README of its
repository.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from espressivo.errors import CorpusError
from espressivo.training.corpora.corpus import Corpus, PublishedCounts
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import find_licence
from espressivo.training.corpora.tables import find_table, read_table, to_age
from espressivo.training.corpora.utterance import Clip, shares_of
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

_EMOTIONS = {
    "ANG": Emotion.ANGER,
    "HAP": Emotion.HAPPINESS,
    "NEU": Emotion.NEUTRAL,
    "SAD": Emotion.SADNESS,
}
# The summary table abbreviates votes to their first letters.
_VOTES = {label[0]: label for label in (*_EMOTIONS, "DIS", "FEA")}
_ACTORS = tuple(str(n) for n in range(1001, 1092))
_SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
# One file was published as X; the corpus's tables and corrected copies call it XX.
_MISNAMED = {"1040_ITH_SAD_XX": "1040_ITH_SAD_X"}


class _Vote(NamedTuple):
    """Labels that most listeners chose, and the four emotions' shares of them."""

    labels: str
    shares: tuple[float, ...] | None


_NO_VOTE = _Vote("", None)
_NAME = re.compile(
    r"(?P<actor>10(?:0[1-9]|[1-8]\d|9[01]))_(?P<sentence>[A-Z]{3})"
    r"_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)"
)


def _clips(root: Path) -> list[Clip]:
    named = find_named(root, _NAME)
    actors, votes = _demographics(root), _votes(root)
    return [
        Clip(
            name=_MISNAMED.get(path.stem, path.stem),
            path=path,
            speaker=match["actor"],
            label=match["emotion"],
            text=_SENTENCES[match["sentence"]],
            sex=actors.get(match["actor"], ("", None))[0],
            age=actors.get(match["actor"], ("", None))[1],
            vote=votes.get(_MISNAMED.get(path.stem, path.stem), _NO_VOTE).labels,
            votes=votes.get(_MISNAMED.get(path.stem, path.stem), _NO_VOTE).shares,
        )
        for path, match in named
        if match["sentence"] in _SENTENCES
    ]


def _demographics(root: Path) -> dict[str, tuple[str, int | None]]:
    """Map actors to sex and age; empty if the table is absent."""
    table = _find(root, "VideoDemographics.csv")
    rows = read_table(table, ("ActorID", "Age", "Sex")) if table else []
    return {row["ActorID"]: (row["Sex"].lower(), to_age(row["Age"])) for row in rows}


def _votes(root: Path) -> dict[str, _Vote]:
    """Map clips to the majority vote of listeners on the audio alone.

    Empty if the table is absent. Tied labels are joined by a colon (`N:S`), and so are
    their levels, how strong the listeners found each emotion (`43.5:61.2`, of 100). A
    tie counts by the levels; other emotions than the four have no share.

    Raises:
        CorpusError: A level is no number, or there are not as many as labels.
    """
    table = _find(root, "processedResults/summaryTable.csv", "summaryTable.csv")
    columns = ("FileName", "VoiceVote", "VoiceLevel")
    votes: dict[str, _Vote] = {}
    for row in read_table(table, columns) if table else []:
        name = _MISNAMED.get(row["FileName"], row["FileName"])
        labels = [_VOTES.get(vote, vote) for vote in row["VoiceVote"].split(":")]
        try:
            levels = [float(level) for level in row["VoiceLevel"].split(":")]
            named = dict(zip(labels, levels, strict=True))
            if not all(0 <= level < math.inf for level in levels):
                raise ValueError(row["VoiceLevel"])  # noqa: TRY301
        except ValueError as error:
            raise CorpusError(
                f"{table}, {name}: VoiceLevel is '{row['VoiceLevel']}' for the vote "
                f"'{row['VoiceVote']}', not a number for each; restore the table that "
                "the corpus was published with"
            ) from error
        known = {_EMOTIONS[k]: v for k, v in named.items() if k in _EMOTIONS}
        votes[name] = _Vote(":".join(labels), shares_of(known))
    return votes


def _find(root: Path, *names: str) -> Path | None:
    # Users may pass the folder of recordings; the tables are then one level up.
    return find_table(folder / n for folder in (root, root.parent) for n in names)


CREMA_D = Corpus(
    name="crema-d",
    title="CREMA-D",
    license=find_licence(
        "ODbL-1.0",
        source="Cao et al. 2014",
        url="https://github.com/CheyneyComputerScience/CREMA-D",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(_ACTORS),
    broken=frozenset({"1076_MTI_SAD_XX"}),  # silent as published
    # No `names`: 1,271 clips are not the same number for each of 91 actors, so there
    # is no full grid of names to compare with.
    published=(
        PublishedCounts(
            ("label",),
            {("ANG",): 1271, ("HAP",): 1271, ("NEU",): 1087, ("SAD",): 1271},
        ),
    ),
)
