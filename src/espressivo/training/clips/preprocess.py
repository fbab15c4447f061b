"""The study's preprocessing of a clip: trim silence, pre-emphasis, peak scaling.

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
# librosa's floor under a frame's power.
_LEAST_POWER = 1e-10


def trim(signal: Signal, top_db: float = 20.0) -> Signal:
    """Cut off the silence at both ends, as `librosa.effects.trim` does.

    Args:
        signal: Mono [samples]; may be empty. Never modified.
        top_db: A frame this many dB below the loudest frame is silence.

    Returns:
        A view of `signal`, all of it when digital silence.
    """
    loud = find_loud(signal, top_db)
    return signal[loud.start : loud.end]


def find_loud(signal: Signal, top_db: float = 20.0) -> Segment:
    """Find the span from the first to the last frame that is not silent.

    Args:
        signal: Mono [samples]; may be empty.
        top_db: A frame this many dB below the loudest frame is silence.
    """
    if len(signal) == 0:
        return Segment(0, 0)
    padded = np.pad(signal, FRAME // 2)
    # Frames stand in columns: summed in librosa's order, the last digit agrees too.
    frames = np.moveaxis(sliding_window_view(padded, FRAME), -1, 0)[:, ::HOP]
    rms = np.sqrt(np.mean(np.square(frames), axis=0))  # [frames]
    level_db = 10 * np.log10(np.maximum(_LEAST_POWER, np.square(rms)))
    level_db -= 10 * np.log10(np.maximum(_LEAST_POWER, np.square(rms.max())))
    loud = np.flatnonzero(level_db > -top_db)
    return Segment(int(loud[0]) * HOP, min(len(signal), (int(loud[-1]) + 1) * HOP))


def pre_emphasis(signal: Signal, coefficient: float = 0.97) -> Signal:
    """Filter by H(z) = 1 - coefficient z^-1; the sample before the first is 0.

    Args:
        signal: Mono [samples]; may be empty. Never modified.
        coefficient: 0 changes nothing.
    """
    emphasized = signal.copy()
    emphasized[1:] -= np.float32(coefficient) * signal[:-1]
    return emphasized


def peak_normalize(signal: Signal, peak: float = 0.95) -> Signal:
    """Scale so that the largest absolute sample equals `peak`.

    Args:
        signal: Mono [samples]; may be empty. Never modified.
        peak: Target amplitude, full scale being 1.

    Returns:
        A new signal. Digital silence stays silence.
    """
    loudest = float(np.abs(signal).max(initial=0.0))
    # Divided first: the quotient of a denormal peak would overflow.
    return signal / np.float32(loudest) * np.float32(peak) if loudest else signal.copy()


def condition(signal: Signal, config: SignalConfig) -> Signal:
    """Apply pre-emphasis and peak scaling as configured.

    Args:
        signal: Mono [samples], trimmed. Never modified; returned if neither is set.
        config: Settings of both.
    """
    if config.pre_emphasis:
        signal = pre_emphasis(signal, config.pre_emphasis)
    return peak_normalize(signal, config.peak) if config.peak else signal
