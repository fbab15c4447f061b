"""Static files of the browser app and of the models, by URL path.

A wheel contains each model once, so paths below `/models/` are looked up in the
package's models first, then in the app's folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import unquote

from espressivo.model.find import (
    DEFAULT,
    bundled_models,
    find_model,
)

if TYPE_CHECKING:
    from pathlib import Path

_UTF8 = "; charset=utf-8"
# The module mimetypes reads the system's tables, in which wasm may be missing or wrong.
_TYPES = {
    ".css": f"text/css{_UTF8}",
    ".gz": "application/gzip",
    ".html": f"text/html{_UTF8}",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": f"text/javascript{_UTF8}",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": f"text/plain{_UTF8}",
    ".mjs": f"text/javascript{_UTF8}",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": f"text/plain{_UTF8}",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_UNKNOWN_TYPE = "application/octet-stream"  # .onnx too
_WORTH_GZIP = {".css", ".html", ".js", ".json", ".md", ".mjs", ".svg", ".txt", ".wasm"}

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
# Vite's content hash of eight characters. It must contain a capital or a digit, so that
# `-threaded.wasm` does not count as a hash.
_HASHED = re.compile(r"-(?=[\w-]*[A-Z0-9])[\w-]{8}(\.[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class Content:
    """Content of one response.

    Attributes:
        body: The file's bytes.
        zipped: The bytes compressed with gzip; None if that is off or saves nothing.
        type: Value of Content-Type.
        tag: Digest of the bytes for the ETag. Modification times would not do, since
            packages can give the files of all versions the same date.
        is_immutable: Whether the name contains a hash of the content.
    """

    body: bytes
    zipped: bytes | None
    type: str
    tag: str
    is_immutable: bool


class AppFiles:
    """Cache of static files by URL path; files are read again when they change.

    It is thread-safe.

    Args:
        app: Folder of the built app.
        zipped: Also compress files of suitable types with gzip.
    """

    def __init__(self, app: Path, *, zipped: bool) -> None:
        self._app = app
        self._zipped = zipped
        self._known: dict[Path, tuple[tuple[int, int], Content]] = {}
        self._reading = Lock()

    def __call__(self, target: str) -> Content | None:
        """Return the content of a request's target; None if there is no such file."""
        path = unquote(target.partition("?")[0])
        first, *names = ("/index.html" if path == "/" else path).split("/")
        if first or not all(_FILE_NAME.fullmatch(name) for name in names):
            return None
        if names == ["models", "models.json"]:
            return self._content(_models_index(), names)
        if names[0] == "models" and len(names) > 2 and names[1] in bundled_models():
            found = self._read(find_model(names[1]), names[2:])
            return found or self._read(self._app, names)
        return self._read(self._app, names)

    def _read(self, folder: Path, names: list[str]) -> Content | None:
        try:
            path = folder.joinpath(*names).resolve(strict=True)
            # Symbolic links must not lead out of the folder.
            if not path.is_relative_to(folder.resolve()) or not path.is_file():
                return None
            with self._reading:  # concurrent requests must not compress a file twice
                status = path.stat()
                stamp = status.st_size, status.st_mtime_ns
                known = self._known.get(path)
                if known is None or known[0] != stamp:
                    known = stamp, self._content(path.read_bytes(), names)
                    self._known[path] = known
                return known[1]
        # Before Python 3.13, a cycle of links raises RuntimeError.
        except (OSError, RuntimeError):
            return None

    def _content(self, body: bytes, names: list[str]) -> Content:
        suffix = PurePosixPath(names[-1]).suffix
        # Below 1000 bytes, a response fits into one packet in any case.
        worth = self._zipped and suffix in _WORTH_GZIP and len(body) > 1000
        return Content(
            body,
            gzip.compress(body, 6, mtime=0) if worth else None,
            _TYPES.get(suffix, _UNKNOWN_TYPE),
            hashlib.sha256(body).hexdigest()[:32],
            names[0] == "assets" and _HASHED.search(names[-1]) is not None,
        )


def _models_index() -> bytes:
    """Return models/models.json, as `espressivo models index` writes it.

    Not by `model.index`, which imports onnxruntime: the server needs Python only.
    """
    models = []
    for name in bundled_models():
        folder = find_model(name)
        content = (folder / "model.json").read_bytes()
        card = json.loads(content)
        digests = {
            "model.json": hashlib.sha256(content).hexdigest(),
            "model.onnx": card["sha256"],
        }
        files = {
            file: {"sha256": sha256, "bytes": (folder / file).stat().st_size}
            for file, sha256 in digests.items()
        }
        models.append(
            {
                "name": name,
                "version": card["version"],
                "bytes": sum(file["bytes"] for file in files.values()),
                "default": name == DEFAULT,
                "files": files,
            }
        )
    text = json.dumps({"models": models}, indent=2, ensure_ascii=False)
    return f"{text}\n".encode()
