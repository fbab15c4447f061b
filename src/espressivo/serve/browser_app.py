"""Folder of the built browser app, and its build in a checkout.

This module imports only the standard library, since `hatch_build.py` uses it in a build
environment without dependencies.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.errors import ServeError
from espressivo.model.find import (
    bundled_models,
    find_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = (20, 19)
"""The oldest Node.js version that builds the app; equal to web/package.json."""

_PACKAGE = Path(__file__).parents[1]
_PACKAGED = _PACKAGE / "assets" / "app"


def find_app() -> Path | None:
    """Return the folder of the built app, in the package or else in the checkout.

    None if the app is not built, or was built with other models than the package's.
    The app contains the models' hashes and would cache the wrong files under them.
    """
    if (_PACKAGED / "index.html").is_file():
        return _PACKAGED
    sources = app_sources()
    if sources is None or not (sources / "dist" / "index.html").is_file():
        return None
    return sources / "dist" if _has_our_models(sources / "dist") else None


def _has_our_models(app: Path) -> bool:
    """Return whether the app's copies of models, if any, equal the package's."""
    ours = ((name, file) for name in bundled_models() for file in _files_of(name))
    copies = ((file, app / "models" / name / file.name) for name, file in ours)
    return all(
        filecmp.cmp(file, copy, shallow=False) for file, copy in copies if copy.exists()
    )


def _files_of(model: str) -> list[Path]:
    return [file for file in find_model(model).iterdir() if file.is_file()]


def newer_source(app: Path) -> Path | None:
    """Return a source file that is newer than the built app, or None."""
    sources = app_sources()
    if sources is None or app != sources / "dist":
        return None
    built = (app / "index.html").stat().st_mtime
    files = [*sources.glob("*.*"), *(sources / "src").rglob("*.*")]
    return next((file for file in sorted(files) if file.stat().st_mtime > built), None)


def app_sources() -> Path | None:
    """Return the folder `web/` if this package is in a checkout, or None."""
    web = _PACKAGE.parents[1] / "web"
    in_checkout = _PACKAGE.parent.name == "src" and (web / "package.json").is_file()
    return web if in_checkout else None


def build_app(tell: Callable[[str], None]) -> Path:
    """Build the app of this checkout with npm and return its folder.

    Args:
        tell: Callback for messages to the user: the start of the build, and the output
            of npm if it fails.

    Raises:
        ServeError: This is no checkout, npm or Node.js is missing or too old, or the
            build failed. An incomplete build is not used as an app later.
    """
    sources = app_sources()
    if sources is None:
        raise ServeError(
            f"{_PACKAGED}: there is no app, for this espressivo was packaged without "
            "it; install a wheel that holds it, or a checkout with pip install -e"
        )
    npm = _find_npm(sources)
    tell(f"building the app, once, with npm ci and npm run build in {sources} ...")
    app = sources / "dist"
    try:
        _run([npm, "ci", "--no-audit", "--no-fund"], sources, tell)
        _run([npm, "run", "build"], sources, tell)
    except BaseException:
        # `find_app` looks for index.html, which may exist in an incomplete build.
        (app / "index.html").unlink(missing_ok=True)
        raise
    if not (app / "index.html").is_file():
        raise ServeError(
            f"{app}: npm run build wrote no index.html there; see "
            f"{sources / 'package.json'}"
        )
    return app


def _find_npm(sources: Path) -> str:
    wanted = ".".join(map(str, NODE))
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise ServeError(
            f"{sources}: the app is not built, or with other models, and there is no "
            f"{'node' if npm else 'npm'} on PATH to build it with; install Node.js "
            f"{wanted} or newer (https://nodejs.org)"
        )
    done = subprocess.run(  # noqa: S603 - the user's own node
        [node, "--version"], capture_output=True, text=True, check=False
    )
    found = re.match(r"v(\d+)\.(\d+)", done.stdout)
    if found is None or (int(found[1]), int(found[2])) < NODE:
        raise ServeError(
            f"{sources}: the app is not built, or with other models, and building it "
            f"needs Node.js {wanted} or newer, while {node} is "
            f"{done.stdout.strip() or 'of no version'}; install a newer one "
            "(https://nodejs.org)"
        )
    return npm


def _run(command: list[str], folder: Path, tell: Callable[[str], None]) -> None:
    start = partial(
        subprocess.Popen[str],
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # npm and its children are one process group, which can be killed.
        start_new_session=True,
    )
    # Ctrl-C interrupts the main thread only: beside it, npm cannot start unseen.
    with ThreadPoolExecutor(1) as beside:
        started = beside.submit(start)
        try:
            process = started.result()
            output, _ = process.communicate()
        except BaseException:
            if not started.exception():
                with started.result() as process:  # closes its pipe, waits for its end
                    _kill(process)
            raise
    if process.returncode:
        tell(output.rstrip())
        words = " ".join(["npm", *command[1:]])
        raise ServeError(
            f"{folder}: `{words}` failed with exit code {process.returncode}; its "
            "output above says why; mend that and run it again"
        )


def _kill(process: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
