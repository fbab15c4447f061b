"""DistilHuBERT, HuBERT and wav2vec 2.0 as ONNX operators, frames before channels.

Written for what a graph runs on: the norm of the first convolution costs nothing, the
weight norm of the positional one is folded, and the others are left what they are:
onnxruntime's integer convolution needs no unfolded frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from onnx import TensorProto

from espressivo.training.export.graph.heads import emit_head
from espressivo.training.export.graph.layers import (
    AttentionLayers,
    array,
    emit_attention,
    emit_convolution,
    emit_linear,
    emit_normalization,
    emit_scaled_linear,
    unfold,
)
from espressivo.training.export.graph.signal import emit_fixed_window
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import nn

    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.hubert import HubertNetwork


# Convolutions whose rows are scaled: from here on it costs little time, and what
# quantization changes comes from here.
_SCALED_FROM = 4


def emit_probabilities(
    graph: GraphBuilder, network: HubertNetwork, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    if network.config.padding == "fixed":
        n_samples = round(network.config.window_s * SAMPLE_RATE)
        samples = emit_fixed_window(graph, samples, n_samples)
    states = emit_states(graph, network, samples)
    return emit_head(graph, network, states, temperature, network.activations)


def emit_states(graph: GraphBuilder, network: HubertNetwork, samples: str) -> list[str]:
    """Return hidden states [B, T, width]; those above the highest in use are left out.

    Args:
        graph: Graph builder that receives the nodes.
        network: Network with the weights.
        samples: Name of the samples [B, time].
    """
    encoder = network.encoder
    x = emit_features(graph, encoder.get_submodule("feature_extractor"), samples)
    project = encoder.get_submodule("feature_projection")
    projection = cast("nn.Linear", project.get_submodule("projection"))
    if getattr(project, "feat_proj_layer_norm", True):  # wav2vec 2.0 always has it
        x = emit_normalization(
            graph, project.get_submodule("layer_norm"), x, "projection.norm"
        )
        x = emit_linear(graph, projection, x, "projection")
    else:
        weight, bias = array(projection.weight).T, array(projection.bias)
        x = emit_scaled_linear(graph, x, weight, bias, "projection")
    convolution = encoder.get_submodule("encoder.pos_conv_embed.conv")
    here = emit_positions(graph, convolution, x)
    x = graph.op("Add", [x, here], "positions.added")
    norm = encoder.get_submodule("encoder.layer_norm")
    states = [emit_normalization(graph, norm, x, "hidden.0")]
    for index in range(max(network.states)):
        block = encoder.get_submodule(f"encoder.layers.{index}")
        states.append(_block(graph, block, states[-1], index))
    return states


def emit_features(graph: GraphBuilder, extractor: nn.Module, samples: str) -> str:
    """Return features [B, T, 512], 50 a second, of samples [B, time].

    Args:
        graph: Graph builder that receives the nodes.
        extractor: The `feature_extractor` of transformers' encoder.
        samples: Name of the samples.
    """
    first, *others = cast(
        "nn.ModuleList", extractor.get_submodule("conv_layers")
    ).children()
    x = _first_convolution(graph, first, samples, "conv.0")
    x = graph.gelu(x, "conv.0.gelu")
    for index, layer in enumerate(others, 1):
        name, module = f"conv.{index}", layer.get_submodule("conv")
        if index < _SCALED_FROM:
            x = _convolution(graph, module, x, name)
        else:
            x = emit_convolution(graph, module, x, name, scaled=True)
        x = graph.gelu(x, f"{name}.gelu")
    return x


def emit_positions(graph: GraphBuilder, module: nn.Module, x: str) -> str:
    """Convolve x [B, T, width] in groups over 128 frames: [B, T, width].

    As 16 matmuls over unfolded frames, one per group, it takes longer.
    """
    (size,) = cast("nn.Conv1d", module).kernel_size
    # Of an even size the last frame would be one too many: transformers cuts it off.
    pads = (size // 2, (size - 1) // 2)
    return graph.gelu(
        _convolution(graph, module, x, "positions", pads), "positions.gelu"
    )


def _convolution(
    graph: GraphBuilder,
    module: nn.Module,
    x: str,
    name: str,
    pads: tuple[int, int] = (0, 0),
) -> str:
    """Convolve x [B, T, in] over time: [B, T', out].

    onnxruntime removes the transpositions when it moves channels last, the layout
    that its integer convolution requires.
    """
    convolution = cast("nn.Conv1d", module)
    # Reading `weight` folds a weight norm.
    weight = graph.weight(array(convolution.weight), f"{name}.weight")
    turned = graph.op("Transpose", [x], f"{name}.turned", perm=[0, 2, 1])
    convolved = graph.op(
        "Conv",
        [turned, weight],
        f"{name}.product",
        group=convolution.groups,
        kernel_shape=convolution.kernel_size,
        pads=pads,
        strides=convolution.stride,
    )
    if convolution.bias is None:
        return graph.op("Transpose", [convolved], name, perm=[0, 2, 1])
    back = graph.op("Transpose", [convolved], f"{name}.back", perm=[0, 2, 1])
    bias = graph.weight(array(convolution.bias), f"{name}.bias")
    return graph.op("Add", [back, bias], name)


def _first_convolution(
    graph: GraphBuilder, layer: nn.Module, samples: str, name: str
) -> str:
    """Convolve samples [B, time], normalize each channel over time: [B, T, 512].

    With m the mean and R the covariance of the unfolded frames, ten samples each, a
    channel w has mean w m and variance w R w. So the norm goes into the weights, a row
    of a batch having its own, and the widest value there is, 13 million numbers for
    8 s, is not read twice to be normalized. Neighbouring samples are much alike: for
    what a channel takes off them R needs float64.
    """
    convolution = cast("nn.Conv1d", layer.get_submodule("conv"))
    norm = cast("nn.GroupNorm", layer.get_submodule("layer_norm"))
    (size,), (stride,) = convolution.kernel_size, convolution.stride
    frames = _frames(graph, samples, size, stride, name)
    exact = graph.op("Cast", [frames], f"{name}.exact", to=TensorProto.DOUBLE)
    mean = graph.reduce("Mean", exact, [1], f"{name}.mean", keep=True)
    centered = graph.op("Sub", [exact, mean], f"{name}.centered.exact")
    turned = graph.op("Transpose", [centered], f"{name}.turned", perm=[0, 2, 1])
    products = graph.op("MatMul", [turned, centered], f"{name}.products")
    count = graph.op("Shape", [frames], f"{name}.count", start=1, end=2)
    count = graph.op("Cast", [count], f"{name}.count.exact", to=TensorProto.DOUBLE)
    covariance = graph.op("Div", [products, count], f"{name}.covariance")

    # A bias of the convolution has no effect: the norm subtracts it.
    weight = graph.weight(array(convolution.weight)[:, 0].T, f"{name}.weight")
    double = graph.op("Cast", [weight], f"{name}.weight.exact", to=TensorProto.DOUBLE)
    spread = graph.op("MatMul", [covariance, double], f"{name}.spread")  # [B, 10, 512]
    squares = graph.op("Mul", [spread, double], f"{name}.squares")
    variance = graph.op("ReduceSum", [squares, graph.integers(1)], f"{name}.variance")
    variance = graph.op(
        "Cast", [variance], f"{name}.variance.f32", to=TensorProto.FLOAT
    )
    raised = graph.op("Add", [variance, graph.number(norm.eps)], f"{name}.raised")
    deviation = graph.op("Sqrt", [raised], f"{name}.deviation")
    scale = graph.weight(array(norm.weight), f"{name}.scale")
    gain = graph.op("Div", [scale, deviation], f"{name}.gain")  # [B, 1, 512]
    scaled = graph.op("Mul", [weight, gain], f"{name}.scaled")

    # The shift is one row more of the weights, against a one in every frame: added
    # behind the matmul it would cost as much as the matmul.
    near = graph.op("Cast", [centered], f"{name}.centered", to=TensorProto.FLOAT)
    ends = [near, graph.integers(0, 0, 0, 0, 0, 1), graph.number(1.0)]
    ones = graph.op("Pad", ends, f"{name}.ones")  # [B, T, 11]
    shift = graph.weight(array(norm.bias)[None, None], f"{name}.shift")
    rows = graph.op("Shape", [samples], f"{name}.rows", start=0, end=1)
    shape = graph.op("Concat", [rows, graph.integers(1, 1)], f"{name}.shape", axis=0)
    shifts = graph.op("Expand", [shift, shape], f"{name}.shifts")  # [B, 1, 512]
    affine = graph.op("Concat", [scaled, shifts], f"{name}.affine", axis=1)
    return graph.op("MatMul", [ones, affine], name)


def _frames(
    graph: GraphBuilder, samples: str, size: int, stride: int, name: str
) -> str:
    """Unfold samples [B, time] to [B, T, size], T being (time - size) // stride + 1."""
    n_hops = -(-size // stride)  # a frame is so many hops, the last one perhaps cut
    if missing := n_hops * stride - size:
        ends = graph.integers(0, 0, 0, missing)
        samples = graph.op("Pad", [samples, ends], f"{name}.pad")
    time = graph.op("Shape", [samples], f"{name}.time", start=1)
    hops = graph.op("Div", [time, graph.integers(stride)], f"{name}.hops.count")
    end = graph.op("Mul", [hops, graph.integers(stride)], f"{name}.hops.end")
    whole = graph.op(
        "Slice",
        [samples, graph.integers(0), end, graph.integers(1)],
        f"{name}.whole",
    )
    hop = graph.op("Reshape", [whole, graph.integers(0, -1, stride)], f"{name}.hops")
    unfolded = unfold(graph, hop, n_hops, 1, name)
    return graph.cut(unfolded, 2, (0, size), f"{name}.cut") if missing else unfolded


def _block(graph: GraphBuilder, block: nn.Module, x: str, index: int) -> str:
    """Apply a transformer block that normalizes behind its sums.

    A pruned one may lack its attention or its feed-forward layer, or be removed.
    """
    name, output = f"blocks.{index}", f"hidden.{index + 1}"
    parts = dict(block.named_children())
    if "layer_norm" not in parts:
        # A state of its own name; runtimes remove the node.
        return graph.op("Identity", [x], output)
    attention, forward = parts["attention"], parts["feed_forward"]
    if hasattr(attention, "q_proj"):
        layers = AttentionLayers(
            attention.get_submodule("q_proj"),
            attention.get_submodule("k_proj"),
            attention.get_submodule("v_proj"),
            attention.get_submodule("out_proj"),
            cast("int", attention.num_heads),
        )
        mixed = emit_attention(graph, layers, x, f"{name}.attn")
        x = graph.op("Add", [x, mixed], f"{name}.middle")
    x = emit_normalization(graph, parts["layer_norm"], x, f"{name}.attn_ln")
    if hasattr(forward, "output_dense"):
        up = forward.get_submodule("intermediate_dense")
        hidden = graph.gelu(emit_linear(graph, up, x, f"{name}.up"), f"{name}.gelu")
        change = emit_linear(
            graph, forward.get_submodule("output_dense"), hidden, f"{name}.down"
        )
        x = graph.op("Add", [x, change], f"{name}.end")
    return emit_normalization(graph, parts["final_layer_norm"], x, output)
