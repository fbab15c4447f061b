"""Synthetic folders of the corpora that may not be redistributed.

Layout, names and label sheets are those of the real releases. Each corpus comes in two
sizes: as large as published, with recordings that are empty, links to one file, or
missing; and a small one for training, with a different synthetic voice in every file.

    build_iemocap(root)             all 5,531 labels and some others, no recordings
    build_iemocap(root, clip=wav)   the same, every recording a link to `wav`
    build_iemocap(root, n=2)        2 turns of each talker and emotion, with audio
    build_crema_d(root)             all 7,442 names, empty files
    build_crema_d(root, n=2, n_actors=3)
    build_savee(root)               all 480 names, empty files
    build_savee(root, n=2)
    build_ravdess(root, actors=range(1, 7), n=2)

All of them return the folder that the reader takes, and are deterministic.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tests.voices import voice, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# IEMOCAP as published: labels of each session, turns of each talker, styles. Copied
# by hand, so that the reader's own copy is tested against it.
IEMOCAP_LABELS = ("ang", "hap", "exc", "neu", "sad")
IEMOCAP_COUNTS = {
    1: (229, 135, 143, 384, 194),
    2: (137, 117, 210, 362, 197),
    3: (240, 135, 151, 320, 305),
    4: (327, 65, 238, 258, 143),
    5: (170, 143, 299, 384, 245),
}
IEMOCAP_WOMEN = {1: 528, 2: 481, 3: 522, 4: 528, 5: 590}
IEMOCAP_IMPROVISED = 2943
N_OTHERS = 60
"""Turns of each session of the full tree with labels that are not used."""
_OTHERS = ("fru", "xxx", "sur", "fea", "dis", "oth")
_WORDS = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "neu": "Neutral state",
    "sad": "Sadness",
    "fru": "Frustration",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a talker of IEMOCAP."""

    name: str
    dialogue: str
    label: str

    @property
    def session(self) -> int:
        return int(self.name[4])

    @property
    def talker(self) -> str:
        return self.name.rpartition("_")[2][0]


def build_iemocap(
    root: Path, n: int | None = None, *, clip: Path | None = None
) -> Path:
    """Build `IEMOCAP_full_release`; in half of the turns the listener wears markers.

    Args:
        root: Parent of the folder.
        n: Turns per talker and emotion, each with a voice, besides two turns per talker
            with other labels. None gives the published numbers per session and label,
            per talker, and per style.
        clip: Target of all links if n is None; None leaves the recordings out.
    """
    folder = root / "IEMOCAP_full_release"
    turns = _all_turns() if n is None else _few_turns(n)
    dialogues = defaultdict(list)
    for turn in turns:
        dialogues[turn.dialogue].append(turn)
    for dialogue, members in dialogues.items():
        session = folder / f"Session{members[0].session}"
        _write_sheets(session / "dialog", dialogue, members)
        for turn in members:
            path = session / "sentences/wav" / dialogue / f"{turn.name}.wav"
            if n is not None:
                pitch = 1.2 if turn.talker == "F" else 0.85
                write_wav(path, voice(_emotion(turn.label), turn.name, pitch))
            elif clip is not None:
                _link(path, clip)
    return folder


def _all_turns() -> list[Turn]:
    rng = random.Random(3)
    n_all = sum(map(sum, IEMOCAP_COUNTS.values()))
    styles = ["impro"] * IEMOCAP_IMPROVISED
    styles += ["script"] * (n_all - IEMOCAP_IMPROVISED)
    rng.shuffle(styles)
    cells = []
    for session, counts in IEMOCAP_COUNTS.items():
        women = IEMOCAP_WOMEN[session]
        talkers = list("F" * women + "M" * (sum(counts) - women))
        rng.shuffle(talkers)
        labels = np.repeat(IEMOCAP_LABELS, counts).tolist()
        for label, talker in zip(labels, talkers, strict=True):
            cells.append((session, talker, label, styles.pop()))
        others = [_OTHERS[i // 2 % len(_OTHERS)] for i in range(N_OTHERS)]
        cells += [
            (session, "FM"[i % 2], label, "impro") for i, label in enumerate(others)
        ]
    rng.shuffle(cells)
    return list(_named(cells, rng))


def _few_turns(n: int) -> list[Turn]:
    cells = []
    for session, talker in product(IEMOCAP_COUNTS, "FM"):
        for i in range(n):
            happy = ("hap", "exc")[i % 2]
            style = ("impro", "script")[i % 2]
            cells += [(session, talker, c, style) for c in ("ang", happy, "neu", "sad")]
        cells += [(session, talker, label, "impro") for label in ("fru", "xxx")]
    return list(_named(cells, random.Random(3)))


def _named(
    cells: Iterable[tuple[int, str, str, str]], rng: random.Random
) -> Iterator[Turn]:
    """Assign turns to dialogues of their style, and number them by talker."""
    n_of: Counter[str] = Counter()
    for session, talker, label, style in cells:
        part = rng.randint(1, 3)
        scene = f"impro0{part}" if style == "impro" else f"script0{part}_1"
        dialogue = f"Ses0{session}{rng.choice('FM')}_{scene}"
        key = f"{dialogue}_{talker}"
        yield Turn(f"{key}{n_of[key]:03}", dialogue, label)
        n_of[key] += 1


def _write_sheets(folder: Path, dialogue: str, turns: list[Turn]) -> None:
    labels = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    texts = []
    # The same scripts were performed in every session.
    source = dialogue[7:] if "script" in dialogue else dialogue
    for i, turn in enumerate(turns):
        start, end = 6.2901 + 4 * i, 8.2357 + 4 * i
        ratings = f"[{1 + i % 5}.5000, 2.5000, 3.0000]"
        heard = _WORDS.get(turn.label, "Other")
        labels += [
            "\t".join((f"[{start:.4f} - {end:.4f}]", turn.name, turn.label, ratings)),
            f"C-E2:\t{heard};\t()",
            "C-E3:\tNeutral state; Frustration;\t()",
            f"C-F1:\t{heard};\t()",
            f"A-E3:\tval {1 + i % 5}; act 2; dom  3;\t()",
            "A-E4:\tval 2; act 3; dom  3;\t(mildly annoyed)",
            "A-F1:\tval 3; act 2; dom  3;\t()",
            "",
        ]
        said = f"Line {i} of {source}."
        texts += [f"{turn.name} [{start:08.4f}-{end:08.4f}]: {said}"]
    _write(folder / f"EmoEvaluation/{dialogue}.txt", "\n".join(labels) + "\n")
    _write(folder / f"transcriptions/{dialogue}.txt", "\n".join([*texts, "M: Yeah."]))
    # Files that a reader must ignore.
    _write(folder / f"EmoEvaluation/._{dialogue}.txt", "\0\5\26\7\0\2[x]")
    one = "".join(f"{turn.name} :Anger; ()\n" for turn in turns)
    _write(folder / f"EmoEvaluation/Categorical/{dialogue}_e2_cat.txt", one)
    _write(folder / f"EmoEvaluation/Attribute/{dialogue}_e3_atr.txt", one)
    _write(folder / f"EmoEvaluation/Self-evaluation/{dialogue}_f1.txt", one)


CREMA_D_SENTENCES = (
    *("IEO", "TIE", "IOM", "IWW", "TAI", "MTI"),
    *("IWL", "ITH", "DFA", "ITS", "TSI", "WSI"),
)
CREMA_D_LABELS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def build_crema_d(
    root: Path,
    n: int | None = None,
    *,
    n_actors: int = 91,
    clip: Path | None = None,
) -> Path:
    """Build `CREMA-D` with its demographics and votes.

    Args:
        root: Parent of the folder.
        n: Clips per actor and emotion, each with a voice. None gives the published
            number; which clips of the grid are missing is our choice.
        n_actors: Number of actors of the 91, from 1001 on.
        clip: Target of all links if n is None; None leaves the recordings empty.
    """
    folder = root / "CREMA-D"
    actors = [str(1001 + i) for i in range(n_actors)]
    names = [name for actor in actors for name in _crema_d_names(actor, n)]
    for name in names:
        path = folder / "AudioWAV" / f"{name}.wav"
        if n is None:
            _link(path, clip)
        else:
            pitch = 0.85 if int(name[3]) % 2 else 1.2
            write_wav(path, voice(_emotion(name[9:12]), name, pitch))
    rows = (f'{a},{20 + int(a) % 50},"{_sex(a)}","Asian","Hispanic"\n' for a in actors)
    heading = '"ActorID","Age","Sex","Race","Ethnicity"\n'
    _write(folder / "VideoDemographics.csv", heading + "".join(rows))
    heading = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel",'
    heading += '"MultiModalVote","MultiModalLevel"\n'
    rows = (
        f'"{i}","{x}","{x[9]}:N","50:40","A","60","A","70"\n'
        for i, x in enumerate(names, 1)
    )
    _write(folder / "processedResults/summaryTable.csv", heading + "".join(rows))
    return folder


def _crema_d_names(actor: str, n: int | None) -> Iterator[str]:
    """Yield an actor's file names: one sentence at three levels, eleven without."""
    for label in CREMA_D_LABELS:
        takes = [f"{s}_{label}_XX" for s in CREMA_D_SENTENCES]
        if label != "NEU":
            takes[:1] = [f"IEO_{label}_{level}" for level in ("LO", "MD", "HI")]
        # The published 1,271 clips per emotion and 1,087 neutral ones are 3 and 5 fewer
        # than the full grid.
        if n is None and int(actor) < 1001 + (5 if label == "NEU" else 3):
            takes.pop()
        for take in takes[:n]:
            name = f"{actor}_{take}"
            # This name was published without its last letter.
            yield name[:-1] if name == "1040_ITH_SAD_XX" else name


SAVEE_LETTERS = ("a", "d", "f", "h", "n", "sa", "su")


def build_savee(
    root: Path, n: int | None = None, *, flat: bool = True, clip: Path | None = None
) -> Path:
    """Build `SAVEE`: n clips per speaker and emotion with a voice, or all 480, empty.

    Args:
        root: Parent of the folder.
        n: Clips per speaker and emotion, each with a voice; None for all, empty.
        flat: Whether names are `DC_a01.wav` in one folder, or `AudioData/DC/a01.wav`.
        clip: Target of all links if n is None; None leaves the recordings empty.
    """
    folder = root / "SAVEE"
    for speaker, letter in product(("DC", "JE", "JK", "KL"), SAVEE_LETTERS):
        for i in range(1, 1 + (n or (30 if letter == "n" else 15))):
            code = f"{letter}{i:02}"
            name = f"{speaker}_{code}.wav"
            path = folder / (name if flat else f"AudioData/{speaker}/{code}.wav")
            if n is None:
                _link(path, clip)
            else:
                write_wav(path, voice(_emotion(letter), name, 0.85))
    return folder


def build_ravdess(
    root: Path, actors: Iterable[int] = range(1, 25), n: int | None = None
) -> Path:
    """Build `RAVDESS` of some actors: n clips of each of eight emotions (None: all)."""
    folder = root / "RAVDESS"
    for actor in actors:
        for emotion in range(1, 9):
            # Emotion, intensity, statement, repetition; neutral is never strong.
            levels = ("01",) if emotion == 1 else ("01", "02")
            takes = list(product(levels, ("01", "02"), ("01", "02")))[:n]
            for take in takes:
                code = f"{emotion:02}"
                name = "-".join(("03", "01", code, *take, f"{actor:02}"))
                pitch = 0.85 if actor % 2 else 1.2
                path = folder / f"Actor_{actor:02}" / f"{name}.wav"
                write_wav(path, voice(_emotion(code), name, pitch))
    return folder


def _emotion(label: str) -> str:
    """Return which of the four emotions a corpus's label means, as in the study."""
    meant = {
        "anger": ("ang", "ANG", "a", "05"),
        "happiness": ("hap", "exc", "HAP", "h", "03"),
        "sadness": ("sad", "SAD", "sa", "04"),
    }
    return next((e for e, labels in meant.items() if label in labels), "neutral")


def _sex(actor: str) -> str:
    return "Male" if int(actor) % 2 else "Female"


def _link(path: Path, clip: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if clip is None:
        path.touch()
    else:
        os.link(clip, path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
