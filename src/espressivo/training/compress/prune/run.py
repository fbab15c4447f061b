"""Pruning of a finished run: checks, steps, last layer, report."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from espressivo.errors import TrainingError
from espressivo.files.atomic import write_text
from espressivo.training.clips.parts import parts_of
from espressivo.training.compress.prune.cost import measure_int8
from espressivo.training.compress.prune.folder import (
    describe_pruned,
    read_pruned,
)
from espressivo.training.compress.prune.layers import (
    Prunable,
    count_kept,
    keep_everything,
    keep_least,
    prunable_parts,
)
from espressivo.training.compress.prune.material import Material, read_material
from espressivo.training.compress.prune.report import (
    CorpusScore,
    PrunedLayer,
    PruneReport,
    to_markdown,
)
from espressivo.training.compress.prune.selection import rebuild
from espressivo.training.compress.prune.steps import plan_budget, prune_in_steps
from espressivo.training.config import read_config
from espressivo.training.export.card import choose_temperature
from espressivo.training.export.checks.parity import Agreement, agreement_of
from espressivo.training.export.options import unwatched
from espressivo.training.export.recordings import fold_of
from espressivo.training.fit.closed_form import fit_voices_on_clips
from espressivo.training.fit.predict import predict_clips
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.folder import (
    WEIGHTS,
    file_sha256,
    finish_run,
    load_run,
    pick_device,
    write_metrics,
    write_voice_projection,
)
from espressivo.training.runs.train import fit_classifier
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import TEMPERATURE, softmax

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.training.compress.prune.folder import PruningState
    from espressivo.training.compress.prune.options import PruneOptions
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.export.options import StepProgress
    from espressivo.training.networks.network import EmotionNetwork


def prune_run(
    run: Path,
    out: Path,
    options: PruneOptions,
    progress: StepProgress = unwatched,
) -> PruneReport:
    """Write the run folder of a pruned network; go on where a stopped pruning was.

    Args:
        run: Folder of a finished run.
        out: The run folder to write.
        options: Options of the pruning.
        progress: Callback with the name of each step when it begins.

    Raises:
        TrainingError: The run is not finished or cannot be pruned, the budget cannot be
            met, or `out` is taken.
        ExportError: The run's network has no graph.
        CorpusError: A training corpus is not where it was said to be.
    """
    whole = load_run(run)
    config = read_config(run / "config.toml", corpora=dict(options.corpora))
    _require_prunable(run, whole, config)
    state = read_pruned(out, run, options)
    parts = prunable_parts(whole)
    material = read_material(run, config, options, progress)
    progress("building the unpruned graph in int8")
    before = material.int8(whole)
    budget = plan_budget(whole, parts, material, before)
    describe_pruned(out, run, config, options)
    torch.set_num_threads(config.threads)
    student = prune_in_steps(
        whole, material, budget, state=state, out=out, progress=progress
    )
    progress("fitting the last layer")
    network = _finish(student, material, run, out)
    progress("measuring size, time and scores")
    after = material.int8(network)
    found = count_kept(whole, parts, keep_everything(parts))
    report = PruneReport(
        name=config.name,
        kind=config.network.kind,
        run_sha256=file_sha256(run / WEIGHTS),
        n_parameters_before=count_parameters(whole)[0],
        n_parameters_after=count_parameters(network)[0],
        n_prunable_before=found,
        n_prunable_after=state.steps[-1].n_parameters,
        layers=_removed(parts, network, state),
        steps=tuple(state.steps),
        change=_change(whole, network, material, out),
        costs=measure_int8(before, after),
        scores=_scores(whole, network, material),
        n_calibration=len(material.calibration),
        epochs=options.epochs,
        n_draws=options.n_draws,
    )
    text = json.dumps(report.to_dict(), indent=2, allow_nan=False)
    write_text(text + "\n", out / "prune.json")
    write_text(to_markdown(report), out / "prune.md")
    # Last: the weights mark the run as finished.
    finish_run(out, network)
    return report


def _require_prunable(
    run: Path, network: EmotionNetwork, config: ExperimentConfig
) -> None:
    if fold_of(run) is not None:
        raise TrainingError(
            f"{run}: is one fold of a cross-validation, which a pruned run would not "
            "know; prune a run that `espressivo train` wrote"
        )
    if config.training.speaker_statistics:
        raise TrainingError(
            f"{run}: training.speaker_statistics needs each speaker's own mean, which "
            "no graph knows; prune a run that was trained without it"
        )
    parts = prunable_parts(network)
    everything = count_kept(network, parts, keep_everything(parts))
    if everything == count_kept(network, parts, keep_least(parts)):
        raise TrainingError(
            f"{run}: everything that can be removed of its network has been; prune "
            "another run"
        )


def _finish(
    student: EmotionNetwork, material: Material, run: Path, out: Path
) -> EmotionNetwork:
    """Return the run's network with the last layer fitted again, as `train` does it."""
    config = material.config
    network = rebuild(config.network, student.encoder_settings, student.state_dict())
    network.to(pick_device(config))
    # As `train` fits it: parts of long recordings are further clips.
    clips = [*material.clips, *parts_of(material.clips, config)]
    batches = material.batches(network, clips)
    if config.classifier.fit != "gradient":
        write_metrics([asdict(fit_classifier(batches, None, config, out))], out)
    elif (run / TEMPERATURE).is_file():
        # Its logits learned to be those that this temperature was fitted to.
        shutil.copy(run / TEMPERATURE, out / TEMPERATURE)
    if config.profile.fit:
        write_voice_projection(fit_voices_on_clips(batches, config.profile), out)
    return network.eval()


def _change(
    whole: EmotionNetwork, network: EmotionNetwork, material: Material, out: Path
) -> Agreement:
    """Return the change of probabilities, each run at its own temperature."""
    wanted, found = (
        predict_clips(material.batches(one, material.checks, cache=False))
        for one in (whole.to(network.classify.weight.device), network)
    )
    temperature = choose_temperature(out, None)["temperature"]
    return agreement_of(
        softmax(wanted, material.temperature), softmax(found, temperature)
    )


def _scores(
    whole: EmotionNetwork, network: EmotionNetwork, material: Material
) -> tuple[CorpusScore, ...]:
    scores = []
    for corpus, clips in material.left_out.items():
        found = []
        for one in (whole, network):
            batches = material.batches(one, clips)
            found.append(score(batches.labels, softmax(predict_clips(batches))).ua)
        scores.append(CorpusScore(corpus, len(clips), *found))
    return tuple(scores)


def _removed(
    parts: Prunable, network: EmotionNetwork, state: PruningState
) -> tuple[PrunedLayer, ...]:
    after = {layer.name: layer.n_units for layer in prunable_parts(network).layers}
    total = sum(state.importance.values()) or 1.0
    return tuple(
        PrunedLayer(
            layer.name,
            layer.n_units,
            after.get(layer.name, 0),
            state.importance[layer.name] / total,
        )
        for layer in parts.layers
    )
