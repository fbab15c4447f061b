"""The systems that are compared: commands, each run on every fold."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ConfigError, TrainingError
from espressivo.training.toml import build, read_toml
from research.peers.clips import FOLDS, select_tested, split
from research.peers.table import (
    Cost,
    read_cost,
    read_probabilities,
    write_paths,
    write_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from research.peers.clips import Clip

SYSTEMS = Path(__file__).with_name("systems.toml")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ALL = "all"  # name of the table that holds every tested clip


@dataclass(frozen=True, slots=True)
class System:
    """A system.

    Attributes:
        title: Name in the table.
        command: Command line, to which the paths of two tables are added. `{python}`,
            `{data}` and `{cache}` are replaced.
        pretrained: Whether it needs no training: it then gets all clips at once, and
            nothing but their paths.
        knows: Corpora that a pretrained system was trained on, which do not count.
    """

    title: str
    command: str
    pretrained: bool = False
    knows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a system says of clips of which it trained on no speaker.

    Attributes:
        ids: Ids of the clips [N].
        probabilities: [N, 4], in the order of `Emotion`.
        cost: What it costs; the median over the folds.
    """

    ids: list[str]
    probabilities: NDArray[np.float32]
    cost: Cost


def read_systems(path: Path = SYSTEMS) -> dict[str, System]:
    """Read the systems by name.

    Raises:
        ConfigError: The file is absent, is no TOML, or has a wrong key or value.
    """
    systems = {
        name: build(System, table, f"{path}, {name}")
        for name, table in read_toml(path).items()
    }
    for name, system in systems.items():
        if system.knows and not system.pretrained:
            raise ConfigError(
                f"{path}, {name}: knows corpora, but is not pretrained; a system that "
                "is trained here may not know any"
            )
        if wrong := sorted(set(system.knows) - set(FOLDS)):
            raise ConfigError(
                f"{path}, {name}: knows {', '.join(wrong)}, which is none of the "
                f"corpora here: {', '.join(FOLDS)}"
            )
    return systems


def run_system(
    name: str,
    system: System,
    clips: Sequence[Clip],
    *,
    data: Path,
    cache: Path,
    on_done: Callable[[str], None] | None = None,
) -> Predictions:
    """Run a system on every fold; folds that are done already are not repeated.

    Args:
        name: The system's name, under which its tables are cached.
        system: The system.
        clips: All clips.
        data: Folder of corpora, weights and noise.
        cache: Folder of the tables.
        on_done: Callback after every fold, with its name.

    Raises:
        TrainingError: The command fails, or does not write what it should.
    """
    ids: list[str] = []
    probabilities, costs = [], []
    for fold in (_ALL,) if system.pretrained else FOLDS:
        table = cache / "tables" / f"{fold}.csv"
        train, test = ([], select_tested(clips)) if fold == _ALL else split(clips, fold)
        test = [clip for clip in test if clip.utterance.corpus not in system.knows]
        if system.pretrained:
            table = cache / "tables" / f"{name}.csv"
            write_paths(table, test)
        else:
            write_table(table, train, test)
        out = cache / "outputs" / name / f"{fold}.csv"
        names = [clip.utterance.id for clip in test]
        if not out.is_file():
            out.parent.mkdir(parents=True, exist_ok=True)
            places = {"python": sys.executable, "data": data, "cache": cache}
            _run(system.command, places, table, out)
        ids += names
        probabilities.append(read_probabilities(out, names))
        costs.append(read_cost(out))
        if on_done is not None:
            on_done(fold)
    return Predictions(ids, np.concatenate(probabilities), _median(costs))


def _run(command: str, places: Mapping[str, object], table: Path, out: Path) -> None:
    # Split before the places are filled in, which may hold spaces.
    words = [word.format(**places) for word in shlex.split(command)]
    # More threads would wait for each other on a busy machine, and blur the times.
    env = os.environ | dict.fromkeys(_THREADS, "1")
    done = subprocess.run([*words, str(table), str(out)], check=False, env=env)
    if done.returncode:
        raise TrainingError(
            f"{shlex.join(words)}: exit code {done.returncode} on {table}; run it by "
            "hand to see why"
        )


def _median(costs: Sequence[Cost]) -> Cost:
    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.median(known)) if known else None

    n_bytes = median([cost.n_bytes for cost in costs])
    n_parameters = median([cost.n_parameters for cost in costs])
    return Cost(
        None if n_bytes is None else round(n_bytes),
        None if n_parameters is None else round(n_parameters),
        median([cost.ms_per_s for cost in costs]),
    )
