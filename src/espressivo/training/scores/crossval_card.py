"""Reader of `crossval.json`, which describes the runs of a cross-validation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from espressivo.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

CARD = "crossval.json"
"""File name of the description, in a result folder."""

SCHEMA = "espressivo.crossval/1"
"""Name and version of the description's format."""

_NEEDED = ("name", "protocol", "folds", "seeds")


def read_crossval_card(folder: Path) -> dict[str, Any]:
    """Read `crossval.json`.

    Raises:
        TrainingError: The file is absent, broken, or of another schema.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: is not there or broken ({error}); name a folder that "
            "`espressivo crossval CONFIG --out` wrote"
        ) from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise TrainingError(f"{path}: its schema is not {SCHEMA}; run crossval again")
    if missing := [name for name in _NEEDED if name not in card]:
        raise TrainingError(
            f"{path}: does not say {', '.join(missing)}; run crossval again"
        )
    return card
