"""`python -m research.compression`: how small before strangers suffer?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from research.compression.costs import measure_costs
from research.compression.figure import plot_frontier
from research.compression.systems import DATA, read_systems
from research.peers.clips import CORPORA
from research.run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from research.compression.systems import System

_HERE = Path(__file__).parent
_DESCRIPTION = """\
How small can a model be before strangers suffer? `costs` measures sizes and times of
the bundled models, and of the architectures of others in int8; `report` draws
frontier.png and prints the table from the files in data/ and from those of
research.peers."""


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.compression",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="COMMAND", required=True)
    costs = actions.add_parser("costs", help="measure sizes and times into data/")
    costs.add_argument(
        "--out", type=Path, default=DATA / "costs.csv", metavar="CSV", help="the file"
    )
    costs.set_defaults(study=_costs)
    report = actions.add_parser("report", help="draw the figure, print the table")
    report.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="folder of the tables"
    )
    report.add_argument(
        "--out",
        type=Path,
        default=_HERE / "frontier.png",
        metavar="PNG",
        help="the figure (default: research/compression/frontier.png)",
    )
    report.set_defaults(study=_report)
    args = parser.parse_args(argv)
    return run(args.study, args)


def _costs(args: argparse.Namespace) -> int:
    measure_costs(args.out)
    return 0


def _report(args: argparse.Namespace) -> int:
    systems = read_systems(args.data)
    plot_frontier(systems, args.out)
    print(to_markdown(systems))
    return 0


def to_markdown(systems: Sequence[System]) -> str:
    """Return the table of all systems, empty where nothing is known."""
    names = ["system", "mean UA %", *CORPORA, "MB", "ms of 8 s", "parameters"]
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    for system in systems:
        by_corpus = [_number(system.by_corpus.get(name), 1) for name in CORPORA]
        ua = _number(system.ua, 1)
        if not ua and system.published is not None:
            ua = f"published: {system.published:.1f} ({system.of})"
        small = system.megabytes is not None and system.megabytes < 0.1
        cells = [
            system.name,
            ua,
            *by_corpus,
            _number(system.megabytes, 3 if small else 2),
            _number(system.milliseconds, 1),
            "" if system.parameters is None else f"{system.parameters:,}",
        ]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


if __name__ == "__main__":
    sys.exit(main())
