"""The steps of an export, from a training run to a checked model folder."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from espressivo.errors import ExportError
from espressivo.model.classifier import FORMAT_VERSION
from espressivo.training.config import read_config
from espressivo.training.corpora import read_corpus
from espressivo.training.export import (
    card,
    folder,
)
from espressivo.training.export.checks import parity
from espressivo.training.export.checks.costs import measure_costs
from espressivo.training.export.checks.heldout import score_held_out
from espressivo.training.export.compression import compress, draw_windows
from espressivo.training.export.graph import logmel, whisper
from espressivo.training.export.graph.dimensions import with_dimensions
from espressivo.training.export.graph.tiling import tile_convolution
from espressivo.training.export.graph.to_onnx import to_onnx
from espressivo.training.export.graph.voice import with_voice
from espressivo.training.export.options import ExportOptions, StepProgress, unwatched
from espressivo.training.export.recordings import (
    fold_test_utterances,
    heard_utterances,
    require_windows,
    training_utterances,
)
from espressivo.training.export.report import ExportReport
from espressivo.training.export.report_text import to_markdown
from espressivo.training.fit.voice_fit import VoiceProjection
from espressivo.training.runs.folder import ADAPTATION, load_run, require_run
from espressivo.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora import Utterance

_QDQ = "static QDQ, u8 activations, s8 weights, a scale a channel"


def export_run(
    run: Path,
    out: Path,
    options: ExportOptions | None = None,
    progress: StepProgress = unwatched,
) -> ExportReport:
    """Write the model folder of a finished run atomically.

    Args:
        run: Folder that `espressivo train` wrote.
        out: The model folder to write.
        options: Options of the export; None selects the defaults.
        progress: Callback with the name of each step when it begins.

    Raises:
        ExportError: The graph would not compute what the trained network computes, or
            `out` is taken, or the recordings are too short or silent.
        TrainingError: `run` is no run folder, or the run has not finished.
        CorpusError: A corpus is not where it was said to be.
    """
    options = options or ExportOptions()
    # Everything that can be refused is refused before minutes of work.
    folder.require_free(out, force=options.force)
    require_run(run)
    config = read_config(run / "config.toml")
    described = card.read_run(run)
    fitted = card.choose_temperature(run, options.temperature)
    results = card.read_evaluations(options.results)
    _require_deployable(config)
    network = load_run(run)
    name = options.name or config.name

    progress("building the graph")
    temperature, signal = fitted["temperature"], config.signal
    fp32 = to_onnx(network, temperature, name, signal)
    progress("reading recordings")
    utterances = _utterances(run, config, described, options)
    windows = draw_windows(utterances, config, options)
    require_windows(windows.checks)  # on silence all graphs would agree
    progress("comparing with torch")
    measured: dict[str, Any] = {
        "parity": parity.require_parity(
            network, fp32, temperature, windows.checks, signal
        )
    }
    if network.dimensions is not None:
        measured["dimension_parity"] = parity.require_dimension_parity(
            network, with_dimensions(fp32, network), windows.checks, signal
        )
    projection = None
    if (run / ADAPTATION).is_file():
        projection = VoiceProjection.read(run / ADAPTATION)
        measured["voice_parity"] = parity.require_voice_parity(
            network, with_voice(fp32, projection), projection, windows.checks, signal
        )
    with folder.disk_errors(out):  # temporary files and caches are written too
        shipped, more = compress(fp32, windows, options, progress)
        measured |= more
        # Tiled last, since targets and calibration know values by their untiled names.
        if options.precision != "fp16":  # on a GPU one large operator is faster
            shipped = tile_convolution(shipped)
        shipped = with_dimensions(shipped, network)
        if projection is not None:
            shipped = with_voice(shipped, projection)
        # On the shipped graph, in which tiles and int8 could mix rows too.
        measured["rows"] = parity.require_rows(shipped, windows.checks)

        made_by = _made_by(options, measured)
        details: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "name": name,
            "version": options.version or __version__,
        } | card.build_card(config, described, fitted, made_by, results)
        if labelled := _labelled(run, options):
            progress("scoring labelled recordings")
            measured["held_out"] = score_held_out(fp32, shipped, details, labelled)
        progress("measuring time and memory")
        measured["costs"] = measure_costs(fp32, shipped, details["window_s"])
        # After scoring, since the exact graph has no such outputs.
        if projection is not None:
            details["adaptation"] = projection.card.to_dict()
        if config.network.dimensions:
            details["dimensions"] = card.describe_dimensions(config)
        progress("writing the folder")
        return _write(out, (fp32, shipped), details, measured, force=options.force)


def _utterances(
    run: Path,
    config: ExperimentConfig,
    described: dict[str, Any],
    options: ExportOptions,
) -> list[Utterance]:
    """Read what the run trained on, from which windows for calibration are drawn."""
    trained_on = [corpus["name"] for corpus in card.trained_corpora(described)]
    if trained_on:
        return training_utterances(run, config, trained_on, options.corpora)
    return heard_utterances(described["target"]["corpora"], options.corpora)


def _require_deployable(config: ExperimentConfig) -> None:
    if config.training.speaker_statistics:
        raise ExportError(
            "training.speaker_statistics: the network was trained on frames less each "
            "speaker's own mean, which a graph cannot know; train without it"
        )


def _labelled(run: Path, options: ExportOptions) -> dict[str, list[Utterance]]:
    """Read the held-out corpora, and the test part of the run's fold if it has one."""
    sets = {name: read_corpus(name, root) for name, root in options.held_out.items()}
    tested = fold_test_utterances(run, options.corpora)
    if tested is not None:
        sets["test part of the fold"] = tested
    return sets


def _made_by(options: ExportOptions, measured: dict[str, Any]) -> dict[str, Any]:
    made_by: dict[str, Any] = {
        "command": options.command or None,
        "seed": options.seed,
        "precision": options.precision,
    }
    if options.calibrates:
        made_by["quantization"] = {
            "form": _QDQ,
            "ranges": measured.get("range_method"),
            "n_calibration": measured["n_calibration"],
            "kept_fp32": list(measured["kept"]),
        }
    return made_by


def _write(
    out: Path,
    graphs: tuple[onnx.ModelProto, onnx.ModelProto],
    details: dict[str, Any],
    measured: dict[str, Any],
    *,
    force: bool,
) -> ExportReport:
    fp32, shipped = graphs
    sizes = {w.name: math.prod(w.dims) for w in fp32.graph.initializer}
    fixed = {"window.near", "window.far", *logmel.TABLES, *whisper.TABLES}
    fixed |= {f"{name}.weight" for name in logmel.FRONT_END}
    with folder.staged(out, force=force) as stage:
        report = ExportReport(
            name=details["name"],
            version=details["version"],
            precision=details["made_by"]["precision"],
            sha256=folder.write_model(stage, shipped, details),
            # Scalars and slice bounds are not trained, nor are spectrum and positions.
            n_parameters=sum(
                n for name, n in sizes.items() if n > 4 and name not in fixed
            ),
            bytes_fp32=fp32.ByteSize(),
            bytes=shipped.ByteSize(),
            temperature=details["temperature"],
            operators=dict(Counter(n.op_type for n in shipped.graph.node)),
            **measured,
        )
        folder.write_licences(stage, details)
        folder.write_json(stage / "export.json", report.to_dict())
        (stage / "export.md").write_text(to_markdown(report), "utf-8")
    return report
