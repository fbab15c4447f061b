"""Cases of a study: a model, and a corpus that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.model.classifier import read_card

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path


def add_cases(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add the option --case: a model, and a corpus that it was not trained on.

    Args:
        parser: Parser of a study.
        more: What else the study wants of its cases.
    """
    parser.add_argument(
        "--case",
        nargs=3,
        action="append",
        required=True,
        metavar=("MODEL", "CORPUS", "DIR"),
        help=f"a model, and a corpus that it was not trained on{more}",
    )


def require_held_out(folder: Path, corpora: Iterable[str]) -> None:
    """Refuse a model that was trained on one of these corpora.

    Args:
        folder: Folder of the model, whose card names its training corpora.
        corpora: Names of the corpora of the study.

    Raises:
        CorpusError: The model was trained on one of them.
        ModelError: The folder holds no card.
    """
    trained = {e["name"] for e in read_card(folder).details.get("training_corpora", [])}
    if heard := sorted(trained & set(corpora)):
        raise CorpusError(
            f"{folder}: was trained on {', '.join(heard)}, so that its speakers are no "
            "strangers; pass a model that has not heard them"
        )
