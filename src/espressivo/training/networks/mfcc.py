"""MFCCs as LIGHT-SERNET computes them, with TensorFlow's definitions.

Source: https://github.com/AryaAftab/LIGHT-SERNET, `dataio.py` and `utils/segment`.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from espressivo.types import SAMPLE_RATE

N_FFT = 1024
HOP = 256
N_MELS = 128
N_MFCC = 40
LOWEST_HZ = 80.0
HIGHEST_HZ = 7600.0


class Mfcc(nn.Module):
    """First 40 cepstral coefficients of each frame, clipped to +-10."""

    window: Tensor
    filters: Tensor
    cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        window = torch.hann_window(N_FFT)  # periodic, as tf.signal's
        self.register_buffer("window", window, persistent=False)
        filters = torch.from_numpy(htk_filters().astype(np.float32))
        self.register_buffer("filters", filters, persistent=False)
        cosines = torch.from_numpy(_cosines().astype(np.float32))
        self.register_buffer("cosines", cosines, persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples [B, samples] at 16 kHz to MFCCs [B, T, 40].

        At least 1024 samples are required. There are 62.5 frames per second: one starts
        every 256 samples, and a last one that does not fit is dropped.
        """
        # float16 would lose weak bands: its normal numbers end above the floor of 1e-6.
        with torch.autocast(samples.device.type, enabled=False):
            frames = samples.float().unfold(1, N_FFT, HOP) * self.window
            magnitude = torch.fft.rfft(frames).abs()  # [B, T, 513]
            level = (magnitude @ self.filters + 1e-6).log()  # [B, T, 128]
            coefficients: Tensor = (level @ self.cosines).clamp(-10.0, 10.0)
        return coefficients


def normalize_window(samples: Tensor, n_samples: int) -> Tensor:
    """Cut out the middle of one clip, scale it, then pad both sides equally.

    Args:
        samples: float32 [samples], all valid.
        n_samples: Length of the result.

    Returns:
        Samples [n_samples]; the 99.9th percentile of their magnitude is 1, louder ones
        are clipped.
    """
    excess = max(0, len(samples) - n_samples)
    middle = samples[excess // 2 : len(samples) - (excess + 1) // 2]
    # The epsilon keeps the quotient of a silent clip finite.
    loud = torch.quantile(middle.double().abs(), 0.999) + np.finfo(np.float64).eps
    scaled = (middle / loud).float().clamp(-1.0, 1.0)
    # Padded after it is scaled: zeros would lower the percentile.
    missing = n_samples - len(scaled)
    return functional.pad(scaled, (missing // 2, (missing + 1) // 2))


def htk_filters() -> NDArray[np.float64]:
    """Return HTK mel filters of height 1, [513, 128], with no weight at 0 Hz.

    Source: `tf.signal.linear_to_mel_weight_matrix`.
    """
    bins = _hz_to_mel(np.linspace(0.0, SAMPLE_RATE / 2, N_FFT // 2 + 1)[1:])[:, None]
    lowest, highest = _hz_to_mel(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = np.linspace(lowest, highest, N_MELS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    # TensorFlow leaves out the bin at 0 Hz, then pads it back as zeros.
    return np.pad(triangles, ((1, 0), (0, 0)))


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 1127.0 * np.log1p(hz / 700.0)
    return mel


def _cosines() -> NDArray[np.float64]:
    """Return a DCT-II with the scale of `tf.signal.mfccs_from_log_mel_spectrograms`."""
    phase = np.outer(2 * np.arange(N_MELS) + 1, np.arange(N_MFCC)) / (2 * N_MELS)
    cosines: NDArray[np.float64] = 2 * np.cos(math.pi * phase) / math.sqrt(2 * N_MELS)
    return cosines
