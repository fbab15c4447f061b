"""Whisper's log-mel spectrogram as ONNX operators, frames first and without STFT."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from espressivo.training.export.graph.builder import END
from espressivo.training.networks.logmel import (
    HOP,
    N_FFT,
    N_MELS,
    fourier_kernels,
    mel_filters,
)
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


def emit_logmel(graph: GraphBuilder, logmel: LogMel, samples: str) -> str:
    """Return log-mel frames [B, T, 80] of samples [B, time], T being time // 160."""
    loudest = graph.reduce(
        "Max", graph.op("Abs", [samples], "level"), [1], "peak", keep=True
    )
    loudest = graph.op("Max", [loudest, graph.number(logmel.quietest_peak)], "loudest")
    gain = graph.op("Div", [graph.number(logmel.peak), loudest], "gain")
    scaled = graph.op("Mul", [samples, gain], "scaled")
    return _compress(graph, _mel_energy(graph, _frames(graph, scaled, samples)))


def _frames(graph: GraphBuilder, scaled: str, samples: str) -> str:
    """Cut [B, time] into overlapping frames [B, T, 400], every 160 samples."""
    # The past is mirrored; the future is silence, enough for the last frame.
    past = graph.op(
        "Pad", [scaled, graph.integers(0, _HALF, 0, 0)], "past", mode="reflect"
    )
    padded = graph.op("Pad", [past, graph.integers(0, 0, 0, _HALF)], "padded")
    time = graph.op("Shape", [samples], "time.length", start=1)
    count = graph.op("Div", [time, graph.integers(HOP)], "frames.count")
    hops = graph.op("Add", [count, graph.integers(2)], "hops.count")
    end = graph.op("Mul", [hops, graph.integers(HOP)], "hops.end")
    whole = graph.op(
        "Slice", [padded, graph.integers(0), end, graph.integers(1)], "whole"
    )
    hop = graph.op("Reshape", [whole, graph.integers(0, -1, HOP)], "hops")
    # A frame is two hops and a half: no copy is larger than the frames themselves.
    third = graph.cut(hop, 1, (2, END), "hops.third")
    parts = [
        graph.cut(hop, 1, (0, -2), "hops.first"),
        graph.cut(hop, 1, (1, -1), "hops.second"),
        graph.cut(third, 2, (0, N_FFT - 2 * HOP), "hops.half"),
    ]
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
    kernels = fourier_kernels(N_FFT)[:, 1 : _HALF + 1].T  # [200, 402]
    cosines = kernels[:, 1:_HALF].copy()
    cosines[-1] /= 2  # sample 200 is its own mirror image
    sines = kernels[:, _HALF + 2 : -1]
    real = graph.linear(
        graph.op("Add", [front, back], "frames.even"), cosines, None, "real"
    )
    imaginary = graph.linear(
        graph.op("Sub", [front, back], "frames.odd"), sines, None, "imaginary"
    )
    power = graph.op(
        "Add",
        [
            graph.op("Mul", [real, real], "real.squared"),
            graph.op("Mul", [imaginary, imaginary], "imaginary.squared"),
        ],
        "power",
    )
    filters = mel_filters(SAMPLE_RATE, N_FFT, N_MELS)[:, 1:_HALF]
    return graph.linear(power, filters.T, None, "energy")


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
