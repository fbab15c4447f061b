"""Fuzz `analyze` with mutated recordings and model folders: crashes, hangs, memory.

    python benchmarks/fuzz/run.py recordings --n 100000 --json recordings.json
    python benchmarks/fuzz/run.py models --n 10000 --json models.json

Item i of a seed always has the same bytes, so that `--first i --n 1 --keep DIR` writes
it again. Items run in a separate process, which is killed if one of them takes 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.fuzz.items import make_seeds, mutated_model, mutated_recording, try_item

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 10.0
LARGEST_BYTES = 1e9
_MAKE = {"recordings": mutated_recording, "models": mutated_model}


def main() -> None:
    """Run items in worker processes, or act as a worker (`--worker`)."""
    args = _arguments()
    if args.worker:
        _work(args)
        return
    with TemporaryDirectory(prefix="espressivo-fuzz-") as folder:
        args.seeds = args.seeds or Path(folder) / "seeds"
        make_seeds(args.seeds)
        found = _run(args, Path(folder))
    outcomes = Counter(item["outcome"] for item in found)
    bad = [item for item in found if item["outcome"] in {"crash", "hang", "memory"}]
    largest = max((item["peak_bytes"] for item in found), default=0)
    print(f"{len(found)} {args.kind}, seed {args.seed}: {dict(outcomes.most_common())}")
    print(f"largest process: {largest / 1e6:.0f} MB")
    for item in bad:
        print(f"  item {item['index']}: {item['outcome']}: {item['told']}")
    if args.json:
        told = Counter(item["told"] for item in found if item["outcome"] == "error")
        content = {
            "kind": args.kind,
            "seed": args.seed,
            "first": args.first,
            "n": len(found),
            "outcomes": outcomes,
            "largest_bytes": largest,
            "bad": bad,
            "errors": told.most_common(60),
        }
        args.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    sys.exit(1 if bad else 0)


def _run(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Run all items in one process; start another after each item that ended it."""
    from rich.progress import track  # noqa: PLC0415

    items = _items(args, folder)
    return list(track(items, total=args.n, description=args.kind))


def _items(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    index, end = args.first, args.first + args.n
    while index < end:
        command = [sys.executable, __file__, args.kind, "--worker"]
        command += ["--seed", str(args.seed), "--first", str(index)]
        command += ["--n", str(end - index), "--seeds", str(args.seeds)]
        command += ["--keep", str(args.keep or folder / "item")]
        with (
            TemporaryFile("w+", encoding="utf-8") as words,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=words, text=True
            ) as process,
        ):
            for item in _followed(process, words, index):
                index = item["index"] + 1
                yield item
            process.kill()


def _followed(
    process: subprocess.Popen[str], words: IO[str], index: int
) -> Iterator[dict[str, Any]]:
    """Yield the outcomes that a process reports; the last may be that it ended."""
    assert process.stdout is not None
    waiting = selectors.DefaultSelector()
    waiting.register(process.stdout, selectors.EVENT_READ)
    patience_s = PATIENCE_S + 20.0  # the first item includes the imports
    while True:
        if not waiting.select(patience_s):
            process.kill()
            yield _ended(index, "hang", f"more than {PATIENCE_S:g} s")
            return
        if not (line := process.stdout.readline()):
            if process.wait():
                words.seek(0)
                lines = words.read().strip().splitlines() or ["no word"]
                told = f"exit {process.returncode}: {lines[-1]}"
                yield _ended(index, "crash", told)
            return
        item: dict[str, Any] = json.loads(line)
        if item["peak_bytes"] > LARGEST_BYTES and item["outcome"] != "crash":
            item |= {"outcome": "memory", "told": f"{item['peak_bytes'] / 1e6:.0f} MB"}
        index, patience_s = item["index"] + 1, PATIENCE_S
        yield item
        if item["outcome"] == "memory":
            return


def _ended(index: int, outcome: str, told: str) -> dict[str, Any]:
    return {"index": index, "outcome": outcome, "told": told, "peak_bytes": 0}


def _work(args: argparse.Namespace) -> None:
    # Output of C libraries goes to stderr, so that stdout holds JSON lines only.
    ours = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for index in range(args.first, args.first + args.n):
        path = _MAKE[args.kind](args.seeds, args.keep, args.seed, index)
        outcome, told = try_item(args.kind, path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        item = {"index": index, "outcome": outcome, "told": told, "peak_bytes": peak}
        print(json.dumps(item), file=ours, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=list(_MAKE))
    parser.add_argument("--n", type=int, default=1000, help="how many items")
    parser.add_argument("--first", type=int, default=0, help="index of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the last item")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome")
    parser.add_argument("--seeds", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
