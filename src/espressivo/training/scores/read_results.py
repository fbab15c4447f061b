"""Result folders of `espressivo crossval`, finished or not, read back for tables."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.scores.crossval_results import (
    Answers,
    Results,
    Run,
)
from espressivo.training.scores.evaluation import (
    PREDICTIONS,
    Failure,
)
from espressivo.types import Emotion

__all__ = ["CARD", "SCHEMA", "Results", "read_card", "read_results"]

CARD = "crossval.json"
"""What a result folder calls the description of the runs."""

SCHEMA = "espressivo.crossval/1"
"""Name and version of that description."""


def read_results(folder: Path) -> Results:
    """Read a folder that `espressivo crossval` wrote, finished or not.

    What is there counts: folds or seeds that are missing are missing from the tables,
    which say so.

    Args:
        folder: Holds `crossval.json`, and `predictions.parquet` or, when the run was
            cut short, that of some runs in `<fold>/seed-<n>/`.

    Raises:
        TrainingError: It is no result folder, a table is broken, or no fold is
            finished.
    """
    card = read_card(folder)
    planned, seeds = tuple(card["folds"]), tuple(map(int, card["seeds"]))
    test, validation = _read_rows(folder, planned, seeds)
    answers = _to_answers(test, folder)
    _require_sound(answers, planned, seeds, folder)
    unreadable = tuple(
        Failure(str(u["id"]), Path(u["path"]), str(u["reason"]))
        for u in card.get("unreadable", ())
    )
    return Results(
        folder=folder,
        name=str(card["name"]),
        protocol=str(card["protocol"]),
        planned_folds=planned,
        planned_seeds=seeds,
        network=str(card.get("network", "")),
        n_parameters=card.get("n_parameters"),
        n_trained=card.get("n_trained"),
        unreadable=unreadable,
        answers=answers,
        calm="as neutral" if (answers.originals == "calm").any() else "",
        chosen_by_test=_chosen_by_test(test, validation),
        validation=_to_answers(validation, folder) if validation["id"] else None,
        card=card,
    )


_NEEDED = ("name", "protocol", "folds", "seeds")


def read_card(folder: Path) -> dict[str, Any]:
    """Read `crossval.json`.

    Raises:
        TrainingError: It is not there, broken, or of another schema.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: is not there or broken ({error}); name a folder that "
            "`espressivo crossval CONFIG --out` wrote"
        ) from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise TrainingError(f"{path}: its schema is not {SCHEMA}; run crossval again")
    if missing := [name for name in _NEEDED if name not in card]:
        raise TrainingError(
            f"{path}: does not say {', '.join(missing)}; run crossval again"
        )
    return card


Columns: TypeAlias = dict[str, list[Any]]


def _read_rows(
    folder: Path, folds: tuple[str, ...], seeds: tuple[int, ...]
) -> tuple[Columns, Columns]:
    """Read the rows of the test and of the validation parts."""
    whole = folder / PREDICTIONS
    rows = _read_table(whole) if whole.is_file() else {}
    gathered = set(zip(rows.get("fold", ()), rows.get("seed", ()), strict=True))
    for fold, seed in product(folds, seeds):
        path = folder / fold / f"seed-{seed}" / PREDICTIONS
        # A killed crossval has put none of its runs together, or only earlier ones.
        if (fold, seed) not in gathered and path.is_file():
            for name, column in _read_table(path, fold, seed).items():
                rows.setdefault(name, []).extend(column)
    if "test" not in rows.get("part", ()):
        raise TrainingError(
            f"{folder}: no fold is finished; run the same `espressivo crossval` again, "
            "which goes on where it stopped"
        )
    return _part(rows, "test"), _part(rows, "validation")


def _part(rows: Columns, name: str) -> Columns:
    kept = [i for i, part in enumerate(rows["part"]) if part == name]
    return {key: [column[i] for i in kept] for key, column in rows.items()}


def _read_table(path: Path, fold: str = "", seed: int = 0) -> Columns:
    """Read one table; that of a single run need not name its fold and seed."""
    import pyarrow as pa  # noqa: PLC0415 - slow, and only for this
    from pyarrow import parquet  # noqa: PLC0415

    names = [
        "part",
        "id",
        "corpus",
        "speaker",
        "emotion",
        "original",
        *map(str, Emotion),
    ]
    if not fold:
        names = ["fold", "seed", *names]
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TrainingError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); run the same "
            "`espressivo crossval` again"
        ) from error
    if absent := [name for name in names if name not in table.column_names]:
        raise TrainingError(
            f"{path}: has no column {', '.join(absent)}; a table of crossval has "
            f"{', '.join(names)}"
        )
    columns: Columns = table.select(names).to_pydict()
    if fold:
        columns |= {"fold": [fold] * len(table), "seed": [seed] * len(table)}
    return columns


def _chosen_by_test(test: Columns, validation: Columns) -> bool:
    """Whether a fold was validated on what it tests."""
    first, second = (
        set(zip(part["fold"], part["id"], strict=True)) for part in (test, validation)
    )
    return not first.isdisjoint(second)


def _to_answers(table: Columns, path: Path) -> Answers:
    order = {str(emotion): i for i, emotion in enumerate(Emotion)}
    if strange := set(table["emotion"]) - set(order):
        raise TrainingError(
            f"{path}: emotions {', '.join(sorted(map(str, strange)))}, not only "
            f"{', '.join(order)}; run crossval again"
        )
    originals = [str(o or "") for o in table["original"]]
    answers = Answers(
        folds=np.array(table["fold"], np.str_),
        seeds=np.array(table["seed"], np.int64),
        ids=np.array(table["id"], np.str_),
        corpora=np.array(table["corpus"], np.str_),
        speakers=np.array(table["speaker"], np.str_),
        originals=np.array(originals, np.str_),
        labels=np.array([order[e] for e in table["emotion"]], np.intp),
        probabilities=np.column_stack([table[e] for e in order]).astype(np.float64),
    )
    # Sums in one order are the same to the last digit, whoever wrote the rows first.
    return answers.where(np.lexsort((answers.seeds, answers.folds, answers.ids)))


def _require_sound(
    answers: Answers, folds: tuple[str, ...], seeds: tuple[int, ...], path: Path
) -> None:
    """Refuse tables that would give wrong scores without a word."""
    a = answers
    if strange := set(a.folds.tolist()) - set(folds):
        raise TrainingError(
            f"{path}: fold {min(strange)} is none of {CARD}; run crossval again"
        )
    if extra := set(a.seeds.tolist()) - set(seeds):
        raise TrainingError(
            f"{path}: seed {min(extra)} is none of {CARD}; run crossval again"
        )
    if not np.allclose(a.probabilities.sum(1), 1, atol=1e-3):  # NaN is not close
        raise TrainingError(
            f"{path}: probabilities do not sum to 1 in every row; run crossval again"
        )
    rows = list(zip(a.folds.tolist(), a.seeds.tolist(), a.ids.tolist(), strict=True))
    tested: dict[Run, set[str]] = {}
    for fold, seed, id_ in rows:
        tested.setdefault((fold, seed), set()).add(id_)
    if sum(map(len, tested.values())) < len(rows):
        raise TrainingError(
            f"{path}: a run tests an utterance twice; run crossval again"
        )
    for fold, seed in sorted(tested):
        ids = tested[fold, seed]
        other = min(s for f, s in tested if f == fold)
        first = tested[fold, other]
        if ids != first:
            raise TrainingError(
                f"{path}: in fold {fold}, seeds {other} and {seed} do not test the "
                f"same utterances ({len(first)} and {len(ids)}); run crossval again"
            )
