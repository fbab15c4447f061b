"""Whisper's log-mel spectrogram as ONNX operators, frames first and without STFT."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from espressivo.training.export.graph.builder import END
from espressivo.training.networks.logmel import N_FFT, N_MELS, mel_filters
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.logmel import LogMel

_HALF = N_FFT // 2

FRONT_END = (
    *("real", "imaginary", "energy"),
    *("real.even", "imaginary.even", "real.odd", "imaginary.odd", "coefficients"),
)
"""Matmuls of the front ends: log-mel, then those of LIGHT-SERNET's spectrum alone."""

_CIRCLE, _WINDOW, _TIMES, _BINS = (
    f"spectrum.{part}" for part in ("circle", "window", "times", "bins")
)
_PLACES, _SLOPES = "filters.places", "filters.slopes"
TABLES = (_CIRCLE, _WINDOW, _TIMES, _BINS, _PLACES, _SLOPES)
"""Initializers of the log-mel front end, which are not trained."""


def emit_logmel(graph: GraphBuilder, logmel: LogMel, samples: str) -> str:
    """Return log-mel frames [B, T, 80] of samples [B, time], T being time // hop."""
    loudest = graph.reduce(
        "Max", graph.op("Abs", [samples], "level"), [1], "peak", keep=True
    )
    loudest = graph.op("Max", [loudest, graph.number(logmel.quietest_peak)], "loudest")
    gain = graph.op("Div", [graph.number(logmel.peak), loudest], "gain")
    scaled = graph.op("Mul", [samples, gain], "scaled")
    frames = _frames(graph, scaled, samples, logmel.hop)
    return _compress(graph, _mel_energy(graph, frames))


def _frames(graph: GraphBuilder, scaled: str, samples: str, hop: int) -> str:
    """Cut [B, time] into overlapping frames [B, T, 400], every `hop` samples."""
    # The past is mirrored; the future is silence, enough for the last frame.
    past = graph.op(
        "Pad", [scaled, graph.integers(0, _HALF, 0, 0)], "past", mode="reflect"
    )
    padded = graph.op("Pad", [past, graph.integers(0, 0, 0, _HALF)], "padded")
    time = graph.op("Shape", [samples], "time.length", start=1)
    count = graph.op("Div", [time, graph.integers(hop)], "frames.count")
    # A frame is so many hops, of the last one only a part.
    n_hops = -(-N_FFT // hop)
    hops = graph.op("Add", [count, graph.integers(n_hops - 1)], "hops.count")
    end = graph.op("Mul", [hops, graph.integers(hop)], "hops.end")
    whole = graph.op(
        "Slice", [padded, graph.integers(0), end, graph.integers(1)], "whole"
    )
    cut = graph.op("Reshape", [whole, graph.integers(0, -1, hop)], "hops")
    parts = [
        graph.cut(cut, 1, (i, i + 1 - n_hops), f"hops.{i}") for i in range(n_hops - 1)
    ]
    # No copy is larger than the frames themselves.
    last = graph.cut(cut, 1, (n_hops - 1, END), "hops.last")
    rest = (0, N_FFT - (n_hops - 1) * hop)
    parts.append(graph.cut(last, 2, rest, "hops.part"))
    return graph.op("Concat", parts, "frames", axis=2)


def _mel_energy(graph: GraphBuilder, frames: str) -> str:
    """Return mel energies [B, T, 80] of frames [B, T, 400].

    The window is even around sample 200 and zero at sample 0, so cosines need only
    the sum of a frame and its mirror image and sines the difference, which halves the
    matmul. Bins 0 and
    200 are left out, where every mel filter is zero.
    """
    front = graph.cut(frames, 2, (1, _HALF + 1), "frames.front")  # samples 1..200
    back = graph.cut(frames, 2, (N_FFT - 1, _HALF - 1), "frames.back", -1)  # 399..200
    cosines, sines = _kernels(graph)
    even = graph.op("Add", [front, back], "frames.even")
    odd = graph.op("Sub", [front, back], "frames.odd")
    real = graph.op("MatMul", [even, cosines], "real.product")
    imaginary = graph.op("MatMul", [odd, sines], "imaginary.product")
    power = graph.op(
        "Add",
        [
            graph.op("Mul", [real, real], "real.squared"),
            graph.op("Mul", [imaginary, imaginary], "imaginary.squared"),
        ],
        "power",
    )
    return graph.op("MatMul", [power, _filters(graph)], "energy.product")


def _kernels(graph: GraphBuilder) -> tuple[str, str]:
    """Return cosines and negative sines of bins 1..199 at samples 1..200, [200, 199].

    They are looked up on a circle of 400 steps: runtimes compute constants when they
    open a graph, and the file need not hold 80,000 numbers.
    """
    steps = np.arange(N_FFT)
    circle = graph.exact(np.cos(2 * math.pi * steps / N_FFT), _CIRCLE)
    window = 0.5 - 0.5 * np.cos(2 * math.pi * steps[1 : _HALF + 1] / N_FFT)
    window[-1] /= 2  # sample 200 is its own mirror image, and its sines are 0
    window_ = graph.exact(window[:, None], _WINDOW)
    times = graph.indices(steps[1 : _HALF + 1, None], _TIMES)
    bins = graph.indices(steps[None, 1:_HALF], _BINS)
    turned = graph.op("Mul", [times, bins], "spectrum.turned")  # in steps

    def kernel(ahead: int, name: str) -> str:
        """Return windowed cosines of the angles, `ahead` steps further."""
        angle = graph.op("Add", [turned, graph.index(ahead)], f"{name}.angle")
        place = graph.op("Mod", [angle, graph.index(N_FFT)], f"{name}.place")
        wave = graph.op("Gather", [circle, place], f"{name}.wave")
        windowed = graph.op("Mul", [wave, window_], f"{name}.windowed")
        return graph.op("Cast", [windowed], f"{name}.kernel", to=TensorProto.FLOAT)

    # A quarter of the circle ahead of a cosine is the negative sine.
    return kernel(0, "real"), kernel(N_FFT // 4, "imaginary")


def _filters(graph: GraphBuilder) -> str:
    """Return the mel filters of bins 1..199, [199, 80], which are mostly zeros."""
    filters = mel_filters(SAMPLE_RATE, N_FFT, N_MELS)[:, 1:_HALF].T
    flat = filters.reshape(-1)
    places = np.flatnonzero(flat)
    nothing = graph.op("ConstantOfShape", [graph.integers(flat.size)], "filters.none")
    scattered = graph.op(
        "ScatterElements",
        [
            nothing,
            graph.indices(places, _PLACES),
            graph.weight(flat[places], _SLOPES),
        ],
        "filters.flat",
    )
    return graph.op("Reshape", [scattered, graph.integers(*filters.shape)], "filters")


def _compress(graph: GraphBuilder, energy: str) -> str:
    """Take logarithms, floored 8 decades below the clip's loudest, near -1..1.5."""
    clamped = graph.op("Max", [energy, graph.number(1e-10)], "energy.clamped")
    decades = graph.op(
        "Mul",
        [
            graph.op("Log", [clamped], "energy.log"),
            graph.number(1 / math.log(10.0)),
        ],
        "decades",
    )
    loudest = graph.reduce("Max", decades, [1, 2], "decades.top", keep=True)
    floor = graph.op("Sub", [loudest, graph.number(8.0)], "decades.floor")
    floored = graph.op("Max", [decades, floor], "decades.floored")
    raised = graph.op("Add", [floored, graph.number(4.0)], "decades.raised")
    return graph.op("Mul", [raised, graph.number(0.25)], "mel")
