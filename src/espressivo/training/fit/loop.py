"""The training loop, a generator: its callers log, save and stop between epochs.

Source: the single-function layout follows nanoGPT and openai/whisper.
"""

from __future__ import annotations

import copy
import math
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from espressivo.errors import TrainingError
from espressivo.files.atomic import replacing
from espressivo.training.fit.optimizer import (
    make_optimizer,
    make_schedule,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from espressivo.training.config import TrainingConfig
    from espressivo.training.networks.network import EmotionNetwork

BatchT = TypeVar("BatchT")


class TrainedObjective(nn.Module, Generic[BatchT]):
    """What the loop trains: a network with the loss of a batch.

    Attributes:
        network: The network, whose `blocks` have learning rates of their own.
    """

    network: EmotionNetwork

    @abstractmethod
    def forward(self, batch: BatchT, precision: torch.dtype = torch.float32) -> Tensor:
        """Return the loss of a batch, a scalar; matrix products have `precision`."""


class Validation(NamedTuple):
    """Scores on the validation part.

    Attributes:
        score: The score by which the epoch is chosen; the higher, the better.
        mean_recall: Unweighted average recall (UA), 0 to 1.
        ccc: CCC of each dimension, -1 to 1; None without any.
    """

    score: float
    mean_recall: float | None = None
    ccc: dict[str, float] | None = None


class Epoch(NamedTuple):
    """Measurements of one training epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean loss over the steps.
        seconds: Wall-clock time.
        mean_recall: `Validation.mean_recall`; None without a validation part.
        ccc: `Validation.ccc`; None without a validation part.
    """

    epoch: int
    loss: float
    seconds: float
    mean_recall: float | None = None
    ccc: dict[str, float] | None = None


@dataclass
class _State:
    """Content of a checkpoint beside the states of network, optimizer and schedule."""

    epochs: list[Epoch] = field(default_factory=list)
    best_score: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


def train_epochs(
    objective: TrainedObjective[BatchT],
    config: TrainingConfig,
    batches_of: Callable[[int], Iterable[BatchT]],
    n_steps: int,
    *,
    validate: Callable[[], Validation] | None = None,
    select: bool = False,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
    checkpoint: Path | None = None,
) -> Iterator[list[Epoch]]:
    """Train `objective` in place; after each epoch, yield all epochs so far.

    A run that resumes from its checkpoint ends with the same weights as an
    uninterrupted run, since `seed` and the epoch determine all random numbers. At the
    end `objective` has the weights of the last epoch, or with `select` those of the
    best epoch.

    Args:
        objective: The network with its initial weights, and its loss.
        config: Epochs, rates, patience.
        batches_of: Function from an epoch, counted from 0, to its batches.
        n_steps: Number of batches in an epoch.
        validate: Function that returns the scores on the validation part.
        select: Keep the epoch with the best score, and stop when patience ends.
        seed: Seed of dropout.
        precision: Precision of matrix products.
        checkpoint: File written after every epoch, and read at the start if it exists.

    Raises:
        TrainingError: The loss is not finite, or the checkpoint is of another network.
    """
    optimizer = make_optimizer(objective, config)
    schedule = make_schedule(optimizer, config, n_steps)
    # Only float16 needs it: bfloat16 has the exponents of float32.
    scaler = torch.amp.GradScaler(enabled=precision == torch.float16)
    parts = {
        "objective": objective,
        "optimizer": optimizer,
        "schedule": schedule,
        "scaler": scaler,
    }
    # Listed once: `blocks` leaves out parameters that `head_epochs` freezes later.
    encoder = [p for block in objective.network.blocks() for p in block]
    step = _Step(objective, config, precision, scaler, encoder)
    # After `_Step`, which copies the initial weights, not those of the checkpoint.
    state = _resume(checkpoint, parts)
    if state.epochs:
        yield state.epochs
    while not _is_over(state, config, select=select):
        epoch, began = len(state.epochs), time.monotonic()
        # Dropout follows from seed and epoch alone, so a resumed run repeats it.
        torch.manual_seed(seed * 1000 + epoch)
        # A new classifier's first gradients would damage a pretrained encoder.
        for parameter in encoder:
            parameter.requires_grad_(epoch >= config.head_epochs)
        losses = []
        for batch in batches_of(epoch):
            losses.append(step(batch, optimizer))
            schedule.step()
        # Losses are fetched once an epoch: fetching each would stall a GPU.
        mean = float(torch.stack(losses).mean())
        # Before `_save`, so that the last good checkpoint survives.
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss of epoch {epoch + 1} is {mean}; lower the learning rate"
            )
        found = None if validate is None else validate()
        seconds = time.monotonic() - began
        scores = () if found is None else found[1:]
        state.epochs.append(Epoch(epoch + 1, mean, seconds, *scores))
        if found is not None and found.score > state.best_score:
            state.best_score, state.best_epoch = found.score, epoch + 1
            if select:
                # A state dict refers to the live weights, which the next epoch changes.
                state.best_weights = copy.deepcopy(objective.state_dict())
        # Saved before it is reported: no caller logs an epoch that a killed run loses.
        _save(checkpoint, state, parts)
        yield state.epochs
    if select and state.best_weights:
        objective.load_state_dict(state.best_weights)


def _is_over(state: _State, config: TrainingConfig, *, select: bool) -> bool:
    done = len(state.epochs)
    waited = done - state.best_epoch
    patient = not (select and config.patience) or waited < config.patience
    return done >= config.epochs or (done > 0 and not patient)


class _Step:
    """One step of the optimizer."""

    def __init__(
        self,
        objective: TrainedObjective[Any],
        config: TrainingConfig,
        precision: torch.dtype,
        scaler: torch.amp.GradScaler,
        encoder: list[nn.Parameter],
    ) -> None:
        self.objective, self.config = objective, config
        self.precision, self.scaler = precision, scaler
        self.encoder = encoder
        self.start = [p.detach().clone() for p in encoder]

    def __call__(self, batch: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        """Update the weights with one batch; return the loss before the update."""
        self.objective.train()  # extracting features sets evaluation mode
        optimizer.zero_grad()
        loss: Tensor = self.objective(batch, self.precision)
        if self.config.towards_start:
            loss = loss + self.config.towards_start * self._distance()
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(optimizer)  # clipping takes the true gradient
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.objective.parameters(), self.config.clip)
        self.scaler.step(optimizer)
        self.scaler.update()
        return loss.detach()

    def _distance(self) -> Tensor:
        """Return the squared distance of the encoder's weights from their start."""
        pairs = zip(self.encoder, self.start, strict=True)
        return torch.stack([(p - s).square().sum() for p, s in pairs]).sum()


def _save(path: Path | None, state: _State, parts: dict[str, Any]) -> None:
    if path is None:
        return
    # Plain tuples, since `weights_only` loads no classes of ours.
    states = {name: part.state_dict() for name, part in parts.items()}
    plain = vars(state) | {"epochs": [tuple(epoch) for epoch in state.epochs]}
    # torch raises this when it cannot write.
    with replacing(path, errors=(RuntimeError,)) as whole:
        torch.save({"state": plain, **states}, whole)


def _resume(path: Path | None, parts: dict[str, Any]) -> _State:
    if path is None or not path.exists():
        return _State()
    try:
        # torch treats any file that is not a zip file as one of its older formats.
        states = torch.load(path, weights_only=True) if is_zipfile(path) else {}
        for name, part in parts.items():
            part.load_state_dict(states[name])
        plain = states["state"]
        epochs = [Epoch(*epoch) for epoch in plain["epochs"]]
        return _State(**plain | {"epochs": epochs})
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: is no checkpoint of this experiment; remove it to start anew"
        ) from error
