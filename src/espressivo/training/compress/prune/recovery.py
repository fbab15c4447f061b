"""Recovery of a pruned network by distillation from the unpruned one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from espressivo.errors import TrainingError
from espressivo.training.clips.sampling import EpochSampler
from espressivo.training.compress.prune.importance import scaled_outputs
from espressivo.training.config import TrainingConfig
from espressivo.training.fit.optimizer import rate_share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from espressivo.training.clips.batches import Batches
    from espressivo.training.compress.prune.importance import OutputScale
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.networks.network import EmotionNetwork

_BATCH = 16
_CLIP = 1.0  # largest norm of a gradient


def recover(
    student: EmotionNetwork,
    teacher: EmotionNetwork,
    scale: OutputScale,
    conditions: Sequence[Batches],
    config: ExperimentConfig,
    *,
    epochs: int,
    n_draws: int,
    learning_rate: float,
    seed: int,
    on_step: Callable[[int, int], None],
) -> None:
    """Train `student` in place to have the outputs of `teacher`.

    The loss is the squared distance of `scaled_outputs`. The classifier stays as it is:
    the layers below it learn to give it the same embedding. Both networks are in
    evaluation mode, so that dropout and batch norm do not move the target.

    Args:
        student: The pruned network; nothing of it is frozen.
        teacher: The unpruned network, with the same front.
        scale: Units of the outputs.
        conditions: The same clips as they are, and in each condition of the recipe's
            copies; the steps take turns.
        config: Configuration of the run.
        epochs: Number of epochs; 0 trains nothing.
        n_draws: Clips drawn for an epoch, balanced over corpora and emotions.
        learning_rate: Peak rate, after a warm-up and before a cosine to 0.
        seed: Seed of the draws.
        on_step: Callback with the number of finished steps, and their total.

    Raises:
        TrainingError: The loss is not finite.
    """
    plan = TrainingConfig(epochs=epochs, draws=n_draws, batch_size=_BATCH)
    balanced = replace(config.loss, balance="corpus-class")
    drawing = replace(config, seed=seed, training=plan, loss=balanced)
    sampler = EpochSampler(conditions[0].clips, drawing)
    head = {id(p) for p in student.classify.parameters()}
    if student.dimensions is not None:
        head |= {id(p) for p in student.dimensions.parameters()}
    trained = [p for p in student.parameters() if id(p) not in head and p.requires_grad]
    optimizer = AdamW(trained, learning_rate, weight_decay=0.0)
    schedule = LambdaLR(optimizer, rate_share(plan, sampler.n_steps))
    total, done = epochs * sampler.n_steps, 0
    for epoch in range(epochs):
        for step in sampler.epoch(epoch):
            (batch,) = conditions[done % len(conditions)].load([step])
            student.eval()
            with torch.no_grad():
                wanted = scaled_outputs(teacher, batch.frames, scale)
            found = scaled_outputs(student, batch.frames, scale)
            loss = (found - wanted).square().sum(1).mean()
            _require_finite(loss)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(trained, _CLIP)
            optimizer.step()
            schedule.step()
            done += 1
            on_step(done, total)
    if done:  # the last step may have been the one that went too far
        with torch.no_grad():
            found = scaled_outputs(student, batch.frames, scale)
        _require_finite((found - wanted).square().sum(1).mean())


def _require_finite(loss: Tensor) -> None:
    if not loss.isfinite():
        raise TrainingError(
            f"the loss of the recovery is {float(loss)}; pass a lower --learning-rate, "
            "and another --out"
        )
