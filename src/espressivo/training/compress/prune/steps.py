"""The schedule of a pruning: measure, remove, recover, and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.errors import TrainingError
from espressivo.training.compress.prune.cost import measure_int8
from espressivo.training.compress.prune.folder import PruningState, write_state
from espressivo.training.compress.prune.importance import (
    OutputScale,
    measure_importance,
    measure_scale,
    scaled_outputs,
)
from espressivo.training.compress.prune.layers import (
    Prunable,
    count_kept,
    keep_everything,
    keep_least,
    prunable_parts,
)
from espressivo.training.compress.prune.recovery import recover
from espressivo.training.compress.prune.report import PruningStep
from espressivo.training.compress.prune.selection import (
    choose_kept,
    rebuild,
    trainable,
    without,
)
from espressivo.training.export.checks.parity import agreement_of
from espressivo.training.fit.predict import apply_to_clips
from espressivo.training.runs.folder import pick_device
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import softmax

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from espressivo.training.clips.batches import Batches
    from espressivo.training.compress.prune.material import Material
    from espressivo.training.export.options import StepProgress
    from espressivo.training.networks.network import EmotionNetwork, Frames

_BATCH = 8
_MARGIN = 0.99  # of what --megabytes leaves: scales and biases are no single bytes
_STRICTER = 0.97


@dataclass(frozen=True)
class Budget:
    """The unpruned int8 graph; parameters before and at the end; bytes at the end."""

    graph: bytes
    n_before: int
    n_after: int
    n_bytes: int | None = None


def plan_budget(
    network: EmotionNetwork, parts: Prunable, material: Material, graph: bytes
) -> Budget:
    """Return the number of parameters at the end.

    Raises:
        TrainingError: The budget cannot be met, or needs no pruning.
    """
    options, n_bytes = material.options, len(graph)
    n_before = count_kept(network, parts, keep_everything(parts))
    n_least = count_kept(network, parts, keep_least(parts))
    if options.share is not None:
        n_after = round(options.share * n_before)
        if n_after < n_least:
            raise TrainingError(
                f"share is {options.share:g}, but {n_least:,} of {n_before:,} "
                f"parameters must stay; give at least {n_least / n_before:.3f}"
            )
        return Budget(graph, n_before, n_after)
    assert options.megabytes is not None  # or there would be a share
    wanted = round(options.megabytes * 1e6)
    if wanted >= n_bytes:
        raise TrainingError(
            f"megabytes is {options.megabytes:g}, but the int8 graph has "
            f"{n_bytes / 1e6:.2f} MB unpruned; give less"
        )
    fewest = len(material.int8(without(network, parts, keep_least(parts))))
    if wanted < fewest:
        raise TrainingError(
            f"megabytes is {options.megabytes:g}, but the int8 graph has "
            f"{fewest / 1e6:.2f} MB with all removed that can be; give at least that, "
            "or prune a run of a smaller network"
        )
    # All that can be removed has the same precision, so size is linear in parameters.
    left = _MARGIN * (wanted - fewest) / (n_bytes - fewest)
    return Budget(graph, n_before, n_least + int(left * (n_before - n_least)), wanted)


def prune_in_steps(
    whole: EmotionNetwork,
    material: Material,
    budget: Budget,
    *,
    state: PruningState,
    out: Path,
    progress: StepProgress,
) -> EmotionNetwork:
    """Return the pruned and recovered network; nothing of it is frozen.

    Args:
        whole: The unpruned network.
        material: Recordings and options.
        budget: What has to be left.
        state: The finished steps, to which the others are added.
        out: The run folder, for the checkpoint after each step.
        progress: Callback with the name of each step when it begins.
    """
    schedule = _Schedule(whole, material, budget, progress)
    student = schedule.resume(state)
    for step in range(len(state.steps) + 1, material.options.n_steps + 1):
        student = schedule.take(student, step, state)
        state.settings = dict(student.encoder_settings)
        state.tensors = {n: t.cpu() for n, t in student.state_dict().items()}
        write_state(state, out)
    return student


class _Schedule:
    """Steps that each remove as many parameters, and recover."""

    def __init__(
        self,
        whole: EmotionNetwork,
        material: Material,
        budget: Budget,
        progress: StepProgress,
    ) -> None:
        self._material, self._budget, self._progress = material, budget, progress
        self._config = trainable(material.config.network)
        self._device = pick_device(material.config)
        teacher = rebuild(self._config, whole.encoder_settings, whole.state_dict())
        self._teacher = teacher.to(self._device)
        self._calibration = _frames(material.batches(teacher, material.calibration))
        self._scale = measure_scale(teacher, self._calibration)
        self._compare = _Comparison(teacher, material, self._scale)

    def resume(self, state: PruningState) -> EmotionNetwork:
        """Return the network after the finished steps."""
        if not state.steps:
            return self._teacher
        found = rebuild(self._config, state.settings, state.tensors)
        return found.to(self._device)

    def take(
        self, network: EmotionNetwork, step: int, state: PruningState
    ) -> EmotionNetwork:
        """Return the network after one more step, whose measurements `state` gets."""
        options = self._material.options
        what = f"step {step} of {options.n_steps}"
        self._progress(f"{what}: importance")
        seed = options.seed * 1000 + step
        network = self._remove(network, step, seed, state)
        removed = self._compare(network)
        self._recover(network, seed, f"{what}: recovery")
        recovered = self._compare(network)
        costs = measure_int8(self._budget.graph, self._material.int8(network))
        state.steps.append(
            PruningStep(
                step=step,
                n_parameters=_n_prunable(network),
                n_bytes=costs.bytes_after,
                time_ratio=costs.ratio,
                change_removed=removed[0],
                change_recovered=recovered[0],
                distance_removed=removed[1],
                distance_recovered=recovered[1],
                ua_removed=removed[2],
                ua_recovered=recovered[2],
            )
        )
        return network

    def _remove(
        self, network: EmotionNetwork, step: int, seed: int, state: PruningState
    ) -> EmotionNetwork:
        """Return the network without the least important units."""
        budget, n_steps = self._budget, self._material.options.n_steps
        parts = prunable_parts(network)
        importance = measure_importance(
            network, parts, self._calibration, self._scale, seed
        )
        if not state.importance:
            state.importance = {
                layer.name: float(importance[layer.name].sum())
                for layer in parts.layers
            }
        n_removed = budget.n_before - budget.n_after
        target = budget.n_before - n_removed * step // n_steps
        while True:
            kept = choose_kept(network, parts, importance, target)
            pruned = without(network, parts, kept)
            if step < n_steps or budget.n_bytes is None:
                return pruned
            if len(self._material.int8(pruned)) <= budget.n_bytes:
                return pruned
            # Rounding left a few bytes too many.
            target = int(target * _STRICTER)

    def _recover(self, network: EmotionNetwork, seed: int, what: str) -> None:
        material, options = self._material, self._material.options
        batches = material.batches(network, material.heard)
        # Gradient descent uses no copies, so such a run has not heard any.
        fitted = material.config.classifier.fit != "gradient"
        names = material.config.augmentation.copies if fitted else ()
        recover(
            network,
            self._teacher,
            self._scale,
            [batches, *map(batches.in_condition, names)],
            material.config,
            epochs=options.epochs,
            n_draws=min(options.n_draws, len(batches.labels)),
            learning_rate=options.learning_rate,
            seed=seed,
            on_step=lambda done, total: self._progress(what, done, total),
        )


class _Comparison:
    """Distance of a network from the unpruned one, and its UA on corpora left out."""

    def __init__(
        self, teacher: EmotionNetwork, material: Material, scale: OutputScale
    ) -> None:
        self._scale, self._temperature = scale, material.temperature
        self._batches = material.batches(teacher, material.checks)
        self._left_out = [
            material.batches(teacher, clips) for clips in material.left_out.values()
        ]
        self._wanted = self._outputs(teacher, self._batches)

    def __call__(self, network: EmotionNetwork) -> tuple[float, float, float | None]:
        """Return the mean change of a probability, the mean squared distance, the UA.

        The UA is the mean of the corpora that were left out of training; None without
        any.
        """
        found = self._outputs(network, self._batches)
        distance = float(((found - self._wanted) ** 2).sum(1).mean())
        change = agreement_of(*map(self._probabilities, (self._wanted, found)))
        uas = [
            score(part.labels, self._probabilities(self._outputs(network, part))).ua
            for part in self._left_out
        ]
        return change.mean, distance, sum(uas) / len(uas) if uas else None

    def _outputs(
        self, network: EmotionNetwork, batches: Batches
    ) -> NDArray[np.float32]:
        def outputs(frames: Frames) -> torch.Tensor:
            return scaled_outputs(network, frames, self._scale)

        return apply_to_clips(batches, outputs)

    def _probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        n = self._batches.extractor.network.classify.out_features
        return softmax(outputs[:, -n:] * self._scale.logits, self._temperature)


def _n_prunable(network: EmotionNetwork) -> int:
    parts = prunable_parts(network)
    return count_kept(network, parts, keep_everything(parts))


def _frames(batches: Batches) -> list[Frames]:
    steps = batches.unaugmented(_BATCH)
    return [batch.frames for batch in batches.load(steps)]
