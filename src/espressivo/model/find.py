"""Lookup of model folders by bundled name or path."""

from __future__ import annotations

from pathlib import Path

from espressivo.errors import ModelError

DEFAULT = "espressivo-tiny"
_BUNDLED = Path(__file__).parents[1] / "assets" / "models"


def bundled_models() -> list[str]:
    """Return the names of the models bundled with the package, sorted."""
    return sorted(p.parent.name for p in _BUNDLED.glob("*/model.json"))


def find_model(model: str | Path) -> Path:
    """Return the folder of a model, given a bundled name or a path.

    The folder is not verified here; `load_classifier` does that.

    Raises:
        ModelError: There is neither a bundled model nor a folder of that name.
    """
    # Bundled names come first, so that they mean the same in every working directory.
    if (_BUNDLED / model / "model.json").is_file():
        return _BUNDLED / model
    if (path := Path(model)).is_dir():
        return path
    raise ModelError(
        f"{model}: is neither a folder nor a bundled model "
        f"(bundled: {', '.join(bundled_models()) or 'none'}); see `espressivo models`"
    )


def place_of(folder: Path) -> str | Path:
    """Return what `find_model` finds a folder by, in any process and on any machine.

    That is the name of a bundled model, and the absolute path of another one.
    """
    absolute = folder.absolute()
    return absolute.name if absolute.parent == _BUNDLED.absolute() else absolute
