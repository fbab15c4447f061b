"""Storage of profiles: folder, file format, and lock."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import unicodedata
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import ProfileError
from espressivo.files.atomic import replacing
from espressivo.files.locks import locked
from espressivo.files.reading import read_regular
from espressivo.files.user_data import user_data
from espressivo.text import reason_of, shortened, to_line, to_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FORMAT = "espressivo.profile/"
FORMAT_VERSION = 2
REMEDY = "restore it, or create it anew"

FOLDER_VARIABLE = "ESPRESSIVO_PROFILES"
"""Environment variable with a folder of profiles that replaces the user's default."""

SUFFIX = ".json"
_PATIENCE_S = 60.0
_LONGEST_NAME = 64
_LONGEST_TEXT = 255  # of names inside of files, which may be those of other files
_DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # of Windows


def profiles_folder() -> Path:
    """Return the folder of profiles: from `FOLDER_VARIABLE`, or the user's default."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    try:
        return user_data() / "espressivo" / "profiles"
    except RuntimeError as error:
        raise ProfileError(
            "profiles: this user has no home folder to keep them in; set "
            f"{FOLDER_VARIABLE} to a folder"
        ) from error


def profile_path(given: str | Path) -> Path:
    """Return the path of a profile, given its name or a path ending in .json.

    Raises:
        ProfileError: The text is neither a valid name nor such a path.
    """
    # A name cannot contain a dot, so the suffix tells paths from names.
    is_path = isinstance(given, Path) or given.endswith(SUFFIX)
    if is_path and "\0" not in str(given):
        return Path(given)
    if not _is_name(name := normal_name(str(given))):
        raise ProfileError(
            f"{shortened(repr(given))} is no name for a profile; take letters, digits, "
            f"spaces, - and _, at most 64, or a path ending in {SUFFIX}"
        )
    folder = profiles_folder()
    path = folder / f"{name}{SUFFIX}"
    with suppress(OSError):  # reading or writing the profile will say what is wrong
        if not path.exists():
            # One whose file is spelled otherwise, such as a copy from macOS.
            spelled = (p for p in _stored(folder) if normal_name(p.stem) == name)
            return next(spelled, path)
    return path


def normal_name(name: str) -> str:
    """Return a profile's name with its accents composed (NFC).

    macOS hands over names decomposed (NFD): they look the same, and compare unequal.
    """
    return unicodedata.normalize("NFC", name)


def stored_text(value: object) -> str:
    """Return a name in a profile's file as text.

    Raises:
        ValueError: It is no text, longer than names of files, or not Unicode.
    """
    if not isinstance(value, str):
        raise ValueError(f"{shortened(repr(value), 40)} is no name")  # noqa: TRY004 - of a file
    text = normal_name(value)
    if len(text) > _LONGEST_TEXT or to_unicode(text) != text:
        raise ValueError(f"{shortened(to_line(text), 40)} is no name")
    return text


def profile_names() -> list[str]:
    """Return the names of the profiles on this machine, sorted."""
    return sorted({normal_name(path.stem) for path in _stored(profiles_folder())})


def _stored(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        # A file of another name could not be loaded by name.
        if _is_name(normal_name(path.stem))
    ]


def _is_name(text: str) -> bool:
    # It becomes a file name: no separators, no dot that would hide the file, and not
    # what Windows takes for a device.
    if not 0 < len(text) <= _LONGEST_NAME or _DEVICES.fullmatch(text.strip()):
        return False
    return all(
        # Marks are the vowels of some scripts, and accents that nothing is composed of.
        c.isalnum() or (i and (c in " -_" or unicodedata.category(c).startswith("M")))
        for i, c in enumerate(text)
    )


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock on the folder of a profile; the folder is created if needed.

    Raises:
        ProfileError: Another process holds the lock for a minute, or the folder cannot
            be written to.
    """
    try:
        if not path.parent.is_dir():
            # Voice statistics are personal data: other users get no access.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One lock per folder: lock files per profile would remain after a deletion.
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
    """Return the content of a profile's file after checking schema and checksum.

    Raises:
        ProfileError: There is no such file, or it is damaged, edited, or of another
            version of espressivo.
    """
    try:
        text = read_regular(path)
    except FileNotFoundError as error:
        raise ProfileError(
            f"{path}: there is no such profile; run: espressivo profile create "
            f"{path.stem} (a speaker), or espressivo adapt {path.stem} --from FOLDER "
            "(a setting)"
        ) from error
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read ({reason_of(error)})") from error
    try:
        content: dict[str, Any] = json.loads(text)
        schema = str(content["schema"])
    # RecursionError: deeply nested brackets exhaust the JSON parser.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProfileError(
            f"{path}: is no profile, or was cut off; {REMEDY}"
        ) from error
    if schema != f"{FORMAT}{FORMAT_VERSION}":
        number = schema.removeprefix(FORMAT)
        # Python does not read integers of thousands of digits.
        newer = number.isdecimal() and int(number[:9]) > FORMAT_VERSION
        raise ProfileError(
            f"{path}: is {shortened(schema)}, and this version reads "
            f"{FORMAT}{FORMAT_VERSION}; " + ("update espressivo" if newer else REMEDY)
        )
    digest = content.pop("sha256", None)
    try:
        is_whole = digest == _digest(content)
    except RecursionError:  # one level deeper than the parser took
        is_whole = False
    if not is_whole:
        raise ProfileError(
            f"{path}: was edited or damaged: its sha256 is not what it says; {REMEDY}"
        )
    return content


def write_content(content: dict[str, Any], path: Path) -> None:
    """Write a profile's file atomically, readable by its owner only (mode 0600).

    Raises:
        OSError: The file cannot be written.
    """
    with replacing(path, mode=0o600) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def with_checksum(content: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's content with the schema first and the checksum last."""
    whole = {"schema": f"{FORMAT}{FORMAT_VERSION}"} | content
    return whole | {"sha256": _digest(whole)}


def encode_numbers(values: NDArray[np.float64]) -> str:
    """Return numbers as base64 of little-endian float64, which is lossless."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def decode_numbers(text: str) -> NDArray[np.float64]:
    """Return the numbers [n] that `encode_numbers` encoded.

    Raises:
        ValueError: The text is not valid base64, or encodes NaN or infinity.
    """
    values = np.frombuffer(_bytes_of(text), "<f8")
    if not np.isfinite(values).all():
        raise ValueError("sums that are no numbers")
    # A copy in the machine's byte order; the buffer itself is read-only.
    return values.astype(np.float64)


def encode_cells(cells: NDArray[np.int64]) -> str:
    """Return coordinates of cells, -128 to 127, as base64 of int8."""
    return base64.b64encode(cells.astype(np.int8).tobytes()).decode()


def decode_cells(text: str) -> NDArray[np.int64]:
    """Return the coordinates [n] that `encode_cells` encoded.

    Raises:
        ValueError: The text is not valid base64.
    """
    return np.frombuffer(_bytes_of(text), np.int8).astype(np.int64)


def _bytes_of(text: str) -> bytes:
    try:
        # `validate`, or characters outside the alphabet would be skipped silently.
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _digest(content: dict[str, Any]) -> str:
    # Canonical JSON: the checksum must not depend on the order of keys.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
