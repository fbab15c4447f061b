"""From many channels to one, without cancellation, comb filters or drowned speech.

The mean over channels is right for copies and for two people on two microphones. It
is wrong where one channel is the other with inverted phase (the mean is silence) or
with a delay (the mean is a comb filter), and where only one channel holds speech. So
the channels of each second are compared before they are mixed.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.ffmpeg import second
from espressivo.speech.detector import SpeechDetector
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

MIXED = "mixed"
MONO = "mono"

_HOLD = 10  # seconds that may wait for evidence before the first choice
_SILENCE = 1e-12  # mean power of a differenced signal; digital silence and its dither
_PAUSE = 0.01  # power relative to the mean of earlier seconds; less is no evidence
_AUDIBLE = 1e-4  # power relative to the loudest channel; less is left out
_LOUD = 0.01  # the same; a channel above it is not left out without a reason
_MEMORY = 0.98  # weight of the power of the second before
_LONGEST_DELAY_S = 0.03
_ALIKE = 0.8  # correlation without delay above which channels are copies
_RELATED = 0.5  # correlation at some delay above which one sound is in both channels
_FORGIVE_S = 5  # seconds without cancellation after which channels mix again
_LOUDER = 2.0  # power ratio at which another channel of the same sound is preferred
_FADE_S = 0.01
# Speech is looked for in the first seconds in which channels differ, then in every
# tenth, or if a channel that is left out has sound: the network costs as much for one
# channel as for the recording.
_FIRST_S, _LATER_S = 30, 10
_SPEECH_MEMORY = 0.9
_LEAST_SPEECH = 8  # frames of one second
_SPEECH_SHARE = 0.5  # of the channel with the most speech
# What channels are left out for, as a warning says it.
_REASONS = {
    "cancel": "the channels cancel or blur each other when they are mixed (inverted "
    "phase or a delay)",
    "speech": "only one channel holds speech",
}


def channel_name(index: int, n_channels: int) -> str:
    """Return the name of one channel: mono, left, right, or channel 3 (from 1)."""
    if n_channels == 1:
        return MONO
    if n_channels == 2:
        return ("left", "right")[index]
    return f"channel {index + 1}"


def left_out(used: Counter[str], reasons: Counter[str]) -> Iterator[str]:
    """Yield why channels were left out, if they were of most of a recording.

    Args:
        used: `ChannelMixer.used` of all parts of the recording.
        reasons: `ChannelMixer.reasons` of the same.
    """
    total = used.total()
    for reason, n in reasons.items():
        if n >= total / 2:
            names = [c for c, m in used.most_common() if m >= total / 10]
            yield f"{_REASONS[reason]}; analysed: {' or '.join(names)}"


class ChannelMixer:
    """One signal from the channels of a recording, chosen second by second.

    Args:
        n_channels: Number of channels.
        sample_rate: Sample rate of the channels, in Hz.
    """

    def __init__(self, n_channels: int, sample_rate: int) -> None:
        self._n, self._rate = n_channels, sample_rate
        self._length = second(sample_rate)
        self._rest = np.zeros((n_channels, 0), np.float32)
        self._held: list[NDArray[np.float32]] = []
        self._evidence = _Evidence(n_channels, sample_rate)
        self._choice: tuple[int, ...] | None = None
        self._used: Counter[str] = Counter()  # samples by name of the choice
        self._reasons: Counter[str] = Counter()

    @property
    def used(self) -> Counter[str]:
        """Number of samples by choice: mono, mixed, left, right, channel 3, ..."""
        return self._used

    @property
    def reasons(self) -> Counter[str]:
        """Number of samples of single channels by the reason for which they are."""
        return self._reasons

    def push(self, block: NDArray[np.float32]) -> Signal:
        """Return the mono samples that `block` completes, at the channels' rate.

        Args:
            block: float32 [channels, samples].
        """
        if self._n == 1:
            self._used[MONO] += block.shape[1]
            only: Signal = block[0]
            return only
        whole = np.concatenate([self._rest, block], axis=1)
        bounds = range(0, whole.shape[1] + 1, self._length)
        done = [whole[:, a:b] for a, b in pairwise(bounds)]
        self._rest = whole[:, bounds[-1] :].copy()
        return _joined(mono for span in done for mono in self._span(span))

    def finish(self) -> Signal:
        """Return the mono samples that the end of the recording completes."""
        parts = []
        if self._rest.shape[1]:
            parts += self._span(self._rest)
        parts += self._release()
        return _joined(parts)

    def _span(self, span: NDArray[np.float32]) -> list[Signal]:
        """Add one second and return what no longer waits for a choice."""
        clear = self._evidence.add(span)
        self._held.append(span)
        if self._choice is None and not clear and len(self._held) < _HOLD:
            return []
        return self._release()

    def _release(self) -> list[Signal]:
        choice = self._evidence.choice
        before = choice if self._choice is None else self._choice
        parts = [_mean(span, choice) for span in self._held]
        if parts and before != choice:
            n = min(round(_FADE_S * self._rate), len(parts[0]))
            fade = np.arange(n, dtype=np.float32) / n
            old = _mean(self._held[0][:, :n], before)
            parts[0][:n] = parts[0][:n] * fade + old * (1 - fade)
        n_samples = sum(map(len, parts))
        if len(choice) > 1:
            self._used[MIXED] += n_samples
        else:
            self._used[channel_name(choice[0], self._n)] += n_samples
        if self._evidence.reason:
            self._reasons[self._evidence.reason] += n_samples
        self._choice, self._held = choice, []
        return parts


class _Evidence:
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
        sharp = _sharp(span, self._step)
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
        if self._differ(sharp, gram, audible):
            with_speech = self._with_speech(span, audible, power)
            known = bool(self._speech.any())
            if self._main not in with_speech:
                self._main = int(with_speech[power[with_speech].argmax()])
                self._differ(sharp, gram, with_speech)
        self._choose(audible, with_speech, share)
        return known

    def _differ(
        self,
        sharp: NDArray[np.float32],
        gram: NDArray[np.float64],
        audible: NDArray[np.intp],
    ) -> bool:
        """Compare channels with the main one; return whether some hold other sounds."""
        scale = np.sqrt(np.maximum(np.diag(gram), 1e-30))
        main = self._main
        others = [
            a
            for a in audible
            if a != main and gram[main, a] < _ALIKE * scale[main] * scale[a]
        ]
        if not others:
            return False
        lags = round(_LONGEST_DELAY_S * self._rate / self._step)
        n = sharp.shape[1]
        size = 1 << (n + lags).bit_length()
        spectrum = np.fft.rfft(sharp[main], size).conj()
        different = False
        for a in others:
            cross = np.fft.irfft(np.fft.rfft(sharp[a], size) * spectrum, size)
            cross = np.concatenate([cross[-lags:], cross[: lags + 1]])
            cross /= max(1, n) * scale[main] * scale[a]
            at = int(np.abs(cross).argmax())
            if abs(cross[at]) < _RELATED:
                different = True
            elif cross[at] < 0 or abs(at - lags) > 1:
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
        return found

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


def _sharp(span: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return channels at about 16 kHz, differenced, so that all of speech counts.

    Without the difference, the strong low frequencies hide short delays.
    """
    n = span.shape[1] // step
    slow = span[:, : n * step : step]
    for i in range(1, step):
        slow = slow + span[:, i : n * step : step]
    sharp: NDArray[np.float32] = slow[:, 1:] - slow[:, :-1]
    return sharp


def _at_16_khz(channel: Signal, rate: int, step: int) -> Signal:
    """Return a rough copy of one channel, good enough to tell speech from noise."""
    n = len(channel) // step
    slow = channel[: n * step].reshape(n, step).mean(axis=1)
    at = np.arange(round(n * step * SAMPLE_RATE / rate)) * (rate / step / SAMPLE_RATE)
    rough: Signal = np.interp(at, np.arange(n), slow).astype(np.float32)
    return rough


def _mean(span: NDArray[np.float32], choice: tuple[int, ...]) -> Signal:
    total: Signal = span[choice[0]].copy()
    for i in choice[1:]:
        total += span[i]
    return total if len(choice) == 1 else total / np.float32(len(choice))


def _joined(parts: Iterable[Signal]) -> Signal:
    return np.concatenate([np.zeros(0, np.float32), *parts])
