"""Emotion from speech, on the device.

>>> import espressivo
>>> report = espressivo.load_model().analyze("examples/voice-note.m4a")
>>> report.emotion
<Emotion.NEUTRAL: 'neutral'>
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from espressivo.version import __version__

# onnxruntime sends telemetry to Microsoft over HTTPS (on Linux and macOS since 1.32).
# It reads this variable once, at its first import, so it must be set before that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from espressivo.analyzer import Analyzer, load_model
    from espressivo.errors import (
        ArchiveError,
        AudioError,
        ConfigError,
        CorpusError,
        EspressivoError,
        ExportError,
        ModelError,
        ProfileError,
        ServeError,
        SplitError,
        StateError,
        TrainingError,
    )
    from espressivo.pipeline.state import StreamState
    from espressivo.profile.profile import Profile
    from espressivo.report import Report
    from espressivo.speech.segments import SpeechOptions
    from espressivo.types import Dimension, Emotion, Estimate, Segment

__all__ = [
    "Analyzer",
    "ArchiveError",
    "AudioError",
    "ConfigError",
    "CorpusError",
    "Dimension",
    "Emotion",
    "EspressivoError",
    "Estimate",
    "ExportError",
    "ModelError",
    "Profile",
    "ProfileError",
    "Report",
    "Segment",
    "ServeError",
    "SpeechOptions",
    "SplitError",
    "StateError",
    "StreamState",
    "TrainingError",
    "__version__",
    "load_model",
]

_HOME = {
    "Analyzer": "espressivo.analyzer",
    "load_model": "espressivo.analyzer",
    "Profile": "espressivo.profile.profile",
    "Report": "espressivo.report",
    "SpeechOptions": "espressivo.speech.segments",
    "StreamState": "espressivo.pipeline.state",
    **dict.fromkeys(
        ("Dimension", "Emotion", "Estimate", "Segment"), "espressivo.types"
    ),
}


def __getattr__(name: str) -> Any:
    # Names are imported on first use, so that `espressivo --help` does not load numpy.
    if name not in __all__:
        raise AttributeError(f"module 'espressivo' has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_HOME.get(name, "espressivo.errors")), name)
