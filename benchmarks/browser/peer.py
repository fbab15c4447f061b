"""The peer's model: DistilHuBERT's dimensions, in 8 bits as transformers.js's tools do.

Random weights, which cost the same. Exported as optimum exports, then quantized with
what transformers.js's scripts/convert.py and scripts/quantize.py choose for a HuBERT:
dynamic, every operator that can be, per channel, 7 of 8 bits, unsigned because it has
Conv. They fold constants with onnxslim first; what onnxruntime folds runs as fast.
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

_SECONDS = 8  # that the export is traced with
_OPSET = 18


class _Logits(nn.Module):
    """Samples [B, time] to logits [B, labels]."""

    def __init__(self) -> None:
        super().__init__()
        self._network = HubertForSequenceClassification(CONFIG).eval()

    def forward(self, input_values: Tensor) -> Tensor:
        logits: Tensor = self._network(input_values).logits
        return logits


def make_peer(folder: Path) -> Path:
    """Write the folder that transformers.js loads, unless it is there; return it."""
    quantized = folder / "onnx" / "model_quantized.onnx"
    if quantized.exists():
        return folder
    quantized.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.save_pretrained(folder)
    # As published; it also spares the peer a pass over the signal.
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    torch.manual_seed(0)
    with TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        _export(scratch / "plain.onnx")
        # Else the positional convolution's weight is computed, and cannot be 8-bit.
        quant_pre_process(
            scratch / "plain.onnx", scratch / "folded.onnx", skip_symbolic_shape=True
        )
        _quantize(scratch / "folded.onnx", scratch / "quantized.onnx")
        (scratch / "quantized.onnx").replace(quantized)
    return folder


def _export(out: Path) -> None:
    noise = torch.randn(1, _SECONDS * 16_000) / 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, and that it is an old one
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
    logging.disable(logging.WARNING)  # it recommends what was just done
    quantize_dynamic(
        plain,
        out,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QUInt8,
        extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
    )
    logging.disable(logging.NOTSET)
