"""The training loop: a generator, so that callers log, save and stop.

After nanoGPT and openai/whisper: the loop reads from top to bottom.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from espressivo.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from torch import Tensor

    from espressivo.training.config import StageConfig
    from espressivo.training.dataset import Batch
    from espressivo.training.objective import Objective


def train_stage(
    objective: Objective,
    stage: StageConfig,
    batches_of: Callable[[int], Iterable[Batch]],
    *,
    seed: int = 0,
    bfloat16: bool = False,
    checkpoint: Path | None = None,
) -> Iterator[tuple[int, float]]:
    """Train `objective` in place; yield each epoch, from 1, and its mean loss.

    A run that was stopped and starts again with the same checkpoint ends with the same
    weights as one that was not: all randomness comes from `seed` and the epoch.

    Args:
        objective: The network as the stage before left it, and its loss.
        stage: Epochs, rates.
        batches_of: Epoch -> its batches.
        seed: Of dropout.
        bfloat16: Multiply in bfloat16.
        checkpoint: Written after every epoch; read at the start where it exists.

    Raises:
        TrainingError: The loss is not finite, or the checkpoint is of another network.
    """
    optimizer = AdamW(parameter_groups(objective, stage))
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    encoder = objective.network.encoder
    start = [p.detach().clone() for p in encoder.parameters()]
    n_steps = stage.epochs * math.ceil(stage.draws / stage.batch_size)
    schedule = warmup_cosine(optimizer, n_steps, stage.warmup)
    parts = {"objective": objective, "optimizer": optimizer, "schedule": schedule}
    first = _resume(checkpoint, parts)
    for epoch in range(first, stage.epochs):
        torch.manual_seed(seed * 1000 + epoch)
        objective.train()  # the caller may have evaluated since
        losses = []
        for batch in batches_of(epoch):
            optimizer.zero_grad()
            loss = objective(batch, bfloat16=bfloat16)
            if stage.towards_start:
                loss = loss + stage.towards_start * _distance(encoder, start)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(trained, stage.clip)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        mean = sum(losses) / len(losses)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss of epoch {epoch + 1} is {mean}; lower the learning rate"
            )
        _save(checkpoint, epoch + 1, parts)
        yield epoch + 1, mean


def parameter_groups(objective: Objective, stage: StageConfig) -> list[dict[str, Any]]:
    """Give every parameter its rate; what has none is frozen, here and now.

    Blocks of the encoder learn slower the lower they are; its convolutions count as
    the block below the first.
    """
    named = dict(objective.network.encoder.named_parameters())
    depths = {
        name: int(name.split(".")[1]) if name.startswith("blocks.") else -1
        for name in named
    }
    groups: list[dict[str, Any]] = []
    top = max(depths.values())
    for name, parameter in named.items():
        learns = stage.encoder_rate > 0 and depths[name] >= stage.n_frozen
        parameter.requires_grad_(learns)
        if learns:
            rate = stage.encoder_rate * stage.layer_decay ** (top - depths[name])
            groups.append({"params": [parameter], "lr": rate, "weight_decay": 0.0})
    encoder = {id(parameter) for parameter in named.values()}
    rest = [p for p in objective.parameters() if id(p) not in encoder]
    groups.append(
        {
            "params": rest,
            "lr": stage.learning_rate,
            "weight_decay": stage.weight_decay,
        }
    )
    return groups


def warmup_cosine(
    optimizer: torch.optim.Optimizer, n_steps: int, warmup: float
) -> LambdaLR:
    """Raise the rate from 0 over a share of the steps, then lower it as a cosine."""
    rising = max(1, round(n_steps * warmup))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, n_steps - rising)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return LambdaLR(optimizer, share)


def _distance(module: nn.Module, start: list[Tensor]) -> Tensor:
    pairs = zip(module.parameters(), start, strict=True)
    return torch.stack([(p - s).square().sum() for p, s in pairs]).sum()


def _save(path: Path | None, epoch: int, parts: dict[str, Any]) -> None:
    if path is None:
        return
    states = {name: part.state_dict() for name, part in parts.items()}
    partial = path.with_suffix(".partial")
    torch.save({"epoch": epoch, **states}, partial)
    partial.replace(path)  # a killed run leaves no half checkpoint behind


def _resume(path: Path | None, parts: dict[str, Any]) -> int:
    if path is None or not path.exists():
        return 0
    try:
        # Anything but a zip file torch would take for one of its older formats.
        states = torch.load(path, weights_only=True) if is_zipfile(path) else {}
        for name, part in parts.items():
            part.load_state_dict(states[name])
        return int(states["epoch"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{path}: is no checkpoint of this experiment; remove it to start anew"
        ) from error
