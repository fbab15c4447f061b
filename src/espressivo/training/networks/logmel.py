"""Whisper's log-mel spectrogram, in operators that every ONNX runtime has.

The short-time Fourier transform is a convolution with fixed kernels, because the ONNX
operator STFT is missing from browsers and phones.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from espressivo.types import SAMPLE_RATE

N_FFT = 400
HOP = 160
N_MELS = 80


class LogMel(nn.Module):
    """Log-mel frames as Whisper computes them, independent of the level of a clip.

    Every clip is first scaled to the same peak.

    Source: openai-whisper, `audio.log_mel_spectrogram`.
    """

    kernels: Tensor
    filters: Tensor

    def __init__(
        self, peak: float = 0.95, quietest_peak: float = 1e-5, hop: int = HOP
    ) -> None:
        """Prepare the tables; frames are `hop` samples apart, 160 in Whisper."""
        super().__init__()
        self.hop = hop
        self.peak = peak
        self.quietest_peak = quietest_peak  # digital silence stays silence
        # Not persistent: formulas give both tables, so files of weights need not.
        kernels = torch.from_numpy(fourier_kernels(N_FFT)).unsqueeze(1)
        self.register_buffer("kernels", kernels, persistent=False)  # [402, 1, 400]
        filters = torch.from_numpy(mel_filters(SAMPLE_RATE, N_FFT, N_MELS))
        self.register_buffer("filters", filters.unsqueeze(-1), persistent=False)

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return frames [B, 80, samples // hop], zero beyond each row's own frames.

        Args:
            samples: float32 [B, samples] at 16 kHz, at least 201 samples long.
            lengths: Number of valid samples per row, int64 [B]; all if None.
        """
        if lengths is not None:
            samples = samples * valid_mask(lengths, samples.shape[1])
        # After the mask, so that nothing beyond a clip decides its gain.
        loudest = samples.abs().amax(1, keepdim=True).clamp(min=self.quietest_peak)
        samples = samples * (self.peak / loudest)
        energy = self._mel_energy(samples)  # [B, 80, T]
        if lengths is None:
            return _compress(energy)
        # Frames beyond the clip still reach back into it. Their energy is removed
        # before the maximum is taken, and their level after.
        counts = n_frames(lengths, self.hop)
        mask = valid_mask(counts, energy.shape[-1]).unsqueeze(1)
        return _compress(energy * mask) * mask

    def _mel_energy(self, samples: Tensor) -> Tensor:
        # Mirrored on the left only. On the right Whisper mirrors the silence that fills
        # its 30 s; zeros equal that, and the padding of a batch too.
        padded = functional.pad(samples.unsqueeze(1), (N_FFT // 2, 0), "reflect")
        padded = functional.pad(padded, (0, N_FFT // 2))
        # Whisper drops the last frame of its transform too.
        spectrum = functional.conv1d(padded, self.kernels, stride=self.hop)[
            ..., :-1
        ]  # [B, 402, T]
        n_bins = N_FFT // 2 + 1
        real, imaginary = spectrum[:, :n_bins], spectrum[:, n_bins:]
        return functional.conv1d(real**2 + imaginary**2, self.filters)


def _compress(energy: Tensor) -> Tensor:
    # The three constants are Whisper's: floor, range of 8 decades, and scaling.
    level = energy.clamp(min=1e-10).log10()
    floor = level.amax((1, 2), keepdim=True) - 8.0
    return (torch.maximum(level, floor) + 4.0) / 4.0


def n_frames(lengths: Tensor, hop: int = HOP) -> Tensor:
    """Return the number of mel frames of clips of `lengths` samples, int64 [B]."""
    return torch.div(lengths, hop, rounding_mode="floor")


def valid_mask(lengths: Tensor, width: int) -> Tensor:
    """Float mask [B, width]: 1 for indices below the length of a row, else 0."""
    positions = torch.arange(width, device=lengths.device)
    return (positions < lengths.unsqueeze(1)).to(torch.float32)


def fourier_kernels(n_fft: int) -> NDArray[np.float32]:
    """Return DFT kernels under a periodic Hann window, [n_fft + 2, n_fft].

    The first half are cosines, the second half negative sines.
    """
    # In float64: phases reach 1,250 rad, where float32 has steps of 1e-4.
    time = np.arange(n_fft)
    window = 0.5 - 0.5 * np.cos(2 * math.pi * time / n_fft)
    phase = 2 * math.pi * np.outer(np.arange(n_fft // 2 + 1), time) / n_fft
    kernels = np.concatenate([np.cos(phase), -np.sin(phase)]) * window
    return kernels.astype(np.float32)


def mel_filters(rate_hz: int, n_fft: int, n_mels: int) -> NDArray[np.float32]:
    """Return Slaney's mel filters up to Nyquist, [n_mels, n_fft / 2 + 1].

    The triangles have equal area.

    Source: Slaney (1998), Auditory Toolbox; equals `librosa.filters.mel`.
    """
    bins_hz = np.linspace(0, rate_hz / 2, n_fft // 2 + 1)
    edges_hz = _mel_to_hz(np.linspace(0, _hz_to_mel(rate_hz / 2), n_mels + 2))
    widths_hz = np.diff(edges_hz)
    ramps = edges_hz[:, None] - bins_hz[None, :]
    rising = -ramps[:-2] / widths_hz[:-1, None]
    falling = ramps[2:] / widths_hz[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    area = 2 / (edges_hz[2:] - edges_hz[:-2])
    filters: NDArray[np.float32] = (triangles * area[:, None]).astype(np.float32)
    return filters


_LINEAR_HZ = 200 / 3  # one mel, below 1 kHz
_BREAK_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27  # one mel, above


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return _BREAK_HZ / _LINEAR_HZ + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    break_mel = _BREAK_HZ / _LINEAR_HZ
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel))
    return np.where(mel < break_mel, mel * _LINEAR_HZ, above)
