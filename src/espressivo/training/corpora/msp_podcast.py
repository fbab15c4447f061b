"""MSP-Podcast: spontaneous English speech of podcasts, rated by listeners.

`labels_consensus.csv` has a primary emotion and the mean ratings of activation,
valence and dominance on a scale from 1 to 7; the parts (`Split_Set`) are the authors'
own. Recordings lie in `Audios/`, labels in `Labels/` or beside it.

Some speakers are not known. They are nobody's speaker: clips of an unknown speaker are
kept together by their podcast, which is the least that can be one person, and a fold
trains on none of a podcast that is tested.

Source: Lotfian and Busso (2019), "Building naturalistic emotionally balanced speech
corpus by retrieving emotional speech from existing podcast recordings", IEEE
Transactions on Affective Computing 10(4).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.corpora.corpus import Corpus
from espressivo.training.corpora.files import find_recordings
from espressivo.training.corpora.licence import Licence
from espressivo.training.corpora.tables import find_table, read_table
from espressivo.training.corpora.utterance import (
    UNKNOWN,
    UNLABELLED,
    Clip,
    Ratings,
    require_unique,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

_EMOTIONS = {
    "A": Emotion.ANGER,
    "H": Emotion.HAPPINESS,
    "N": Emotion.NEUTRAL,
    "S": Emotion.SADNESS,
}
# Surprise, fear, disgust, contempt, other; X: the listeners did not agree.
_UNUSED = ("U", "F", "D", "C", "O", "X")
_COLUMNS = (
    *("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom"),
    *("SpkrID", "Gender", "Split_Set"),
)
_SCALE = (1.0, 7.0)
PARTS = ("Train", "Development", "Test1", "Test2", "Test3")
"""The authors' parts."""

_NAME = re.compile(r"MSP-PODCAST_(?P<podcast>\d+)_\d+(?:_\d+)?")


def _clips(root: Path) -> list[Clip]:
    found = find_recordings(root)
    require_unique((path.stem, path) for path in found)
    paths = {path.stem: path for path in found}
    places = (folder / name for folder in (root, root.parent) for name in _TABLES)
    if (table := find_table(places)) is None:
        return [
            Clip(name, path, _speaker("", match["podcast"]), UNLABELLED)
            for name, path in paths.items()
            if (match := _NAME.fullmatch(name))
        ]
    return [_clip(table, row, root, paths) for row in read_table(table, _COLUMNS)]


_TABLES = ("Labels/labels_consensus.csv", "labels_consensus.csv")


def _clip(table: Path, row: dict[str, str], root: Path, paths: dict[str, Path]) -> Clip:
    name = row["FileName"].rpartition(".")[0] or row["FileName"]
    match = _NAME.fullmatch(name)
    wrong = "" if match else "FileName"
    if row["EmoClass"] not in {*_EMOTIONS, *_UNUSED}:
        wrong = "EmoClass"
    if row["Split_Set"] not in PARTS:
        wrong = "Split_Set"
    if wrong or match is None:
        raise CorpusError(
            f"{table}, {row['FileName']}: {wrong} is '{row[wrong]}', which the "
            "published table does not have; restore it"
        )
    sex = row["Gender"].lower()
    return Clip(
        name=name,
        # An absent recording gets the path that the release gives it.
        path=paths.get(name, root / "Audios" / row["FileName"]),
        speaker=_speaker(row["SpkrID"], match["podcast"]),
        label=row["EmoClass"],
        sex=sex if sex in {"female", "male"} else "",
        ratings=Ratings(
            *(_number(table, row, key) for key in ("EmoVal", "EmoAct", "EmoDom"))
        ),
        part=row["Split_Set"],
    )


def _speaker(speaker: str, podcast: str) -> str:
    unknown = f"{UNKNOWN}{podcast}"
    return unknown if speaker.lower() in {"", "unknown"} else speaker


def _number(table: Path, row: dict[str, str], column: str) -> float:
    lowest, highest = _SCALE
    try:
        value = float(row[column] or "nan")
    except ValueError:
        value = math.inf
    if value < lowest or value > highest:
        raise CorpusError(
            f"{table}, {row['FileName']}: {column} is '{row[column]}', not a number "
            f"from {lowest:g} to {highest:g}; restore the published table"
        )
    return value


MSP_PODCAST = Corpus(
    name="msp-podcast",
    title="MSP-Podcast",
    license=Licence(
        name="research use, by agreement with its owner",
        id="LicenseRef-MSP-Podcast",
        commercial="no",
        derivatives="unclear",
        redistribution="no",
        source="Lotfian & Busso 2019",
        url="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(),
    published=(),  # it grows: each release has other numbers
    rating_scale=_SCALE,
)
