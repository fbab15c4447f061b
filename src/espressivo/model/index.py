"""`models.json`: the index that a static host serves beside its model folders.

    models.json
    espressivo-base/    model.json  model.onnx
    espressivo-tiny/    model.json  model.onnx

`espressivo models index DIR` writes it, `espressivo models pull` and the browser app
read it:

    {
      "models": [
        {
          "name": "espressivo-base",
          "version": "1.0.0",
          "bytes": 13976678,
          "default": true,
          "files": {
            "model.json": {"sha256": "3f...", "bytes": 16574},
            "model.onnx": {"sha256": "9b...", "bytes": 13960104}
          }
        }
      ]
    }

`name` is the folder's name, so that a file's URL is `NAME/FILE`, relative to that of
`models.json`. `files` are those that a program loads; `bytes` is their sum. Exactly one
model is the default, unless the index is empty. Models are sorted by name. Readers
ignore keys and files that they do not know.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espressivo.errors import ModelError
from espressivo.model.classifier import ModelCard, read_card
from espressivo.model.find import DEFAULT, is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE = "models.json"
CARD_FILE = "model.json"
GRAPH_FILE = "model.onnx"

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """One file of a model: its SHA-256 in hexadecimal, and its size in bytes."""

    sha256: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """One entry of `models.json`.

    Attributes:
        name: Name of the model's folder, beside `models.json`.
        version: Version of the model, from its card.
        is_default: Whether an app loads this model first.
        files: The files that a program loads, by name.
    """

    name: str
    version: str
    is_default: bool
    files: Mapping[str, IndexedFile]

    @property
    def n_bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(file.n_bytes for file in self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON holds it."""
        return {
            "name": self.name,
            "version": self.version,
            "bytes": self.n_bytes,
            "default": self.is_default,
            "files": {
                name: {"sha256": file.sha256, "bytes": file.n_bytes}
                for name, file in self.files.items()
            },
        }


def is_sha256(text: str) -> bool:
    """Return whether a text is a SHA-256 in hexadecimal, in lower case."""
    return _SHA256.fullmatch(text) is not None


def files_of_card(card: ModelCard) -> dict[str, str]:
    """Return the SHA-256 of each file that a card vouches for, by the file's name."""
    return {GRAPH_FILE: card.sha256}


def index_models(
    folders: Iterable[Path], default: str | None = None
) -> list[IndexedModel]:
    """Return the entries of model folders, sorted by name.

    The hashes of graphs are those of the cards; `load_classifier` compares them with
    the files.

    Args:
        folders: Model folders; their names become the models' names.
        default: Name of the default model; None: espressivo's own default if it is
            there, or else the first.

    Raises:
        ModelError: A folder is no model, its name cannot be part of a URL, or there is
            no model named `default`.
    """
    found = {folder.name: folder for folder in sorted(folders)}
    if default is None:
        default = DEFAULT if DEFAULT in found else next(iter(found), None)
    elif default not in found:
        raise ModelError(
            f"{default}: is not among the models ({', '.join(found) or 'none'}); "
            "name another default"
        )
    return [
        _entry(folder, is_default=name == default) for name, folder in found.items()
    ]


def _entry(folder: Path, *, is_default: bool) -> IndexedModel:
    if not is_name(folder.name):
        raise ModelError(
            f"{folder}: is no name for a model; take letters, digits, -, _ and dots, "
            "at most 64"
        )
    card = read_card(folder)
    content = (folder / CARD_FILE).read_bytes()
    digests = {CARD_FILE: hashlib.sha256(content).hexdigest()} | files_of_card(card)
    files = {
        name: IndexedFile(sha256, (folder / name).stat().st_size)
        for name, sha256 in digests.items()
    }
    return IndexedModel(folder.name, card.version, is_default, files)


def to_json(models: Iterable[IndexedModel]) -> str:
    """Return the content of `models.json`."""
    entries = [model.to_dict() for model in models]
    return json.dumps({"models": entries}, indent=2, ensure_ascii=False) + "\n"


def read_index(content: bytes, source: str) -> list[IndexedModel]:
    """Return the entries of `models.json`.

    Args:
        content: Content of the file.
        source: Name of the file in messages, such as its URL.

    Raises:
        ModelError: The content is not JSON, or an entry is incomplete or has a name
            that leads out of the host's folder.
    """
    try:
        return [_parsed(entry) for entry in json.loads(content)["models"]]
    # RecursionError: deeply nested brackets exhaust the JSON parser.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(
            f"{source}: is no index of models ({reason}); "
            "write it with `espressivo models index`"
        ) from error


def _parsed(entry: dict[str, Any]) -> IndexedModel:
    if not is_name(name := str(entry["name"])):
        raise ValueError(f"{name!r} is no name for a model")
    files = {}
    for file in (CARD_FILE, GRAPH_FILE):
        sha256, n_bytes = entry["files"][file]["sha256"], entry["files"][file]["bytes"]
        if not is_sha256(sha256) or not isinstance(n_bytes, int) or n_bytes <= 0:
            raise ValueError(f"{name}: sha256 or bytes of {file} cannot be")
        files[file] = IndexedFile(sha256, n_bytes)
    is_default = entry.get("default") is True
    return IndexedModel(name, str(entry["version"]), is_default, files)
