from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import onnxruntime as ort
import pytest

from espressivo.analyzer import Analyzer
from espressivo.audio.recording import load_audio
from espressivo.errors import ModelError
from espressivo.model.classifier import (
    FORMAT_VERSION,
    Certainty,
    load_classifier,
    read_card,
)
from espressivo.model.find import (
    DEFAULT,
    bundled_models,
    find_model,
)
from espressivo.types import Emotion


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model, to break."""
    return shutil.copytree(find_model(DEFAULT), tmp_path / "model")


def edit(folder, **changes):
    path = folder / "model.json"
    card = json.loads(path.read_text("utf-8"))
    for key, value in changes.items():
        if value is None:
            del card[key]
        else:
            card[key] = value
    path.write_text(json.dumps(card), "utf-8")


def test_the_bundled_model_is_what_its_card_says(folder):
    classifier = load_classifier(folder)

    assert DEFAULT in bundled_models()
    assert classifier.card.name == DEFAULT
    assert classifier.card.emotions == tuple(Emotion)
    assert (classifier.card.min_s, classifier.card.window_s) == (0.5, 8.0)


LIMITS = {
    "espressivo-base": 15_000_000,
    "espressivo-tiny": 6_100_000,
    "espressivo-nano": 1_000_000,
}


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_stay_small(name):
    assert (find_model(name) / "model.onnx").stat().st_size <= LIMITS[name]


def test_a_card_may_have_a_threshold_for_uncertain_estimates(folder):
    edit(folder, certainty={"threshold": 0.55, "accuracy": 0.8, "coverage": 0.5})

    card = load_classifier(folder).card

    assert card.certainty == Certainty(0.55, 0.8)
    assert card.certainty.is_uncertain((0.54, 0.46, 0, 0))
    assert not card.certainty.is_uncertain((0.55, 0.45, 0, 0))


def test_a_card_without_a_threshold_has_none(folder):
    path = folder / "model.json"
    details = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**details, "certainty": None}), "utf-8")

    assert read_card(folder).certainty is None


@pytest.mark.parametrize(
    "certainty",
    [
        {"threshold": 1.5, "accuracy": 0.8},
        {"threshold": float("nan"), "accuracy": 0.8},
        {"threshold": 0.5, "accuracy": 0},
        {"threshold": 0.5},
        {"threshold": "half", "accuracy": 0.8},
        {"threshold": 10**400, "accuracy": 0.8},
        0.5,
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(folder, certainty):
    edit(folder, certainty=certainty)

    with pytest.raises(ModelError, match="export the model again"):
        read_card(folder)


def test_noise_given_to_the_model_directly_is_uncertain(analyzer, shared):
    card = analyzer.classifier.card
    if card.certainty is None:
        pytest.skip(f"{card.name} {card.version} has no threshold")
    sounds = [load_audio(path) for path in sorted((shared / "noise").rglob("*.ogg"))]

    rows = [analyzer.classifier(sound[None, : card.window])[0] for sound in sounds]
    (silence,) = analyzer.classifier(np.zeros((1, card.window), np.float32))

    uncertain = [card.certainty.is_uncertain(row.tolist()) for row in rows]
    assert len(uncertain) == 60
    assert np.mean(uncertain) >= 0.95
    assert card.certainty.is_uncertain(silence.tolist())


def test_rows_are_probabilities_at_every_length_it_takes(analyzer, note):
    for n in (8_000, 8_001, 16_123, 64_000, 127_999, 128_000):
        rows = analyzer.classifier(np.stack([note[:n], note[-n:]]))
        assert rows.shape == (2, 4)
        assert (rows >= 0).all()
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)


def test_a_batch_equals_its_rows(analyzer, note):
    batch = np.stack([note[i * 16_000 : i * 16_000 + 48_000] for i in range(8)])
    rows = np.concatenate([analyzer.classifier(row[None]) for row in batch])

    np.testing.assert_allclose(analyzer.classifier(batch), rows, atol=1e-5)


@pytest.mark.parametrize("gain_db", [-20, -6, 6])
def test_gain_changes_next_to_nothing(analyzer, note, gain_db):
    batch = np.stack([note[i * 32_000 : i * 32_000 + 64_000] for i in range(10)])

    louder = analyzer.classifier(batch * np.float32(10 ** (gain_db / 20)))

    # The graph scales its input, so only rounding is left.
    np.testing.assert_allclose(louder, analyzer.classifier(batch), atol=0.02)


@pytest.mark.parametrize("level", [0, 1e-12, 1.0])
def test_a_constant_signal_has_finite_probabilities(analyzer, level):
    (row,) = analyzer.classifier(np.full((1, 16_000), level, np.float32))

    assert np.isfinite(row).all()
    assert row.sum() == pytest.approx(1, abs=1e-5)


def test_an_altered_graph_is_refused(folder):
    path = folder / "model.onnx"
    graph = bytearray(path.read_bytes())
    graph[len(graph) // 2] ^= 1
    path.write_bytes(graph)

    with pytest.raises(ModelError, match=r"sha256 is .* was altered"):
        load_classifier(folder)


def test_a_cut_off_graph_is_refused(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ModelError, match=r"was altered or cut off"):
        load_classifier(folder)


def test_what_is_no_graph_is_refused_even_with_its_hash(folder):
    (folder / "model.onnx").write_bytes(b"not a graph")
    edit(folder, sha256=hashlib.sha256(b"not a graph").hexdigest())

    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        load_classifier(folder)


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    with pytest.raises(ModelError, match=name):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "is 2, .* update espressivo"),
        ({"format_version": "1"}, "export the model again"),
        ({"format_version": None}, "format_version is None"),
        ({"emotions": ["anger", "joy"]}, "'joy' is not a valid Emotion"),
        ({"emotions": []}, "emotions is empty"),
        ({"emotions": ["anger", "anger"]}, "names one twice"),
        ({"sample_rate_hz": 8000}, "sample_rate_hz is 8000, not 16000"),
        ({"min_s": 9}, "wanted 0 < min_s <= window_s"),
        ({"window_s": "long"}, "could not convert"),
        ({"sha256": None}, "has no 'sha256'"),
        ({"emotions": ["anger", "sadness"]}, "adaptation has means of 4 emotions, not"),
        (
            {"emotions": ["anger", "sadness"], "adaptation": None},
            "not `probabilities` .*batch, 2",
        ),
        ({"adaptation": {}}, "has no 'means'; export the model again"),
        ({"adaptation": []}, "export the model again"),
    ],
)
def test_a_card_that_cannot_be_true_is_refused(folder, changes, message):
    edit(folder, **changes)

    with pytest.raises(ModelError, match=message) as caught:
        load_classifier(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_a_card_that_is_no_json_object_is_refused(folder, text):
    (folder / "model.json").write_text(text)

    with pytest.raises(ModelError, match=r"model\.json"):
        read_card(folder)


def test_a_foreign_graph_is_refused(folder, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx to write a foreign graph")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["mel"], ["logits"])],
        "foreign",
        [onnx.helper.make_tensor_value_info("mel", onnx.TensorProto.FLOAT, [1, 80])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 80])],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    data = model.SerializeToString()
    assert ort.InferenceSession(data).get_inputs()[0].name == "mel"  # it is valid
    (folder / "model.onnx").write_bytes(data)
    edit(folder, sha256=hashlib.sha256(data).hexdigest())

    with pytest.raises(ModelError, match="its inputs are mel, not `samples`"):
        load_classifier(folder)


def test_neither_name_nor_folder(tmp_path):
    with pytest.raises(ModelError, match="neither a folder nor a bundled model"):
        find_model(tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    ["Failed to allocate memory for requested buffer of size 9", "std::bad_alloc"],
)
def test_too_little_memory_is_not_the_models_fault(folder, monkeypatch, text):
    def fail(*_, **__):
        raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {text}")

    classifier = load_classifier(folder)
    monkeypatch.setattr(ort.InferenceSession, "run", fail)
    with pytest.raises(MemoryError):
        classifier(np.zeros((1, 16_000), np.float32))

    monkeypatch.setattr(ort.InferenceSession, "__init__", fail)
    with pytest.raises(MemoryError):
        load_classifier(folder)


def test_a_graph_without_the_voices_of_its_card_is_refused(folder):
    card = json.loads((folder / "model.json").read_text("utf-8"))
    edit(folder, adaptation=card["adaptation"] | {"n_axes": 7})

    with pytest.raises(ModelError, match=r"gives no `voice` \[batch, 11\], which"):
        load_classifier(folder)


def test_probabilities_are_the_same_with_voices(analyzer, note):
    batch = np.stack([note[i * 16_000 : i * 16_000 + 48_000] for i in range(4)])

    rows, voices = analyzer.classifier.run(batch, "probabilities", "voice")

    np.testing.assert_array_equal(rows, analyzer.classifier(batch))
    assert voices.shape == (4, analyzer.classifier.require_adaptation().n_columns)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ([], "dimensions is a list"),
        ({"mood": {}}, "'mood' is not a valid Dimension"),
        ({"arousal": {}}, r"gives no `dimensions` \[batch, 1\]"),
    ],
)
def test_dimensions_that_the_graph_does_not_give_are_refused(folder, entry, reason):
    edit(folder, dimensions=entry)

    with pytest.raises(ModelError, match=reason):
        load_classifier(folder)


def test_a_model_without_dimensions_gives_none(folder, note):
    edit(folder, dimensions=None)
    report = Analyzer(load_classifier(folder)).analyze(note)

    assert report.dimensions is None
    assert report.to_dict()["windows"][0]["dimensions"] is None
    assert "arousal" not in report.to_csv()


def test_an_output_that_a_graph_lacks_is_named(analyzer):
    with pytest.raises(ModelError, match="has no output mood, only probabilities"):
        analyzer.classifier.run(np.zeros((1, 16_000), np.float32), "mood")
