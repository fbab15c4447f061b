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

from espressivo.audio.channel_evidence import ChannelEvidence
from espressivo.audio.ffmpeg import second

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from espressivo.types import Signal

MIXED = "mixed"
MONO = "mono"

_HOLD = 10  # seconds that may wait for evidence before the first choice
_FADE_S = 0.01
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
        only: Index of the one channel that is wanted, whatever the others hold, or the
            last one where there are fewer; None: chosen.
    """

    def __init__(
        self, n_channels: int, sample_rate: int, only: int | None = None
    ) -> None:
        self._n, self._rate = n_channels, sample_rate
        self._only = 0 if n_channels == 1 else only
        self._length = second(sample_rate)
        self._rest = np.zeros((n_channels, 0), np.float32)
        self._held: list[NDArray[np.float32]] = []
        self._evidence = ChannelEvidence(n_channels, sample_rate)
        self._choice: tuple[int, ...] | None = None
        self._used: Counter[str] = Counter()  # samples by name of the choice
        self._reasons: Counter[str] = Counter()

    @property
    def used(self) -> Counter[str]:
        """Number of samples by choice: mono, mixed, left, right, channel 3, ...

        Seconds of digital silence are left out, if there are several channels.
        """
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
        if self._only is not None:
            i = min(self._only, self._n - 1)
            self._used[channel_name(i, self._n)] += block.shape[1]
            only: Signal = block[i]
            return only
        whole = np.concatenate([self._rest, block], axis=1)
        bounds = range(0, whole.shape[1] + 1, self._length)
        done = [whole[:, a:b] for a, b in pairwise(bounds)]
        self._rest = whole[:, bounds[-1] :].copy()
        return _joined(mono for span in done for mono in self._span(span))

    def finish(self) -> Signal:
        """Return the mono samples that the end of the recording completes."""
        parts: list[Signal] = []
        if self._only is not None:
            return _joined(parts)
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
        # Digital silence is of no channel.
        n_samples = sum(span.shape[1] for span in self._held if span.any())
        if len(choice) > 1:
            self._used[MIXED] += n_samples
        else:
            self._used[channel_name(choice[0], self._n)] += n_samples
        if self._evidence.reason:
            self._reasons[self._evidence.reason] += n_samples
        self._choice, self._held = choice, []
        return parts


def _mean(span: NDArray[np.float32], choice: tuple[int, ...]) -> Signal:
    if len(choice) == 1:
        only: Signal = span[choice[0]].copy()
        return only
    total: Signal = span[choice[0]] + span[choice[1]]
    for i in choice[2:]:
        total += span[i]
    total /= np.float32(len(choice))
    return total


def _joined(parts: Iterable[Signal]) -> Signal:
    return np.concatenate([np.zeros(0, np.float32), *parts])
