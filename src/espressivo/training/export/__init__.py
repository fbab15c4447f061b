"""A finished run -> a model folder: one graph, int8, checked, with its card."""

from espressivo.training.export.exporter import export_run
from espressivo.training.export.graph.to_onnx import to_onnx
from espressivo.training.export.options import ExportOptions
from espressivo.training.export.quantize.calibration import (
    Calibration,
    calibrate,
    center_logits,
)
from espressivo.training.export.quantize.int8 import quantize
from espressivo.training.export.quantize.matmuls import products_of
from espressivo.training.export.report import ExportReport

__all__ = [
    "Calibration",
    "ExportOptions",
    "ExportReport",
    "calibrate",
    "center_logits",
    "export_run",
    "products_of",
    "quantize",
    "to_onnx",
]
