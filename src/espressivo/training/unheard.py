"""Whether a model has heard what it is to be studied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import CorpusError
from espressivo.model.classifier import read_card

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def require_unheard(folder: Path, corpora: Iterable[str]) -> None:
    """Refuse a model that was trained on one of these corpora.

    Args:
        folder: Of the model; its card names what trained it.
        corpora: Names of what it is to be studied on.

    Raises:
        CorpusError: It was.
        ModelError: The folder holds no card.
    """
    trained = {e["name"] for e in read_card(folder).details.get("training_corpora", [])}
    if heard := sorted(trained & set(corpora)):
        raise CorpusError(
            f"{folder}: was trained on {', '.join(heard)}, so that its speakers are no "
            "strangers; pass a model that has not heard them"
        )
