"""Further clips for a student: parts of long recordings, and sound without speech.

A teacher labels whatever it is given, so a student can learn of far more than the
utterances of a corpus. A reader of LibriSpeech is one clip of 8 s to `train`; without
parts of it a student takes other readers for actors.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.training.clips.conditions import utterance_seed
from espressivo.training.clips.load import LoadedClip
from espressivo.training.clips.surroundings import noise_files
from espressivo.training.corpora.utterance import Utterance
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.config import ExperimentConfig

SHORTEST_S = 1.0
"""Least length of a part, in seconds."""

LONG_S = 6.0
"""Recordings that are longer give parts, in seconds."""

_SILENCES_S = (1.0, 4.0)


def parts_of(clips: Sequence[LoadedClip], config: ExperimentConfig) -> list[LoadedClip]:
    """Return random parts of the long clips, `distillation.parts` of each.

    A part is 1 s to `signal.longest_s` long and has the label of its clip. The seed of
    the configuration determines it.
    """
    longest = round(config.signal.longest_s * SAMPLE_RATE)
    parts = []
    for clip in clips if config.distillation.parts else ():
        if clip.n_samples <= LONG_S * SAMPLE_RATE:
            continue
        signal = clip.signal
        rng = np.random.default_rng(
            utterance_seed(config.seed, clip.utterance.id, "part")
        )
        for number in range(config.distillation.parts):
            n = int(rng.integers(SHORTEST_S * SAMPLE_RATE, longest + 1))
            n = min(n, len(signal))
            start = int(rng.integers(len(signal) - n + 1))
            parts.append(
                LoadedClip(
                    replace(clip.utterance, id=f"{clip.utterance.id}/part-{number}"),
                    np.array(signal[start : start + n]),
                    n,
                    f"{clip.digest}-{start}-{n}",
                )
            )
    return parts


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
