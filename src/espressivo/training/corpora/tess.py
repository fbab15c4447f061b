"""TESS: two women say "Say the word ..." with 200 words in seven emotions.

Source: Pichora-Fuller & Dupuis (2020), doi 10.5683/SP2/E8H2MF.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from espressivo.training.corpora.corpus import Corpus, by_speaker_and_label
from espressivo.training.corpora.files import find_named
from espressivo.training.corpora.licence import find_licence
from espressivo.training.corpora.utterance import Clip
from espressivo.types import Emotion

if TYPE_CHECKING:
    from pathlib import Path

_EMOTIONS = {
    "angry": Emotion.ANGER,
    "happy": Emotion.HAPPINESS,
    "neutral": Emotion.NEUTRAL,
    "sad": Emotion.SADNESS,
}
_AGES = {"OAF": 64, "YAF": 26}  # the older and the younger actress
_WORDS = """
back bar base bath bean beg bite boat bone book bought burn cab calm came cause chain
chair chalk chat check cheek chief choice cool dab date dead death deep dime dip ditch
dodge dog doll door fail fall far fat fit five food gap gas gaze germ get gin goal good
goose gun half hall hash hate have haze hire hit hole home hurl hush jail jar join judge
jug juice keen keep keg kick kill king kite knock late laud lean learn lease lid life
limb live loaf long lore lose lot love luck make match merge mess met mill mob mode mood
moon mop mouse nag name near neat nice note numb pad page pain pass pearl peg perch
phone pick pike pole pool puff rag raid rain raise rat reach read red ring ripe road
room rose rot rough rush said sail search seize sell shack shall shawl sheep shirt
should shout size soap soup sour south sub such sure take talk tape team tell thin third
thought thumb time tip tire ton tool tough turn vine voice void vote wag walk wash week
wheat when which whip white wife wire witch yearn yes young youth
""".split()  # noqa: SIM905 - 200 quoted words read worse
# One file was published as "OA_bite_neutral". "ps" is pleasant surprise.
_NAME = re.compile(
    r"(?P<speaker>OAF?|YAF)_(?P<word>[a-z]+)"
    r"_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)"
)
_MISNAMED = {"OAF_bite_neutral": "OA_bite_neutral"}


def _clips(root: Path) -> list[Clip]:
    return [_clip(path, match) for path, match in find_named(root, _NAME)]


def _clip(path: Path, match: re.Match[str]) -> Clip:
    # The prefix "OA" of the misnamed file is the older actress's, too.
    speaker = "YAF" if match["speaker"] == "YAF" else "OAF"
    return Clip(
        # Some copies have the published name, others the corrected one.
        name=_MISNAMED.get(path.stem, path.stem),
        path=path,
        speaker=speaker,
        label=match["emotion"],
        text=f"Say the word {match['word']}",
        sex="female",
        age=_AGES[speaker],
    )


_NAMES = frozenset(
    _MISNAMED.get(name, name)
    for name in map("_".join, product(_AGES, _WORDS, _EMOTIONS))
)

TESS = Corpus(
    name="tess",
    title="TESS",
    license=find_licence(
        "CC-BY-NC-ND-4.0",
        source="Pichora-Fuller & Dupuis 2020",
        url="https://doi.org/10.5683/SP2/E8H2MF",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    speakers=frozenset(_AGES),
    published=by_speaker_and_label(
        dict.fromkeys(product(_AGES, _EMOTIONS), len(_WORDS))
    ),
    names=lambda _root: _NAMES,
)
