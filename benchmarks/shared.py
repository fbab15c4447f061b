"""Corpora and speech that benchmarks read, below the folder `$ESPRESSIVO_DATA`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
VARIABLE = "ESPRESSIVO_DATA"


def shared_path(text: str) -> Path:
    """Resolve a command-line path, in which a leading `$ESPRESSIVO_DATA` is expanded.

    It is the environment variable that recipes use too; without it, the folder `shared`
    beside the checkout is taken.

    Raises:
        argparse.ArgumentTypeError: The path does not exist.
    """
    folder = os.environ.get(VARIABLE, str(ROOT.parent / "shared"))
    path = Path(text.replace(f"${VARIABLE}", folder, 1))
    if not path.exists():
        raise argparse.ArgumentTypeError(
            f"{path} does not exist; pass another folder, or set {VARIABLE} to the "
            "folder that holds corpora/ and speech/"
        )
    return path
