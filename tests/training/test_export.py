import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from espressivo.classifier import load_classifier  # noqa: E402
from espressivo.errors import (  # noqa: E402
    ConfigError,
    CorpusError,
    ExportError,
    ModelError,
    TrainingError,
)
from espressivo.training.config import (  # noqa: E402
    ExperimentConfig,
    to_toml,
)
from espressivo.training.export import (  # noqa: E402
    ExportOptions,
    calibrate,
    export_run,
    folder,
    parity,
    products_of,
    quantize,
    reduction,
    to_onnx,
)
from espressivo.training.export.budget import spend  # noqa: E402
from espressivo.training.export.calibration import (  # noqa: E402
    Histogram,
    affine,
    center_logits,
    choose_range,
)
from espressivo.training.export.gptq import observe_inputs, round_weights  # noqa: E402
from espressivo.training.export.recordings import (  # noqa: E402
    calibration_windows,
    draw,
)
from espressivo.training.export.rounding import quantize_products  # noqa: E402
from espressivo.training.networks import (  # noqa: E402
    NetworkConfig,
    build_network,
    load_encoder,
)
from espressivo.types import Emotion  # noqa: E402
from tests.recordings import encode  # noqa: E402

WINDOW = 128_000
LENGTHS = [8_000, 8_001, 12_345, 16_159, 16_160, 40_000, 77_777, WINDOW - 1, WINDOW]
TEMPERATURE = 1.7


def make_network(**settings):
    torch.manual_seed(0)
    config = NetworkConfig(**({"n_layers": 1, "head": "statistics"} | settings))
    network = build_network(config)
    with torch.no_grad():
        # Away from what every network starts with, so that a part left out shows.
        network.average.scores.normal_()
        network.standardize.mean.normal_()
        network.standardize.scale.uniform_(0.5, 2.0)
        for parameter in network.pooling.parameters():
            parameter.normal_(std=0.3)
    return network.eval()


def ask(model, samples):
    (found,) = parity.open_session(model).run(["probabilities"], {"samples": samples})
    return found


def by_torch(network, samples):
    with torch.inference_mode():
        return (network(torch.tensor(samples)) / TEMPERATURE).softmax(-1).numpy()


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def exact(network):
    return to_onnx(network, TEMPERATURE)


@pytest.fixture(scope="module")
def clips(note):
    edges = [0, 20_000, 48_000, 90_000, 98_500, 160_000, 200_000, 320_000]
    return [note[a:b] for a, b in pairwise(edges)]


@pytest.fixture(scope="module")
def calibration(exact, clips):
    values = list(dict.fromkeys(p.value for p in products_of(exact)))
    return calibrate(exact, values, clips)


@pytest.fixture(scope="module")
def int8(exact, calibration):
    return quantize(exact, calibration)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_graph_is_the_network_at_any_length(network, exact, note, length):
    samples = note[None, 30_000 : 30_000 + length]

    np.testing.assert_allclose(
        ask(exact, samples), by_torch(network, samples), atol=1e-5
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"n_layers": 2, "states": (1,)},
        {"n_layers": 2, "states": (0, 2)},
        {"head": "attentive"},
        {
            "n_layers": 2,
            "states": (0, 2),
            "state_weights": (0.4, 0.6),
            "head": "mean",
        },
    ],
    ids=str,
)
def test_every_kind_of_network_exports(note, settings):
    network = make_network(**settings)
    samples = note[None, 50_000:90_000]

    found = ask(to_onnx(network, TEMPERATURE), samples)

    np.testing.assert_allclose(found, by_torch(network, samples), atol=1e-5)


def test_whispers_own_weights_export(shared, note):
    network = make_network(n_layers=2)
    weights = shared / "weights" / "whisper_tiny_en_encoder_fp16.safetensors"
    load_encoder(network.encoder, weights)
    model = to_onnx(network, TEMPERATURE)

    drift = parity.require_parity(network, model, TEMPERATURE, [note])

    assert drift < 1e-5


def test_blocks_above_the_last_state_are_absent():
    model = to_onnx(make_network(n_layers=3, states=(0, 1)))

    names = {tensor.name for tensor in model.graph.initializer}
    assert any(name.startswith("blocks.0.") for name in names)
    assert not any(name.startswith(("blocks.1.", "blocks.2.")) for name in names)


def test_only_plain_operators(int8):
    assert [(i.domain, i.version) for i in int8.opset_import] == [("", 17)]
    kinds = {node.op_type for node in int8.graph.node}
    assert not kinds & {"STFT", "DFT", "Loop", "If", "Scan", "Conv"}


@pytest.mark.parametrize("kind", ["exact", "int8"])
class TestBothPrecisions:
    def test_a_batch_equals_its_rows(self, kind, clips, request):
        model = request.getfixturevalue(kind)
        batch = np.stack([clip[:8_000] for clip in clips])

        together = ask(model, batch)

        alone = np.concatenate([ask(model, row[None]) for row in batch])
        np.testing.assert_allclose(together, alone, atol=1e-6)

    @pytest.mark.parametrize("gain_db", [-20, -6, 6])
    def test_gain_changes_nothing(self, kind, note, gain_db, request):
        model = request.getfixturevalue(kind)
        samples = note[None, :50_001]
        louder = samples * np.float32(10 ** (gain_db / 20))

        np.testing.assert_allclose(ask(model, samples), ask(model, louder), atol=0.01)

    def test_silence_is_finite(self, kind, request):
        found = ask(request.getfixturevalue(kind), np.zeros((2, 9_000), np.float32))

        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_int8_is_close_and_small(exact, int8, clips):
    found = parity.compare(exact, int8, clips)

    assert found.worst < 0.02
    assert int8.ByteSize() < 0.4 * exact.ByteSize()


def test_rounding_keeps_the_mean_logits(exact, int8, clips):
    centered = center_logits(exact, int8, clips)

    wanted, found = (
        np.log(parity.probabilities(model, clips)) for model in (exact, centered)
    )
    shift = (found - wanted).mean(0)
    np.testing.assert_allclose(shift - shift.mean(), 0, atol=1e-5)


def test_the_front_end_stays_exact(int8):
    stored = {t.name: t.data_type for t in int8.graph.initializer}
    for name in ("real", "imaginary", "energy"):
        assert stored[f"{name}.weight"] == onnx.TensorProto.FLOAT
    assert stored["conv1.weight.s8"] == onnx.TensorProto.INT8


def test_what_is_kept_stays_exact(exact, calibration):
    model = quantize(exact, calibration, keep=["blocks.0.attn.*", "conv?"])

    stored = {tensor.name for tensor in model.graph.initializer}
    rounded = {name.split(".weight.")[0] for name in stored if name.endswith(".s8")}
    assert rounded == {"blocks.0.up", "blocks.0.down"}


def test_rounding_nothing_changes_nothing(exact, calibration, clips):
    same = quantize_products(exact, calibration, [])

    assert parity.compare(exact, same, clips[:2]).worst == 0


def test_spare_bytes_go_where_they_help_most(exact):
    names = [product.name for product in products_of(exact)]
    drift = dict.fromkeys(names, 0.001) | {"conv2": 0.9, "blocks.0.attn.out": 0.01}
    of_out = 3 * 384 * 384

    assert spend(exact, 1000, 1000, drift) == []
    assert spend(exact, 1000, 1000 + of_out, drift) == ["blocks.0.attn.out"]
    assert spend(exact, 1000, 1000 + 4 * of_out, drift)[:2] == [
        "conv2",
        "blocks.0.attn.out",
    ]
    kept = {"conv2", "blocks.0.attn.out"}
    assert not kept & {*spend(exact, 1000, 10**9, drift, kept)}
    with pytest.raises(ExportError, match=r"2\.00 MB, more than the 1\.00 MB allowed"):
        spend(exact, 2_000_000, 1_000_000, drift)


def test_a_pattern_without_a_layer_is_refused(exact):
    with pytest.raises(ExportError, match=r"no product is called 'block\.7'.*conv1"):
        products_of(exact, ["block.7"])


def test_silent_recordings_do_not_calibrate(exact):
    with pytest.raises(ExportError, match="2 recordings, all silent"):
        calibrate(exact, ["mel"], [np.zeros(9_000, np.float32)] * 2)


def seen_values(values):
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, 8192, (low, high))[0].astype(float)
    return Histogram(low, high, counts)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_ranges_hold_zero_and_nothing_unseen(method):
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=9999), rng.uniform(2, 3, 999), -rng.random(999)):
        low, high = choose_range(seen_values(values), method)

        assert low <= 0 <= high
        assert min(0, values.min()) <= low
        assert high <= max(0, values.max())


def test_an_outlier_does_not_take_all_levels():
    values = np.append(np.random.default_rng(0).normal(size=200_000), 1000.0)

    least, widest = (choose_range(seen_values(values), m) for m in ("mse", "minmax"))

    def error(ends):
        scale, zero = affine(*ends)
        back = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
        return np.square(back - values).mean()

    assert error(least) <= error(widest)
    assert choose_range(seen_values(values), "percentile")[1] < 100


def test_zero_is_a_level():
    scale, zero = affine(-0.17, 5.6)

    assert 0 < zero < 255
    assert np.float32(0 - float(zero)) * scale + zero * scale == 0


def test_weights_rounded_for_their_inputs_err_less():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 64))  # they move together
    inputs += 0.05 * rng.normal(size=inputs.shape)
    exact = rng.normal(size=(64, 32))

    levels, scale = round_weights(exact, observe_inputs(inputs.T @ inputs))

    nearest = np.round(exact / scale) * scale
    assert levels.dtype == np.int8
    assert np.abs(levels).max() <= 127
    errors = [np.square(inputs @ (exact - w)).sum() for w in (levels * scale, nearest)]
    assert errors[0] < 0.5 * errors[1]


@given(seed=st.integers(0, 2**32 - 1), n_inputs=st.integers(1, 40))
@settings(max_examples=30)
def test_no_two_neighbours_exceed_16_bits(seed, n_inputs):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(50, n_inputs)) * rng.lognormal(size=n_inputs)
    exact = rng.standard_t(3, size=(n_inputs, 8))

    levels, _ = round_weights(exact, observe_inputs(inputs.T @ inputs))

    level = np.pad(levels.astype(int), ((0, n_inputs % 2), (0, 0)))
    for sign in (1, -1):
        one_sign = np.maximum(sign * level, 0)
        assert 255 * (one_sign[::2] + one_sign[1::2]).max() < 2**15


def test_independent_inputs_round_to_the_nearest():
    exact = np.random.default_rng(0).normal(size=(16, 4))

    levels, scale = round_weights(exact, observe_inputs(np.eye(16)))

    np.testing.assert_array_equal(levels, np.round(exact / scale))


def test_a_defect_is_found_and_its_layer_named(network, exact, clips):
    broken = onnx.ModelProto()
    broken.CopyFrom(exact)
    for tensor in broken.graph.initializer:
        if tensor.name == "blocks.0.up.bias":
            wrong = onnx.numpy_helper.to_array(tensor) + np.float32(1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(wrong, tensor.name))

    with pytest.raises(ExportError, match=r"hidden\.1 is the first state to drift"):
        parity.require_parity(network, broken, TEMPERATURE, clips)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_is_a_positive_number(network, temperature):
    with pytest.raises(ExportError, match="not a positive number"):
        to_onnx(network, temperature)


def test_an_unknown_network_says_so():
    with pytest.raises(ExportError, match="Linear: no export is written"):
        to_onnx(torch.nn.Linear(2, 2))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, note):
    folder = tmp_path_factory.mktemp("mine")
    lines = ["path,emotion,speaker"]
    for n in range(16):
        start = 10_000 + 20_000 * n
        encode(folder / f"{n}.wav", note[start : start + 12_000 + 900 * n])
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{n % 2}")
    (folder / "mine.csv").write_text("\n".join(lines))
    return folder / "mine.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory, network, corpus):
    folder = tmp_path_factory.mktemp("run")
    config = ExperimentConfig(
        name="small",
        corpora={"manifest": corpus},
        network=NetworkConfig(
            n_layers=1, head="statistics", weights=str(folder / "encoder.safetensors")
        ),
    )
    (folder / "config.toml").write_text(to_toml(config))
    counts = {f"mine/{emotion}": 4 for emotion in Emotion}
    described = {"name": "small", "utterances": counts, "encoder_sha256": "f" * 64}
    (folder / "run.json").write_text(json.dumps(described))
    (folder / "temperature.json").write_text('{"temperature": 1.7, "ece_after": 0.05}')
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


OPTIONS = ExportOptions(n_calibration=8, n_checks=4, command="espressivo export ...")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run, corpus):
    out = tmp_path_factory.mktemp("models") / "deep" / "small"
    options = replace(OPTIONS, held_out={"manifest": corpus}, sensitivity=True)
    return out, export_run(run, out, options)


def test_the_folder_loads_and_answers_like_the_run(exported, network, note):
    out, _ = exported
    samples = note[None, :33_333]

    found = load_classifier(out)(samples)

    np.testing.assert_allclose(found, by_torch(network, samples), atol=0.02)


def test_the_folder_is_complete_and_nothing_else_is_left(exported):
    out, _ = exported

    assert sorted(path.name for path in out.iterdir()) == [
        "LICENSES",
        "export.json",
        "export.md",
        "model.json",
        "model.onnx",
    ]
    assert (out / "LICENSES" / "whisper-LICENSE.txt").stat().st_size > 500
    assert "| mine |" in (out / "LICENSES" / "TRAINING-DATA.md").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["small"]


def test_the_card_says_what_made_it(exported):
    out, report = exported
    card = json.loads((out / "model.json").read_text())

    assert card["format_version"] == 1
    assert (card["name"], card["temperature"]) == ("small", 1.7)
    assert card["emotions"] == [str(emotion) for emotion in Emotion]
    assert (card["sample_rate_hz"], card["window_s"], card["min_s"]) == (16000, 8, 0.5)
    assert card["sha256"] == report.sha256
    assert card["calibration_of_probabilities"]["ece_after"] == 0.05
    assert [c["n_utterances"] for c in card["training_corpora"]] == [16]
    assert "terms of mine are for you to know" in card["allowed_use"]
    assert card["made_by"]["command"] == "espressivo export ..."
    assert card["made_by"]["recipe"]["network"]["weights"] == "encoder.safetensors"


def test_the_report_measures_what_was_promised(exported):
    out, report = exported
    told = json.loads((out / "export.json").read_text())

    assert told["schema"] == "espressivo.export/1"
    assert told["bytes"] == (out / "model.onnx").stat().st_size < told["bytes_fp32"]
    assert report.parity < 1e-4
    assert report.agreement.mean < 0.01
    assert report.speed.real_time_factor > 0
    assert set(report.sensitivity) == set(report.products)
    (held_out,) = report.held_out
    assert held_out.agreement.n == 16
    assert "| manifest | 16 |" in (out / "export.md").read_text()


def test_the_same_run_gives_the_same_bytes(exported, run, tmp_path):
    _, report = exported

    assert export_run(run, tmp_path / "again", OPTIONS).sha256 == report.sha256


def test_an_altered_file_is_refused(exported, tmp_path):
    model = shutil.copytree(exported[0], tmp_path / "model")
    graph = bytearray((model / "model.onnx").read_bytes())
    graph[-1] ^= 1
    (model / "model.onnx").write_bytes(graph)

    with pytest.raises(ModelError, match="was altered"):
        load_classifier(model)


def test_a_model_in_the_way_is_refused_or_replaced(exported, run, tmp_path):
    model = shutil.copytree(exported[0], tmp_path / "model")
    scores = {"model": "small", "scores": {"ua": 0.66}}
    (model / "scores.json").write_text(json.dumps(scores))
    options = replace(OPTIONS, precision="fp32", version="2", results=[model])

    with pytest.raises(ExportError, match="holds a model already"):
        export_run(run, model, options)
    report = export_run(run, model, replace(options, force=True))

    card = load_classifier(model).card
    assert (card.version, report.precision) == ("2", "fp32")
    assert card.details["results"] == [scores]
    assert not (model / "scores.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_results_that_are_none_are_refused(run, tmp_path):
    with pytest.raises(ExportError, match="is no evaluation"):
        export_run(run, tmp_path / "model", replace(OPTIONS, results=[tmp_path]))


def test_a_folder_that_is_no_model_is_never_replaced(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ExportError, match="is no model folder, so it is not replaced"):
        export_run(run, tmp_path, replace(OPTIONS, force=True))

    assert (tmp_path / "thesis.txt").exists()


def test_a_failed_check_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(reduction, "LARGEST_MEAN_CHANGE", 0.0)

    with pytest.raises(ExportError, match=r"most by \S+ \(.* alone\).*--keep"):
        export_run(run, tmp_path / "model", OPTIONS)

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_json", fail)

    with pytest.raises(ExportError, match="No space left"):
        export_run(run, tmp_path / "model", replace(OPTIONS, precision="fp32"))

    assert list(tmp_path.iterdir()) == []


def test_a_corpus_that_did_not_train_cannot_calibrate(run, corpus, tmp_path):
    options = replace(OPTIONS, corpora={"ravdess": corpus})

    with pytest.raises(ExportError, match="'ravdess': the run was trained on mine"):
        export_run(run, tmp_path / "model", options)


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("config.toml", ConfigError),
        ("run.json", ExportError),
        ("model.safetensors", TrainingError),
    ],
)
def test_an_incomplete_run_is_named(run, tmp_path, missing, error):
    copy = tmp_path / "run"
    copy.mkdir()
    for path in run.iterdir():
        if path.name != missing:
            (copy / path.name).write_bytes(path.read_bytes())

    with pytest.raises(error, match=r"cannot be read|holds no model"):
        export_run(copy, tmp_path / "model", OPTIONS)


def test_calibration_hears_short_and_long_windows(shared, run):
    from espressivo.training.config import read_config
    from espressivo.training.corpora import read_corpus

    utterances = read_corpus("emodb", shared / "corpora" / "emodb")
    drawn, rest = draw(utterances, 8, seed=0)
    config = read_config(run / "config.toml")

    windows = calibration_windows(drawn, utterances, config, seed=0)

    lengths = [len(window) for window in windows]
    assert min(lengths) >= 8_000
    assert lengths.count(WINDOW) >= 2
    assert len(set(lengths)) > 4
    assert not {u.id for u in drawn} & {u.id for u in rest}
    again = calibration_windows(drawn, utterances, config, seed=0)
    assert all(map(np.array_equal, windows, again))


def test_drawing_from_nothing_is_an_error():
    with pytest.raises((ExportError, CorpusError), match="no recordings"):
        draw([], 8, seed=0)
