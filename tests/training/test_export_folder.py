import hashlib
import json
import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from espressivo.cli.main import main  # noqa: E402
from espressivo.errors import ConfigError, ExportError, TrainingError  # noqa: E402
from espressivo.model.classifier import Certainty, load_classifier  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    ExperimentConfig,
    TrainingConfig,
    to_toml,
)
from espressivo.training.export import (  # noqa: E402
    ExportOptions,
    card,
    export_run,
    folder,
    to_onnx,
)
from espressivo.training.networks import NetworkConfig  # noqa: E402
from espressivo.training.runs.folder import file_sha256  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.recordings import encode  # noqa: E402
from tests.training.networks_to_export import make_network  # noqa: E402

OPTIONS = ExportOptions(precision="fp32", n_calibration=4, n_checks=2)
APACHE = Path(__file__).parents[2] / "LICENSE"


@pytest.fixture(scope="module")
def config(tmp_path_factory, note):
    clips = tmp_path_factory.mktemp("mine")
    lines = ["path,emotion,speaker"]
    for n in range(8):
        start = 10_000 + 20_000 * n
        encode(clips / f"{n}.wav", note[start : start + 12_000])
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{n // 4}")
    (clips / "mine.csv").write_text("\n".join(lines))
    return ExperimentConfig(
        name="small",
        corpora={"manifest": clips / "mine.csv"},
        network=NetworkConfig("light_sernet", padding="fixed", window_s=3.0),
    )


@pytest.fixture
def run(config, tmp_path):
    return write_run(tmp_path / "run", config)


def write_run(path, config):
    path.mkdir()
    (path / "config.toml").write_text(to_toml(config))
    counts = {f"mine/{emotion}": 2 for emotion in Emotion}
    described = {"name": "small", "utterances": counts, "encoder_sha256": None}
    (path / "run.json").write_text(json.dumps(described))
    network = make_network("light_sernet", padding="fixed", window_s=3.0)
    save_file(network.state_dict(), path / "model.safetensors")
    return path


def card_of(config, network, run=None):
    described = {"utterances": {"mine/anger": 1}, "encoder_sha256": "ab"} | (run or {})
    fitted = {"temperature": 1.0}
    return card.build_card(replace(config, network=network), described, fitted, {}, [])


def test_a_network_of_one_window_says_so(run, tmp_path):
    export_run(run, tmp_path / "model", OPTIONS)

    found = load_classifier(tmp_path / "model").card
    assert (found.min_s, found.window_s) == (0.5, 3.0)
    assert found.details["input"].endswith("0.5 to 3 s, cut or padded to that")
    assert found.details["starting_weights"] == {
        "name": "none: random initialization",
        "license": None,
        "sha256": None,
    }
    licences = tmp_path / "model" / "LICENSES"
    assert [path.name for path in licences.iterdir()] == ["TRAINING-DATA.md"]
    assert "started from random numbers" in (licences / "TRAINING-DATA.md").read_text()


def test_the_threshold_of_a_calibrated_run_is_in_the_card(run, tmp_path):
    certainty = {"threshold": 0.55, "accuracy": 0.8, "coverage": 0.5, "fitted": "on"}
    fitted = {"temperature": 1.5, "fitted": "on", "certainty": certainty}
    (run / "temperature.json").write_text(json.dumps(fitted))

    export_run(run, tmp_path / "model", OPTIONS)
    # Its threshold is for probabilities at 1.5 alone.
    other = replace(OPTIONS, temperature=1.0)
    export_run(run, tmp_path / "other", other)

    found = load_classifier(tmp_path / "model").card
    assert found.certainty == Certainty(0.55, 0.8)
    assert found.details["certainty"] == certainty
    assert "certainty" not in found.details["calibration_of_probabilities"]
    assert load_classifier(tmp_path / "other").card.certainty is None


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("whisper_tiny_en_encoder_fp16", "OpenAI Whisper tiny.en, encoder"),
        ("whisper_base_encoder_fp16", "OpenAI Whisper base, encoder"),
    ],
)
def test_published_weights_are_known_by_their_hash(config, shared, file, name):
    path = shared / "weights" / f"{file}.safetensors"
    run = {"utterances": {"mine/anger": 1}, "encoder_sha256": file_sha256(path)}

    found = card_of(config, NetworkConfig(weights=str(path)), run)

    assert found["starting_weights"]["name"] == name


@pytest.mark.parametrize(
    ("network", "name", "licence"),
    [
        (NetworkConfig(), "none: random initialization", None),
        (NetworkConfig(weights="w.st"), "OpenAI Whisper w.st, encoder", "MIT"),
        (NetworkConfig("hubert"), "none: random initialization", None),
        (
            NetworkConfig("distilhubert", weights="ntu-spml/distilhubert"),
            "DistilHuBERT",
            "Apache-2.0",
        ),
        (
            NetworkConfig("wav2vec2", weights="somebody/tuned"),
            "somebody/tuned",
            folder.UNKNOWN_LICENCE,
        ),
        (
            NetworkConfig("hubert", weights="/home/me/secret/tuned"),
            "tuned",
            folder.UNKNOWN_LICENCE,
        ),
    ],
    ids=lambda value: value.weights if isinstance(value, NetworkConfig) else "",
)
def test_the_card_says_what_the_encoder_started_from(config, network, name, licence):
    found = card_of(config, network)

    assert found["starting_weights"] == {
        "name": name,
        "license": licence,
        "sha256": "ab",
    }
    unknown = f"terms of mine and {name} are for you to know"
    assert (unknown in found["allowed_use"]) == (licence == folder.UNKNOWN_LICENCE)
    assert "/home" not in json.dumps(found)


@pytest.mark.parametrize(
    ("stated", "commercial"),
    [({}, "unclear"), ({"manifest": "own"}, "yes"), ({"mine": "CC-BY-NC-4.0"}, "no")],
)
def test_the_card_computes_what_the_model_may_be_used_for(config, stated, commercial):
    found = card_of(replace(config, licences=stated), NetworkConfig())

    assert found["use"]["commercial"] == commercial
    assert found["training_corpora"][0]["terms"]["commercial"] == commercial
    sold = "Any use, commercial use and sale included" in found["allowed_use"]
    assert sold == (commercial == "yes")
    assert found["made_by"]["recipe"]["licences"] == stated


def test_one_corpus_that_forbids_a_sale_binds_the_model(config, tmp_path):
    counts = {"mine/anger": 3, "librispeech/neutral": 60, "ravdess/sadness": 5}
    stated = replace(config, licences={"manifest": "CC0-1.0"})
    found = card_of(stated, NetworkConfig(), {"utterances": counts})

    assert found["use"]["forbids"] == {"commercial use": ["RAVDESS"]}
    folder.write_licences(tmp_path, found)
    told = (tmp_path / "LICENSES" / "TRAINING-DATA.md").read_text()
    assert "| LibriSpeech | CC BY 4.0 (Panayotov et al. 2015) | yes | 60 |" in told
    assert "| mine | CC0 1.0 (as its trainer states) | yes | 3 |" in told
    assert "the terms of RAVDESS forbid commercial use" in told


def test_apaches_licence_is_told_and_given(config, tmp_path):
    network = NetworkConfig("distilhubert", weights="ntu-spml/distilhubert")

    folder.write_licences(tmp_path, card_of(config, network))

    written = tmp_path / "LICENSES"
    text = (written / "TRAINING-DATA.md").read_text()
    assert "from DistilHuBERT (Apache-2.0, apache-2.0-LICENSE.txt)" in text
    assert (written / "apache-2.0-LICENSE.txt").read_text() == APACHE.read_text()


@pytest.mark.parametrize(
    ("network", "window_s"),
    [
        (NetworkConfig("hubert", window_s=3.0), 8.0),
        (NetworkConfig("hubert", padding="fixed", window_s=3.0), 3.0),
        (NetworkConfig("hubert", padding="fixed", window_s=20.0), 8.0),
    ],
    ids=["any length", "one", "one, too long"],
)
def test_the_window_is_what_the_network_hears(config, network, window_s):
    assert card_of(config, network)["window_s"] == window_s


def test_results_say_which_weights_they_are_of(config, tmp_path):
    model = to_onnx(make_network("statistics"))
    digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    found = card_of(config, NetworkConfig("statistics"))
    found |= {"format_version": 1, "name": "small", "version": "1"}
    found["results"] = [{"model_sha256": s} for s in (digest, "f" * 64)] + [{}]

    assert folder.write_model(tmp_path, model, found) == digest

    results = json.loads((tmp_path / "model.json").read_text())["results"]
    assert [result["of"] for result in results] == [
        "these weights",
        f"other weights, sha256 {'f' * 64}",
        "other weights, sha256 not known",
    ]


@pytest.mark.parametrize(
    ("missing", "error", "message"),
    [
        ("config.toml", ConfigError, "config.toml: cannot be read"),
        ("run.json", TrainingError, r"is no run \(no run.json\); pass a folder that"),
        ("model.safetensors", TrainingError, "holds no model.safetensors; finish the"),
    ],
)
def test_an_incomplete_run_is_named(run, tmp_path, missing, error, message):
    (run / missing).unlink()
    (run / "training.checkpoint").write_bytes(b"half way")

    with pytest.raises(error, match=message):
        export_run(run, tmp_path / "model", OPTIONS)

    assert not (tmp_path / "model").exists()


def test_what_only_speakers_statistics_make_good_is_refused(config, tmp_path):
    trained = replace(config, training=TrainingConfig(speaker_statistics=True))

    with pytest.raises(ExportError, match=r"training\.speaker_statistics: .* cannot"):
        export_run(write_run(tmp_path / "run", trained), tmp_path / "model", OPTIONS)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_silent_corpus_neither_calibrates_nor_checks(config, tmp_path, precision):
    corpus = tmp_path / "mine" / "mine.csv"
    shutil.copytree(config.corpora["manifest"].parent, corpus.parent)
    for path in corpus.parent.glob("*.wav"):
        encode(path, np.full(12_000, 5e-4, np.float32))
    silent = replace(config, corpora={"manifest": corpus})
    options = replace(OPTIONS, precision=precision)

    with pytest.raises(ExportError, match="none of them louder than -60 dBFS"):
        export_run(write_run(tmp_path / "run", silent), tmp_path / "model", options)

    assert not (tmp_path / "model").exists()


def exit_of(run, out, capsys):
    code = main(["export", str(run), "--out", str(out), "--precision", "fp32"])
    written, said = capsys.readouterr()
    assert written == ""
    assert said.count("\n") == 1
    return code, said


def test_a_parent_that_is_a_file_is_one_line_and_exit_1(run, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")

    code, said = exit_of(run, tmp_path / "file" / "model", capsys)

    assert code == 1
    assert "cannot be written" in said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_fills_is_one_line_and_exit_1(run, tmp_path, capsys):
    """As far as a process may write: less than the graph has."""
    out = tmp_path / "models" / "model"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        code, said = exit_of(run, out, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert code == 1
    assert f"{out}: cannot be written (File too large); nothing was changed" in said
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_a_disk_that_fills_keeps_the_model_that_was_there(run, tmp_path, capsys):
    out = tmp_path / "model"
    export_run(run, out, OPTIONS)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(ExportError, match="nothing was changed"):
            export_run(run, out, replace(OPTIONS, force=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert before == after
    assert {path.name for path in tmp_path.iterdir()} == {"run", "model"}


def test_a_link_in_the_way_is_not_followed(run, tmp_path):
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "text").write_text("years of work")
    (tmp_path / "model").symlink_to(target)

    with pytest.raises(ExportError, match="is no model folder, so it is not replaced"):
        export_run(run, tmp_path / "model", replace(OPTIONS, force=True))

    assert (target / "text").exists()


def test_a_broken_link_in_the_way_is_refused(run, tmp_path):
    (tmp_path / "model").symlink_to(tmp_path / "gone")

    with pytest.raises(ExportError, match="exists and is no model folder"):
        export_run(run, tmp_path / "model", OPTIONS)


def test_the_run_itself_is_never_the_target(run):
    with pytest.raises(ExportError, match="is no model folder, so it is not replaced"):
        export_run(run, run, replace(OPTIONS, force=True))

    assert (run / "model.safetensors").exists()


def test_a_folder_that_takes_nothing_is_one_line_and_exit_1(run, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write everywhere but here
        locked = Path("/proc")
        if not locked.is_dir():
            pytest.skip("root may write everywhere, and there is no /proc")

    code, said = exit_of(run, locked / "models" / "model", capsys)

    assert code == 1
    assert "models/model: cannot be written" in said
