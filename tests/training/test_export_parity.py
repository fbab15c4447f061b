import numpy as np
import onnxruntime as ort
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("transformers", reason="needs the extra 'train'")

from onnx import numpy_helper  # noqa: E402

from espressivo.errors import ExportError  # noqa: E402
from espressivo.training.config import SignalConfig  # noqa: E402
from espressivo.training.export import to_onnx  # noqa: E402
from espressivo.training.export.checks.parity import require_parity, require_rows  # noqa: E402
from tests.training.networks_to_export import make_network  # noqa: E402

STUDY = SignalConfig(pre_emphasis=0.97, peak=0.95)
KINDS = {
    "whisper": {"n_layers": 2},
    "distilhubert": {"head": "mean"},
    "wav2vec2": {"head": "pepino", "padding": "fixed", "window_s": 3.3},
    "light_sernet": {"padding": "fixed", "window_s": 3.0},
    "statistics": {},
}


def tampered(model, name, change):
    """A copy of the graph with one of its initializers changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (tensor,) = (t for t in copy.graph.initializer if t.name == name)
    values = change(numpy_helper.to_array(tensor))
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_every_network_passes(kind, note):
    network = make_network(kind, **KINDS[kind])
    model = to_onnx(network, 1.3, signal=STUDY)

    assert require_parity(network, model, 1.3, [note], STUDY) < 1e-5
    assert require_rows(model, [note]) < 1e-6


@pytest.mark.parametrize("bias", [-3.0, 0.0, 60.0])
def test_background_is_the_floor_of_the_logits(bias, note):
    network = make_network("whisper", n_layers=1)
    plain = to_onnx(network, 1.3)
    weight = torch.randn_like(network.background.weight) / 10
    network.background.fit(weight, bias, 4)

    model = to_onnx(network, 1.3)

    assert require_parity(network, model, 1.3, [note], SignalConfig()) < 1e-5
    samples = {"samples": note[None, :16_000]}
    before, after = (
        ort.InferenceSession(m.SerializeToString()).run(["probabilities"], samples)[0]
        for m in (plain, model)
    )
    # The higher the floor, the more even the probabilities.
    assert after.max() < before.max()
    if bias == 60.0:
        np.testing.assert_allclose(after, 0.25, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "weight", "layer"),
    [
        ("whisper", "filters.slopes", "mel"),
        ("whisper", "conv2.bias", "conv2"),
        ("whisper", "blocks.1.attn.out.weight", "hidden.2"),
        ("distilhubert", "conv.0.weight", "conv.0.gelu"),
        ("distilhubert", "conv.3.weight", "conv.3.gelu"),
        ("distilhubert", "projection.bias", "projection"),
        ("distilhubert", "positions.weight", "positions.gelu"),
        ("distilhubert", "blocks.0.up.bias", "hidden.1"),
        ("wav2vec2", "average.shift", "embedding"),
        ("light_sernet", "coefficients.weight", "mfcc"),
        ("light_sernet", "paths.1.bias", "paths.1"),
        ("light_sernet", "body.2.weight", "hidden.3"),
        ("statistics", "filters.slopes", "mel"),
    ],
)
def test_an_altered_weight_is_found_and_its_layer_named(kind, weight, layer, note):
    network = make_network(kind, **KINDS[kind])
    model = tampered(to_onnx(network), weight, lambda values: 1.5 * values + 0.05)

    with pytest.raises(ExportError, match=f"; {layer} is the first state to drift"):
        require_parity(network, model, 1.0, [note])


@pytest.mark.parametrize("kind", KINDS)
def test_an_altered_classifier_is_what_follows_the_states(kind, note):
    network = make_network(kind, **KINDS[kind])
    model = tampered(to_onnx(network), "logits.bias", lambda bias: bias - [1, 0, 0, 0])

    with pytest.raises(ExportError, match=r"all states to \S+ agree, so what follows"):
        require_parity(network, model, 1.0, [note])


def test_what_is_done_to_clips_cannot_be_left_out(note):
    network = make_network("distilhubert", head="mean")
    model = to_onnx(network)

    with pytest.raises(ExportError, match=r"conv\.0\.gelu is the first state to drift"):
        require_parity(network, model, 1.0, [note], STUDY)


def test_rows_that_hear_each_other_are_found(note):
    """As a norm over the whole batch would make them."""
    model = to_onnx(make_network("whisper", n_layers=1))
    (peak,) = (node for node in model.graph.node if node.name == "peak")
    axes = onnx.numpy_helper.from_array(np.array([0, 1]), "both.axes")
    model.graph.initializer.append(axes)
    peak.input[1] = axes.name
    swelling = note[:96_000] * np.geomspace(1e-3, 1, 96_000, dtype=np.float32)

    with pytest.raises(ExportError, match="a row of a batch is"):
        require_rows(model, [swelling])


def test_a_graph_that_breaks_on_silence_is_found(note):
    network = make_network("whisper", n_layers=1)
    model = to_onnx(network)
    model = tampered(model, "number.1e-05", np.zeros_like)  # the quietest peak

    with pytest.raises(ExportError, match="8000 samples of digital silence"):
        require_parity(network, model, 1.0, [note[20_000:]])
