"""What a wheel holds besides the package: the browser app, and the index's page."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


class BrowserAppHook(BuildHookInterface[Any]):
    """Put `web/dist` into a wheel; an editable install serves it from where it is.

    An sdist takes it as an artifact (pyproject.toml), so it only has to be there.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the app's files to hatchling, after building them if need be.

        If the app cannot be built, a wheel does without it and says so. The build of an
        sdist ends, since those who install it may have no Node.js.
        """
        if version != "standard":
            return
        app = self._app()
        if app is None or self.target_name == "sdist":
            return
        for file in sorted(app.rglob("*")):
            path = file.relative_to(app)
            is_model = path.parts[0] == "models" and len(path.parts) > 2
            if file.is_file() and not is_model:  # the package has the models
                target = f"espressivo/assets/app/{path.as_posix()}"
                build_data["force_include"][str(file)] = target

    def _app(self) -> Path | None:
        sys.path.insert(0, str(Path(self.root) / "src"))
        try:
            from espressivo.errors import ServeError  # noqa: PLC0415
            from espressivo.serve.browser_app import build_app, find_app  # noqa: PLC0415
        finally:
            del sys.path[0]
        try:
            return find_app() or build_app(self.app.display_warning)
        except ServeError as error:
            if self.target_name == "sdist":
                self.app.abort(str(error))
            self.app.display_warning(f"{error}\nThe wheel will not hold the app.")
            return None


class ReadmeHook(MetadataHookInterface):
    """README.md as the index shows it, and the project's URLs."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add `readme` and `urls` to `metadata`."""
        root = Path(self.root)
        settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        repository = settings["tool"]["espressivo"]["repository"]
        metadata["urls"] = _urls(repository)
        text = (root / "README.md").read_text("utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute_links(text, repository, f"v{metadata['version']}"),
        }


def _urls(repository: str) -> dict[str, str]:
    if not repository:
        return {}
    return {
        "Repository": repository,
        "Documentation": f"{repository}/blob/main/docs/index.md",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


# An image, or a link, whose target has neither a scheme nor a host.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|//)([^)\s]+)\)")


def absolute_links(text: str, repository: str, tag: str) -> str:
    """Return Markdown whose relative links lead to the files of a tag.

    >>> absolute_links("![A](a.png), [b](docs/b.md#c)", "https://x.org/o/r", "v1")
    '![A](https://x.org/o/r/raw/v1/a.png), [b](https://x.org/o/r/blob/v1/docs/b.md#c)'

    Without a repository images are left out, and links are their text. Code blocks stay
    as they are.
    """

    def replaced(match: re.Match[str]) -> str:
        image, label, target = match.groups()
        if target.startswith("#"):
            return match[0]
        if not repository:
            return "" if image else label
        kind = "raw" if image else "blob"
        return f"{image}[{label}]({repository}/{kind}/{tag}/{target})"

    parts = text.split("```")
    parts[::2] = [_LINK.sub(replaced, part) for part in parts[::2]]
    return "```".join(parts)
