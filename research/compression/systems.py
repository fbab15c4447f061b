"""The systems of the frontier: scores, costs, and what others have published."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from research.peers.clips import CORPORA

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parent / "data"
PEERS = Path(__file__).parents[1] / "peers/data"


@dataclass(frozen=True, slots=True)
class System:
    """A system of the table and the figure.

    Attributes:
        name: Its name.
        by_corpus: Corpus -> UA of strangers in percent; empty if nobody measured it.
        published: UA in percent as published, of other data; None without any.
        of: What the published UA is of.
        megabytes: Size in 10^6 bytes; None if not known.
        milliseconds: Processor time of 8 s on one thread; None if it was not measured
            with the others, as that of research.peers was not.
        parameters: Number of parameters; None if not known.
        is_ours: Whether it is a bundled model.
    """

    name: str
    by_corpus: Mapping[str, float]
    published: float | None
    of: str
    megabytes: float | None
    milliseconds: float | None
    parameters: int | None
    is_ours: bool

    @property
    def ua(self) -> float | None:
        """Mean UA of strangers over the corpora, in percent; None if one is missing."""
        if set(CORPORA) - set(self.by_corpus):
            return None
        return fmean(self.by_corpus[name] for name in CORPORA)


def read_systems(data: Path = DATA, peers: Path = PEERS) -> list[System]:
    """Read the systems in the order of systems.csv.

    Args:
        data: Folder of systems.csv, uas.csv and costs.csv.
        peers: Folder of scores.csv and costs.csv of research.peers, which a system of
            systems.csv names in its column `peer`.

    Raises:
        CorpusError: uas.csv or costs.csv name a system that systems.csv does not.
    """
    systems = _rows(data / "systems.csv")
    uas, costs = _rows(data / "uas.csv"), _rows(data / "costs.csv")
    known = {row["system"] for row in systems}
    for row in [*uas, *costs]:
        if row["system"] not in known:
            raise CorpusError(
                f"{data}: '{row['system']}' is in uas.csv or costs.csv, but not in "
                "systems.csv; add it there"
            )
    scores = {name: _scores_of(uas, name) for name in known}
    spent = {row["system"]: row for row in costs}
    peer_scores, peer_costs = _rows(peers / "scores.csv"), _rows(peers / "costs.csv")
    for row in systems:
        if name := row["peer"]:
            found = _scores_of(peer_scores, name, "scored_on")
            scores[row["system"]] = {c: found[c] for c in CORPORA}
            (cost,) = (cost for cost in peer_costs if cost["system"] == name)
            spent[row["system"]] = {
                "megabytes": str(float(cost["bytes"]) / 1e6),
                "parameters": cost["parameters"],
            }
    return [
        _system(row, scores[row["system"]], spent.get(row["system"], {}))
        for row in systems
    ]


def _system(
    row: Mapping[str, str], scores: Mapping[str, float], spent: Mapping[str, str]
) -> System:
    # What is measured counts, else what is published.
    cost = {**row, "milliseconds": ""} | {k: v for k, v in spent.items() if v}
    return System(
        name=row["system"],
        by_corpus=scores,
        published=_number(row["published_ua"]),
        of=row["data"],
        megabytes=_number(cost["megabytes"]),
        milliseconds=_number(cost["milliseconds"]),
        parameters=int(cost["parameters"]) if cost["parameters"] else None,
        is_ours=row["system"].startswith("espressivo-"),
    )


def _scores_of(
    rows: list[dict[str, str]], name: str, corpus: str = "corpus"
) -> dict[str, float]:
    return {row[corpus]: float(row["ua"]) for row in rows if row["system"] == name}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float | None:
    return float(text) if text else None
