"""Export of a finished run as a model folder: ONNX graph, checks and model card."""

from espressivo.training.export.exporter import export_run
from espressivo.training.export.graph.to_onnx import to_onnx
from espressivo.training.export.options import ExportOptions
from espressivo.training.export.quantize.calibration import (
    ActivationCalibration,
    center_logits,
    collect_activations,
)
from espressivo.training.export.quantize.int8 import quantize
from espressivo.training.export.quantize.targets import (
    find_matmuls,
    values_to_calibrate,
)
from espressivo.training.export.report import ExportReport

__all__ = [
    "ActivationCalibration",
    "ExportOptions",
    "ExportReport",
    "center_logits",
    "collect_activations",
    "export_run",
    "find_matmuls",
    "quantize",
    "to_onnx",
    "values_to_calibrate",
]
