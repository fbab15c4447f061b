"""From a training run to a verified model folder: the steps, in order."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from espressivo.classifier import FORMAT_VERSION
from espressivo.errors import ExportError
from espressivo.training.config import read_config
from espressivo.training.experiment import load_run
from espressivo.training.export import card, folder, parity, recordings
from espressivo.training.export.budget import spend
from espressivo.training.export.calibration import (
    Calibration,
    calibrate,
    center_logits,
)
from espressivo.training.export.frontend import FRONT_END
from espressivo.training.export.graph import to_onnx
from espressivo.training.export.heldout import score_held_out
from espressivo.training.export.report import ExportReport
from espressivo.training.export.rounding import products_of, quantize_products
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import onnx

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.export.calibration import RangeMethod
    from espressivo.types import Signal

    Progress: TypeAlias = Callable[[str], None]

Precision: TypeAlias = Literal["int8", "fp32"]

LARGEST_MEAN_CHANGE = 0.03
"""Of a probability by rounding; a model beyond is not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to export.

    Attributes:
        name: Of the model; the run's when None.
        version: Of the model; the package's when None.
        precision: `int8`, or `fp32` for the graph as it is.
        temperature: Divides the logits; the run's `temperature.json` when None, else 1.
        corpora: Name of a training corpus -> its folder, where that is not the run's.
        held_out: Name of a labelled corpus -> its folder, to compare int8 with fp32 on.
        results: What `espressivo evaluate --out` wrote, for the card.
        keep: Patterns of layers that stay fp32.
        largest_bytes: Size of the graph that may be reached by keeping more layers in
            fp32, those that change most for their size; None keeps no more.
        range_method: How the ranges of activations are chosen.
        n_calibration: Recordings that choose them.
        n_checks: Further recordings that int8 is compared with fp32 on.
        seed: Draws both.
        sensitivity: Also measure each layer alone in int8.
        force: Replace a model that is there.
        command: How this was asked for, for the card.
    """

    name: str | None = None
    version: str | None = None
    precision: Precision = "int8"
    temperature: float | None = None
    corpora: Mapping[str, Path] = field(default_factory=dict)
    held_out: Mapping[str, Path] = field(default_factory=dict)
    results: Sequence[Path] = ()
    keep: Sequence[str] = ()
    largest_bytes: int | None = None
    range_method: RangeMethod = "mse"
    n_calibration: int = 100
    n_checks: int = 100
    seed: int = 0
    sensitivity: bool = False
    force: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class _Material:
    """Windows drawn from the training corpora."""

    calibration: list[Signal]
    checks: list[Signal]


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

    progress("building the graph")
    fp32 = to_onnx(network, fitted["temperature"], options.name or config.name)
    names = [corpus["name"] for corpus in card.trained_corpora(described)]
    progress("reading recordings")
    material = _draw_material(config, names, options)
    progress("comparing with torch")
    measured: dict[str, Any] = {
        "parity": parity.require_parity(
            network, fp32, fitted["temperature"], material.checks
        )
    }
    shipped = fp32
    if options.precision == "int8":
        progress("calibrating")
        shipped, more = _round(fp32, material, options)
        measured |= more
    measured["rows"] = parity.require_rows(shipped, material.checks)

    details = card.build_card(
        config, described, fitted, _made_by(options, measured), results
    )
    head = {
        "name": options.name or config.name,
        "version": options.version or __version__,
    }
    details = {"format_version": FORMAT_VERSION} | head | details
    if options.held_out:
        progress("scoring held-out corpora")
    held_out = score_held_out(fp32, shipped, details, options.held_out)
    progress("writing the folder")
    with folder.staged(out, force=options.force) as stage:
        head["sha256"] = folder.write_model(stage, shipped, details)
        head |= {"precision": options.precision, "temperature": details["temperature"]}
        report = _report(fp32, shipped, head, held_out=held_out, **measured)
        folder.write_licences(stage, details["training_corpora"])
        folder.write_json(stage / "export.json", report.to_dict())
        (stage / "export.md").write_text(report.to_markdown(), "utf-8")
    return report


def _draw_material(
    config: ExperimentConfig, trained_on: list[str], options: ExportOptions
) -> _Material:
    utterances = recordings.training_utterances(config, trained_on, options.corpora)
    drawn, rest = recordings.draw(utterances, options.n_calibration, options.seed)
    checked = (rest or drawn)[: options.n_checks]
    return _Material(
        recordings.calibration_windows(drawn, utterances, config, options.seed)
        if options.precision == "int8"
        else [],
        recordings.check_windows(checked, config.signal.trim_db),
    )


def _round(
    fp32: onnx.ModelProto, material: _Material, options: ExportOptions
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    every, chosen = products_of(fp32), products_of(fp32, options.keep)
    values = list(dict.fromkeys(product.value for product in every))
    calibration = calibrate(fp32, values, material.calibration, options.range_method)
    drift = {}
    if options.sensitivity or options.largest_bytes is not None:
        # By what calibrates: the checks are to judge what is chosen here.
        drift = parity.sensitivity(fp32, calibration, material.calibration)
    int8 = quantize_products(fp32, calibration, chosen)
    if options.largest_bytes is not None:
        kept = {p.name for p in every} - {p.name for p in chosen}
        kept |= {*spend(fp32, int8.ByteSize(), options.largest_bytes, drift, kept)}
        chosen = [product for product in every if product.name not in kept]
        int8 = quantize_products(fp32, calibration, chosen)
    int8 = center_logits(fp32, int8, material.calibration)
    names = [product.name for product in chosen]
    return int8, {
        "agreement": _require_agreement(fp32, int8, calibration, material),
        "speed": parity.measure_speed(fp32, int8, material.checks[0]),
        "products": tuple(names),
        "kept": tuple(p.name for p in every if p.name not in names),
        "range_method": options.range_method,
        "n_calibration": calibration.n_recordings,
        "sensitivity": drift,
    }


def _require_agreement(
    fp32: onnx.ModelProto,
    int8: onnx.ModelProto,
    calibration: Calibration,
    material: _Material,
) -> parity.Agreement:
    agreement = parity.compare(fp32, int8, material.checks)
    if not agreement.mean <= LARGEST_MEAN_CHANGE:
        drift = parity.sensitivity(fp32, calibration, material.checks[:20])
        worst = next(iter(drift))
        raise ExportError(
            f"int8 changes probabilities by {agreement.mean:.3f} in the mean, not at "
            f"most {LARGEST_MEAN_CHANGE}; most by {worst} ({drift[worst]:.3f} alone); "
            "keep that in fp32 with --keep, or export with --precision fp32"
        )
    return agreement


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


def _report(
    fp32: onnx.ModelProto, shipped: onnx.ModelProto, head: dict[str, Any], **more: Any
) -> ExportReport:
    sizes = {w.name: math.prod(w.dims) for w in fp32.graph.initializer}
    fixed = {"positions", *(f"{name}.weight" for name in FRONT_END)}
    return ExportReport(
        **head,
        # Scalars and slice bounds are not learned; nor are spectrum and positions.
        n_parameters=sum(n for name, n in sizes.items() if n > 4 and name not in fixed),
        bytes_fp32=fp32.ByteSize(),
        bytes=shipped.ByteSize(),
        operators=dict(Counter(n.op_type for n in shipped.graph.node).most_common()),
        **more,
    )
