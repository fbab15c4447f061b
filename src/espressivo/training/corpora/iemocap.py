"""IEMOCAP: five sessions of improvised and scripted dialogues by ten actors.

The layout is that of the full release: `Session1/dialog/EmoEvaluation/*.txt` contain
the labels of the turns `Session1/sentences/wav/<dialogue>/<turn>.wav`.

Sources: Busso et al. (2008), "IEMOCAP: interactive emotional dyadic motion capture
database", Language Resources and Evaluation 42. The counts are of the four-class
subset that the field uses.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.training.corpora.corpus import Corpus, PublishedCounts
from espressivo.training.corpora.files import find_recordings, require_folder
from espressivo.training.corpora.licence import Licence
from espressivo.training.corpora.utterance import (
    UNLABELLED,
    Clip,
    Ratings,
    require_unique,
    shares_of,
)
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EMOTIONS = {
    "ang": Emotion.ANGER,
    "hap": Emotion.HAPPINESS,
    # The field's four classes merge happy and excited.
    "exc": Emotion.HAPPINESS,
    "neu": Emotion.NEUTRAL,
    "sad": Emotion.SADNESS,
}
# Frustration, surprise, fear, disgust, other; xxx: the listeners did not agree.
_UNUSED = ("fru", "sur", "fea", "dis", "oth", "xxx")
# Of each session: ang, hap, exc, neu, sad.
_COUNTS = {
    "Ses01": (229, 135, 143, 384, 194),
    "Ses02": (137, 117, 210, 362, 197),
    "Ses03": (240, 135, 151, 320, 305),
    "Ses04": (327, 65, 238, 258, 143),
    "Ses05": (170, 143, 299, 384, 245),
}
_TALKERS = {
    "Ses01F": 528,
    "Ses01M": 557,
    "Ses02F": 481,
    "Ses02M": 542,
    "Ses03F": 522,
    "Ses03M": 629,
    "Ses04F": 528,
    "Ses04M": 503,
    "Ses05F": 590,
    "Ses05M": 651,
}
# What listeners could choose, of the four emotions.
_WORDS = {
    "Anger": Emotion.ANGER,
    "Happiness": Emotion.HAPPINESS,
    "Excited": Emotion.HAPPINESS,
    "Neutral state": Emotion.NEUTRAL,
    "Neutral": Emotion.NEUTRAL,
    "Sadness": Emotion.SADNESS,
}
_STYLES = {"improvised": 2943, "scripted": 2588}
_SEXES = {"F": "female", "M": "male"}

# In "Ses01F_impro01_M003" F wears the face markers, but M is speaking.
_TURN = re.compile(
    r"(?P<dialogue>(?P<session>Ses0[1-5])[FM]_(?P<style>impro|script)\w+)"
    r"_(?P<talker>[FM])[^\W_]+"
)
_NUMBER = r"-?\d+(?:\.\d+)?"
# As in: [6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5000, 2.5000, 2.5000], with tabs
_LABEL = re.compile(
    rf"\[{_NUMBER}\s*-\s*{_NUMBER}\]\s+(?P<turn>\w+)\s+(?P<label>\w+)\s+"
    rf"\[(?P<ratings>{_NUMBER},\s*{_NUMBER},\s*{_NUMBER})\]"
)
# As in: Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
_TEXT = re.compile(r"(?P<turn>\w+)\s+\[[^\]]*\]:\s*(?P<text>.*\S)")


def _clips(root: Path) -> list[Clip]:
    folders = _sessions(root)
    return [clip for folder in folders for clip in _session_clips(folder)]


def _sessions(root: Path) -> list[Path]:
    require_folder(root)
    # The folder above IEMOCAP_full_release is accepted, too.
    for place in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        if found := sorted(p for p in place.glob("Session[1-5]") if p.is_dir()):
            return found
    raise CorpusError(
        f"{root}: holds no folder Session1 to Session5; "
        "pass the folder IEMOCAP_full_release"
    )


def _session_clips(folder: Path) -> list[Clip]:
    recordings = _recordings(folder)
    texts = dict(_texts(folder))
    clips = list(_labelled(folder, recordings, texts))
    named = {clip.name for clip in clips}
    bare = [path for name, path in recordings.items() if name not in named]
    return clips + [_unlabelled(folder, path) for path in bare]


def _unlabelled(folder: Path, path: Path) -> Clip:
    if turn := _TURN.fullmatch(path.stem):
        return _clip(path, turn, UNLABELLED)
    session = f"Ses0{folder.name[-1]}"  # a misnamed file gives no talker
    return Clip(path.stem, path, session, UNLABELLED, session=session)


def _all_recordings(root: Path) -> list[Path]:
    return [p for folder in _sessions(root) for p in _recordings(folder).values()]


def _recordings(folder: Path) -> dict[str, Path]:
    sentences = folder / "sentences" / "wav"
    paths = find_recordings(sentences) if sentences.is_dir() else []
    require_unique((path.stem, path) for path in paths)
    return {path.stem: path for path in paths}


def _labelled(
    folder: Path, recordings: dict[str, Path], texts: dict[str, str]
) -> Iterator[Clip]:
    """Yield all turns that a session's sheets label, even without a recording."""
    # "Ses*" skips the "._" files of macOS; subfolders hold each listener's own sheets.
    for sheet in sorted((folder / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
        lines = _lines(sheet)
        for n, line in enumerate(lines, start=1):
            if not line.startswith("["):
                continue  # one listener's rating, or the heading
            label, turn = _parse(f"{sheet}, line {n}", line, folder)
            name = turn[0]
            # An absent recording gets the path that the release gives it.
            place = folder / "sentences" / "wav" / turn["dialogue"] / f"{name}.wav"
            clip = _clip(
                recordings.get(name, place), turn, label["label"], texts.get(name)
            )
            ratings = Ratings(*map(float, label["ratings"].split(",")))
            yield replace(clip, ratings=ratings, votes=_votes(lines[n:]))


def _parse(where: str, line: str, folder: Path) -> tuple[re.Match[str], re.Match[str]]:
    label = _LABEL.fullmatch(line.strip())
    turn = _TURN.fullmatch(label["turn"]) if label else None
    if label is None or turn is None:
        raise CorpusError(
            f"{where}: is no label ('{line.strip()[:60]}'), as in '[6.2901 - 8.2357] "
            "Ses01F_impro01_F000 neu [2.5, 2.5, 2.5]'; restore the published sheet"
        )
    if label["label"] not in {*_EMOTIONS, *_UNUSED}:
        raise CorpusError(
            f"{where}: '{label['label']}' is not one of "
            f"{', '.join((*_EMOTIONS, *_UNUSED))}; restore the published sheet"
        )
    if turn["session"][-1] != folder.name[-1]:
        raise CorpusError(
            f"{where}: {turn[0]} in {folder.name}; move its files to "
            f"Session{turn['session'][-1]}"
        )
    return label, turn


def _clip(
    path: Path,
    turn: re.Match[str],
    label: str,
    text: str | None = None,
) -> Clip:
    return Clip(
        name=turn[0],
        path=path,
        speaker=turn["session"] + turn["talker"],
        label=label,
        text=text,
        session=turn["session"],
        style="improvised" if turn["style"] == "impro" else "scripted",
        sex=_SEXES[turn["talker"]],
    )


def _votes(lines: list[str]) -> tuple[float, ...] | None:
    r"""Return the shares of the listeners' votes in the lines that follow a label.

    As in `C-E2:\tAnger; Frustration;\t()`; a listener may name several emotions. The
    actors' own votes (`C-F1`, `C-M1`) do not count.
    """
    own = takewhile(lambda line: line.strip() and not line.startswith("["), lines)
    given = (
        _WORDS[word]
        for line in own
        if line.startswith("C-E")
        for word in map(str.strip, line.partition(":")[2].partition("(")[0].split(";"))
        if word in _WORDS
    )
    return shares_of(Counter(given))


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for sheet in sorted((folder / "dialog" / "transcriptions").glob("Ses*.txt")):
        for line in _lines(sheet):
            if match := _TEXT.fullmatch(line.strip()):
                yield match["turn"], match["text"]


def _lines(sheet: Path) -> list[str]:
    return sheet.read_text("utf-8", errors="replace").splitlines()


IEMOCAP = Corpus(
    name="iemocap",
    title="IEMOCAP",
    license=Licence(
        name="research use, by agreement with its owner",
        id="LicenseRef-IEMOCAP",
        commercial="no",
        derivatives="unclear",
        redistribution="no",
        source="Busso et al. 2008",
        url="https://sail.usc.edu/iemocap/",
    ),
    emotions=_EMOTIONS,
    clips=_clips,
    recordings=_all_recordings,  # whole dialogues are no utterances
    speakers=frozenset(_TALKERS),
    rating_scale=(1.0, 5.0),
    published=(
        PublishedCounts(
            ("session", "label"),
            {
                (session, label): count
                for session, counts in _COUNTS.items()
                for label, count in zip(_EMOTIONS, counts, strict=True)
            },
        ),
        PublishedCounts(("speaker",), {(talker,): n for talker, n in _TALKERS.items()}),
        PublishedCounts(("style",), {(style,): n for style, n in _STYLES.items()}),
    ),
)
