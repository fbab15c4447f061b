"""Benchmarks of `espressivo archive`: broken files, kills, engines, rates (Linux).

    python benchmarks/archive/run.py broken --n 2000 --json broken.json
    python benchmarks/archive/run.py kills --n 500 --kills 200 --json kills.json
    python benchmarks/archive/run.py engines --n 2000 --rounds 3 --json engines.json
    python benchmarks/archive/run.py rates --n 300 --json rates.json

All of them run the command itself on a manifest of real recordings. `broken`: a tenth
of the recordings is broken in twelve ways; each must be one row, and memory is
measured. `kills`: the command and its workers are killed at random until the tables are
finished; these must equal the tables of an undisturbed run, byte for byte. `engines`:
recordings per second with one worker, with two, and on a Ray cluster of this machine,
also when a worker is killed. `rates`: cost per note by its length. The exit code is 1
if tables or exit codes are wrong.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from espressivo.machine import n_cores, processor_name

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.archive.engines import engines
from benchmarks.archive.faults import broken
from benchmarks.archive.kills import kills
from benchmarks.archive.rates import rates
from benchmarks.shared import shared_path

_MOST_PROBLEMS = 20
_COMMANDS = {"broken": broken, "kills": kills, "engines": engines, "rates": rates}


def main() -> None:
    """Run one of the benchmarks; print its figures and its problems."""
    args = _arguments()
    # SIGTERM would skip the `finally` blocks that end commands and cluster.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with TemporaryDirectory(prefix="espressivo-archive-") as folder:
        found = _COMMANDS[args.what](args, Path(folder))
    problems = found["problems"]
    for problem in problems[:_MOST_PROBLEMS]:
        print(f"PROBLEM: {problem}")
    if len(problems) > _MOST_PROBLEMS:
        print(f"... {len(problems)} problems in all")
    if args.json:
        machine = {"processor": processor_name(), "cores": n_cores()}
        asked = {"what": args.what, "n": args.n, "seed": args.seed}
        content = {**asked, "machine": machine, **found}
        args.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    sys.exit(1 if problems else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    n_default = {"broken": 2000, "kills": 500, "engines": 2000, "rates": 300}
    parsers = {}
    for name, n in n_default.items():
        one = parsers[name] = commands.add_parser(name)
        what = (
            "notes of 30 s; other lengths get the same total duration"
            if name == "rates"
            else "recordings"
        )
        one.add_argument(
            "--n", type=int, default=n, help=f"how many {what} (%(default)s)"
        )
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
        if name != "rates":
            one.add_argument(
                "--recordings",
                type=shared_path,
                default="$ESPRESSIVO_DATA/corpora",
                metavar="DIR",
            )
    parsers["kills"].add_argument(
        "--kills", type=int, default=200, help="(%(default)s)"
    )
    parsers["engines"].add_argument(
        "--rounds", type=int, default=3, help="(%(default)s)"
    )
    parsers["rates"].add_argument(
        "--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech", metavar="DIR"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
