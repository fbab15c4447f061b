"""Storage of profiles: their folder, their file format, and the lock on both."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import ProfileError
from espressivo.files.atomic import replacing
from espressivo.files.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FORMAT = "espressivo.profile/"
FORMAT_VERSION = 1
REMEDY = "restore it, or create the profile anew"

FOLDER_VARIABLE = "ESPRESSIVO_PROFILES"
"""Environment variable: a folder of profiles, in place of the user's own."""

SUFFIX = ".json"
_PATIENCE_S = 60.0
# No dot in front and nothing that a path is made of: the name becomes a file's.
_NAME = re.compile(r"[^\W_][\w -]{0,63}")


def profiles_folder() -> Path:
    """Return the folder of profiles: the variable's if set, else the user's own."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    return _user_data() / "espressivo" / "profiles"


def _user_data() -> Path:
    """Return the folder in which this system keeps user data of programs.

    Source: XDG Base Directory Specification 0.8; Apple's File System Programming Guide;
    known folders of Windows.
    """
    if sys.platform == "win32":
        given, usual = os.environ.get("LOCALAPPDATA"), "AppData/Local"
    elif sys.platform == "darwin":
        given, usual = None, "Library/Application Support"
    else:
        given, usual = os.environ.get("XDG_DATA_HOME"), ".local/share"
    return Path(given) if given else Path.home() / usual


def profile_path(speaker: str | Path) -> Path:
    """Return the path of a profile, given a speaker's name or a path ending in .json.

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
    """Lock the folder of `path`: no other process changes its profiles meanwhile.

    Raises:
        ProfileError: Another process holds the lock for a minute, or the folder cannot
            be written to.
    """
    try:
        if not path.parent.is_dir():
            # A voice is private: other users of the machine may not look.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One lock for the folder: a lock for each profile would outlive the profile.
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


def read_content(path: Path) -> dict[str, Any]:
    """Read the content of a profile's file; schema and checksum are checked.

    Raises:
        ProfileError: There is none, or it is damaged, edited, or of a later version of
            espressivo.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise ProfileError(
            f"{path}: there is no such profile; run: espressivo profile create "
            f"{path.stem}"
        ) from error
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        content: dict[str, Any] = json.loads(text)
        schema = str(content["schema"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProfileError(
            f"{path}: is no profile, or was cut off; {REMEDY}"
        ) from error
    if schema != f"{FORMAT}{FORMAT_VERSION}":
        number = schema.removeprefix(FORMAT)
        newer = number.isdecimal() and int(number) > FORMAT_VERSION
        raise ProfileError(
            f"{path}: is {schema}, and this version reads {FORMAT}{FORMAT_VERSION}; "
            + ("update espressivo" if newer else REMEDY)
        )
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise ProfileError(
            f"{path}: was edited or damaged: its sha256 is not what it says; {REMEDY}"
        )
    return content


def write_content(content: dict[str, Any], path: Path) -> None:
    """Write a profile's file, whole or not at all, for its owner alone.

    Raises:
        OSError: It cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with replacing(path) as partial:
        descriptor = os.open(partial, flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=1) + "\n")


def with_checksum(content: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's content with its schema in front and its checksum behind."""
    whole = {"schema": f"{FORMAT}{FORMAT_VERSION}"} | content
    return whole | {"sha256": _digest(whole)}


def to_text(values: NDArray[np.float64]) -> str:
    """Encode numbers for JSON, exactly: little-endian doubles in base 64."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def from_text(text: str) -> NDArray[np.float64]:
    """Decode what `to_text` encoded.

    Raises:
        ValueError: The text is something else, empty, or holds NaN or infinity.
    """
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f8")
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if not len(values) or not np.isfinite(values).all():
        raise ValueError("sums that are no numbers")
    return values.astype(np.float64)


def _digest(content: dict[str, Any]) -> str:
    # Canonical JSON: the checksum must not depend on the order of keys.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
