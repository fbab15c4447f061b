"""The Pareto front of a study as a table, as recipes' settings, and as a figure."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from espressivo.files.atomic import replacing, write_text
from espressivo.training.compress.search.space import describe
from espressivo.training.figures.pareto import Point, plot_pareto
from espressivo.training.toml import to_toml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from espressivo.training.compress.search.space import Shape
    from espressivo.training.networks import NetworkConfig


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A student that was distilled briefly.

    Attributes:
        shape: Its settings of [network].
        ua: Mean of `by_corpus`, 0 to 1.
        by_corpus: Corpus that was left out -> UA, 0 to 1.
        megabytes: Size in int8, in 10^6 bytes.
        milliseconds: Time of an 8 s window in int8, on one thread.
        n_parameters: Number of parameters.
    """

    shape: Shape
    ua: float
    by_corpus: Mapping[str, float]
    megabytes: float
    milliseconds: float
    n_parameters: int


def write_front(
    points: Sequence[FrontPoint],
    folder: Path,
    network: NetworkConfig,
    commands: Sequence[str],
) -> None:
    """Write front.csv, front.toml and front.png into a study's folder.

    Args:
        points: The front, at least one student.
        folder: The study's folder.
        network: Settings that the students share.
        commands: For each student the command that trains it in full.
    """
    rows = [row_of(point) for point in points]
    with (
        replacing(folder / "front.csv") as whole,
        whole.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    parts = [
        _to_toml(row, replace(network, **point.shape), command)
        for row, point, command in zip(rows, points, commands, strict=True)
    ]
    write_text("\n".join(parts), folder / "front.toml")
    marks = [
        Point(
            describe(point.shape),
            point.ua,
            size_mb=point.megabytes,
            time_ms=point.milliseconds,
        )
        for point in points
    ]
    corpora = ", ".join(points[0].by_corpus)
    title = f"mean UA of {corpora}, which chose; time of 8 s on one thread"
    plot_pareto(marks, folder / "front.png", title)


def row_of(point: FrontPoint) -> dict[str, Any]:
    """Return a student as the row of a table: UA in percent, rounded."""
    return {
        **point.shape,
        "ua": round(100 * point.ua, 2),
        **{f"ua_{name}": round(100 * ua, 2) for name, ua in point.by_corpus.items()},
        "megabytes": round(point.megabytes, 3),
        "milliseconds": round(point.milliseconds, 2),
        "parameters": point.n_parameters,
    }


def _to_toml(row: Mapping[str, Any], network: NetworkConfig, command: str) -> str:
    # Numbers and text are written alike in TOML and JSON.
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in row.items()]
    lines.append(f"command = {json.dumps(command)}")
    return "\n".join(["[[front]]", *lines, "", "[front.network]", to_toml(network)])
