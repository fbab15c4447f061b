"""A run folder: configuration, training data, metrics and weights of one model.

It holds `config.toml`, `run.json` (versions, revision, what it was trained on),
`metrics.jsonl` (a line an epoch), a checkpoint while it runs, and `model.safetensors`
at the end, with `encoder.json` beside it where the encoder's kind does not give its
size. A classifier in closed form adds `temperature.json`, and `profile.fit` adds
`adaptation.safetensors`, the projection to voice vectors and how voices differ.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from espressivo.errors import TrainingError
from espressivo.files.atomic import replacing, write_text
from espressivo.training.config import read_config, to_toml
from espressivo.training.networks import build_network, encoder_settings
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.fit.voice_fit import VoiceProjection
    from espressivo.training.networks.network import EmotionNetwork

WEIGHTS = "model.safetensors"
ENCODER = "encoder.json"
DESCRIPTION = "run.json"

OTHER = "other"
"""Name of what is none of the four emotions among the counts of `run.json`."""
ADAPTATION = "adaptation.safetensors"


def open_run(
    folder: Path,
    config: ExperimentConfig,
    clips: Sequence[LoadedClip],
    target: Sequence[LoadedClip] = (),
    teachers: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the description of a run, or check that the folder holds this run.

    Args:
        folder: The run folder; it is created.
        config: The configuration.
        clips: Clips that are trained on.
        target: Unlabelled clips that are trained on too.
        teachers: Descriptions of the networks that a student is distilled from.

    Raises:
        TrainingError: The folder holds another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run, described = describe_run(config, clips, target), folder / DESCRIPTION
    if teachers:
        run["teachers"] = [dict(teacher) for teacher in teachers]
    if described.exists():
        kept = read_config(folder / "config.toml")
        before = json.loads(described.read_text("utf-8"))
        keys = ("utterances_sha256", "target", "teachers")
        same = all(before.get(key) == run.get(key) for key in keys)
        if kept != config or not same:
            raise TrainingError(
                f"{folder}: holds a run of another configuration, or of other "
                "recordings or teachers; pass another folder, or remove it"
            )
        return
    # `run.json` comes second: where it exists, both files are complete.
    write_text(to_toml(config), folder / "config.toml")
    write_text(json.dumps(run, indent=2) + "\n", described)


def require_run(folder: Path) -> None:
    """Refuse a path that is no run folder, and say what it is, or where runs are.

    Raises:
        TrainingError: It holds no `run.json`.
    """
    if (folder / DESCRIPTION).is_file():
        return
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "no such folder"
    elif (folder / "model.onnx").is_file():
        found = "is a model folder, so it is exported already"
    elif inside := sorted(folder.glob(f"*/{DESCRIPTION}")) or sorted(
        folder.glob(f"*/*/{DESCRIPTION}")  # what crossval writes: FOLD/seed-N
    ):
        runs = "1 run" if len(inside) == 1 else f"{len(inside)} runs"
        found = f"is no run, but holds {runs}, such as {inside[0].parent}"
    else:
        found = f"is no run (no {DESCRIPTION})"
    raise TrainingError(
        f"{folder}: {found}; pass a folder that `espressivo train` wrote"
    )


def is_finished(folder: Path) -> bool:
    """Whether the run has written its weights."""
    return (folder / WEIGHTS).is_file()


def write_metrics(lines: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write the metrics of all epochs so far, a line each."""
    # Rewritten, not appended to: a killed run leaves no half line, a resumed one no
    # line twice.
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_text(text, folder / "metrics.jsonl")


def write_voice_projection(projection: VoiceProjection, folder: Path) -> None:
    """Write the projection to voice vectors atomically into a run folder."""
    with replacing(folder / ADAPTATION, errors=(SafetensorError,)) as whole:
        projection.write(whole)


def finish_run(folder: Path, network: EmotionNetwork) -> None:
    """Write the weights, and remove the checkpoint."""
    if settings := encoder_settings(network):
        write_text(json.dumps(settings, indent=2) + "\n", folder / ENCODER)
    # safetensors refuses tensors that are not contiguous.
    state = {n: t.detach().cpu().contiguous() for n, t in network.state_dict().items()}
    # After everything else that training writes: the weights mark it as finished.
    # safetensors reports a full disk by an error of its own.
    with replacing(folder / WEIGHTS, errors=(SafetensorError,)) as whole:
        save_file(state, whole)
    for checkpoint in folder.glob("*.checkpoint"):
        checkpoint.unlink()


def load_run(folder: Path) -> EmotionNetwork:
    """Return the trained network of a finished run, for evaluation or export.

    Raises:
        TrainingError: The folder is no run, the run has not finished, or its weights
            are of another network.
    """
    require_run(folder)
    if not is_finished(folder):
        raise TrainingError(f"{folder}: holds no {WEIGHTS}; finish the run")
    config = read_config(folder / "config.toml").network
    kept = folder / ENCODER
    settings = json.loads(kept.read_text("utf-8")) if kept.is_file() else None
    network = build_network(config, settings)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except SafetensorError as error:
        raise TrainingError(
            f"{folder / WEIGHTS}: is damaged ({error}); restore it, or train again in "
            "another folder"
        ) from error
    except RuntimeError as error:
        raise TrainingError(
            f"{folder / WEIGHTS}: is of another network than its config.toml says "
            f"({str(error).splitlines()[-1].strip()}); train again in another folder"
        ) from error
    return network.eval()


def describe_run(
    config: ExperimentConfig,
    clips: Sequence[LoadedClip],
    target: Sequence[LoadedClip] = (),
) -> dict[str, Any]:
    """Return everything that determines a run's result, as JSON values.

    `target` is described without its labels.
    """
    utterances = [clip.utterance for clip in clips]
    counts = Counter(f"{u.corpus}/{u.emotion or OTHER}" for u in utterances)
    return {
        "name": config.name,
        "seed": config.seed,
        "utterances": dict(sorted(counts.items())),
        "utterances_sha256": _sha256_of(clips),
        "speakers": len({utterance.speaker for utterance in utterances}),
        "encoder_sha256": weights_sha256(config.network.weights),
        "git": git_revision(),
        "device": str(pick_device(config)),
        "versions": versions(),
    } | ({"target": _describe_target(target)} if target else {})


def _describe_target(target: Sequence[LoadedClip]) -> dict[str, Any]:
    return {
        "corpora": sorted({clip.utterance.corpus for clip in target}),
        "recordings": len(target),
        "sha256": _sha256_of(target),
    }


def _sha256_of(clips: Sequence[LoadedClip]) -> str:
    # Unsorted: the order of clips decides which of them share a batch.
    content = "\n".join(f"{clip.utterance.id} {clip.digest}" for clip in clips)
    return hashlib.sha256(content.encode()).hexdigest()


def pick_device(config: ExperimentConfig) -> torch.device:
    """Return the device to train on.

    Raises:
        TrainingError: A GPU is asked for, and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "device is 'cuda', but torch finds no GPU; set device = \"auto\""
        )
    found = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(found if config.device == "auto" else config.device)


def weights_sha256(weights: str) -> str | None:
    """Return the SHA-256 of the pretrained weights; None if this machine lacks them."""
    path = Path(weights)
    files = [path, path / WEIGHTS, path / "pytorch_model.bin"] if weights else []
    for file in files:
        if file.is_file():
            return file_sha256(file)
    return None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages on which numbers depend."""
    return {
        "espressivo": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


@cache
def git_revision() -> str | None:
    """Return the git revision, with `+` for changed files; None outside a checkout."""
    here = Path(__file__).parent
    try:
        text = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=40"],  # noqa: S607
            cwd=here,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return text.strip()
