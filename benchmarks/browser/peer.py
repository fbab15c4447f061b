"""Model of the peer: DistilHuBERT's dimensions, quantized like transformers.js's tools.

Its weights are random, which take as long as trained ones. It is exported like optimum
exports, then quantized with the settings that transformers.js's scripts/convert.py and
scripts/quantize.py choose for a HuBERT: dynamic quantization of all operators that
support it, per channel, 7 of 8 bits, unsigned because the graph contains Conv. These
scripts fold constants with onnxslim first; folding by onnxruntime runs as fast.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from transformers import HubertForSequenceClassification, Wav2Vec2FeatureExtractor

from benchmarks.analyze.peer import CONFIG

_SECONDS = 8  # length of the traced input
_OPSET = 18


class _Logits(nn.Module):
    """Wrapper for the export: maps samples [B, time] to logits [B, labels]."""

    def __init__(self) -> None:
        super().__init__()
        self._network = HubertForSequenceClassification(CONFIG).eval()

    def forward(self, input_values: Tensor) -> Tensor:
        logits: Tensor = self._network(input_values).logits
        return logits


def make_peer(folder: Path) -> Path:
    """Write the model folder for transformers.js unless it exists; return it."""
    quantized = folder / "onnx" / "model_quantized.onnx"
    if quantized.exists():
        return folder
    quantized.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.save_pretrained(folder)
    # The published setting, which also saves the peer a pass over the signal.
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    torch.manual_seed(0)
    with TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        _export(scratch / "plain.onnx")
        # Without folding, the weight of the positional convolution is computed at run
        # time (weight norm), and cannot be quantized.
        quant_pre_process(
            scratch / "plain.onnx", scratch / "folded.onnx", skip_symbolic_shape=True
        )
        _quantize(scratch / "folded.onnx", scratch / "quantized.onnx")
        (scratch / "quantized.onnx").replace(quantized)
    return folder


def _export(out: Path) -> None:
    noise = torch.randn(1, _SECONDS * 16_000) / 10
    with warnings.catch_warnings():
        # Warnings of the tracer, and of the deprecated exporter.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(),
            (noise,),
            str(out),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input_values"],
            output_names=["logits"],
            dynamic_axes={
                "input_values": {0: "batch_size", 1: "sequence_length"},
                "logits": {0: "batch_size"},
            },
        )


def _quantize(plain: Path, out: Path) -> None:
    logging.disable(logging.WARNING)  # recommends preprocessing, which was just done
    quantize_dynamic(
        plain,
        out,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QUInt8,
        extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
    )
    logging.disable(logging.NOTSET)
