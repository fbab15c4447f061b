"""Evidence of a recording's channels: copies, inverted or late ones, and speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.speech.detector import SpeechDetector
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SILENCE = 1e-12  # mean power of a differenced signal; digital silence and its dither
_PAUSE = 0.01  # power relative to the mean of earlier seconds; less is no evidence
_AUDIBLE = 1e-6  # power relative to the loudest channel; less is left out
_LOUD = 0.01  # the same; a channel above it is not left out without a reason
_MEMORY = 0.98  # weight of the power of the second before
_LONGEST_DELAY_S = 0.03
_ALIKE = 0.8  # correlation without delay above which channels are copies
_RELATED = 0.5  # correlation at some delay above which one sound is in both channels
_LOW_STEP = 4  # of 16 kHz to 4 kHz
_FORGIVE_S = 5  # seconds without cancellation after which channels mix again
_LOUDER = 2.0  # power ratio at which another channel of the same sound is preferred
# Speech is looked for in the first seconds in which channels differ, then in every
# tenth, or if a channel that is left out has sound: the network costs as much for one
# channel as for the recording.
_FIRST_S, _LATER_S = 30, 10
_SPEECH_MEMORY = 0.9
_LEAST_SPEECH = 8  # frames of one second
_SPEECH_SHARE = 0.5  # of the channel with the most speech


class ChannelEvidence:
    """What the seconds so far say about the channels.

    Attributes:
        choice: Indices of the channels to mix.
        reason: Why channels with sound are left out: `cancel`, `speech`, or empty.
    """

    def __init__(self, n_channels: int, sample_rate: int) -> None:
        self._n, self._rate = n_channels, sample_rate
        self._step = max(1, round(sample_rate / SAMPLE_RATE))
        self._power = np.zeros(n_channels)  # decayed sum over seconds
        self._weight = 0.0
        self._speech = np.zeros(n_channels)  # decayed number of frames with speech
        self._n_different = 0
        # Seconds for which a pair of channels still counts as one that cancels.
        self._cancels = np.zeros((n_channels, n_channels), int)
        self._main = 0
        self.choice: tuple[int, ...] = tuple(range(n_channels))
        self.reason = ""

    def add(self, span: NDArray[np.float32]) -> bool:
        """Add one second [channels, samples]; return whether the choice is clear."""
        if (span[1:] == span[0]).all():  # most stereo files: one sound, twice
            self._cancels = np.maximum(self._cancels - 1, 0)
            return bool(span.any())
        sharp, low = _sharp(span, self._step)
        gram = (sharp @ sharp.T).astype(np.float64) / max(1, sharp.shape[1])
        power = np.diag(gram)
        usual = self._power.max() / max(self._weight, 1)
        if power.max() < max(_SILENCE, _PAUSE * usual):
            return False
        self._power = _MEMORY * self._power + power
        self._weight = _MEMORY * self._weight + 1
        share = np.maximum(self._power / self._power.max(), power / power.max())
        audible = np.flatnonzero(share >= _AUDIBLE)
        if len(self.choice) == 1:
            self._main = self.choice[0]
        if power[self._main] * _LOUDER < power.max():
            self._main = int(power.argmax())
        with_speech, known = audible, True
        self._cancels = np.maximum(self._cancels - 1, 0)
        if self._differ(sharp, low, gram, audible):
            with_speech = self._with_speech(span, audible, power)
            known = bool(self._speech.any())
            if self._main not in with_speech:
                self._main = int(with_speech[power[with_speech].argmax()])
                self._differ(sharp, low, gram, with_speech)
        self._choose(audible, with_speech, share)
        return known

    def _differ(
        self,
        sharp: NDArray[np.float32],
        low: NDArray[np.float32],
        gram: NDArray[np.float64],
        audible: NDArray[np.intp],
    ) -> bool:
        """Compare channels with the main one; return whether some hold other sounds."""
        main = self._main
        grams = gram, low @ low.T
        others = [
            a
            for a in audible
            if a != main and min(_alike(g, main, a) for g in grams) < _ALIKE
        ]
        if not others:
            return False
        lags = round(_LONGEST_DELAY_S * self._rate / self._step)
        different = False
        for a in others:
            peaks = (
                _peak(sharp[main], sharp[a], lags),
                # Noise hides a sound in the high frequencies first.
                _peak(low[main], low[a], lags // _LOW_STEP),
            )
            related = [(peak, lag) for peak, lag in peaks if abs(peak) >= _RELATED]
            if not related:
                different = True
            elif any(peak < 0 or abs(lag) > 1 for peak, lag in related):
                self._cancels[main, a] = self._cancels[a, main] = _FORGIVE_S + 1
        return different

    def _with_speech(
        self,
        span: NDArray[np.float32],
        audible: NDArray[np.intp],
        power: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """Return the audible channels with speech; all of them if none has any."""
        self._n_different += 1
        n = self._n_different
        now = np.zeros(self._n)
        left_out = [i for i in audible if i not in self.choice]
        if (
            n <= _FIRST_S
            or n % _LATER_S == 0
            or (power[left_out] >= _LOUD * power.max()).any()
        ):
            for i in audible:
                signal = _at_16_khz(span[i], self._rate, self._step)
                now[i] = int((SpeechDetector().push(signal) >= 0.5).sum())
            self._speech = _SPEECH_MEMORY * self._speech + now
        most, least = self._speech.max(), max(_LEAST_SPEECH, _SPEECH_SHARE * now.max())
        if most == 0:
            return audible
        enough = (self._speech >= _SPEECH_SHARE * most) | (now >= least)
        found: NDArray[np.intp] = audible[enough[audible]]
        return found if len(found) else audible  # the speaker fell silent

    def _choose(
        self,
        audible: NDArray[np.intp],
        with_speech: NDArray[np.intp],
        share: NDArray[np.float64],
    ) -> None:
        kept = [int(i) for i in with_speech if not self._cancels[self._main, i]]
        self.choice, self.reason = tuple(kept), ""
        for left_out, reason in ((with_speech, "cancel"), (audible, "speech")):
            if any(i not in kept and share[i] >= _LOUD for i in left_out):
                self.reason = self.reason or reason


def _sharp(
    span: NDArray[np.float32], step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return channels at about 16 and 4 kHz, differenced, so that all of speech counts.

    Without the difference, the strong low frequencies hide short delays. Noise hides a
    sound in the high frequencies, so that it may be found at 4 kHz alone.
    """
    slow = _summed(span, step)
    slower = _summed(slow, _LOW_STEP)
    return slow[:, 1:] - slow[:, :-1], slower[:, 1:] - slower[:, :-1]


def _summed(channels: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    n = channels.shape[1] // step
    total = channels[:, : n * step : step]
    for i in range(1, step):
        total = total + channels[:, i : n * step : step]
    return total


def _alike(gram: NDArray[np.floating], a: int, b: int) -> float:
    """Return the correlation of two channels without delay."""
    return float(gram[a, b] / max(np.sqrt(gram[a, a] * gram[b, b]), 1e-30))


def _peak(a: Signal, b: Signal, lags: int) -> tuple[float, int]:
    """Return the largest correlation of two channels within `lags`, and its lag."""
    size = 1 << (len(a) + lags).bit_length()
    cross = np.fft.irfft(np.fft.rfft(b, size) * np.fft.rfft(a, size).conj(), size)
    cross = np.concatenate([cross[-lags:], cross[: lags + 1]])
    at = int(np.abs(cross).argmax())
    scale = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(cross[at]) / max(scale, 1e-15), at - lags


def _at_16_khz(channel: Signal, rate: int, step: int) -> Signal:
    """Return a rough copy of one channel, good enough to tell speech from noise."""
    n = len(channel) // step
    slow = channel[: n * step].reshape(n, step).mean(axis=1)
    at = np.arange(round(n * step * SAMPLE_RATE / rate)) * (rate / step / SAMPLE_RATE)
    rough: Signal = np.interp(at, np.arange(n), slow).astype(np.float32)
    return rough
