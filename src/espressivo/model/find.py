"""Lookup of model folders by name (bundled or pulled) or path."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from espressivo.errors import ModelError
from espressivo.files.user_data import user_data
from espressivo.text import shortened

DEFAULT = "espressivo-base"

FOLDER_VARIABLE = "ESPRESSIVO_MODELS"
"""Environment variable with a folder of pulled models that replaces the default."""

_BUNDLED = Path(__file__).parents[1] / "assets" / "models"
# It becomes a folder and a part of a URL: no separators, no dot in front or at the end,
# nothing that URLs escape, and not what Windows takes for a device.
_DEVICES = r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)"
_NAME = re.compile(rf"(?!{_DEVICES})[a-z0-9_][\w.-]{{0,63}}", re.IGNORECASE | re.ASCII)


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a model that is pulled or hosted."""
    return _NAME.fullmatch(text) is not None and not text.endswith(".")


def models_folder() -> Path:
    """Return the folder of pulled models: from `FOLDER_VARIABLE`, or the default.

    Raises:
        ModelError: This user has no home folder.
    """
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    try:
        return user_data() / "espressivo" / "models"
    except RuntimeError as error:
        raise ModelError(
            "models: this user has no home folder to keep them in; set "
            f"{FOLDER_VARIABLE} to a folder"
        ) from error


def bundled_models() -> list[str]:
    """Return the names of the models bundled with the package, sorted."""
    return sorted(p.parent.name for p in _BUNDLED.glob("*/model.json"))


def pulled_models() -> list[str]:
    """Return the names of the pulled models, sorted, without those of bundled ones."""
    with suppress(ModelError, OSError):
        names = {p.parent.name for p in models_folder().glob("*/model.json")}
        return sorted(filter(is_name, names - {*bundled_models()}))
    return []


def find_model(model: str | Path) -> Path:
    """Return the folder of a model, given a bundled or pulled name or a path.

    The folder is not verified here; `load_classifier` does that.

    Raises:
        ModelError: There is neither a model of that name nor a folder.
    """
    # Names come first, so that they mean the same in every working directory, and
    # bundled ones before pulled ones, so that they mean the same on every machine.
    with suppress(OSError, ValueError):  # longer than names are, or with a NUL
        if (_BUNDLED / model / "model.json").is_file():
            return _BUNDLED / model
        if (pulled := find_pulled(str(model))) is not None:
            return pulled
        if (path := Path(model)).is_dir():
            return path
    names = {"bundled": bundled_models(), "pulled": pulled_models()}
    known = "; ".join(f"{k}: {', '.join(v) or 'none'}" for k, v in names.items())
    raise ModelError(
        f"{shortened(str(model), 300)}: is neither a folder nor a bundled model, nor "
        f"a pulled one ({known}); see `espressivo models`"
    )


def find_pulled(name: str) -> Path | None:
    """Return the folder of a pulled model, by name; None if there is none."""
    # A service may run under a user who must not read the home folder that it is told.
    with suppress(ModelError, OSError):
        if is_name(name) and (models_folder() / name / "model.json").is_file():
            return models_folder() / name
    return None


def place_of(folder: Path) -> str | Path:
    """Return what `find_model` finds a folder by, in any process and on any machine.

    That is the name of a bundled model, and the absolute path of another one.
    """
    absolute = folder.absolute()
    return absolute.name if absolute.parent == _BUNDLED.absolute() else absolute
