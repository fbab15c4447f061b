"""Optimizer and learning-rate schedule, with a rate for each block of the encoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from collections.abc import Callable

    from espressivo.training.config import TrainingConfig
    from espressivo.training.fit.loop import TrainedObjective


def make_optimizer(
    objective: TrainedObjective[Any], config: TrainingConfig
) -> Optimizer:
    """Return the optimizer of all parameters that are not frozen."""
    groups = parameter_groups(objective, config)
    return AdamW(groups) if config.optimizer == "adamw" else Adam(groups)


def parameter_groups(
    objective: TrainedObjective[Any], config: TrainingConfig
) -> list[dict[str, Any]]:
    """Return the trained parameters, grouped by learning rate and weight decay.

    Lower blocks of the encoder have lower rates. Biases and norms, which are vectors,
    have no weight decay.
    """
    blocks = objective.network.blocks()
    top = config.encoder_rate or config.learning_rate
    rates = [
        (block, top * config.layer_decay ** (len(blocks) - 1 - depth))
        for depth, block in enumerate(blocks)
    ]
    encoder = {id(parameter) for block in blocks for parameter in block}
    rest = [
        p for p in objective.parameters() if p.requires_grad and id(p) not in encoder
    ]
    groups = []
    for parameters, rate in [*rates, (rest, config.learning_rate)]:
        for decays in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == decays]
            if chosen:
                decay = config.weight_decay if decays else 0.0
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def make_schedule(
    optimizer: Optimizer, config: TrainingConfig, n_steps: int
) -> LambdaLR:
    """Return the learning-rate schedule, which advances `n_steps` times per epoch."""
    share = rate_share(config, n_steps)
    return LambdaLR(optimizer, share)


def rate_share(config: TrainingConfig, n_steps: int) -> Callable[[int], float]:
    """Return a function of the step, from 0, to the share of the peak rate, in 0..1.

    The rate rises from near 0 in the warm-up. Then it is constant, falls as a cosine
    to 0, or falls by e^-decay every few epochs.
    """
    total = config.epochs * n_steps
    rising = round(total * config.warmup)

    def share(step: int) -> float:
        if step < rising:
            # From 1: at a rate of 0 the first step would be wasted.
            return (step + 1) / rising
        if config.schedule == "cosine":
            done = (step - rising) / max(1, total - rising)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        if config.schedule == "steps":
            late = step // n_steps + 1 - config.decay_from
            n_down = late // config.decay_every + 1 if late >= 0 else 0
            return math.exp(-config.decay * n_down)
        return 1.0

    return share
