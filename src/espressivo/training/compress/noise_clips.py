"""Sound without speech as clips: a teacher tells a student what it gives for it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.training.clips.load import LoadedClip
from espressivo.training.clips.surroundings import noise_files
from espressivo.training.corpora.utterance import Utterance
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from espressivo.training.config import ExperimentConfig

_SILENCES_S = (1.0, 4.0)


def noise_clips(config: ExperimentConfig) -> list[LoadedClip]:
    """Return the noise recordings for training and silence, as unlabelled clips.

    Raises:
        ConfigError: The folder of noise has fewer than two recordings.
    """
    folder = Path(config.augmentation.noise_folder)
    longest = round(config.signal.longest_s * SAMPLE_RATE)
    sounds = {
        path.relative_to(folder).as_posix(): load_audio(path)[:longest]
        for path in noise_files(folder, training=True)
    }
    for seconds in _SILENCES_S:
        n = round(seconds * SAMPLE_RATE)
        sounds[f"silence-{n}"] = np.zeros(n, np.float32)
    return [
        LoadedClip(
            Utterance(
                f"noise/{name}",
                folder / name,
                speaker="noise",
                session="noise",
                emotion=Emotion.NEUTRAL,  # read by nothing
                corpus="noise",
            ),
            sound,
            len(sound),
            hashlib.sha256(sound.tobytes()).hexdigest(),
        )
        for name, sound in sounds.items()
    ]
