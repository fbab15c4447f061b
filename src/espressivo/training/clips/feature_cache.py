"""Feature cache: outputs of a network's frozen layers, stored on disk.

Half of the computation is in layers that never change; with the cache, an epoch
computes only the trained layers. The cache contains fp16 arrays. Each is stored under a
hash of everything that determines it: the bytes of the recording, preprocessing,
augmentation, and the weights of the frozen layers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from espressivo.training.clips.arrays import load_array, save_array
from espressivo.training.networks.network import Frames
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.clips.sampling import AugmentedClips, SampledClip
    from espressivo.training.networks.network import EmotionNetwork
    from espressivo.types import Signal

SHORTEST = SAMPLE_RATE // 5
"""Minimum clip length in samples (0.2 s); shorter clips are padded with zeros."""


class CachedOrSignal(NamedTuple):
    """A clip as loaded by a worker: its cached frames, or its signal if none exist."""

    frames: NDArray[Any] | None
    signal: Signal | None


class FeatureExtractor:
    """Feature extraction by a network's frozen layers, with a cache on disk."""

    def __init__(self, network: EmotionNetwork, cache: Path | None = None) -> None:
        self.network = network
        key = None if cache is None else f"front-{extractor_key(network)}"
        self.folder = None if cache is None or key is None else cache / key

    @property
    def device(self) -> torch.device:
        """The network's device."""
        return self.network.classify.weight.device

    def load(self, clips: AugmentedClips, sampled: SampledClip) -> CachedOrSignal:
        """Return the cached frames of a clip, or the signal to extract them from."""
        path = self._path(clips, sampled)
        if path is not None and path.is_file():
            return CachedOrSignal(load_array(path), None)
        return CachedOrSignal(None, clips.signal(sampled))

    @torch.no_grad()
    def extract(
        self,
        clips: AugmentedClips,
        sampled: Sequence[SampledClip],
        loaded: Sequence[CachedOrSignal],
    ) -> Frames:
        """Return the frames of a batch; cache them if later epochs repeat them."""
        self.network.eval()
        if self.folder is None or not clips.repeats:
            return self._extract([x.signal for x in loaded if x.signal is not None])
        arrays = []
        for one, (frames, signal) in zip(sampled, loaded, strict=True):
            array = frames
            if array is None:
                assert signal is not None  # one of the two is there
                # Each clip is extracted alone, since padding to a batch would make the
                # cached values depend on the other clips of that batch.
                values, _ = self._extract([signal])
                array = values[0].half().cpu().numpy()
                path = self._path(clips, one)
                assert path is not None
                save_array(array, path)
            arrays.append(array)
        return self._stack(arrays)

    def _extract(self, signals: Sequence[Signal]) -> Frames:
        samples, lengths = pad(signals)
        return self.network.front(samples.to(self.device), lengths.to(self.device))

    def _stack(self, arrays: Sequence[NDArray[Any]]) -> Frames:
        counts = [len(array) for array in arrays]
        shape = (len(arrays), max(counts), *arrays[0].shape[1:])
        values = np.zeros(shape, np.float16)
        for row, array in zip(values, arrays, strict=True):
            row[: len(array)] = array
        fixed = self.network.config.padding == "fixed"
        return Frames(
            torch.from_numpy(values).to(self.device).float(),
            None if fixed else torch.tensor(counts, device=self.device),
        )

    def _path(self, clips: AugmentedClips, sampled: SampledClip) -> Path | None:
        if self.folder is None or not clips.repeats:
            return None
        name = hashlib.sha256(clips.key(sampled).encode()).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.npy"


def extractor_key(network: EmotionNetwork) -> str:
    """Return a hash of the settings and weights of the frozen layers."""
    config = network.config
    frozen = network.front_state()
    named = (type(network).__name__, config.kind, config.frozen, config.n_frozen)
    rest: tuple[object, ...]
    rest = (config.n_layers, config.states, config.padding, config.window_s)
    if not frozen:
        # Then the front is a spectrogram, which networks of all sizes share.
        rest = (config.padding, config.window_s)
    if config.join == "concatenate":
        # Then the front may include the head's mean over frames.
        rest = (*rest, config.join, config.head)
    digest = hashlib.sha256(repr((named, rest)).encode())
    for name, tensor in sorted(frozen.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def pad(signals: Sequence[Signal]) -> tuple[Tensor, Tensor]:
    """Return zero-padded signals [B, longest] and their lengths in samples [B].

    A signal shorter than 0.2 s is padded to 0.2 s, and its length includes the padding.
    """
    lengths = [max(len(signal), SHORTEST) for signal in signals]
    samples = np.zeros((len(signals), max(lengths)), np.float32)
    for row, signal in zip(samples, signals, strict=True):
        row[: len(signal)] = signal
    return torch.from_numpy(samples), torch.tensor(lengths)
