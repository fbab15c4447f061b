"""The run folder of a pruned network while it is written, and its checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch

from espressivo.errors import TrainingError
from espressivo.files.atomic import replacing, write_text
from espressivo.training.compress.prune.report import PruningStep
from espressivo.training.config import to_toml
from espressivo.training.runs.folder import (
    DESCRIPTION,
    WEIGHTS,
    file_sha256,
    git_revision,
    is_finished,
    versions,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from espressivo.training.compress.prune.options import PruneOptions
    from espressivo.training.config import ExperimentConfig

CHECKPOINT = "prune.checkpoint"
"""`finish_run` removes it."""

_CONFIG = "config.toml"


@dataclass
class PruningState:
    """What is known after the finished steps.

    Attributes:
        settings: `encoder_settings` of the network; empty before the first step.
        tensors: Its state.
        steps: Measurements of the finished steps.
        importance: Layer -> the importance of its units in the unpruned network,
            summed.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    steps: list[PruningStep] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)


def read_pruned(out: Path, run: Path, options: PruneOptions) -> PruningState:
    """Return what a stopped pruning in `out` had finished; nothing for a new folder.

    Raises:
        TrainingError: `out` is taken by anything but this pruning.
    """
    described = out / DESCRIPTION
    if not described.is_file():
        # A killed start leaves a configuration at most.
        if out.exists() and not (
            out.is_dir() and {path.name for path in out.iterdir()} <= {_CONFIG}
        ):
            raise TrainingError(
                f"{out}: exists and is no pruning that was stopped; pass a folder that "
                "does not exist"
            )
        return PruningState()
    if is_finished(out):
        raise TrainingError(f"{out}: holds a finished run; pass another folder")
    found = _made_before(described)
    for key, value in _made_by(run, options).items():
        if found.get(key) != value:
            raise TrainingError(
                f"{out}: holds another run, or a pruning of another ({key} is "
                f"{found.get(key)!r}, not {value!r}); pass another folder, or remove it"
            )
    return _read(out / CHECKPOINT)


def describe_pruned(
    out: Path, run: Path, config: ExperimentConfig, options: PruneOptions
) -> None:
    """Write `config.toml` and `run.json` of a new pruning into its folder.

    The description is the run's, since it was trained on the same recordings, and
    `pruned`, which says of what it was made, and how.
    """
    if (out / DESCRIPTION).is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    origin = json.loads((run / DESCRIPTION).read_text("utf-8"))
    made_by = _made_by(run, options)
    made_by |= {"versions": versions(), "git": git_revision()}
    # `run.json` comes second: where it exists, both files are complete.
    write_text(to_toml(config), out / _CONFIG)
    whole = origin | {"pruned": made_by}
    write_text(json.dumps(whole, indent=2) + "\n", out / DESCRIPTION)


def _made_before(described: Path) -> dict[str, Any]:
    """Return what a run says of its pruning; nothing if it is of another kind."""
    try:
        found = json.loads(described.read_text("utf-8")).get("pruned") or {}
        return dict(found)
    except (ValueError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"{described}: is not what a pruning writes ({error}); pass another "
            "folder, or remove it"
        ) from error


def _made_by(run: Path, options: PruneOptions) -> dict[str, Any]:
    return {"run_sha256": file_sha256(run / WEIGHTS), **options.to_dict()}


def write_state(state: PruningState, out: Path) -> None:
    """Write the checkpoint of the finished steps, in place of the one before."""
    plain = vars(state) | {"steps": [asdict(step) for step in state.steps]}
    # torch raises this when it cannot write.
    with replacing(out / CHECKPOINT, errors=(RuntimeError,)) as whole:
        torch.save(plain, whole)


def _read(path: Path) -> PruningState:
    if not path.exists():
        return PruningState()
    try:
        # torch treats any file that is not a zip file as one of its older formats.
        plain = torch.load(path, weights_only=True) if is_zipfile(path) else {}
        steps = [PruningStep(**step) for step in plain["steps"]]
        return replace(PruningState(**plain), steps=steps)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: is no checkpoint of this pruning; remove it to start anew"
        ) from error
