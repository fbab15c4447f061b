"""A model folder, written whole or not at all."""

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

from espressivo.classifier import load_classifier
from espressivo.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx


UNKNOWN_LICENCE = "not known to espressivo"


def require_free(out: Path, *, force: bool) -> None:
    """Refuse a target that holds anything, unless it is a model to be replaced.

    Raises:
        ExportError: It exists, and `force` is not given or it is no model folder.
    """
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
    """Give a folder beside `out` to write to, which becomes `out` if all goes well.

    Raises:
        ExportError: Something stands in the way, or the disk does not take it.
    """
    require_free(out, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise _disk_error(out, error) from error
    try:
        yield stage
        require_free(out, force=force)  # somebody may have been faster
        _replace(stage, out)
    except OSError as error:
        raise _disk_error(out, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _replace(stage: Path, out: Path) -> None:
    stage.chmod(0o755)
    if not out.exists():
        stage.rename(out)
        return
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
        old = Path(aside) / out.name
        out.rename(old)
        try:
            stage.rename(out)
        except OSError:
            old.rename(out)
            raise


def _disk_error(out: Path, error: OSError) -> ExportError:
    return ExportError(
        f"{out}: cannot be written ({error.strerror or error}); nothing was changed"
    )


def write_model(stage: Path, model: onnx.ModelProto, card: dict[str, Any]) -> str:
    """Write `model.onnx` and `model.json`, load them as users will, return the hash.

    Args:
        stage: An existing folder.
        model: The graph.
        card: All of `model.json` but the hash.
    """
    graph = model.SerializeToString(deterministic=True)
    digest = hashlib.sha256(graph).hexdigest()
    (stage / "model.onnx").write_bytes(graph)
    write_json(stage / "model.json", card | {"sha256": digest})
    classify = load_classifier(stage)
    shortest = round(classify.card.min_s * card["sample_rate_hz"])
    (row,) = classify(np.zeros((1, shortest), np.float32))
    if len(row) != len(classify.card.emotions) or not np.isfinite(row).all():
        raise ExportError(
            f"the written model answers {row.tolist()} to silence, not "
            f"{len(classify.card.emotions)} probabilities; report it"
        )
    return digest


def write_licences(stage: Path, corpora: list[dict[str, Any]]) -> None:
    """Write what the weights derive from, and under which terms."""
    folder = stage / "LICENSES"
    folder.mkdir()
    text = files("espressivo").joinpath("assets", "whisper-LICENSE.txt").read_bytes()
    (folder / "whisper-LICENSE.txt").write_bytes(text)
    rows = [f"| {c['title']} | {c['license']} | {c['n_utterances']} |" for c in corpora]
    table = [
        "# What these weights were made from",
        "",
        "The encoder started from OpenAI Whisper tiny.en (MIT, whisper-LICENSE.txt).",
        "They learned from recordings of these corpora, none of which is here:",
        "",
        "| corpus | licence and source | recordings |",
        "|---|---|---|",
        *rows,
        "",
        allowed_use(corpora),
    ]
    (folder / "TRAINING-DATA.md").write_text("\n".join(table) + "\n", "utf-8")


def allowed_use(corpora: list[dict[str, Any]]) -> str:
    """Say what the weights may be used for, given the corpora they learned from."""

    def titles(mark: str) -> str:
        return " and ".join(c["title"] for c in corpora if mark in c["license"])

    sentences = []
    if forbidding := titles("-NC"):
        sentences.append(
            f"Research and other non-commercial use: the terms of {forbidding} forbid "
            "commercial use."
        )
    if fixed := titles("-ND"):
        sentences.append(
            f"Those of {fixed} forbid sharing adaptations; whether trained weights are "
            "one is not settled."
        )
    if unknown := titles(UNKNOWN_LICENCE):
        sentences.append(f"The terms of {unknown} are for you to know and to add.")
    return " ".join([*sentences, "Cite the corpora."])


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Write a table as UTF-8 JSON, keys in the order given."""
    text = json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8")
