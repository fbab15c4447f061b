"""From a training run to a verified model folder: the steps, in order."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from espressivo.classifier import FORMAT_VERSION
from espressivo.training.config import read_config
from espressivo.training.export import card, folder, parity
from espressivo.training.export.frontend import FRONT_END
from espressivo.training.export.graph import to_onnx
from espressivo.training.export.heldout import score_held_out
from espressivo.training.export.options import ExportOptions
from espressivo.training.export.reduction import draw_material, round_graph
from espressivo.training.export.report import ExportReport
from espressivo.training.run import load_run
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

    Progress: TypeAlias = Callable[[str], None]


def export_run(
    run: Path,
    out: Path,
    options: ExportOptions | None = None,
    progress: Progress = lambda _: None,
) -> ExportReport:
    """Write the model folder of a finished run, whole or not at all.

    Args:
        run: Folder that `espressivo train` wrote.
        out: The model folder to write.
        options: How.
        progress: Called with each step's name as it begins.

    Raises:
        ExportError: The graph would not be the network that was trained, or `out` is
            taken, or the recordings are no use.
        TrainingError: The run has not finished.
        CorpusError: A corpus is not where it was said to be.
    """
    options = options or ExportOptions()
    folder.require_free(out, force=options.force)
    config = read_config(run / "config.toml")
    described = card.read_run(run)
    fitted = card.read_temperature(run, options.temperature)
    results = card.read_results(options.results)
    network = load_run(run)
    name = options.name or config.name

    progress("building the graph")
    fp32 = to_onnx(network, fitted["temperature"], name)
    progress("reading recordings")
    trained_on = [corpus["name"] for corpus in card.trained_corpora(described)]
    material = draw_material(config, trained_on, options)
    progress("comparing with torch")
    temperature, checks = fitted["temperature"], material.checks
    measured: dict[str, Any] = {
        "parity": parity.require_parity(network, fp32, temperature, checks)
    }
    shipped = fp32
    if options.precision == "int8":
        progress("calibrating and rounding")
        shipped, more = round_graph(fp32, material, options)
        measured |= more
    measured["rows"] = parity.require_rows(shipped, material.checks)

    made_by = _made_by(options, measured)
    details = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "version": options.version or __version__,
    } | card.build_card(config, described, fitted, made_by, results)
    if options.held_out:
        progress("scoring held-out corpora")
        scores = score_held_out(fp32, shipped, details, options.held_out)
        measured["held_out"] = scores
    progress("writing the folder")
    return _write(out, fp32, shipped, details, measured, force=options.force)


def _made_by(options: ExportOptions, measured: dict[str, Any]) -> dict[str, Any]:
    made_by: dict[str, Any] = {
        "command": options.command or None,
        "seed": options.seed,
        "precision": options.precision,
    }
    if options.precision == "int8":
        made_by["quantization"] = {
            "form": "static QDQ, u8 activations, s8 weights, a scale a channel",
            "ranges": options.range_method,
            "n_calibration": measured["n_calibration"],
            "kept_fp32": list(measured["kept"]),
        }
    return made_by


def _write(
    out: Path,
    fp32: onnx.ModelProto,
    shipped: onnx.ModelProto,
    details: dict[str, Any],
    measured: dict[str, Any],
    *,
    force: bool,
) -> ExportReport:
    sizes = {w.name: math.prod(w.dims) for w in fp32.graph.initializer}
    fixed = {"positions", *(f"{name}.weight" for name in FRONT_END)}
    with folder.staged(out, force=force) as stage:
        report = ExportReport(
            name=details["name"],
            version=details["version"],
            precision=details["made_by"]["precision"],
            sha256=folder.write_model(stage, shipped, details),
            # Scalars and slice bounds are not learned, nor are spectrum and positions.
            n_parameters=sum(
                n for name, n in sizes.items() if n > 4 and name not in fixed
            ),
            bytes_fp32=fp32.ByteSize(),
            bytes=shipped.ByteSize(),
            temperature=details["temperature"],
            operators=dict(Counter(n.op_type for n in shipped.graph.node)),
            **measured,
        )
        folder.write_licences(stage, details["training_corpora"])
        folder.write_json(stage / "export.json", report.to_dict())
        (stage / "export.md").write_text(report.to_markdown(), "utf-8")
    return report
