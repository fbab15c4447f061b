"""Voice activity detection (VAD): a signal to the speech probability of each frame.

Source: Silero VAD 6.2 (MIT), the 16 kHz model that takes many frames per call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.model.session import open_session
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

FRAME = 512
"""Length of a frame, in samples (32 ms)."""

_CONTEXT = 64  # samples of the previous frame, which the network takes as context
# Gain control: the network misses speech in quiet recordings and detects noise as
# speech in loud ones. So each frame is scaled by the peak level of recent frames.
_LEVEL = 0.1  # root mean square to which the loudest recent frame is scaled
_DECAY_DB_S = 2.0  # decay of the peak level, in dB per second
_QUIETEST = 1e-6  # -120 dB; digital silence below it is not amplified any further
_VAD = Path(__file__).parents[1] / "assets" / "silero_vad.onnx"


@cache
def _vad_session() -> ort.InferenceSession:
    # All detectors share one session: the LSTM's state is an input and an output of the
    # graph, and each detector keeps its own.
    return open_session(_VAD)


@dataclass(frozen=True, slots=True, eq=False)
class DetectorState:
    """State of a detector between two blocks.

    Attributes:
        network: The LSTM's hidden and cell state, float32 [2, 1, 1, 128].
        tail: Context of the next frame, followed by the samples of an incomplete frame.
        loudest: Decayed peak level of recent frames (root mean square, linear).
    """

    network: NDArray[np.float32]
    tail: Signal
    loudest: float

    @staticmethod
    def new() -> DetectorState:
        """Return the state at the beginning of a recording."""
        network = np.zeros((2, 1, 1, 128), np.float32)
        return DetectorState(network, np.zeros(_CONTEXT, np.float32), _QUIETEST)


class SpeechDetector:
    """Speech probabilities of a signal that arrives in blocks of any size.

    Args:
        state: State to continue from; None: the beginning of a recording.
    """

    def __init__(self, state: DetectorState | None = None) -> None:
        self._session = _vad_session()
        state = state or DetectorState.new()
        self._hidden, self._cell = state.network
        self._tail = state.tail
        self._loudest = state.loudest

    @property
    def state(self) -> DetectorState:
        """Current state. The detector replaces its arrays, it never modifies them."""
        network = np.stack([self._hidden, self._cell])
        return DetectorState(network, self._tail, self._loudest)

    def push(self, block: Signal) -> NDArray[np.float32]:
        """Return the probabilities [frames] of the frames that `block` completes."""
        signal = np.concatenate([self._tail, block])
        n_frames = (len(signal) - _CONTEXT) // FRAME
        if n_frames == 0:
            self._tail = signal
            return np.zeros(0, np.float32)
        # The checks of sliding_window_view would take a tenth of a short push.
        shape, step = (n_frames, _CONTEXT + FRAME), signal.itemsize
        frames = np.ndarray(shape, signal.dtype, signal, strides=(FRAME * step, step))
        probabilities, self._hidden, self._cell = self._session.run(
            ["speech_probs", "hn", "cn"],
            {"input": self._levelled(frames), "h": self._hidden, "c": self._cell},
        )
        self._tail = signal[n_frames * FRAME :].copy()
        return np.asarray(probabilities, np.float32)

    def _levelled(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return frames [n, context + frame], each scaled by the peak level so far."""
        power = np.square(frames[:, _CONTEXT:], dtype=np.float64).sum(1) / FRAME
        levels = np.log(np.maximum(np.sqrt(power), _QUIETEST))
        # Peak with exponential decay, vectorized in the log domain: peak[n] is the
        # maximum over i <= n of level[i] - decay * (n - i). Adding decay * i to each
        # level turns it into a cumulative maximum.
        steps = np.arange(1, len(frames) + 1)
        lost = steps * (_DECAY_DB_S / 20 * np.log(10) * FRAME / SAMPLE_RATE)
        peaks = np.maximum.accumulate(np.maximum(levels + lost, np.log(self._loudest)))
        loudest = np.maximum(np.exp(peaks - lost), _QUIETEST)
        self._loudest = float(loudest[-1])
        scaled: NDArray[np.float32] = frames * (_LEVEL / loudest)[:, None].astype("f4")
        return scaled

    def finish(self) -> NDArray[np.float32]:
        """Return the probability [0 or 1] of the last incomplete frame, zero-padded."""
        missing = _CONTEXT + FRAME - len(self._tail)
        if missing == FRAME:
            return np.zeros(0, np.float32)
        return self.push(np.zeros(missing, np.float32))
