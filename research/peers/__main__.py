"""`python -m research.peers`: systems compared on corpora that they never met."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from espressivo.cli.display.progress import counting_bar
from espressivo.errors import ConfigError
from research.peers.clips import read_clips
from research.peers.figure import plot_peers
from research.peers.predictions import (
    load_clips,
    load_predictions,
    write_clips,
    write_predictions,
)
from research.peers.report import to_markdown, write_costs, write_csv
from research.peers.results import score_systems
from research.peers.systems import SYSTEMS, read_systems, run_system
from research.run import run

_HERE = Path(__file__).parent
_DESCRIPTION = """\
Which system recognizes the emotions of strangers best, and what does it cost? Every
system trains on the same clips and is tested on the one corpus of seven that was left
out; half of LibriSpeech's speakers always train, as neutral, and the others are tested.
A system is any command that reads a table of clips and writes probabilities; see
research/peers/README.md."""

_EPILOG = """\
examples:
  python -m research.peers run --data ../shared --cache /tmp/peers
  python -m research.peers run egemaps-logistic light-sernet --data ../shared \\
    --cache /tmp/peers
  python -m research.peers report

A stopped run resumes: features, and folds that are done, are in the cache. `report`
needs neither corpora nor features: it makes tables and figure of the stored
predictions."""


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.peers",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    runs = commands.add_parser("run", help="run systems and store their predictions")
    runs.set_defaults(study=_run)
    runs.add_argument(
        "systems", nargs="*", metavar="SYSTEM", help="names (default: all systems)"
    )
    runs.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("ESPRESSIVO_DATA"),
        metavar="DIR",
        help="folder of corpora/, speech/, noise/ and weights/ (default: the "
        "environment variable ESPRESSIVO_DATA)",
    )
    runs.add_argument(
        "--cache",
        type=Path,
        required=True,
        metavar="DIR",
        help="keep clips, features, tables and training runs here",
    )
    report = commands.add_parser("report", help="print the tables, draw the figure")
    report.set_defaults(study=_report)
    report.add_argument(
        "--reference",
        default="espressivo-base",
        metavar="SYSTEM",
        help="what the others are compared with (default: %(default)s)",
    )
    report.add_argument(
        "--out",
        type=Path,
        default=_HERE,
        metavar="DIR",
        help="write peers.png, and data/scores.csv and data/costs.csv, into this "
        "folder (default: research/peers)",
    )
    for command in (runs, report):
        command.add_argument(
            "--file",
            type=Path,
            default=SYSTEMS,
            metavar="TOML",
            help="the systems (default: research/peers/systems.toml)",
        )
        command.add_argument(
            "--predictions",
            type=Path,
            default=_HERE / "data",
            metavar="DIR",
            help="folder of the predictions (default: research/peers/data)",
        )
    args = parser.parse_args(argv)
    return run(args.study, args)


def _run(args: argparse.Namespace) -> int:
    systems = read_systems(args.file)
    if unknown := sorted(set(args.systems) - systems.keys()):
        raise ConfigError(
            f"{args.file}: has no system '{unknown[0]}'; it has {', '.join(systems)}"
        )
    if args.data is None:
        raise ConfigError("no folder of corpora; pass --data, or set ESPRESSIVO_DATA")
    os.environ["ESPRESSIVO_DATA"] = str(args.data.absolute())  # for the recipes
    with counting_bar("clips") as progress:
        clips = read_clips(args.data.absolute(), args.cache.absolute(), progress)
    write_clips(clips, args.predictions)
    for name in args.systems or systems:

        def tell(fold: str, name: str = name) -> None:
            print(f"{name}: {fold}", file=sys.stderr)

        found = run_system(
            name,
            systems[name],
            clips,
            data=args.data.absolute(),
            cache=args.cache.absolute(),
            on_done=tell,
        )
        write_predictions(name, found, args.predictions)
    return 0


def _report(args: argparse.Namespace) -> int:
    systems = read_systems(args.file)
    clips = load_clips(args.predictions)
    predictions = {
        name: load_predictions(name, args.predictions)
        for name in systems
        if (args.predictions / f"{name}.parquet").is_file()
    }
    results = score_systems(clips, predictions, args.reference)
    data = args.out / "data"
    data.mkdir(parents=True, exist_ok=True)
    write_csv(results, data / "scores.csv")
    write_costs(results, data / "costs.csv")
    plot_peers(results, args.out / "peers.png")
    print(to_markdown(results, systems, args.reference))
    return 0


if __name__ == "__main__":
    sys.exit(main())
