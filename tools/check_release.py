"""Is everything that a release must agree on the same, and filled in?

    python tools/check_release.py [TAG]

Compares the version in src/espressivo/version.py, web/package.json, its lock file,
CITATION.cff, CHANGELOG.md and TAG (v0.1.0), the date in CITATION.cff and CHANGELOG.md,
and the repository in pyproject.toml and web/package.json. Prints what is wrong, one
line each, and then exits with 1. It runs before anything is installed.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VERSION = "src/espressivo/version.py"


def main() -> int:
    """Print the complaints; return the exit status."""
    found = complaints(ROOT, sys.argv[1] if len(sys.argv) > 1 else None)
    for line in found:
        print(line)
    return 1 if found else 0


def complaints(root: Path, tag: str | None = None) -> list[str]:
    """Return what a release lacks, as lines; none if it may be published.

    Args:
        root: The checkout.
        tag: The tag to be published; None if there is none yet.
    """
    return [*_versions(root, tag), *_changes(root), *_repository(root)]


def version_of(root: Path) -> str:
    """Return the version of the package."""
    return _only(r'__version__ = "(.+)"', root / VERSION)


def _versions(root: Path, tag: str | None) -> list[str]:
    version = version_of(root)
    lock = _json(root / "web/package-lock.json")
    found = {
        "web/package.json": _json(root / "web/package.json")["version"],
        "web/package-lock.json": lock["version"],
        "web/package-lock.json, packages": lock["packages"][""]["version"],
        "CITATION.cff": _only(r"(?m)^version: (.+)$", root / "CITATION.cff"),
    }
    if tag is not None:
        found["the tag"] = tag.removeprefix("v")
    return [
        f"{where}: version is {other}, not {version} as in {VERSION}"
        for where, other in found.items()
        if other != version
    ]


def _changes(root: Path) -> list[str]:
    version = re.escape(version_of(root))
    heading = rf"(?m)^## (?:\w+ )?{version} \((\d{{4}}-\d\d-\d\d)\)$"
    released = re.search(heading, (root / "CHANGELOG.md").read_text("utf-8"))
    if released is None:
        wanted = f"## {version_of(root)} (YYYY-MM-DD)"
        return [
            f"CHANGELOG.md: has no heading '{wanted}', with the date of the release"
        ]
    cited = re.search(
        r"(?m)^date-released: (\S+)$", (root / "CITATION.cff").read_text("utf-8")
    )
    if cited is None or cited[1] != released[1]:
        said = "missing" if cited is None else cited[1]
        return [f"CITATION.cff: date-released is {said}, not {released[1]}"]
    return []


def _repository(root: Path) -> list[str]:
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    url = settings["tool"]["espressivo"]["repository"]
    if not re.fullmatch(r"https://[^/\s]+/[^/\s]+/[^/\s]+", url):
        where = "pyproject.toml: tool.espressivo.repository"
        return [f"{where} is '{url}', not https://HOST/OWNER/NAME"]
    given = _json(root / "web/package.json").get("repository", {})
    wanted = {"type": "git", "url": f"git+{url}.git", "directory": "web"}
    if given != wanted:
        return [f"web/package.json: repository is not {json.dumps(wanted)}"]
    return []


def _only(pattern: str, path: Path) -> str:
    (found,) = re.findall(pattern, path.read_text("utf-8"))
    return str(found)


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
