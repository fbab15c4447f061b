"""Where profiles lie on this machine, and who may change one at a time."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.errors import ProfileError
from espressivo.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER_VARIABLE = "ESPRESSIVO_PROFILES"
"""Names the folder of profiles, in place of the user's own."""

SUFFIX = ".json"
_PATIENCE_S = 60.0
# No dot in front and nothing that a path is made of: the name becomes a file's.
_NAME = re.compile(r"[^\W_][\w -]{0,63}")


def profiles_folder() -> Path:
    """Return the folder of profiles: of the variable if set, else the user's own."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    from platformdirs import user_data_path  # noqa: PLC0415 - only if it is asked

    return user_data_path("espressivo", appauthor=False) / "profiles"


def profile_path(speaker: str | Path) -> Path:
    """Return where a profile is: a speaker's name, or a path ending in .json.

    Raises:
        ProfileError: It is neither.
    """
    if isinstance(speaker, Path) or speaker.endswith(SUFFIX):
        return Path(speaker)
    if not _NAME.fullmatch(speaker):
        raise ProfileError(
            f"{speaker!r} is no name for a profile; take letters, digits, spaces, - "
            f"and _, at most 64, or a path ending in {SUFFIX}"
        )
    return profiles_folder() / f"{speaker}{SUFFIX}"


def profile_names() -> list[str]:
    """Return the speakers who have a profile on this machine, sorted."""
    return sorted(
        path.stem
        for path in profiles_folder().glob(f"*{SUFFIX}")
        if _NAME.fullmatch(path.stem)
    )


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep all others from changing the profiles beside `path` meanwhile.

    Raises:
        ProfileError: Someone else holds them for a minute, or the folder cannot be
            written to.
    """
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One lock for the folder: a lock a profile would outlive the profile.
        with locked(path.parent / ".profiles.lock", _PATIENCE_S):
            yield
    except TimeoutError as error:
        raise ProfileError(
            f"{path}: another process has held the profiles for {_PATIENCE_S:.0f} s; "
            "end it, or try again"
        ) from error
    except OSError as error:
        raise ProfileError(
            f"{path}: cannot be written ({error.strerror or error}); "
            f"set {FOLDER_VARIABLE} to a folder that can"
        ) from error
