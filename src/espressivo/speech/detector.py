"""Voice activity detection (VAD): a signal to the speech probability of each frame.

Source: Silero VAD 6.2 (MIT), the 16 kHz model that takes many frames per call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from espressivo.model.session import open_session
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

FRAME = 512
"""Length of a frame, in samples (32 ms)."""
RECENT = 29
"""Number of frames before the next one whose levels are part of the state."""

_CONTEXT = 64  # samples of the previous frame, which the network takes as context
# Gain control: the network misses speech in quiet recordings and detects noise as
# speech in loud ones. So each frame is scaled by the peak level so far. It decays
# slowly, but is limited by what came lately, so that a beep or a slammed door does not
# hide the quiet speech that follows.
_LEVEL = 0.1  # root mean square to which the peak is scaled
_DECAY_DB_S = 2.0  # decay of the peak level, in dB per second
# The peak is at most 45 dB above the loudest of _SHORT frames, and at most 15 dB above
# it or as loud as the loudest of RECENT + 1 frames. It is at least 15 dB above the
# quietest of those: amplified steady noise would hide the first speech after it.
_SHORT = 6
_FAR_ABOVE = 10 ** (45 / 20)
_ABOVE = 10 ** (15 / 20)
_LOUDEST = 1e3  # peak before the first frame, and after digital silence
_QUIETEST = 1e-7  # -140 dB; what is below is digital silence
_AT_ONCE = 128  # frames whose slow parts are removed at once: they fit into the cache
_VAD = Path(__file__).parents[1] / "assets" / "silero_vad.onnx"


def _slow() -> NDArray[np.float32]:
    # Orthonormal cosines of 0 to 42 Hz (DCT-II): an offset, its drift, and rumble.
    n = _CONTEXT + FRAME
    angles = np.pi / n * np.outer(np.arange(4), np.arange(n) + 0.5)
    scale = np.sqrt([[1 / n], [2 / n], [2 / n], [2 / n]])
    return (scale * np.cos(angles)).astype(np.float32)


_SLOW = _slow()  # [4, context + frame]


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
        recent: Levels of the last 29 frames (root mean square, linear), float64,
            oldest first.
    """

    network: NDArray[np.float32]
    tail: Signal
    loudest: float
    recent: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.recent.shape != (RECENT,):
            raise ValueError(f"levels of {self.recent.shape} frames, not of {RECENT}")

    @staticmethod
    def new() -> DetectorState:
        """Return the state at the beginning of a recording."""
        network = np.zeros((2, 1, 1, 128), np.float32)
        recent = np.full(RECENT, _QUIETEST)
        return DetectorState(network, np.zeros(_CONTEXT, np.float32), _LOUDEST, recent)


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
        self._recent = state.recent

    @property
    def state(self) -> DetectorState:
        """Current state. The detector replaces its arrays, it never modifies them."""
        network = np.stack([self._hidden, self._cell])
        return DetectorState(network, self._tail, self._loudest, self._recent)

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
        """Return frames [n, context + frame] without offset, scaled to one level."""
        scaled = np.empty(frames.shape, np.float32)
        power = np.empty(len(frames), np.float32)
        for start in range(0, len(frames), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            # einsum, since BLAS would start threads for products of this size.
            slow = np.einsum("ni,ki->nk", frames[some], _SLOW)
            np.einsum("nk,ki->ni", slow, _SLOW, out=scaled[some])
            np.subtract(frames[some], scaled[some], out=scaled[some])
            own = scaled[some, _CONTEXT:]
            np.einsum("ni,ni->n", own, own, out=power[some])
        levels = np.maximum(np.sqrt(power / FRAME, dtype=np.float64), _QUIETEST)
        scaled *= (_LEVEL / self._peaks(levels))[:, None].astype("f4")
        return scaled

    def _peaks(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the peak level at each frame, decaying and limited."""
        known = np.concatenate([self._recent, levels])
        short, long = (_highest(known, n, len(levels)) for n in (_SHORT, RECENT + 1))
        kept = 10 ** (-_DECAY_DB_S / 20 * FRAME / SAMPLE_RATE)
        peak, peaks = self._loudest, []
        anew, since = 0.0, RECENT + 1  # loudest since digital silence; frames since
        least = np.maximum(levels, -_highest(-known, RECENT + 1, len(levels)) * _ABOVE)
        columns = (levels.tolist(), least.tolist(), short.tolist(), long.tolist())
        for level, low, of_short, of_long in zip(*columns, strict=True):
            if of_short <= _QUIETEST:
                peak, anew, since = _LOUDEST, 0.0, 0
            else:
                anew, since = max(anew, level), since + 1
                most = anew if since <= RECENT else of_long
                limit = min(of_short * _FAR_ABOVE, max(of_short * _ABOVE, most))
                peak = max(low, min(peak * kept, limit))
            peaks.append(peak)
        self._loudest, self._recent = peak, known[len(levels) :].copy()
        self._recent[: max(0, RECENT - since)] = _QUIETEST
        return np.array(peaks)

    def finish(self) -> NDArray[np.float32]:
        """Return the probability [0 or 1] of the last incomplete frame, zero-padded."""
        missing = _CONTEXT + FRAME - len(self._tail)
        if missing == FRAME:
            return np.zeros(0, np.float32)
        return self.push(np.zeros(missing, np.float32))


def _highest(levels: NDArray[np.float64], width: int, n: int) -> NDArray[np.float64]:
    """Return the highest of each of the last n frames and the width - 1 before it."""
    last = levels[len(levels) - n - width + 1 :]
    highest: NDArray[np.float64] = sliding_window_view(last, width).max(1)
    return highest
