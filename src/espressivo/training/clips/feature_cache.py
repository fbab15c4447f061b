"""What a network's frozen front makes of clips, computed once and kept on disk.

With half of the cost in a front that never changes, an epoch should cost what is
trained. Kept are fp16 arrays under a hash of everything they follow from: the
recording's bytes, what was done and varied, and the front's own weights.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from espressivo.training.clips.dataset import (
    CLASSES,
    Draw,
    Variations,
    load_array,
    pad,
    save_array,
)
from espressivo.training.networks import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from espressivo.training.networks import EmotionNetwork
    from espressivo.types import Signal


class Batch(NamedTuple):
    """What one step of training takes, on the network's device.

    Attributes:
        frames: What the front made of the clips.
        target: int64 [B], index of the emotion.
        speaker: int64 [B], index of the speaker among those trained on; -1 if none.
    """

    frames: Frames
    target: Tensor
    speaker: Tensor


class Heard(NamedTuple):
    """A clip as a worker hands it over: its frames where they are kept already."""

    frames: NDArray[Any] | None
    signal: Signal | None


class FrontEnd:
    """A network's front, and the folder that keeps what it made."""

    def __init__(self, network: EmotionNetwork, cache: Path | None = None) -> None:
        self.network = network
        self.folder = None if cache is None else cache / f"front-{front_key(network)}"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.classify.weight.device

    def listen(self, variations: Variations, draw: Draw) -> Heard:
        """Return the kept frames of a draw, or the signal to make them of."""
        kept = self._kept(variations, draw)
        if kept is not None and kept.is_file():
            return Heard(load_array(kept), None)
        return Heard(None, variations.signal(draw))

    @torch.no_grad()
    def frames(
        self, variations: Variations, draws: Sequence[Draw], heard: Sequence[Heard]
    ) -> Frames:
        """Return the frames of a batch of draws; keep those that come around again."""
        self.network.eval()
        if self.folder is None or not variations.repeats:
            return self._of([h.signal for h in heard if h.signal is not None])
        arrays = []
        for draw, (kept, signal) in zip(draws, heard, strict=True):
            array = kept
            if array is None:
                assert signal is not None  # one of the two is there
                # One by one: what is kept must not depend on who shared the batch.
                values, _ = self._of([signal])
                array = values[0].half().cpu().numpy()
                path = self._kept(variations, draw)
                assert path is not None
                save_array(array, path)
            arrays.append(array)
        return self._stack(arrays)

    def _of(self, signals: Sequence[Signal]) -> Frames:
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

    def _kept(self, variations: Variations, draw: Draw) -> Path | None:
        if self.folder is None or not variations.repeats:
            return None
        name = hashlib.sha256(variations.key(draw).encode()).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.npy"


def front_key(network: EmotionNetwork) -> str:
    """Hash what a network's front follows from: its settings and its weights."""
    config = network.config
    named = (type(network).__name__, config.kind, config.frozen, config.n_frozen)
    rest = (config.n_layers, config.states, config.padding, config.window_s)
    digest = hashlib.sha256(repr((named, rest)).encode())
    for name, tensor in sorted(network.front_state().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class Batches:
    """Frames of draws, step by step; several workers vary and load ahead."""

    def __init__(
        self,
        front: FrontEnd,
        variations: Variations,
        speakers: Sequence[str] = (),
        *,
        n_workers: int = 0,
        speaker_statistics: bool = False,
    ) -> None:
        """Take what is heard.

        Args:
            front: Of the network.
            variations: The clips.
            speakers: Those trained on.
            n_workers: Processes that vary and load; 0: this one.
            speaker_statistics: Shift and scale frames by each speaker's own.
        """
        self.front = front
        self.variations = variations
        self.n_workers = n_workers
        self._statistics: dict[str, tuple[Tensor, Tensor]] | None = None
        index = {speaker: n for n, speaker in enumerate(speakers)}
        utterances = [clip.utterance for clip in variations.clips]
        self._targets = np.array([CLASSES[u.emotion] for u in utterances])
        self._speakers = np.array([index.get(u.speaker, -1) for u in utterances])
        if speaker_statistics:
            self._statistics = self._of_speakers()

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of each clip's emotion, [N]."""
        return self._targets

    def of(self, steps: Sequence[Sequence[Draw]]) -> Iterator[Batch]:
        """Yield the batch of each step, in order."""
        device = self.front.device
        loader = torch.utils.data.DataLoader(
            _Steps(self.front, self.variations, steps),
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self.n_workers,
            prefetch_factor=4 if self.n_workers else None,
        )
        for draws, heard in zip(steps, loader, strict=True):
            rows = [draw.index for draw in draws]
            frames = self.front.frames(self.variations, draws, heard)
            yield Batch(
                self._shifted(frames, rows),
                torch.from_numpy(self._targets[rows]).to(device),
                torch.from_numpy(self._speakers[rows]).to(device),
            )

    def plain(self, batch_size: int = 32) -> list[list[Draw]]:
        """Lay out every clip once, as it is, with others of its length."""
        lengths = [clip.n_samples for clip in self.variations.clips]
        order = np.argsort(lengths, kind="stable").tolist()
        starts = range(0, len(order), batch_size)
        return [[Draw(i) for i in order[at : at + batch_size]] for at in starts]

    def _shifted(self, frames: Frames, rows: Sequence[int]) -> Frames:
        if self._statistics is None:
            return frames
        clips = self.variations.clips
        own = [self._statistics[clips[row].utterance.speaker] for row in rows]
        mean, scale = (
            torch.stack(part).unsqueeze(1) for part in zip(*own, strict=True)
        )
        shifted = (frames.values - mean) / scale
        if frames.counts is not None:
            valid = torch.arange(shifted.shape[1], device=shifted.device)
            mask = valid < frames.counts.unsqueeze(1)
            shifted = shifted * mask.reshape(*mask.shape, *[1] * (shifted.ndim - 2))
        return Frames(shifted, frames.counts)

    def _of_speakers(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and deviation of each speaker's frames, over all of its clips."""
        sums: dict[str, list[Tensor]] = {}
        for step in self.plain(1):
            heard = [self.front.listen(self.variations, draw) for draw in step]
            (values,), _ = self.front.frames(self.variations, step, heard)
            values = values.double()
            speaker = self.variations.clips[step[0].index].utterance.speaker
            parts = [torch.ones_like(values[0]) * len(values), values.sum(0)]
            parts.append(values.square().sum(0))
            before = sums.get(speaker, [torch.zeros_like(part) for part in parts])
            sums[speaker] = [a + b for a, b in zip(before, parts, strict=True)]
        found = {}
        for speaker, (n, total, squares) in sums.items():
            mean = total / n
            variance = (squares / n - mean.square()).clamp(min=0.0)
            found[speaker] = (mean.float(), variance.sqrt().float() + 1e-4)
        return found


def _as_it_is(heard: list[Heard]) -> list[Heard]:
    return heard


class _Steps(torch.utils.data.Dataset[list[Heard]]):
    def __init__(
        self,
        front: FrontEnd,
        variations: Variations,
        steps: Sequence[Sequence[Draw]],
    ) -> None:
        self.front, self.variations, self.steps = front, variations, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> list[Heard]:
        return [self.front.listen(self.variations, d) for d in self.steps[step]]
