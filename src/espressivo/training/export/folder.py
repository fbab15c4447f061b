"""Atomic writing of a model folder: graph, card, licences."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import ExportError
from espressivo.model.classifier import load_classifier
from espressivo.training.corpora.licence import UNSTATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx


UNKNOWN_LICENCE = UNSTATED.name

_LICENCE_TEXTS = {"MIT": "whisper-LICENSE.txt", "Apache-2.0": "apache-2.0-LICENSE.txt"}


def require_free(out: Path, *, force: bool) -> None:
    """Raise an error if the target is taken and is not a model to be replaced.

    Raises:
        ExportError: `out` exists, and `force` is not given or it is no model folder.
    """
    # `exists` follows links, and is false for a broken one.
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    if not (out / "model.json").is_file():
        raise ExportError(
            f"{out}: exists and is no model folder, so it is not replaced; "
            "pass a folder that does not exist"
        )
    if not force:
        raise ExportError(
            f"{out}: holds a model already; pass another folder, or --force to replace "
            "it"
        )


@contextmanager
def staged(out: Path, *, force: bool) -> Iterator[Path]:
    """Yield a folder beside `out`, which becomes `out` if nothing fails.

    Raises:
        ExportError: The folder cannot be created or replaced, or the disk is full.
    """
    require_free(out, force=force)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside `out`: a rename is atomic within one file system only.
        stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield stage
            require_free(out, force=force)  # another process may have written it
            _replace(stage, out)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Convert disk errors into an error that reports `out` as unchanged.

    Raises:
        ExportError: The disk is full or read-only; it replaces the OSError.
    """
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{out}: cannot be written ({error.strerror or error}); nothing was changed"
        ) from error


def _replace(stage: Path, out: Path) -> None:
    # mkdtemp lets nobody but the owner read its folder.
    stage.chmod(0o755)
    if not out.exists():
        stage.rename(out)
        return
    # A rename does not replace a folder that holds files: the old one steps aside
    # first, and back if the new one cannot come.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
        old = Path(aside) / out.name
        out.rename(old)
        try:
            stage.rename(out)
        except OSError:
            old.rename(out)
            raise


def write_model(stage: Path, model: onnx.ModelProto, card: dict[str, Any]) -> str:
    """Write `model.onnx` and `model.json`, load them as users will, return the hash.

    Args:
        stage: An existing folder.
        model: The graph.
        card: All of `model.json` but the hash, and whether results are of this graph.
    """
    digest = _write_graph(model, stage / "model.onnx")
    results = [result | {"of": _whose(result, digest)} for result in card["results"]]
    write_json(stage / "model.json", card | {"sha256": digest, "results": results})
    classify = load_classifier(stage)
    shortest = round(classify.card.min_s * card["sample_rate_hz"])
    (row,) = classify(np.zeros((1, shortest), np.float32))
    if len(row) != len(classify.card.emotions) or not np.isfinite(row).all():
        raise ExportError(
            f"the written model answers {row.tolist()} to silence, not "
            f"{len(classify.card.emotions)} probabilities; report it"
        )
    return digest


def _write_graph(model: onnx.ModelProto, path: Path) -> str:
    # protobuf may order maps differently otherwise, and the hash would change.
    graph = model.SerializeToString(deterministic=True)
    path.write_bytes(graph)
    return hashlib.sha256(graph).hexdigest()


def _whose(result: dict[str, Any], digest: str) -> str:
    """Say whether results are of exactly these weights.

    Shipped weights may be trained on more data than the evaluated ones.
    """
    found = result.get("model_sha256")
    if found == digest:
        return "these weights"
    return f"other weights, sha256 {found or 'not known'}"


def write_licences(stage: Path, card: dict[str, Any]) -> None:
    """Write the licences of starting weights and training data.

    Args:
        stage: An existing folder.
        card: What `build_card` returns.
    """
    folder = stage / "LICENSES"
    folder.mkdir()
    start, corpora = card["starting_weights"], card["training_corpora"]
    if start["license"] is None:
        origin = "They started from random numbers."
    elif start["license"] == UNKNOWN_LICENCE:
        origin = f"The encoder started from {start['name']}, its licence not known."
    else:
        name = _LICENCE_TEXTS[start["license"]]
        text = files("espressivo").joinpath("assets", name).read_bytes()
        (folder / name).write_bytes(text)
        origin = (
            f"The encoder started from {start['name']} ({start['license']}, {name})."
        )
    rows = [
        f"| {c['title']} | {c['license']} | {c['terms']['commercial']} "
        f"| {c['n_utterances']} |"
        for c in corpora
    ]
    table = [
        "# What these weights were made from",
        "",
        origin,
        "They learned from recordings of these corpora, none of which is here:",
        "",
        "| corpus | licence and source | commercial use | recordings |",
        "|---|---|---|---|",
        *rows,
        "",
        card["allowed_use"],
    ]
    (folder / "TRAINING-DATA.md").write_text("\n".join(table) + "\n", "utf-8")


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Write a table as UTF-8 JSON with keys in the given order."""
    # NaN is no JSON, though Python would write and read it.
    text = json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8")
