"""The folder of a study: what it is a study of, and the lock of its processes.

It holds `study.json` (recipe, teachers, recordings), `costs.json` (what every shape
costs), `study.db` (Optuna's trials), `trials/SHAPE`, the run folder of each trial, and
in the end `front.csv`, `front.toml` and `front.png`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from espressivo.errors import TrainingError
from espressivo.files.atomic import write_text
from espressivo.files.locks import locked
from espressivo.training.runs.folder import describe_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.compress.search.space import Space
    from espressivo.training.compress.teachers import Teacher
    from espressivo.training.config import ExperimentConfig

STUDY = "study.json"

_PATIENCE_S = 1800.0  # another process may be measuring every shape


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold the lock under which processes measure costs and choose trials.

    Raises:
        TrainingError: Another process has held it for half an hour.
    """
    try:
        with locked(folder / "study.lock", _PATIENCE_S):
            yield
    except TimeoutError as error:
        raise TrainingError(
            f"{folder}: another process has held study.lock for {_PATIENCE_S:.0f} s; "
            "end it, and run the command again"
        ) from error


def describe_study(
    config: ExperimentConfig,
    space: Space,
    teachers: Sequence[Teacher],
    clips: Mapping[str, Sequence[LoadedClip]],
) -> dict[str, Any]:
    """Return everything that determines the trials of a study, as JSON values.

    Args:
        config: The recipe.
        space: The values that are searched.
        teachers: The teachers.
        clips: Part (labelled, unlabelled, or a corpus left out) -> its clips.
    """
    # Corpora may lie elsewhere; their recordings are compared.
    recipe = {k: v for k, v in asdict(config).items() if k not in ("corpora", "search")}
    described = {
        "recipe": recipe | {"search.epochs": config.search.epochs},
        "space": space,
        "teacher": {
            name: ", ".join(hashes) for name, hashes in _by_name(teachers).items()
        },
        "recordings": {
            part: describe_run(config, chosen)["utterances_sha256"]
            for part, chosen in clips.items()
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(described, default=str))
    return plain


def open_folder(folder: Path, described: Mapping[str, Any]) -> None:
    """Write what a study is of, or check that the folder holds this study.

    Raises:
        TrainingError: The folder holds a study of something else, or other files.
    """
    path = folder / STUDY
    if not path.is_file():
        write_text(json.dumps(described, indent=2) + "\n", path)
        return
    try:
        before = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise TrainingError(
            f"{path}: is no JSON ({error}); remove the folder, or pass another --study"
        ) from error
    then, now = _flat(before), _flat(described)
    for key in [*now, *then]:
        if then.get(key) != now.get(key):
            raise TrainingError(
                f"{folder}: holds a study with {_name(key, then)}, not "
                f"{_name(key, now)}; pass another --study, or remove it"
            )


def _by_name(teachers: Sequence[Teacher]) -> dict[str, list[str]]:
    """Return name -> SHA-256 of the weights of every teacher that has this name."""
    found: dict[str, list[str]] = {}
    for teacher in teachers:
        described = teacher.described
        found.setdefault(described["name"], []).append(described["weights_sha256"])
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key} ")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _name(key: str, table: Mapping[str, Any]) -> str:
    return f"{key} {table[key]}" if key in table else f"no {key}"
