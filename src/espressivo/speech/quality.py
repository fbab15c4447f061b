"""Quality of the sound: band, level, clipping and noise of a recording's speech.

It is measured in one pass over the frames of the speech detector, in constant memory:
integer histograms and one spectrum. Thresholds are from `docs/analyze.md`, "Quality".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.speech.detector import FRAME
from espressivo.speech.impairments import (
    BOTTOM_DB,
    LEVELS_A_DB,
    N_LEVELS,
    N_STEPS,
    STEPS_A_DB,
    bandwidth_hz,
    clipped_share,
    decibels_of,
    mean_power,
    snr_db,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.types import Signal

_SPEECH = 0.5  # probability from which a frame counts as speech
_PAUSE = 0.2  # probability below which a frame can be a pause
_AROUND = 4  # frames before and after a pause that must be quiet, too
_LEAST = 8  # frames of speech (0.26 s) below which nothing is measured
_FIRST, _EVERY = 128, 8  # frames of speech with a spectrum: the first 4 s, then some
_TOGETHER = 32  # frames that are counted together (1 s)
_WINDOW = np.hanning(FRAME)
_NARROW_HZ, _QUIET_DB, _CLIPPED, _NOISY_DB = 5_900, -68.0, 0.05, 15.0


@dataclass(frozen=True, slots=True)
class Quality:
    """Properties of a recording's speech that limit the estimates.

    Attributes:
        bandwidth_hz: Highest frequency with speech, 8000 if nothing cuts it off; None
            without speech.
        level_db: Level of the speech (root mean square) in dB re full scale; None
            without speech.
        clipped: Estimated share of the samples of the speech that are cut off, 0 to 1;
            None without speech.
        snr_db: Estimated ratio of speech to noise in dB; a lower bound above some 20 dB
            where there are few pauses. None without a second of sound.
    """

    bandwidth_hz: int | None = None
    level_db: float | None = None
    clipped: float | None = None
    snr_db: float | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what makes the model give another emotion often."""
        found = []
        if self.bandwidth_hz is not None and self.bandwidth_hz < _NARROW_HZ:
            found.append(
                "narrow band: the recording has nothing of the voice above "
                f"{self.bandwidth_hz} Hz; happiness may be overstated"
            )
        if self.level_db is not None and self.level_db < _QUIET_DB:
            found.append(
                f"very quiet: the speech is at {round(self.level_db)} dB re full "
                "scale, where 16 bits leave it a few steps; anger may be overstated"
            )
        if self.clipped is not None and self.clipped >= _CLIPPED:
            found.append(
                f"clipped: about {round(100 * self.clipped)} % of the speech is cut "
                "off at the peaks; anger may be overstated"
            )
        if self.snr_db is not None and self.snr_db < _NOISY_DB:
            found.append(
                f"noisy: the speech is about {round(self.snr_db)} dB above the noise; "
                "anger may be overstated"
            )
        return tuple(found)

    def to_dict(self) -> dict[str, float | None]:
        """Return the quality, rounded as in the report's JSON."""
        return {
            "bandwidth_hz": self.bandwidth_hz,
            "level_db": _rounded(self.level_db, 1),
            "clipped": _rounded(self.clipped, 4),
            "snr_db": _rounded(self.snr_db, 1),
        }


@dataclass(frozen=True, slots=True, eq=False)
class QualityState:
    """State of a meter between two blocks.

    Attributes:
        waiting: Samples that are not counted yet, the last of them in an incomplete
            frame.
        probabilities: Speech probabilities of the complete frames among them.
        recent: Levels (bins) and speech-likeness (0 or 1) of the newest counted frames,
            whose surroundings are incomplete, int64 [2, 8].
        levels: Number of frames at each level: of speech, of all others, and of those
            others that are pauses, int64 [3, levels].
        magnitudes: Number of positive and of negative samples at each magnitude, in
            some frames of speech, int64 [2, steps].
        spectrum: Sum of the power spectra of these frames, each scaled to a sum of 1,
            float64 [bins].
    """

    waiting: Signal
    probabilities: NDArray[np.float32]
    recent: NDArray[np.int64]
    levels: NDArray[np.int64]
    magnitudes: NDArray[np.int64]
    spectrum: NDArray[np.float64]

    @staticmethod
    def new() -> QualityState:
        """Return the state at the beginning of a recording."""
        return QualityState(
            waiting=np.zeros(0, np.float32),
            probabilities=np.zeros(0, np.float32),
            recent=np.zeros((2, 2 * _AROUND), np.int64),
            levels=np.zeros((3, N_LEVELS), np.int64),
            magnitudes=np.zeros((2, N_STEPS), np.int64),
            spectrum=np.zeros(FRAME // 2 + 1),
        )


class QualityMeter:
    """Quality of a signal that arrives in blocks of any size.

    Args:
        state: State to continue from; None: the beginning of a recording.
    """

    def __init__(self, state: QualityState | None = None) -> None:
        state = state or QualityState.new()
        self._blocks, self._probabilities = [state.waiting], [state.probabilities]
        self._n_waiting = len(state.probabilities)
        self._counted = state

    @property
    def state(self) -> QualityState:
        """Current state. The meter replaces its arrays, it never modifies them."""
        return replace(
            self._counted,
            waiting=np.concatenate(self._blocks),
            probabilities=np.concatenate(self._probabilities),
        )

    def push(self, block: Signal, probabilities: NDArray[np.float32]) -> None:
        """Add a block.

        Args:
            block: The next samples. They are kept for up to a second, not copied.
            probabilities: Speech probabilities [frames] of the frames that the block
                completes.
        """
        self._blocks.append(block)
        self._probabilities.append(probabilities)
        self._n_waiting += len(probabilities)
        # A stream brings one frame at a time; together, they cost a tenth.
        if self._n_waiting >= _TOGETHER:
            self._count()

    def measure(self) -> Quality:
        """Return the quality of the speech so far."""
        self._count()
        now = self._counted
        speech, others, pauses = now.levels
        if speech.sum() < _LEAST:
            return Quality()
        return Quality(
            bandwidth_hz=bandwidth_hz(now.spectrum, int(speech.sum())),
            level_db=decibels_of(mean_power(speech)),
            clipped=max(map(clipped_share, now.magnitudes)),
            snr_db=snr_db(speech, others, pauses),
        )

    def _count(self) -> None:
        """Count the complete frames that are waiting."""
        was = self._counted
        signal = np.concatenate(self._blocks)
        probabilities = np.concatenate(self._probabilities)
        n = len(probabilities)
        frames = signal[: n * FRAME].reshape(n, FRAME)
        means = frames.mean(1)
        centred = frames - means[:, None]  # an offset is not sound
        power = np.einsum("ij,ij->i", centred, centred) / FRAME
        bins = _bins(10 * np.log10(power + 1e-13), LEVELS_A_DB, N_LEVELS)
        is_speech = probabilities >= _SPEECH
        recent = np.hstack([was.recent, [bins, probabilities >= _PAUSE]])
        # A pause has no speech-like frame among the nine around it: running sums.
        sums = np.concatenate([[0], np.cumsum(recent[1])])
        quiet = sums[2 * _AROUND + 1 :] == sums[: -2 * _AROUND - 1]
        kinds = bins[is_speech], bins[~is_speech], recent[0, _AROUND:-_AROUND][quiet]
        levels = [np.bincount(each, minlength=N_LEVELS) for each in kinds]
        at = np.flatnonzero(is_speech)
        order = was.levels[0].sum() + np.arange(len(at))
        at = at[(order < _FIRST) | (order % _EVERY == 0)]
        # An offset that outweighs the sound would look like a heap of equal samples.
        is_offset = np.square(means[at]) > power[at]
        measured = np.where(is_offset[:, None], centred[at], frames[at])
        spectrum = was.spectrum
        for row in _spectra(measured):  # one by one: sums do not depend on the blocks
            spectrum = spectrum + row
        rest = signal[n * FRAME :].copy()
        none = np.zeros(0, np.float32)
        self._counted = QualityState(
            waiting=rest,
            probabilities=none,
            recent=recent[:, n:],
            levels=was.levels + levels,
            magnitudes=was.magnitudes + _magnitudes(measured),
            spectrum=spectrum,
        )
        self._blocks, self._probabilities, self._n_waiting = [rest], [none], 0


def _bins(decibels: NDArray[np.floating], per_db: int, n: int) -> NDArray[np.int64]:
    bins: NDArray[np.int64] = ((decibels - BOTTOM_DB) * per_db).astype(np.int64)
    return np.clip(bins, 0, n - 1)


def _magnitudes(frames: Signal) -> NDArray[np.int64]:
    samples = frames[frames != 0]
    decibels = 20 * np.log10(np.abs(samples))
    bins = _bins(decibels, STEPS_A_DB, N_STEPS) + N_STEPS * (samples < 0)
    counts: NDArray[np.int64] = np.bincount(bins, minlength=2 * N_STEPS)
    return counts.reshape(2, N_STEPS)


def _spectra(frames: Signal) -> NDArray[np.float64]:
    """Return power spectra [frames, bins] that sum to 1 above 94 Hz; 0 for silence.

    Each frame counts alike, so that faint consonants show how far the band reaches.
    """
    transformed = np.fft.rfft(frames * _WINDOW)
    powers = np.square(transformed.real) + np.square(transformed.imag)
    sums = powers[:, 3:].sum(1, keepdims=True)
    shares: NDArray[np.float64] = powers / np.where(sums > 0, sums, 1)
    return shares


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)
