"""The inputs of `capture.py`: recordings, some of them broken, and configurations.

All are copied to, or written into, one work folder, whose path is always the same, so
that it may stand in what is kept.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Sequence

WORK = Path(tempfile.gettempdir()) / "espressivo-capture"
NOT_COMPARED = "not-compared"  # the folder of what may differ

# Corpus -> patterns of the clips that are heard; six actors of RAVDESS.
CLIPS = {
    "ravdess": ["Actor_0[1-6]/03-01-0[1-6]-01-0[12]-01-*.flac"],
    "tess": ["?AF_back_*.opus", "?AF_bar_*.opus"],
    "nemo": ["[EKSW][BMRS]0_*_1[27].opus", "data.tsv"],
    "emodb": ["0[389]a0[125]*.opus", "10a0[125]*.opus"],
    "emovo": ["[fm]1/*-b1.opus"],
    "urdu": ["*/SM1_F1_*.opus"],
    "emotiontts": ["plain-to-emotional/ema/wav/ema00[1-4]01.opus"],
}
NOISES = ["001*/*1*.ogg", "002*/*1*.ogg"]
NO_RECORDINGS = {".md", ".mjs", ".py", ".sh"}  # of the cases
WEIGHTS = "whisper_tiny_en_encoder_fp16.safetensors"

GROUPS = '[protocol]\nkind = "speaker-group"\nn_groups = 3\n'
RAVDESS = '[corpora]\nravdess = "ravdess"\n'
PLAIN = "[augmentation]\nprobability = 0\n"
WHISPER = f'[network]\nkind = "whisper"\nweights = "weights/{WEIGHTS}"\nn_layers = 2\n'
CONFIGS = {
    "statistics": f"""{RAVDESS}{GROUPS}{PLAIN}
[network]
kind = "statistics"
[classifier]
fit = "logistic"
strength = 0.01
""",
    "frozen": f"""[corpora]
manifest = "calls.csv"
{GROUPS}{PLAIN}{WHISPER}frozen = "all"
head = "statistics"
dropout = 0.2
[loss]
weights = "balanced"
[training]
epochs = 3
patience = 2
batch_size = 8
""",
    "tiny": f"""{RAVDESS}emodb = "emodb"
{PLAIN}{WHISPER}frozen = "all"
states = [0, 2]
state_weights = [0.375, 0.625]
head = "mean"
[classifier]
fit = "discriminant"
ridge = 0.3
[profile]
fit = true
""",
    "varied": f"""{RAVDESS}tess = "tess"
[signal]
crop_s = 2
{WHISPER}head = "statistics"
[augmentation]
speed_probability = 0.5
[loss]
balance = "corpus-class"
adversary = 0.1
[training]
epochs = 2
head_epochs = 1
draws = 24
batch_size = 8
encoder_rate = 1e-4
layer_decay = 0.7
""",
    "light": f"""{RAVDESS}{PLAIN}
[network]
kind = "light_sernet"
padding = "fixed"
window_s = 3
dropout = 0.3
[training]
epochs = 2
""",
}


def prepare(checkout: Path, shared: Path) -> None:
    """Copy recordings and weights, break some, and write configurations."""
    for folder in ("broken", "weights"):
        (WORK / folder).mkdir()
    for corpus, patterns in CLIPS.items():
        _copy(shared / "corpora" / corpus, patterns, WORK / corpus)
    _copy(shared / "corpora/emodb", ["03a0[125]*.opus"], WORK / "one-speaker")
    _copy(shared / "noise", NOISES, WORK / "noise")
    _copy(shared / "cases", ["*.*"], WORK / "cases")
    _copy(checkout / "examples", ["voice-note.m4a"], WORK)
    _copy(shared / "weights", [WEIGHTS], WORK / "weights")
    whole = (WORK / "ravdess/Actor_01/03-01-05-01-01-01-01.flac").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2 :: 997] = b"\xff" * len(flipped[len(whole) // 2 :: 997])
    broken = {
        "cut.flac": whole[: len(whole) * 2 // 3],
        "empty.wav": b"",
        "flipped.flac": bytes(flipped),
        "head.flac": whole[:40],
        "text.wav": b"no sound at all\n" * 100,
    }
    for name, content in broken.items():
        (WORK / "broken" / name).write_bytes(content)
    with wave.open(str(WORK / "broken" / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000))
    for name, text in CONFIGS.items():
        (WORK / f"{name}.toml").write_text(f'name = "{name}"\nthreads = 1\n{text}')
    rows = ["path,emotion,speaker"]
    for path in sorted((WORK / "nemo").glob("*.opus")):
        speaker, emotion, _ = path.stem.split("_")
        rows.append(f"nemo/{path.name},{emotion},{speaker}")
    table = "\n".join([*rows, ""])
    (WORK / "calls.csv").write_text(table)
    (WORK / "with-broken.csv").write_text(f"{table}broken/text.wav,anger,X\n")
    _write_iemocap(WORK / "iemocap")


def _copy(source: Path, patterns: Sequence[str], target: Path) -> None:
    paths = [path for pattern in patterns for path in sorted(source.glob(pattern))]
    if not paths:
        sys.exit(f"{source}: holds none of {', '.join(patterns)}")
    for path in paths:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _write_iemocap(root: Path) -> None:
    """Lay clips of RAVDESS out as IEMOCAP: five sessions, two talkers, both marked."""
    codes = {"ang": "05", "hap": "03", "neu": "01", "sad": "04"}
    for session in range(1, 6):
        for marked in "FM":
            dialogue, lines = f"Ses0{session}{marked}_impro01", []
            place = root / f"Session{session}"
            wavs = place / "sentences" / "wav" / dialogue
            wavs.mkdir(parents=True)
            (place / "dialog/EmoEvaluation").mkdir(parents=True, exist_ok=True)
            for talker in "FM":
                actor = session + (talker == "F")  # even: a woman
                for i, (label, code) in enumerate(codes.items()):
                    name = f"{dialogue}_{talker}{i:03}"
                    statement = 1 + (marked == "M")
                    clip = f"03-01-{code}-01-0{statement}-01-0{actor}.flac"
                    source = WORK / "ravdess" / f"Actor_0{actor}" / clip
                    shutil.copyfile(source, wavs / f"{name}.flac")
                    span = f"[{i:.4f} - {i + 1:.4f}]"
                    lines.append(f"{span}\t{name}\t{label}\t[2.5, 3.0, 3.5]\n")
            sheet = place / "dialog/EmoEvaluation" / f"{dialogue}.txt"
            sheet.write_text(
                "% [START] TURN_NAME EMOTION [V, A, D]\n\n" + "".join(lines)
            )


def speech() -> bytes:
    """Decode some clips, one after another: PCM, 16 kHz, 16 bit, little-endian."""
    sound = bytearray()
    for path in sorted((WORK / "ravdess").rglob("*-01-0[12].flac"))[:8]:
        with av.open(str(path)) as file:
            for frame in file.decode(audio=0):
                sound += frame.to_ndarray().tobytes()
    return bytes(sound)
