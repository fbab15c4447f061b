"""A system that needs no training: an exported model as it is.

    python -m research.peers.pretrained MODEL TABLE OUT

An example of such systems: it reads `id` and `path`, and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from espressivo.model.classifier import load_classifier
from espressivo.model.find import find_model
from research.peers.features import cpu_time, load_clip
from research.peers.table import EMOTIONS, Cost, read_table, write_probabilities
from research.run import run

TIMED_CLIPS = 20


def main(argv: list[str] | None = None) -> int:
    """Predict the clips of a table and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.peers.pretrained", description=str(__doc__)
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("table", type=Path, metavar="TABLE")
    parser.add_argument("out", type=Path, metavar="OUT")
    return run(_predict, parser.parse_args(argv))


def _predict(args: argparse.Namespace) -> int:
    folder = find_model(args.model)
    classifier = load_classifier(folder)
    order = [[str(e) for e in classifier.card.emotions].index(e) for e in EMOTIONS]
    _, rows = read_table(args.table)
    signals = [load_clip(row.path)[None] for row in rows]
    found = np.concatenate([classifier(signal)[:, order] for signal in signals])
    timed = [s[0] for s in signals[:: -(-len(signals) // TIMED_CLIPS)]]
    cost = Cost(
        n_bytes=(folder / "model.onnx").stat().st_size,
        ms_per_s=cpu_time(lambda signal: classifier(signal[None]), timed),
    )
    write_probabilities(args.out, [row.id for row in rows], found, cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
