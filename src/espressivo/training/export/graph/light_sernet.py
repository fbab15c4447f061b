"""LIGHT-SERNET as ONNX operators: cepstral coefficients, then convolutions.

A window has one length, so every shape but the batch is known to the graph.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from espressivo.training.export.graph.builder import END
from espressivo.training.export.graph.heads import emit_classifier
from espressivo.training.export.graph.layers import array
from espressivo.training.networks.mfcc import HOP, N_FFT
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.light_sernet import LightSernet
    from espressivo.training.networks.mfcc import Mfcc

_THOUSAND = 1000  # the scale is a quantile of 999 thousandths


def emit_probabilities(
    graph: GraphBuilder, network: LightSernet, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    embedding = emit_light_sernet(graph, network, samples)
    return emit_classifier(graph, network, embedding, temperature)


def emit_light_sernet(graph: GraphBuilder, network: LightSernet, samples: str) -> str:
    """Return the mean over time and frequency [B, 320] of samples [B, time]."""
    n_samples = round(network.config.window_s * SAMPLE_RATE)
    window = _normalized_window(graph, samples, n_samples)
    frames = _emit_mfcc(graph, network.mfcc, window, n_samples)
    image = graph.op("Unsqueeze", [frames, graph.integers(1)], "image")
    paths = [
        _block(graph, path, image, f"paths.{index}")
        for index, path in enumerate(network.paths)
    ]
    x = graph.op("Concat", paths, "hidden.0", axis=1)
    for index, block in enumerate(network.body):
        x = _block(graph, block, x, f"body.{index}", f"hidden.{index + 1}")
    return graph.reduce("Mean", x, [2, 3], "embedding", keep=False)


def _normalized_window(graph: GraphBuilder, samples: str, n_samples: int) -> str:
    """Take the middle of samples [B, time], or put them there: [B, n_samples].

    The quantile is that of the samples alone. It lies among the greatest, where the
    zeros around them do not come.
    """
    time = graph.op("Shape", [samples], "time.length", start=1)
    wanted = graph.integers(n_samples)
    none = graph.integers(0)
    two = graph.integers(2)

    def half_of_what(value: str, exceeds: str, name: str) -> str:
        more = graph.op("Sub", [value, exceeds], f"{name}.more")
        more = graph.op("Max", [more, none], f"{name}.excess")
        return graph.op("Div", [more, two], name)

    longest_gap = (n_samples + 1) // 2
    padded = graph.op(
        "Pad",
        [samples, graph.integers(0, longest_gap, 0, longest_gap)],
        "window.padded",
    )
    start = graph.op(
        "Sub",
        [
            half_of_what(time, wanted, "window.crop"),
            half_of_what(wanted, time, "window.gap"),
        ],
        "window.shift",
    )
    start = graph.op("Add", [start, graph.integers(longest_gap)], "window.start")
    end = graph.op("Add", [start, wanted], "window.end")
    cut = graph.op("Slice", [padded, start, end, graph.integers(1)], "window.cut")
    window = graph.op("Reshape", [cut, graph.integers(0, n_samples)], "window")
    count = graph.op("Min", [time, wanted], "window.count")
    loud = _quantile(graph, window, count, n_samples)
    floor = graph.number(float(np.finfo(np.float64).eps))
    loud = graph.op("Add", [loud, floor], "window.loud")
    scaled = graph.op("Div", [window, loud], "window.scaled")
    ends = [graph.number(-1.0), graph.number(1.0)]
    return graph.op("Clip", [scaled, *ends], "window.clipped")


def _quantile(graph: GraphBuilder, window: str, count: str, n_samples: int) -> str:
    """Return the 99.9th percentile of the magnitude of `count` samples: [B, 1].

    The rank from the top is (count - 1) / 1000, between whole ones interpolated.
    """
    n_top = -(-(n_samples - 1) // _THOUSAND) + 1
    magnitude = graph.op("Abs", [window], "window.magnitude")
    top = graph.op(
        "TopK",
        [magnitude, graph.integers(n_top)],
        "window.top",
        also=["window.top.places"],
        axis=1,
    )
    last = graph.op("Sub", [count, graph.integers(1)], "quantile.last")
    thousandths = graph.op(
        "Mul", [last, graph.integers(_THOUSAND - 1)], "quantile.thousandths"
    )
    thousand = graph.integers(_THOUSAND)
    below = graph.op("Div", [thousandths, thousand], "quantile.below")
    rest = graph.op("Mod", [thousandths, thousand], "quantile.rest")
    share = graph.op("Cast", [rest], "quantile.share.thousandths", to=1)
    share = graph.op("Div", [share, graph.number(float(_THOUSAND))], "quantile.share")
    rank = graph.op("Sub", [last, below], "quantile.rank")  # of the lower, from the top
    above = graph.op("Sub", [rank, graph.integers(1)], "quantile.above")
    lower = graph.op("Gather", [top, rank], "quantile.lower", axis=1)
    upper = graph.op("Gather", [top, above], "quantile.upper", axis=1)
    step = graph.op("Sub", [upper, lower], "quantile.step")
    part = graph.op("Mul", [step, share], "quantile.part")
    return graph.op("Add", [lower, part], "quantile")


def _emit_mfcc(graph: GraphBuilder, mfcc: Mfcc, window: str, n_samples: int) -> str:
    """Return cepstral coefficients [B, T, 40] of a window [B, n_samples].

    Frequencies outside all mel filters are left out.
    """
    filters = array(mfcc.filters)  # [513, 128]
    (used,) = np.nonzero(filters.any(1))
    even, odd = used[used % 2 == 0], used[used % 2 == 1]
    inputs = _folded(graph, array(mfcc.window), _hops(graph, window, n_samples))
    magnitudes = [
        _magnitude(graph, inputs[:2], even, "even"),
        _magnitude(graph, inputs[2:], odd, "odd"),
    ]
    magnitude = graph.op("Concat", magnitudes, "magnitude", axis=2)
    energy = graph.linear(magnitude, filters[[*even, *odd]], None, "energy")
    raised = graph.op("Add", [energy, graph.number(1e-6)], "energy.raised")
    level = graph.op("Log", [raised], "energy.log")
    coefficients = graph.linear(level, array(mfcc.cosines), None, "coefficients")
    ends = [graph.number(-10.0), graph.number(10.0)]
    return graph.op("Clip", [coefficients, *ends], "mfcc")


def _hops(graph: GraphBuilder, window: str, n_samples: int) -> tuple[str, str]:
    """Cut a window [B, n_samples] into hops of 256 samples [B, hops, 256].

    The second is shifted by one sample, each hop of it backwards: at place i it holds
    sample 256 - i of the hop.
    """
    n_hops = n_samples // HOP
    end = n_hops * HOP
    hops = []
    for name, span in (("hops", (0, end)), ("hops.shifted", (1, end + 1))):
        whole = graph.cut(window, 1, span, f"{name}.whole")
        hops.append(graph.op("Reshape", [whole, graph.integers(0, n_hops, HOP)], name))
    back = graph.cut(hops[1], 2, (HOP - 1, -HOP - 1), "hops.back", -1)
    return hops[0], back


def _folded(
    graph: GraphBuilder, window: NDArray[np.float64], hops: tuple[str, str]
) -> list[str]:
    """Return windowed frames [B, T, 1024] folded twice, for cosines and sines.

    A cosine is even and a sine odd around the middle of a frame. Around a quarter, the
    cosines of even frequencies are even and those of odd ones odd, the sines the other
    way round. So four matmuls over 256 or 257 samples do what two would over 1024, a
    quarter of the work. Sample 0 of the window is zero.

    Returns:
        Inputs of cosines and of sines for even frequencies, then for odd ones.
    """
    forward, back = hops
    last = N_FFT // HOP - 1

    def hop(of: str, index: int, name: str) -> str:
        return graph.cut(of, 1, (index, index - last or END), f"frames.{name}")

    # At place i: samples i and 1024 - i; samples 512 - i and 512 + i.
    first, fourth = hop(forward, 0, "first"), hop(back, last, "fourth")
    second, third = hop(back, 1, "second"), hop(forward, last - 1, "third")
    near = graph.weight(window[:HOP], "window.near")
    shape = window[HOP + 1 : 2 * HOP + 1][::-1].copy()
    shape[0] /= 2  # sample 512 is its own mirror image
    far = graph.weight(shape, "window.far")

    def fold(kind: str, name: str) -> tuple[str, str, str]:
        """Fold around the middle; return place i, place 512 - i, and place 256."""
        folded = []
        for pair, shape, side in (
            ((first, fourth), near, "near"),
            ((second, third), far, "far"),
        ):
            both = graph.op(kind, pair, f"frames.{name}.{side}.both")
            folded.append(graph.op("Mul", [both, shape], f"frames.{name}.{side}"))
        quarter = graph.cut(hop(back, 0, f"{name}.q1"), 2, (0, 1), f"frames.{name}.256")
        other = hop(forward, last, f"{name}.q3")
        other = graph.cut(other, 2, (0, 1), f"frames.{name}.768")
        middle = graph.op(kind, [quarter, other], f"frames.{name}.middle")
        return folded[0], folded[1], middle

    cosine_near, cosine_far, cosine_middle = fold("Add", "cosines")
    sine_near, sine_far, sine_middle = fold("Sub", "sines")

    def with_middle(value: str, middle: str, name: str) -> str:
        return graph.op("Concat", [value, middle], f"frames.{name}", axis=2)

    evenly = graph.op("Add", [cosine_near, cosine_far], "frames.cosines.added")
    oddly = graph.op("Add", [sine_near, sine_far], "frames.sines.added")
    return [
        with_middle(evenly, cosine_middle, "cosines.even"),
        graph.op("Sub", [sine_near, sine_far], "frames.sines.even"),
        graph.op("Sub", [cosine_near, cosine_far], "frames.cosines.odd"),
        with_middle(oddly, sine_middle, "sines.odd"),
    ]


def _magnitude(
    graph: GraphBuilder, inputs: list[str], bins: NDArray[np.intp], name: str
) -> str:
    """Return the magnitude [B, T, bins] of frames folded for these frequencies."""
    squares = []
    for value, wave, part in zip(
        inputs, (np.cos, np.sin), ("real", "imaginary"), strict=True
    ):
        phase = 2 * math.pi * np.outer(np.arange(HOP + 1), bins) / N_FFT
        kernels = wave(phase)
        kernels[-1] /= 2  # the window's value there
        if (part == "real") != (name == "even"):
            kernels = kernels[:-1]  # zero at a quarter
        level = graph.linear(value, kernels, None, f"{part}.{name}")
        squares.append(graph.op("Mul", [level, level], f"{part}.{name}.squared"))
    power = graph.op("Add", squares, f"power.{name}")
    return graph.op("Sqrt", [power], f"magnitude.{name}")


def _block(
    graph: GraphBuilder, module: nn.Module, x: str, name: str, output: str = ""
) -> str:
    """Convolve images [B, channels, T, frequency], rectify, and pool where it does.

    Batch norm scales and shifts a channel, which the convolution can do itself.
    """
    layers = cast("nn.Sequential", module)
    convolution, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", layers[:2])
    assert norm.running_mean is not None  # both are kept, unless asked not to
    assert norm.running_var is not None
    gain = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    shift = array(norm.bias) - array(norm.running_mean) * gain
    if convolution.bias is not None:
        shift += array(convolution.bias) * gain
    kernel = array(convolution.weight) * gain[:, None, None, None]
    before = [size // 2 for size in convolution.kernel_size]  # all are odd
    weights = [
        graph.weight(kernel, f"{name}.weight"),
        graph.weight(shift, f"{name}.bias"),
    ]
    x = graph.op("Conv", [x, *weights], f"{name}.product", pads=[*before, *before])
    if len(layers) <= len(("convolution", "norm", "rectifier")):
        return graph.op("Relu", [x], output or name)
    x = graph.op("Relu", [x], f"{name}.relu")
    size = cast("tuple[int, int]", cast("nn.AvgPool2d", layers[3]).kernel_size)
    return graph.op(
        "AveragePool",
        [x],
        output or name,
        kernel_shape=size,
        strides=size,
        ceil_mode=1,
        count_include_pad=0,
    )
