"""Surroundings: the rooms, noise and voices around a speaker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, ConfigError
from espressivo.training.clips.preprocess import trim
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.corpora.utterance import Utterance

N_VOICES = 48
"""Number of recordings that babble is mixed from."""

_NOISE_FILES = {".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The sound that conditions add to speech.

    Attributes:
        noise_folder: Folder of noise recordings, at any depth. Of the sorted list, the
            first, third, ... are for training, the others for evaluation.
        voices: Clips that babble is mixed from, see `choose_voices`.
        training: Whether the copies are trained on.
    """

    noise_folder: Path
    voices: Sequence[LoadedClip] = ()
    training: bool = False


def choose_voices(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Return up to 48 utterances for babble, of as many speakers as possible."""
    turns: dict[str, int] = {}
    ranked = []
    # Not in the order of names, which would give each speaker the same sentence.
    for u in sorted(utterances, key=lambda u: hashlib.sha256(u.id.encode()).digest()):
        turns[u.speaker] = turns.get(u.speaker, -1) + 1
        ranked.append((turns[u.speaker], u.speaker, u.id, u))
    return [u for *_, u in sorted(ranked, key=lambda row: row[:3])[:N_VOICES]]


@cache
def noise_files(folder: Path, *, training: bool) -> tuple[Path, ...]:
    """Return the noise recordings for training, or those for evaluation.

    Raises:
        ConfigError: The folder has fewer than two recordings.
    """
    found = [p for p in folder.rglob("*") if p.suffix.lower() in _NOISE_FILES]
    if len(found) < 2:
        raise ConfigError(
            f"{folder}: holds {len(found)} noise recordings, not 2 or more; name a "
            "folder with recordings of noise (--noise DIR, or in a recipe "
            "augmentation.noise_folder)"
        )
    return tuple(sorted(found)[0 if training else 1 :: 2])


def add_room(signal: Signal, rng: np.random.Generator, *_: object) -> Signal:
    """Return a signal [samples] as heard in a room; see `impulse_response`."""
    response = impulse_response(rng)
    n = len(signal) + len(response)
    n = -(-n // 4096) * 4096
    heard = np.fft.irfft(np.fft.rfft(signal, n) * np.fft.rfft(response, n), n)
    return heard[: len(signal)].astype(np.float32)


def impulse_response(rng: np.random.Generator) -> Signal:
    """Return a synthetic room impulse response, float32 [samples] at 16 kHz.

    The direct sound comes first, with amplitude 1, and diffuse reverberation follows:
    Gaussian noise whose energy decays by 60 dB in 0.3 to 0.9 s. The direct sound is 0
    to 10 dB above all reverberation together, as at about 0.3 to 1 m in a living room.

    Source: Polack's model of late reverberation, after Naylor & Gaubitch (2010).
    """
    n = round(rng.uniform(0.3, 0.9) * SAMPLE_RATE)
    response = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    response[:40] = 0  # the first reflection is 2.5 ms, 0.86 m, behind
    energy = 10 ** (-rng.uniform(0, 10) / 10)
    response *= np.sqrt(energy / np.square(response).sum())
    response[0] = 1
    return response.astype(np.float32)


def add_noise(
    snr_db: float,
    signal: Signal,
    rng: np.random.Generator,
    surroundings: Surroundings,
    *_: object,
) -> Signal:
    """Return a signal with one of the noise recordings added.

    Raises:
        ConfigError: There are no such recordings, or one cannot be used.
    """
    files = noise_files(surroundings.noise_folder, training=surroundings.training)
    noise = _load_noise(files[rng.integers(len(files))])
    return _mixed(signal, _looped(noise, len(signal), rng), snr_db)


@cache
def _load_noise(path: Path) -> Signal:
    try:
        # Some recordings are filled up with digital silence.
        noise = trim(load_audio(path), 60.0)
    except AudioError as error:
        raise ConfigError(f"{error} (a noise recording; remove it)") from error
    if not noise.any():
        raise ConfigError(f"{path}: a noise recording that is silent; remove it")
    return noise


def add_babble(
    snr_db: float,
    signal: Signal,
    rng: np.random.Generator,
    surroundings: Surroundings,
    speaker: str,
) -> Signal:
    """Return a signal with 4 to 6 of the voices added, all equally loud.

    They are of other speakers; if all voices are the speaker's own, they are of them.
    """
    voices = surroundings.voices
    others = [voice for voice in voices if voice.utterance.speaker != speaker] or voices
    n_voices = min(int(rng.integers(4, 7)), len(others))
    babble = np.zeros(len(signal))
    for index in rng.choice(len(others), n_voices, replace=False).tolist():
        voice = others[index].signal
        babble += _looped(voice, len(signal), rng) / max(rms(voice), 1e-9)
    return _mixed(signal, babble.astype(np.float32), snr_db)


def _looped(sound: Signal, n_samples: int, rng: np.random.Generator) -> Signal:
    """Return `n_samples` of a repeated sound, from a random sample on."""
    part = np.resize(np.roll(sound, rng.integers(len(sound))), n_samples)
    # A pause in the noise may be as long as the signal.
    return part if part.any() else np.resize(sound, n_samples)


def _mixed(signal: Signal, noise: Signal, snr_db: float) -> Signal:
    gain = rms(trim(signal)) / max(rms(noise), 1e-9) * 10 ** (-snr_db / 20)
    return signal + np.float32(gain) * noise


def rms(signal: Signal) -> float:
    """Return the root mean square of a signal that is not empty."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
