"""Cost estimate of a study: operations and disk from shapes, time from a few steps.

Operations are the same on every machine; time is that of the measured steps. Nothing is
written or downloaded: weights are random, and clips are noise.
"""

from __future__ import annotations

import time
import wave
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import torch

from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import LoadedClip
from espressivo.training.clips.sampling import EpochSampler, SampledClip
from espressivo.training.corpora.utterance import Utterance
from espressivo.training.fit.objective import Objective
from espressivo.training.fit.optimizer import make_optimizer
from espressivo.training.networks import build_network
from espressivo.training.reproduce.operations import OperationCounter
from espressivo.training.runs.folder import pick_device
from espressivo.training.runs.train import pick_precision
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.reproduce.studies import Stage

ASSUMED_S = 3.58
"""Median duration of IEMOCAP's recordings, assumed where headers give none."""
_ENOUGH_S = 3.0  # of measured steps
_MOST_STEPS = 4


@dataclass(frozen=True, slots=True)
class NetworkCosts:
    """Operations of a network, and its measured time on this machine.

    Operations are multiply-accumulates (MAC), see `operations`.

    Attributes:
        front_macs: Operations per clip in the front.
        train_macs: Operations per clip in training after the front, gradients included.
        head_macs: Operations per clip in the layers after the front, for prediction.
        front_s: Seconds per clip in the front (frozen layers, or a spectrogram).
        vary_s: Seconds per clip for augmentation and front.
        step_s: Seconds per training step, without the front.
        head_s: Seconds per clip in the layers after the front, for prediction.
        front_bytes: Size of the cached output of a frozen front, per clip.
        state_bytes: Size of all weights.
        moment_bytes: Size of the optimizer's state.
    """

    front_macs: int
    train_macs: int
    head_macs: int
    front_s: float
    vary_s: float
    step_s: float
    head_s: float
    front_bytes: int
    state_bytes: int
    moment_bytes: int


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Estimated cost of a stage.

    Attributes:
        name: Name of the stage's result folder.
        n_runs: Number of runs, folds times seeds.
        n_train: Number of training utterances, mean over folds.
        n_validation: Number of validation utterances, mean over folds.
        n_test: Number of test utterances, mean over folds.
        epochs: Largest number of epochs.
        macs: Multiply-accumulates of all runs, with all epochs.
        seconds: Time of all runs, one after the other, with all epochs.
        kept_bytes: Size of the weights and probabilities that remain.
        passing_bytes: Size of the checkpoint that exists during a run.
        front_bytes: Size of the cached output of a frozen front; 0 without a cache.
    """

    name: str
    n_runs: int
    n_train: int
    n_validation: int
    n_test: int
    epochs: int
    macs: int
    seconds: float
    kept_bytes: int
    passing_bytes: int
    front_bytes: int


def estimate(stage: Stage, n_seeds: int, costs: NetworkCosts) -> CostEstimate:
    """Estimate the cost of a stage, without early stopping."""
    config, folds = stage.config, stage.folds
    n_runs, epochs = len(folds) * n_seeds, config.training.epochs
    sizes = np.array([[len(f.train), len(f.validation), len(f.test)] for f in folds])
    n_train, n_validation, n_test = sizes.mean(0).round().astype(int).tolist()
    utterances = {u.id for f in folds for u in (*f.train, *f.validation, *f.test)}
    kept = is_kept(config)
    n_predicted = n_runs * ((epochs + 1) * n_validation + n_test)
    n_trained = n_runs * epochs * n_train
    n_varied = 0 if kept else n_trained
    n_fronts = len(utterances) if kept else n_predicted
    # Rounded up: the last batch of an epoch may be smaller.
    n_steps = n_runs * epochs * -(-n_train // config.training.batch_size)
    return CostEstimate(
        stage.entry.name,
        n_runs,
        n_train,
        n_validation,
        n_test,
        epochs,
        n_trained * costs.train_macs
        + n_predicted * costs.head_macs
        + (n_varied + n_fronts) * costs.front_macs,
        n_steps * costs.step_s
        + n_predicted * costs.head_s
        + n_varied * costs.vary_s
        + n_fronts * costs.front_s,
        n_runs * costs.state_bytes,
        2 * costs.state_bytes + costs.moment_bytes,
        len(utterances) * costs.front_bytes if kept else 0,
    )


def estimate_cross_corpus(
    name: str, n_test: int, n_seeds: int, costs: NetworkCosts
) -> CostEstimate:
    """Estimate the cost of a cross-corpus evaluation."""
    n = n_seeds * n_test
    macs = n * (costs.front_macs + costs.head_macs)
    seconds = n * (costs.front_s + costs.head_s)
    return CostEstimate(name, n_seeds, 0, 0, n_test, 0, macs, seconds, 0, 0, 0)


def is_kept(config: ExperimentConfig) -> bool:
    """Return whether the front's output is constant over epochs, and so cached."""
    changes = config.augmentation.varies or config.signal.crop_s > 0
    # New augmentations in every epoch would make every cached output useless.
    return not changes or config.augmentation.variants > 0


def measure(config: ExperimentConfig, clip_s: float) -> NetworkCosts:
    """Count and time training and prediction on a batch of noise.

    Args:
        config: The experiment.
        clip_s: Length of the clips in seconds, unless the network pads them to a fixed
            length.
    """
    torch.set_num_threads(config.threads)
    weights = config.network.weights
    # A name on the hub would be fetched; random weights take the same time.
    local = weights if Path(weights).is_dir() else ""
    plain = replace(config.training, speaker_statistics=False)
    config = replace(
        config,
        workers=0,
        training=plain,
        network=replace(config.network, weights=local),
    )
    extractor = FeatureExtractor(build_network(config.network).to(pick_device(config)))
    batches = make_batches(
        extractor, _noise(config.training.batch_size, clip_s), config
    )
    step = next(iter(EpochSampler(batches.clips, config).epoch(0)))
    objective = Objective(extractor.network, config.loss, 1).to(extractor.device)
    optimizer = make_optimizer(objective, config.training)
    precision = pick_precision(config)
    times: list[tuple[float, float]] = []
    training, front, head = (OperationCounter() for _ in range(3))
    while not times or (len(times) < _MOST_STEPS and np.sum(times) < _ENOUGH_S):
        began = _now()
        (batch,) = batches.load([step])
        vary_s = _since(began)
        began = _now()
        objective.train()
        optimizer.zero_grad()
        with training if not times else nullcontext():
            loss = objective(batch, precision)
        torch.autograd.backward(loss)
        optimizer.step()
        # The fastest of the steps counts, below: other programs only make them slower.
        times.append((vary_s, _since(began)))
    vary_s, step_s = np.min(times, axis=0).tolist()
    n = len(step)
    began = _now()
    with front:
        (batch,) = batches.load([[SampledClip(i) for i in range(n)]])
    front_s = _since(began)
    began = _now()
    with torch.no_grad(), head:
        extractor.network.eval().logits(batch.frames)
    head_s = _since(began)
    state = extractor.network.state_dict().values()
    trained = (p for p in objective.parameters() if p.requires_grad)
    return NetworkCosts(
        front.forward // n,
        (training.forward + training.backward) // n,
        head.forward // n,
        front_s / n,
        vary_s / n,
        step_s,
        head_s / n,
        # The cache holds float16, two bytes a value.
        2 * batch.frames.values[0].numel(),
        _bytes(state),
        # Adam and AdamW keep two moments of each trained weight.
        2 * _bytes(trained),
    )


def durations(utterances: Sequence[Utterance]) -> tuple[list[float], int]:
    """Read the durations of recordings from their headers.

    Returns:
        Seconds per recording (the median where a header has no duration), and the
        number of such recordings.
    """
    found = [_duration(u.path) for u in utterances]
    known = [s for s in found if s is not None]
    usual = float(np.median(known)) if known else ASSUMED_S
    return [usual if s is None else s for s in found], len(found) - len(known)


def _duration(path: Path) -> float | None:
    try:
        with path.open("rb") as file, wave.open(file) as opened:
            return float(opened.getnframes() / opened.getframerate())
    except (EOFError, wave.Error, ZeroDivisionError):
        pass  # no WAV, or not of the kind that the quick reader knows
    except OSError:
        return None
    try:
        with av.open(str(path)) as container:
            n = container.duration
    except (av.error.FFmpegError, OSError):
        return None
    return None if n is None else n / av.time_base


def _noise(n: int, seconds: float) -> list[LoadedClip]:
    rng = np.random.default_rng(0)
    emotions = list(Emotion)
    n_samples = round(seconds * SAMPLE_RATE)
    return [
        LoadedClip(
            Utterance(f"noise/{i}", Path(), "noise", "noise", emotions[i % 4], "noise"),
            rng.normal(0, 0.1, n_samples).astype(np.float32),
            n_samples,
            str(i),
        )
        for i in range(n)
    ]


def _now() -> tuple[float, float]:
    """Return the wall-clock time and the processor time of this process, in seconds."""
    if torch.cuda.is_available():
        # CUDA kernels run asynchronously: else only their launch would be timed.
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> float:
    """Return the seconds since `began`, without waiting for a busy processor."""
    wall_s, processor_s = (b - a for a, b in zip(began, _now(), strict=True))
    # Beside other programs less processor time passes than by the clock; by several
    # threads more is used. On a GPU the processor waits, and the clock alone counts.
    return wall_s if torch.cuda.is_available() else min(wall_s, processor_s)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
