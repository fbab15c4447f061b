"""Fixtures with real recordings: the example, and the shared corpora where present."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Tests run side by side, one process per core. The threads of several torches would
# wait for each other, spinning. Read when numpy and torch are imported, and inherited.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.model.find import DEFAULT, find_model
from espressivo.types import Emotion, to_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.analyzer import Analyzer
    from espressivo.types import Signal

# The first example of hypothesis includes slow imports, and machines differ in speed.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).parents[1]
NOTE = ROOT / "examples" / "voice-note.m4a"


def names_emotion(shown: bytes) -> bool:
    """Return whether a window's line, which names its emotion, is among the output."""
    return any(emotion.encode() in shown for emotion in Emotion)


@pytest.fixture(autouse=True)
def _one_thread_again() -> Iterator[None]:
    """Undo what a training sets for its process: torch's number of threads."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of corpora, noise and weights, which may not be redistributed."""
    folder = Path(os.environ.get("ESPRESSIVO_DATA", ROOT.parent / "shared"))
    if not (folder / "corpora").is_dir():
        pytest.skip(f"needs {folder} (corpora, noise and weights), which is absent")
    return folder


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    """Analyzer with the bundled model."""
    return espressivo.load_model()


@pytest.fixture(scope="session")
def judging_model(analyzer, tmp_path_factory) -> Path:
    """Copy of the bundled model with a threshold that the example's windows straddle.

    Half of the windows of `NOTE` are uncertain to it.
    """
    folder = tmp_path_factory.mktemp("models") / "judging"
    shutil.copytree(find_model(DEFAULT), folder)
    tops = to_rows(analyzer.analyze(NOTE).estimates).max(1)
    threshold = round(float(np.median(tops)), 3)
    path = folder / "model.json"
    card = json.loads(path.read_text("utf-8"))
    card["certainty"] = {"threshold": threshold, "accuracy": 0.8}
    path.write_text(json.dumps(card), "utf-8")
    return folder


@pytest.fixture(scope="session")
def note() -> Signal:
    """24 s of speech with pauses [samples], read-only, since all tests share it."""
    signal = load_audio(NOTE)
    signal.flags.writeable = False
    return signal


@pytest.fixture(scope="session")
def read_speech(shared) -> Signal:
    """60 s of LibriSpeech by ten speakers, with pauses of 0.5 s [samples]."""
    pause = np.zeros(8000, np.float32)
    files = sorted((shared / "speech").glob("*.flac"))[:10]
    pieces = [p for f in files for p in (load_audio(f), pause)]
    signal = np.concatenate(pieces)[: 60 * 16_000]
    signal.flags.writeable = False
    return signal
