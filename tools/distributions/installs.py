"""One analysis by each of the three, installed into an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_NODE = """\
import {{ loadModel }} from "espressivo";
const analyzer = await loadModel("espressivo-base");
console.log(JSON.stringify((await analyzer.analyze({note})).toDict()));
"""


class InstallError(Exception):
    """An installation that does not work, with what it said."""


def analyse_with_python(file: Path, note: Path, folder: Path, python: str) -> Any:
    """Install a wheel or an sdist and return the report of a recording.

    There is nothing on PATH: neither npm, nor FFmpeg, nor a compiler.

    Raises:
        InstallError: It does not install, analyse, or serve the app.
    """
    environment, empty = folder / "environment", folder / "empty"
    empty.mkdir(parents=True)
    # With the pip of this Python, and compiling what is imported only: half the time.
    _run([python, "-m", "venv", "--without-pip", str(environment)], folder)
    pip = [sys.executable, "-m", "pip", "--python", str(environment)]
    path = str(empty)
    _run([*pip, "install", "--quiet", "--no-compile", str(file)], folder, path)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    program = str(programs / "espressivo")
    report = _run([program, "analyze", "--json", str(note)], folder, path)
    with _served([program, "serve", "--port", "0"], folder, path) as url:
        for name, wanted in (
            ("", b"<title>espressivo"),
            ("models/models.json", b"sha256"),
        ):
            with urlopen(url + name, timeout=30) as response:  # noqa: S310 - our own
                if wanted not in response.read():
                    raise InstallError(f"serve: /{name} is without {wanted.decode()!r}")
    return json.loads(report)


def analyse_with_node(file: Path, note: Path, folder: Path) -> Any:
    """Install the npm package into an empty project; return the report of a recording.

    Raises:
        InstallError: It does not install or analyse; npm or Node.js is missing.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise InstallError("there is no npm or node on PATH; install Node.js 20.19")
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    # Offline: the package depends on no other.
    _run([npm, "install", "--offline", "--ignore-scripts", str(file)], folder)
    script = _NODE.format(note=json.dumps(str(note)))
    (folder / "analyse.js").write_text(script)
    return json.loads(_run([node, "analyse.js"], folder))


def _run(command: Sequence[str], folder: Path, path: str | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_variables(path),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InstallError(
            f"`{' '.join(command)}` exited with {done.returncode}, not 0:\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


@contextmanager
def _served(command: Sequence[str], folder: Path, path: str) -> Iterator[str]:
    """Run a server and yield its URL, which its first line names."""
    with subprocess.Popen(
        command, cwd=folder, env=_variables(path), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            url = re.search(r"http://\S+", line)
            if url is None:
                raise InstallError(f"serve: printed {line!r}, not where the app is")
            yield url[0]
        finally:
            server.terminate()


def _variables(path: str | None) -> dict[str, str]:
    """Return the environment, without what leads to this checkout's Python."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept if path is None else {**kept, "PATH": path}
