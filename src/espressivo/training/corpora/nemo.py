"""nEMO: nine Polish actors read 90 sentences in six emotions.

Source: Christop (2024), "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from espressivo.training.corpora.corpus import Corpus, by_speaker_and_label
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import find_licence
from espressivo.training.corpora.tables import find_table, read_table, to_age
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

_EMOTIONS = {
    "anger": Emotion.ANGER,
    "happiness": Emotion.HAPPINESS,
    "neutral": Emotion.NEUTRAL,
    "sadness": Emotion.SADNESS,
}
_SPEAKERS = ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
# Each speaker has 90 recordings of each emotion, except in these cells, from which the
# author removed some.
_FEWER = {
    ("MP0", "anger"): 29,
    ("MP0", "happiness"): 30,
    ("MP0", "sadness"): 49,
    ("SM0", "happiness"): 89,
    ("WR0", "neutral"): 89,
}
_NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<sentence>\d{1,2})")


def _clips(root: Path) -> list[Clip]:
    rows = _rows(root)
    return [
        _clip(path, match, rows.get(path.stem, {}))
        for path, match in find_named(root, _NAME)
        if match["speaker"] in _SPEAKERS
    ]


def _clip(path: Path, match: re.Match[str], row: dict[str, str]) -> Clip:
    return Clip(
        name=path.stem,
        path=path,
        speaker=match["speaker"],
        label=match["emotion"],
        text=row.get("raw_text"),
        sex=row.get("gender", ""),
        age=to_age(row.get("age", "")),
    )


def _rows(root: Path) -> dict[str, dict[str, str]]:
    """Map names to their rows in the corpus's table; empty if the table is absent."""
    # In the published layout the table is beside the folder of recordings.
    table = find_table(
        (root / "data.tsv", root.parent / "data.tsv", *root.glob("*/data.tsv"))
    )
    if table is None:
        return {}
    # The table quotes nothing: a quotation mark in it is part of a sentence.
    rows = read_table(table, ("file_id", "raw_text"), tabs=True)
    return {Path(row["file_id"]).stem: row for row in rows}


def _names(root: Path) -> frozenset[str]:
    # No rule gives the names: only the table shows which ones the author removed.
    matches = ((name, _NAME.fullmatch(name)) for name in _rows(root))
    return frozenset(n for n, match in matches if match and match[2] in _EMOTIONS)


NEMO = Corpus(
    name="nemo",
    title="nEMO",
    license=find_licence(
        "CC-BY-NC-SA-4.0",
        source="Christop 2024",
        url="https://github.com/amu-cai/nEMO",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(_SPEAKERS),
    published=by_speaker_and_label(
        {cell: _FEWER.get(cell, 90) for cell in product(_SPEAKERS, _EMOTIONS)}
    ),
    names=_names,
)
