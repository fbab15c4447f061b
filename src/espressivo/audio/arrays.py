"""Arrays of samples: checked, and converted to mono 16 kHz float32 block by block."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import av.error
import numpy as np

from espressivo.audio.ffmpeg import Resampler, second
from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Zero level and full scale of integer PCM, as scipy and soundfile return it.
_FULL_SCALE = {("i", 2): (0, 2**15), ("i", 4): (0, 2**31), ("u", 1): (128, 2**7)}
# Float audio may overshoot -1..1 somewhat; a larger peak means unscaled integers.
_LOUDEST = 32.0


def from_array(samples: NDArray[Any], sample_rate: int) -> Signal:
    """Check an array of samples and convert it to mono float32 at 16 kHz.

    Args:
        samples: [samples], floats in -1..1 or PCM of type int16, int32 or uint8.
        sample_rate: Sample rate of the array, in Hz.

    Raises:
        AudioError: The shape or type is wrong, samples are NaN or infinite, or floats
            are not scaled to -1..1.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise AudioError(
            f"array: shape is {samples.shape}, not [samples]; "
            "pass one channel, or the mean over channels"
        )
    kind = samples.dtype.kind, samples.dtype.itemsize
    if kind in _FULL_SCALE:
        middle, scale = _FULL_SCALE[kind]
        # float32 represents 16-bit integers exactly and is faster, which streams need;
        # 32-bit integers need float64.
        exact: NDArray[Any] = samples.astype("f4" if kind[1] <= 2 else "f8")
        signal = ((exact - middle) / scale).astype(np.float32)
    elif kind[0] == "f":
        signal = _float_signal(samples)
    else:
        raise AudioError(
            f"array: type is {samples.dtype.name}, whose full scale is unknown; "
            "pass float32 in -1..1, or PCM as int16, int32 or uint8"
        )
    return signal if sample_rate == SAMPLE_RATE else _resample(signal, sample_rate)


def _float_signal(samples: NDArray[Any]) -> Signal:
    if not np.isfinite(samples).all():
        at = int(np.argmin(np.isfinite(samples)))
        raise AudioError(f"array: sample {at} is NaN or infinite; repair the signal")
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest > _LOUDEST:
        raise AudioError(
            f"array: the largest sample is {loudest:g}, not within -1..1; "
            "divide by the full scale (32768 for 16-bit audio)"
        )
    return samples.astype(np.float32)


def _resample(signal: Signal, sample_rate: int) -> Signal:
    whole = isinstance(sample_rate, Real) and math.isfinite(sample_rate)
    if not whole or sample_rate <= 0 or int(sample_rate) != sample_rate:
        raise AudioError(f"array: sample rate is {sample_rate} Hz; pass a whole number")
    rate = int(sample_rate)
    try:
        resampler = Resampler(rate)
    except (av.error.FFmpegError, OverflowError) as error:
        raise AudioError(
            f"array: FFmpeg cannot resample from {rate} Hz; pass 16000 Hz"
        ) from error
    size = second(rate)
    pieces = [
        piece
        for at in range(0, len(signal), size)
        for piece in resampler.push(signal[at : at + size])
    ]
    return np.concatenate([np.zeros(0, np.float32), *pieces, *resampler.finish()])
