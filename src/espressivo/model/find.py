"""A model's name or path -> its folder."""

from __future__ import annotations

from pathlib import Path

from espressivo.errors import ModelError

DEFAULT = "espressivo-tiny"
_BUNDLED = Path(__file__).parents[1] / "assets" / "models"


def bundled_models() -> list[str]:
    """Return the names of the models inside the package, sorted."""
    return sorted(p.parent.name for p in _BUNDLED.glob("*/model.json"))


def find_model(model: str | Path) -> Path:
    """Return the folder of a bundled model's name, or of a path.

    The folder is not verified here: `load_classifier` does that.

    Raises:
        ModelError: There is neither such a model nor such a folder.
    """
    # A bundled name means the same in every working directory, so it comes first.
    if (_BUNDLED / model / "model.json").is_file():
        return _BUNDLED / model
    if (path := Path(model)).is_dir():
        return path
    raise ModelError(
        f"{model}: is neither a folder nor a bundled model "
        f"(bundled: {', '.join(bundled_models()) or 'none'}); see `espressivo models`"
    )
