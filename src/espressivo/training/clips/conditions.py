"""Conditions: clips as they sound through a codec, in a room, or with noise.

`apply_condition(name, signal, seed, surroundings)` returns a copy of a signal, as long
as the signal and aligned with it. In training, `augmentation.copies` of a recipe names
conditions, and `Batches` gives the copies to the network:

    batches = make_batches(extractor, clips, config)
    rows = apply_to_clips(batches, network.pooled)  # the clips as they are
    for name in config.augmentation.copies:
        copies = batches.in_condition(name)  # the same clips, in the same order
        more = apply_to_clips(copies, network.pooled)  # labels are those of `batches`

Copies have the level (RMS) of the signal, so that no model can tell a condition by it;
`quiet` changes the level alone, and noise and babble are added to unchanged speech.
Training and evaluation share no noise recording and no room.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import numpy as np

from espressivo.errors import ConfigError
from espressivo.training.clips.codecs import (
    AMR,
    MP3,
    MU_LAW,
    OPUS_6K,
    OPUS_12K,
    gsm,
    has_encoder,
    import_soundfile,
    low_passed,
)
from espressivo.training.clips.preprocess import trim
from espressivo.training.clips.surroundings import (
    Surroundings,
    add_babble,
    add_noise,
    add_room,
    noise_files,
    rms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from espressivo.types import Signal

    Make: TypeAlias = Callable[[Signal, np.random.Generator, Surroundings, str], Any]
    """Signal, random numbers, surroundings, speaker -> the copy [samples]."""

# Part of each cache key: a change of any copy needs another number.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """A way in which a recording differs from a clean one.

    Attributes:
        title: What is done to the signal.
        make: Function that makes a copy; its level does not matter if `keeps_level`.
        encoders: PyAV's encoders that it needs.
        gsm: Whether it needs soundfile, for GSM.
        noise: Whether it needs noise recordings.
        babble: Whether it needs voices.
        keeps_level: Whether the copy gets the RMS of the signal.
    """

    title: str
    make: Make
    encoders: tuple[str, ...] = ()
    gsm: bool = False
    noise: bool = False
    babble: bool = False
    keeps_level: bool = True


def apply_condition(
    name: str, signal: Signal, seed: int, surroundings: Surroundings, speaker: str = ""
) -> Signal:
    """Return a copy of a signal in a condition.

    Args:
        name: A name in `CONDITIONS`.
        signal: Mono 16 kHz [samples]; may be empty. Never modified. The level of its
            speech is the RMS between its silent ends.
        seed: Seed of all random choices, see `utterance_seed`.
        surroundings: The sources of noise and babble.
        speaker: Speaker of the signal, whose own recordings are not in the babble. If
            all voices are the speaker's, the babble is of them.

    Returns:
        float32, of the same length and aligned; `signal` itself if `clean`.

    Raises:
        ConfigError: There is no such condition, or this machine lacks its encoder, its
            noise recordings, or its voices.
    """
    condition = find_condition(name)
    if name == "clean" or len(signal) == 0:
        return signal
    require_conditions([name], surroundings)
    # The part is in the seed, so that training and evaluation share no room.
    rng = np.random.default_rng([int(surroundings.training), seed])
    copy = condition.make(signal, rng, surroundings, speaker)
    if condition.keeps_level:
        copy = copy * (rms(signal) / max(rms(copy), 1e-9))
    return np.ascontiguousarray(copy, np.float32)


def utterance_seed(seed: int, utterance: str, *which: str | int) -> int:
    """Return the seed of a copy or variation, the same in every process.

    Args:
        seed: Seed of the run.
        utterance: Id of the utterance.
        which: Name of the condition; or of an augmentation the epoch, from 0, and the
            number of earlier draws of the utterance in that epoch.
    """
    key = "/".join(map(str, (seed, utterance, *which))).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "little")


def condition_key(name: str, surroundings: Surroundings) -> str:
    """Return a hash of all that a condition's copies depend on beside signal and seed.

    Raises:
        ConfigError: There is no such condition, or there are no noise recordings.
    """
    condition = find_condition(name)
    parts = [str(_VERSION), name]
    parts += ["training" if surroundings.training else "evaluation"]
    if condition.noise:
        files = noise_files(surroundings.noise_folder, training=surroundings.training)
        parts += [f"{file.name} {file.stat().st_size}" for file in files]
    if condition.babble:
        parts += [voice.digest for voice in surroundings.voices]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def find_condition(name: str) -> Condition:
    """Return a condition by name.

    Raises:
        ConfigError: There is no such condition.
    """
    if name not in CONDITIONS:
        raise ConfigError(
            f"there is no condition '{name}'; the conditions are "
            + ", ".join(CONDITIONS)
        )
    return CONDITIONS[name]


def require_conditions(names: Iterable[str], surroundings: Surroundings) -> None:
    """Check that this machine can make copies in all these conditions.

    Raises:
        ConfigError: A name is unknown, or an encoder, noise or voices are missing.
    """
    for name in names:
        condition = find_condition(name)
        missing = [name for name in condition.encoders if not has_encoder(name)]
        if missing:
            raise ConfigError(
                f"condition '{name}' needs the encoder {missing[0]}, which this PyAV "
                f"({av.__version__}) was built without; install one of PyAV's wheels "
                "(pip install --force-reinstall av), or leave the condition out"
            )
        if condition.gsm:
            import_soundfile()
        if condition.noise:
            noise_files(surroundings.noise_folder, training=surroundings.training)
        if condition.babble and not surroundings.voices:
            raise ConfigError(
                f"condition '{name}' needs recordings of other speakers, and there are "
                "none; leave the condition out"
            )


def _clipping(signal: Signal, *_: object) -> Signal:
    # A tenth of the samples is beyond what the recorder takes.
    limit = np.percentile(np.abs(trim(signal)), 90)
    return np.clip(signal, -limit, limit).astype(np.float32)


def _quiet(signal: Signal, *_: object) -> Signal:
    # A file of 16 bits keeps whole steps only.
    steps = np.round(signal * np.float32(0.01 * 32768))
    return (steps / 32768).astype(np.float32)


_CHANNELS = (MU_LAW, AMR, OPUS_12K, OPUS_6K, MP3)


def _varied(
    signal: Signal, rng: np.random.Generator, surroundings: Surroundings, *_: object
) -> Signal:
    if rng.random() < 0.4:
        signal = add_room(signal, rng)
    if rng.random() < 0.6:
        signal = add_noise(rng.uniform(5, 25), signal, rng, surroundings)
    # Two further channels are a low-pass and none at all.
    channels = (*_CHANNELS, gsm)
    number = int(rng.integers(len(channels) + 2))
    if number < len(channels):
        return channels[number](signal)
    cutoff_hz = rng.uniform(2500, 6000)
    return low_passed(signal, cutoff_hz) if number == len(channels) else signal


def _noisy(snr_db: int) -> Condition:
    title = f"a noise recording at {snr_db} dB SNR"
    return Condition(title, partial(add_noise, snr_db), noise=True, keeps_level=False)


CONDITIONS: dict[str, Condition] = {
    "clean": Condition("the recording as it is", lambda signal, *_: signal),
    "telephone": Condition("8 kHz, 300-3400 Hz, mu-law", MU_LAW, (MU_LAW.encoder,)),
    "gsm": Condition("8 kHz, 300-3400 Hz, GSM full rate 13 kbit/s", gsm, gsm=True),
    "amr": Condition("8 kHz, 300-3400 Hz, AMR-NB 7.95 kbit/s", AMR, (AMR.encoder,)),
    "opus-12k": Condition("Opus for voice, 12 kbit/s", OPUS_12K, (OPUS_12K.encoder,)),
    "opus-6k": Condition("Opus for voice, 6 kbit/s", OPUS_6K, (OPUS_6K.encoder,)),
    "mp3-32k": Condition("MP3, 32 kbit/s", MP3, (MP3.encoder,)),
    "room": Condition("a room with RT60 0.3-0.9 s", add_room),
    "noise-20": _noisy(20),
    "noise-10": _noisy(10),
    "noise-5": _noisy(5),
    "noise-0": _noisy(0),
    "babble-10": Condition(
        "4 to 6 other speakers at 10 dB SNR",
        partial(add_babble, 10),
        babble=True,
        keeps_level=False,
    ),
    "clipping": Condition("a tenth of the samples clipped", _clipping),
    "quiet": Condition("40 dB less, in 16 bits", _quiet, keeps_level=False),
    "varied": Condition(
        "a random chain of room, noise at 5-25 dB SNR, and a channel",
        _varied,
        tuple(c.encoder for c in _CHANNELS),
        gsm=True,
        noise=True,
    ),
}
"""Name -> condition. `varied` is for training only."""

EVALUATED = tuple(name for name in CONDITIONS if name != "varied")
"""Names of the conditions that models are evaluated in."""
