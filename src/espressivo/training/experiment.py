"""One model from one configuration: a run folder that can be resumed and exported.

A run folder holds `config.toml`, `run.json` (versions and what it was trained on),
`metrics.jsonl` (a line per epoch), checkpoints while it runs, and `model.safetensors`
at the end; with a classifier in closed form also `temperature.json`.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from espressivo.errors import TrainingError
from espressivo.training.config import read_config, to_toml
from espressivo.training.dataset import CLASSES, TrainingBatches, load_signals
from espressivo.training.discriminant import fit_discriminant, left_out_temperature
from espressivo.training.loop import train_stage
from espressivo.training.networks import EmotionNetwork, build_network, load_encoder
from espressivo.training.objective import Objective
from espressivo.training.prediction import apply_to_clips, predict
from espressivo.types import SAMPLE_RATE, Signal
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora.utterance import Utterance


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What is known after an epoch, a line of `metrics.jsonl`.

    Attributes:
        stage: `head`, `finetune` or `discriminant`.
        epoch: From 1.
        n_epochs: Of this stage.
        loss: Mean over the steps; over the clips when fitted in closed form.
        seconds: Wall clock.
        mean_recall: On the validation utterances, 0 to 1; None without any.
    """

    stage: str
    epoch: int
    n_epochs: int
    loss: float
    seconds: float
    mean_recall: float | None = None


def train(
    config: ExperimentConfig,
    utterances: Sequence[Utterance],
    folder: Path,
    *,
    validation: Sequence[Utterance] = (),
    cache: Path | None = None,
    on_loaded: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> EmotionNetwork:
    """Train one model into `folder`; continue where a stopped run left off.

    Args:
        config: What to train and how.
        utterances: All are trained on.
        folder: The run. Created; a run of another configuration there is refused.
        validation: Scored after every epoch, for the record: nothing is chosen by it.
        cache: Keeps trimmed signals between runs.
        on_loaded: Called after every recording, with how many are read, and all.
        on_epoch: Called after every epoch that is trained now.

    Raises:
        TrainingError: A corpus or an emotion has no utterance, a speaker would be
            trained on and scored, or the folder holds another run.
    """
    _require_trainable(utterances, validation)
    _open_run(folder, config, utterances)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    everything = [*utterances, *validation]
    signals = load_signals(everything, config.signal.trim_db, cache, on_loaded)
    batches = TrainingBatches(utterances, signals[: len(utterances)], config)
    network = build_network(config.network)
    load_encoder(network.encoder, config.encoder)
    if config.head.epochs or config.finetune.epochs:
        _standardize(network, batches, config)
    held_out = signals[len(utterances) :]
    for report in _train_stages(network, batches, config, folder):
        scored = report
        if validation:
            recall = _mean_recall(network, held_out, validation, config)
            scored = replace(report, mean_recall=recall)
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
            metrics.write(json.dumps(asdict(scored)) + "\n")
        if on_epoch is not None:
            on_epoch(scored)
    save_file(network.state_dict(), folder / "model.safetensors")
    for checkpoint in folder.glob("*.checkpoint"):
        checkpoint.unlink()
    return network.eval()


def _train_stages(
    network: EmotionNetwork,
    batches: TrainingBatches,
    config: ExperimentConfig,
    folder: Path,
) -> Iterator[EpochReport]:
    objective = Objective(network, config.loss, len(batches.speakers))
    stages = {"head": config.head, "finetune": config.finetune}
    for index, (name, stage) in enumerate(stages.items()):
        losses = train_stage(
            objective,
            stage,
            partial(batches.epoch, stage, first=1000 * index),
            seed=2 * config.seed + index,
            bfloat16=config.bfloat16,
            checkpoint=folder / f"{name}.checkpoint",
        )
        began = time.monotonic()
        for epoch, loss in losses:
            seconds = time.monotonic() - began
            yield EpochReport(name, epoch, stage.epochs, loss, seconds)
            began = time.monotonic()
    if config.discriminant.fit:
        began = time.monotonic()
        loss = _fit_classifier(network, batches, config, folder)
        yield EpochReport("discriminant", 1, 1, loss, time.monotonic() - began)


def write_temperature(folder: Path, temperature: float, fitted: str) -> None:
    """Write `temperature.json`, which export divides the logits by and tells of."""
    text = json.dumps({"temperature": temperature, "fitted": fitted}, indent=2)
    (folder / "temperature.json").write_text(text + "\n", "utf-8")


def load_run(folder: Path) -> EmotionNetwork:
    """Load the network that a finished run left, for evaluation or export.

    Raises:
        TrainingError: The run has not finished.
        ConfigError: Its configuration has been altered into a wrong one.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise TrainingError(f"{folder}: holds no model.safetensors; finish the run")
    network = build_network(read_config(folder / "config.toml").network)
    network.load_state_dict(load_file(weights))
    return network.eval()


def _fit_classifier(
    network: EmotionNetwork,
    batches: TrainingBatches,
    config: ExperimentConfig,
    folder: Path,
) -> float:
    """Fit the classifier in closed form to unvaried clips; return its cross-entropy."""
    network.eval()
    raw = apply_to_clips(
        lambda samples, lengths: network.pooling(*network.frames(samples, lengths)),
        batches.signals,
        int(config.signal.longest_s * SAMPLE_RATE),
    )
    labels = np.array([CLASSES[utterance.emotion] for utterance in batches.utterances])
    with torch.no_grad():
        network.standardize.fit(torch.from_numpy(raw))
        embeddings = network.standardize(torch.from_numpy(raw))
        fit = partial(
            fit_discriminant,
            interaction=config.discriminant.interaction,
            ridge=config.discriminant.ridge,
        )
        rows = embeddings.numpy()
        corpora = [utterance.corpus for utterance in batches.utterances]
        speakers = [utterance.speaker for utterance in batches.utterances]
        weight, bias = fit(rows, labels, corpora)
        temperature = left_out_temperature(fit, rows, labels, corpora, speakers)
        write_temperature(
            folder, temperature, "on the speakers trained on, each left out once"
        )
        network.classify.weight.copy_(torch.from_numpy(weight))
        network.classify.bias.copy_(torch.from_numpy(bias))
        logits = network.classify(embeddings)
        return float(cross_entropy(logits, torch.from_numpy(labels)))


def _mean_recall(
    network: EmotionNetwork,
    signals: Sequence[Signal],
    utterances: Sequence[Utterance],
    config: ExperimentConfig,
) -> float:
    logits = predict(network, signals, longest_s=config.signal.longest_s)
    truth = np.array([CLASSES[utterance.emotion] for utterance in utterances])
    right = logits.argmax(1) == truth
    return float(np.mean([right[truth == c].mean() for c in np.unique(truth)]))


def _standardize(
    network: EmotionNetwork, batches: TrainingBatches, config: ExperimentConfig
) -> None:
    """Fit the embedding's zero and one to an epoch of the encoder as it starts."""
    network.eval()
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16),
    ):
        rows = [
            network.embedding(batch.samples, batch.lengths).float()
            for batch in batches.epoch(config.head, 0, first=999)
        ]
        network.standardize.fit(torch.cat(rows))


def _require_trainable(
    utterances: Sequence[Utterance], validation: Sequence[Utterance]
) -> None:
    if missing := set(CLASSES) - {utterance.emotion for utterance in utterances}:
        raise TrainingError(
            f"no utterance to train on is {', '.join(sorted(missing))}; "
            "all four emotions are needed"
        )
    speakers = {utterance.speaker for utterance in utterances}
    if shared := speakers & {utterance.speaker for utterance in validation}:
        raise TrainingError(f"speakers trained on and validated on: {sorted(shared)}")


def _open_run(
    folder: Path, config: ExperimentConfig, utterances: Sequence[Utterance]
) -> None:
    """Write what the run is, or find that it is the run already there."""
    folder.mkdir(parents=True, exist_ok=True)
    text, kept = to_toml(config), folder / "config.toml"
    run, described = _describe(config, utterances), folder / "run.json"
    if kept.exists() and described.exists():
        before = json.loads(described.read_text("utf-8"))
        same = before["utterances_sha256"] == run["utterances_sha256"]
        if kept.read_text("utf-8") != text or not same:
            raise TrainingError(
                f"{folder}: holds a run of another configuration or other recordings; "
                "pass another folder, or remove it"
            )
        return
    kept.write_text(text, "utf-8")
    described.write_text(json.dumps(run, indent=2) + "\n", "utf-8")


def _describe(
    config: ExperimentConfig, utterances: Sequence[Utterance]
) -> dict[str, Any]:
    counts = Counter(f"{u.corpus}/{u.emotion}" for u in utterances)
    ids = "\n".join(utterance.id for utterance in utterances)
    return {
        "name": config.name,
        "seed": config.seed,
        "utterances": dict(sorted(counts.items())),
        "utterances_sha256": hashlib.sha256(ids.encode()).hexdigest(),
        "speakers": len({utterance.speaker for utterance in utterances}),
        "encoder_sha256": hashlib.sha256(config.encoder.read_bytes()).hexdigest(),
        "versions": {
            "espressivo": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
