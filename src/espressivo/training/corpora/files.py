"""Search for recordings in a folder, independent of container and layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.errors import CorpusError

if TYPE_CHECKING:
    import re

SUFFIXES = frozenset({".wav", ".flac", ".opus"})


def find_recordings(root: Path) -> list[Path]:
    """Find all .wav, .flac and .opus files under `root`, at any depth, sorted.

    Hidden files and folders are skipped, and with them the `._` files that macOS adds
    to archives.

    Raises:
        CorpusError: `root` is no folder.
    """
    require_folder(root)
    found_paths: list[Path] = []
    for folder, folders, names in os.walk(root, followlinks=True):
        # In place, since `os.walk` descends into what is left in this list.
        folders[:] = sorted(n for n in folders if not _is_hidden(n))
        found_paths += [
            Path(folder, name)
            for name in names
            if not _is_hidden(name) and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found_paths)


def find_named(root: Path, name: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """Find the recordings whose whole name, without its ending, matches.

    Raises:
        CorpusError: `root` is no folder.
    """
    return [
        (path, match)
        for path in find_recordings(root)
        if (match := name.fullmatch(path.stem))
    ]


def require_folder(root: Path) -> None:
    """Refuse a path that is not a folder.

    Raises:
        CorpusError: `root` is absent, or is a file.
    """
    if not root.is_dir():
        found = "is a file, not a folder" if root.exists() else "no such folder"
        raise CorpusError(f"{root}: {found}; pass the folder that holds the corpus")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
