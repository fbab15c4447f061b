"""nEMO: nine Polish actors read 90 sentences in six emotions.

Source: Christop (2024), "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from espressivo.errors import CorpusError
from espressivo.training.corpora.files import find_recordings
from espressivo.training.corpora.utterance import Clip, Corpus
from espressivo.types import Emotion

_EMOTIONS = {
    "anger": Emotion.ANGER,
    "happiness": Emotion.HAPPINESS,
    "neutral": Emotion.NEUTRAL,
    "sadness": Emotion.SADNESS,
}
_SPEAKERS = ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
# Nine times 90 of each emotion, but for what the author left out.
_FEWER = {
    ("MP0", "anger"): 29,
    ("MP0", "happiness"): 30,
    ("MP0", "sadness"): 49,
    ("SM0", "happiness"): 89,
    ("WR0", "neutral"): 89,
}
_NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<sentence>\d{1,2})")


def _clips(root: Path) -> list[Clip]:
    matches = [(path, _NAME.fullmatch(path.stem)) for path in find_recordings(root)]
    texts = _texts(root)
    return [
        Clip(path.stem, path, match["speaker"], match["emotion"], texts.get(path.stem))
        for path, match in matches
        if match and match["speaker"] in _SPEAKERS
    ]


def _texts(root: Path) -> dict[str, str]:
    """Map names to sentences, empty where the corpus's table is not there."""
    # In the published layout it stands beside the folder of recordings.
    places = (root / "data.tsv", root.parent / "data.tsv", *root.glob("*/data.tsv"))
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        wanted = {"file_id", "raw_text"}
        if missing := wanted - set(rows.fieldnames or ()):
            raise CorpusError(
                f"{table}: has no column {', '.join(sorted(missing))}; "
                "restore the table that nEMO was published with"
            )
        return {Path(row["file_id"]).stem: row["raw_text"].strip() for row in rows}


def _names(root: Path) -> frozenset[str]:
    # The table is the only list of what the author left out.
    matches = ((name, _NAME.fullmatch(name)) for name in _texts(root))
    return frozenset(n for n, match in matches if match and match[2] in _EMOTIONS)


NEMO = Corpus(
    name="nemo",
    title="nEMO",
    license="CC BY-NC-SA 4.0 (Christop 2024)",
    emotions=_EMOTIONS,
    clips=_clips,
    published={
        (speaker, label): _FEWER.get((speaker, label), 90)
        for speaker in _SPEAKERS
        for label in _EMOTIONS
    },
    names=_names,
)
