"""Corpora and speech that benchmarks read, below one folder named by `$SHARED`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]


def shared_path(text: str) -> Path:
    """Resolve a command-line path, in which a leading `$SHARED` is that folder.

    `SHARED` is an environment variable; without it, the folder `shared` beside the
    checkout is used.

    Raises:
        argparse.ArgumentTypeError: The path does not exist.
    """
    beside = ROOT.parent / "shared"
    path = Path(text.replace("$SHARED", os.environ.get("SHARED", str(beside)), 1))
    if not path.exists():
        raise argparse.ArgumentTypeError(
            f"{path} does not exist; pass another folder, or set SHARED to the folder "
            "that holds corpora/ and speech/"
        )
    return path
