"""Preprocessing of a clip: silence trimming, pre-emphasis, peak normalization.

Source: Ismail (2025), section III-B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from espressivo.types import Segment, Signal

if TYPE_CHECKING:
    from espressivo.training.config import SignalConfig

FRAME = 2048
HOP = 512
# The same floor of frame power as in librosa, so that trimmed spans agree.
_LEAST_POWER = 1e-10


def trim(signal: Signal, top_db: float = 20.0) -> Signal:
    """Return the signal without silence at both ends, as `librosa.effects.trim` does.

    Args:
        signal: Mono [samples]; may be empty. Never modified.
        top_db: A frame this many dB below the loudest frame is silence.

    Returns:
        A view of `signal`; the whole signal if it is digital silence.
    """
    loud = find_loud(signal, top_db)
    return signal[loud.start : loud.end]


def find_loud(signal: Signal, top_db: float = 20.0) -> Segment:
    """Return the span from the first to the last frame that is not silent.

    Args:
        signal: Mono [samples]; may be empty.
        top_db: A frame this many dB below the loudest frame is silence.
    """
    if len(signal) == 0:
        return Segment(0, 0)
    padded = np.pad(signal, FRAME // 2)
    # One frame per column gives librosa's order of summation, so that levels agree
    # with librosa to the last digit.
    frames = np.moveaxis(sliding_window_view(padded, FRAME), -1, 0)[:, ::HOP]
    rms = np.sqrt(np.mean(np.square(frames), axis=0))  # [frames]
    level_db = 10 * np.log10(np.maximum(_LEAST_POWER, np.square(rms)))
    level_db -= 10 * np.log10(np.maximum(_LEAST_POWER, np.square(rms.max())))
    loud = np.flatnonzero(level_db > -top_db)
    return Segment(int(loud[0]) * HOP, min(len(signal), (int(loud[-1]) + 1) * HOP))


def pre_emphasis(signal: Signal, coefficient: float = 0.97) -> Signal:
    """Return the pre-emphasized signal, filtered by H(z) = 1 - coefficient z^-1.

    The sample before the first is taken as 0.

    Args:
        signal: Mono [samples]; may be empty. Never modified.
        coefficient: Filter coefficient; 0 leaves the signal unchanged.
    """
    emphasized = signal.copy()
    emphasized[1:] -= np.float32(coefficient) * signal[:-1]
    return emphasized


def peak_normalize(signal: Signal, peak: float = 0.95) -> Signal:
    """Return the signal scaled to a largest absolute sample of `peak`.

    Args:
        signal: Mono [samples]; may be empty. Never modified.
        peak: Target amplitude; full scale is 1.

    Returns:
        A new signal. Digital silence stays silence.
    """
    loudest = float(np.abs(signal).max(initial=0.0))
    # Division comes first, because peak / loudest overflows for a denormal peak.
    return signal / np.float32(loudest) * np.float32(peak) if loudest else signal.copy()


def condition(signal: Signal, config: SignalConfig) -> Signal:
    """Return the signal with the configured pre-emphasis and peak normalization.

    Args:
        signal: Mono [samples], trimmed. Never modified; returned if neither is set.
        config: Settings of both steps; 0 disables a step.
    """
    if config.pre_emphasis:
        signal = pre_emphasis(signal, config.pre_emphasis)
    return peak_normalize(signal, config.peak) if config.peak else signal
