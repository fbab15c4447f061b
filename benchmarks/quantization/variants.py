"""Quantization variants of one network: espressivo's, and those of onnxruntime's tools.

The variants of onnxruntime's tools start from the graph of torch.onnx.export and use
onnxruntime.quantization with its defaults, except for what the variant's name states.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from espressivo.training.config import ExperimentConfig, SignalConfig, read_config
from espressivo.training.corpora import Utterance, read_corpus
from espressivo.training.export import ExportOptions, export_run
from espressivo.training.export.card import read_run, trained_corpora
from espressivo.training.export.compression import ExportWindows, draw_windows
from espressivo.training.export.quantize.gptq import quantize_kernels
from espressivo.training.export.recordings import (
    check_windows,
    fold_test_utterances,
    training_utterances,
)
from espressivo.training.runs.folder import load_run
from espressivo.training.scores.temperature import read_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from espressivo.types import Signal

PLAIN = "plain fp32"
DYNAMIC = "dynamic int8, everything"
OURS_FP32 = "ours, fp32"
OURS_INT8 = "ours, int8"
SEARCHED = "ours, int8, searched"
BUDGET = 0.01

_LEAST_WEIGHTS = 16_384  # smaller weights stay fp32
_SECONDS = 8  # length of the traced input


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained network, and the recordings that its variants are scored on.

    Attributes:
        name: Name in tables.
        run: Run folder. A fold of a cross-validation is scored on its test speakers.
        held_out: Folders of labelled corpora by name, for a run that is no fold.
        cache: Folder for measurements of the exporter.
    """

    name: str
    run: Path
    held_out: dict[str, Path]
    cache: Path

    @property
    def config(self) -> ExperimentConfig:
        """Configuration of the run."""
        return read_config(self.run / "config.toml")

    def network(self) -> nn.Module:
        """Return the network as a torch module from samples to probabilities."""
        temperature: float = read_temperature(self.run)["temperature"]
        return _Probabilities(
            load_run(self.run), temperature, self.config.signal
        ).eval()

    def training_windows(self) -> ExportWindows:
        """Draw training recordings, of which some are for calibration."""
        names = [corpus["name"] for corpus in trained_corpora(read_run(self.run))]
        utterances = training_utterances(self.run, self.config, names, {})
        return draw_windows(utterances, self.config, ExportOptions())

    def judges(self) -> list[Utterance]:
        """Return labelled recordings of speakers who are not in the training data."""
        tested = fold_test_utterances(self.run)
        if tested is not None:
            return tested
        return [u for n, root in self.held_out.items() for u in read_corpus(n, root)]

    def windows(self, utterances: list[Utterance]) -> list[Signal]:
        """Read recordings and preprocess them as the model's input."""
        return check_windows(utterances, self.config.signal)


class _Probabilities(nn.Module):
    """Wrapper for the plain export: maps samples [B, time] to probabilities [B, C]."""

    def __init__(
        self, network: nn.Module, temperature: float, signal: SignalConfig
    ) -> None:
        super().__init__()
        self._network, self._temperature, self._signal = network, temperature, signal

    def forward(self, samples: Tensor) -> Tensor:
        if self._signal.pre_emphasis:
            before = nn.functional.pad(samples, (1, 0))[:, :-1]
            samples = samples - self._signal.pre_emphasis * before
        if self._signal.peak:
            loudest = samples.abs().amax(1, keepdim=True).clamp_min(1e-30)
            samples = samples / loudest * self._signal.peak
        logits: Tensor = self._network(samples)
        return (logits / self._temperature).softmax(-1)


def variants(subject: Subject, plain: Path) -> dict[str, Callable[[Path], None]]:
    """Return functions that write a variant's graph to a path, by name of the variant.

    Args:
        subject: The trained network.
        plain: Path of the plain fp32 graph, which must be written first.
    """
    return {
        PLAIN: lambda out: _export_plainly(subject, out),
        DYNAMIC: lambda out: quantize_dynamic(plain, out),
        "dynamic int8, MatMul": lambda out: quantize_dynamic(
            plain, out, op_types_to_quantize=["MatMul"]
        ),
        "static QDQ u8s8": lambda out: _static(subject, plain, out),
        "static QDQ s8s8": lambda out: _static(
            subject, plain, out, activation_type=QuantType.QInt8
        ),
        "static QDQ u8s8, MatMul": lambda out: _static(
            subject, plain, out, op_types_to_quantize=["MatMul"]
        ),
        "weights only, int8": lambda out: _weights_only(plain, out),
        "weights only, int4": lambda out: _four_bits(plain, out),
        OURS_FP32: lambda out: _ours(subject, out, precision="fp32"),
        OURS_INT8: lambda out: _ours(subject, out, sensitivity=True),
        SEARCHED: lambda out: _ours(subject, out, budget=BUDGET),
        "ours, fp16": lambda out: _ours(subject, out, precision="fp16"),
    }


def _export_plainly(subject: Subject, out: Path) -> None:
    noise = torch.randn(1, _SECONDS * 16_000) / 10
    with warnings.catch_warnings():
        # Warnings of the tracer, and of the deprecated exporter.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            subject.network(),
            (noise,),
            str(out),
            dynamo=False,
            opset_version=17,
            input_names=["samples"],
            output_names=["probabilities"],
            dynamic_axes={
                "samples": {0: "batch", 1: "time"},
                "probabilities": {0: "batch"},
            },
        )


def _static(subject: Subject, plain: Path, out: Path, **choices: Any) -> None:
    with TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            _Windows(subject.training_windows().calibration),
            per_channel=True,
            **({"activation_type": QuantType.QUInt8} | choices),
        )


class _Windows(CalibrationDataReader):  # type: ignore[misc]  # untyped
    """Calibration recordings in the form that onnxruntime's calibrators read."""

    def __init__(self, windows: list[Signal]) -> None:
        self._windows: Iterator[Signal] = iter(windows)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        window = next(self._windows, None)
        return None if window is None else {"samples": window[None]}


def _weights_only(plain: Path, out: Path) -> None:
    """Store weights as int8 with one scale per output channel; compute in fp32."""
    model = onnx.load(plain)
    graph = model.graph
    weights = {
        w.name: w for w in graph.initializer if np.prod(w.dims) >= _LEAST_WEIGHTS
    }
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type in {"MatMul", "Gemm", "Conv"} and node.input[1] in weights:
            weight = weights.pop(node.input[1])
            axis = 1 if node.op_type == "MatMul" else 0
            graph.initializer.remove(weight)
            stored, scales = _to_eight_bits(weight, axis)
            graph.initializer.extend([stored, scales])
            names = [stored.name, scales.name]
            nodes.append(
                helper.make_node("DequantizeLinear", names, [weight.name], axis=axis)
            )
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, out)


def _to_eight_bits(
    weight: onnx.TensorProto, axis: int
) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    by_output = np.moveaxis(numpy_helper.to_array(weight), axis, 0)
    levels, scale = quantize_kernels(by_output, most=127)
    return (
        numpy_helper.from_array(np.moveaxis(levels, 0, axis), f"{weight.name}.s8"),
        numpy_helper.from_array(scale, f"{weight.name}.scale"),
    )


def _four_bits(plain: Path, out: Path) -> None:
    quantizer = MatMulNBitsQuantizer(
        onnx.load(plain), block_size=32, is_symmetric=False
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(out), use_external_data_format=False)


def _ours(subject: Subject, out: Path, **choices: Any) -> None:
    folder = out.parent / "exported"
    options = ExportOptions(cache=subject.cache, force=True, **choices)
    export_run(subject.run, folder, options)
    (folder / "model.onnx").replace(out)
