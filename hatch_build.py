"""What a wheel holds besides the package: the browser app, built."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BrowserAppHook(BuildHookInterface[Any]):
    """Put `web/dist` into a wheel; an editable install serves it from where it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the app's files to hatchling, after building them if need be."""
        if version != "standard":
            return
        app = self._app()
        if app is None:
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
            self.app.display_warning(f"{error}\nThe wheel will not hold the app.")
            return None
