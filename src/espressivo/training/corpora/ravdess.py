"""RAVDESS: 24 North American actors say two statements in eight emotions.

Source: Livingstone & Russo (2018), PLOS ONE 13(5) e0196391, "File naming".
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from espressivo.training.corpora.corpus import (
    Corpus,
    ScoringVariant,
    by_speaker_and_label,
)
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import find_licence
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

_LABELS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_STATEMENTS = {
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
}
# Modality 03 is audio without video; channel 02 would be song.
_NAME = re.compile(
    r"03-01-(?P<emotion>0[1-8])-0[12]-(?P<statement>0[12])-0[12]"
    r"-(?P<actor>0[1-9]|1\d|2[0-4])"
)


def _clips(root: Path) -> list[Clip]:
    return [
        Clip(
            name=path.stem,
            path=path,
            speaker=match["actor"],
            label=_LABELS[match["emotion"]],
            text=_STATEMENTS[match["statement"]],
            # Actors with odd numbers are men, those with even numbers are women.
            sex="male" if int(match["actor"]) % 2 else "female",
        )
        for path, match in find_named(root, _NAME)
    ]


def _grid() -> frozenset[str]:
    actors = [f"{n:02}" for n in range(1, 25)]
    cells = product(_LABELS, ("01", "02"), _STATEMENTS, ("01", "02"), actors)
    # Neutral has no strong intensity.
    kept = (c for c in cells if not (c[0] == "01" and c[1] == "02"))
    return frozenset("-".join(("03", "01", *cell)) for cell in kept)


_NAMES = _grid()

CALM = ScoringVariant("calm", Emotion.NEUTRAL)
"""Calm speech, beside neutral; studies differ in whether they count it as neutral."""

RAVDESS = Corpus(
    name="ravdess",
    title="RAVDESS",
    license=replace(
        find_licence(
            "CC-BY-NC-SA-4.0",
            source="Livingstone & Russo 2018",
            url="https://doi.org/10.5281/zenodo.1188976",
        ),
        note="The authors sell licences for commercial use.",
    ),
    emotions={
        "angry": Emotion.ANGER,
        "happy": Emotion.HAPPINESS,
        "neutral": Emotion.NEUTRAL,
        "calm": Emotion.NEUTRAL,
        "sad": Emotion.SADNESS,
    },
    clips=_clips,
    speakers=frozenset(name[-2:] for name in _NAMES),
    published=by_speaker_and_label(
        # Sorted, since the order of a set of strings differs between processes.
        Counter((name[-2:], _LABELS[name[6:8]]) for name in sorted(_NAMES))
    ),
    names=lambda _root: _NAMES,
    # Two takes of actor 07 were published as the same bytes.
    same_audio=frozenset({frozenset({"03-01-03-01-02-01-07", "03-01-03-01-02-02-07"})}),
    variants=(CALM,),
)
