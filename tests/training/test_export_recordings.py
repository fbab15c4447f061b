import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from espressivo.errors import ExportError  # noqa: E402
from espressivo.training.clips.load import load_signals  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    ExperimentConfig,
    SignalConfig,
    to_toml,
)
from espressivo.training.corpora import read_corpus  # noqa: E402
from espressivo.training.export import (  # noqa: E402
    ExportOptions,
    collect_activations,
    export_run,
    exporter,
    recordings,
    to_onnx,
)
from espressivo.training.export.recordings import (  # noqa: E402
    check_windows,
    fold_of,
    fold_test_utterances,
    require_windows,
    training_utterances,
)
from espressivo.training.folds.protocol import ProtocolConfig, make_folds  # noqa: E402
from espressivo.training.folds.table import FOLDS, write_folds  # noqa: E402
from espressivo.training.networks import NetworkConfig  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.recordings import encode  # noqa: E402
from tests.training.networks_to_export import make_network  # noqa: E402

SECOND = 16_000


@pytest.fixture
def corpus(tmp_path, note):
    """Four speakers, four clips each."""
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = ["path,emotion,speaker"]
    for n in range(16):
        start = 10_000 + 20_000 * n
        encode(folder / f"{n}.wav", note[start : start + 12_000])
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{n // 4}")
    (folder / "mine.csv").write_text("\n".join(lines))
    return folder / "mine.csv"


@pytest.fixture
def config(corpus):
    return ExperimentConfig(
        name="small",
        corpora={"manifest": corpus},
        signal=SignalConfig(pre_emphasis=0.97, peak=0.95),
        network=NetworkConfig(n_layers=1),
    )


@pytest.fixture
def folds(corpus):
    utterances = read_corpus("manifest", corpus)
    return make_folds(ProtocolConfig(kind="speaker"), utterances)


@pytest.fixture
def run(tmp_path, config, folds):
    """The first fold of a cross-validation, as that leaves it."""
    result = tmp_path / "result"
    folder = result / folds[0].name / "seed-0"
    folder.mkdir(parents=True)
    write_folds(folds, result / FOLDS)
    (folder / "config.toml").write_text(to_toml(config))
    counts = {f"mine/{emotion}": 2 for emotion in Emotion}
    described = {"name": "small", "utterances": counts, "encoder_sha256": None}
    (folder / "run.json").write_text(json.dumps(described))
    network = make_network("whisper", n_layers=1)
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


def ids(utterances):
    return {utterance.id for utterance in utterances}


def test_a_fold_is_calibrated_by_those_who_trained_it(run, config, folds):
    found = training_utterances(run, config, ["mine"], {})

    assert ids(found) == ids(folds[0].train)
    assert not ids(found) & ids((*folds[0].validation, *folds[0].test))


def test_a_fold_is_scored_on_those_it_tests(run, folds):
    found = fold_test_utterances(run)

    assert found is not None
    assert ids(found) == ids(folds[0].test)


def test_a_corpus_may_have_moved(run, corpus, config, folds):
    moved = shutil.move(corpus.parent, corpus.parent.with_name("moved"))
    elsewhere = {"manifest": moved / corpus.name}

    trained = training_utterances(run, config, ["mine"], elsewhere)
    tested = fold_test_utterances(run, elsewhere)

    assert ids(trained) == ids(folds[0].train)
    assert ids(tested) == ids(folds[0].test)


def test_a_run_of_no_fold_is_calibrated_by_all(run, config, tmp_path):
    alone = shutil.copytree(run, tmp_path / "seed-0")

    assert fold_test_utterances(alone) is None
    assert len(training_utterances(alone, config, ["mine"], {})) == 16


def test_half_of_the_speakers_calibrates_what_it_trained(config, tmp_path):
    name = next(iter(config.corpora))
    halves = {}
    for half in ("even", "odd"):
        chosen = replace(config, speakers={name: half})
        read = training_utterances(tmp_path / "alone", chosen, ["mine"], {})
        halves[half] = {utterance.speaker for utterance in read}
    assert halves == {"even": {"mine/0", "mine/2"}, "odd": {"mine/1", "mine/3"}}


def test_a_fold_that_the_table_does_not_name_is_refused(run):
    renamed = run.parent.rename(run.parent.with_name("renamed")) / run.name

    with pytest.raises(ExportError, match=r"folds\.parquet names no fold 'renamed'"):
        fold_of(renamed)


def test_an_export_of_a_fold_hears_no_other_speaker(run, folds, tmp_path, monkeypatch):
    heard = set()

    def load(utterances, signal):
        heard.update(ids(utterances))
        return load_signals(utterances, signal)

    monkeypatch.setattr(recordings, "load_signals", load)
    monkeypatch.setattr(exporter, "measure_costs", stop)
    options = ExportOptions(n_calibration=4, n_checks=2)

    with pytest.raises(RuntimeError, match="stopped"):
        export_run(run, tmp_path / "model", options)

    assert heard
    assert heard <= ids(folds[0].train)


def stop(*_):
    """End an export where it has heard all that it hears."""
    raise RuntimeError("stopped")


def test_windows_are_as_recorded(config, corpus):
    """What the configuration does to clips, the graph does."""
    utterances = read_corpus("manifest", corpus)
    plain = replace(config.signal, pre_emphasis=0.0, peak=0.0)

    found, wanted = (check_windows(utterances, c) for c in (config.signal, plain))

    assert all(map(np.array_equal, found, wanted))
    assert len({np.abs(window).max() for window in found}) > 1


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "0 recordings, none of them louder than -60 dBFS"),
        ([np.zeros(SECOND)] * 2, "2 recordings, none of them louder than -60 dBFS"),
        ([np.full(SECOND, 9e-4)], "none of them louder than -60 dBFS; pass --corpus"),
        ([np.ones(SECOND), np.ones(7_999)], "window 1 has 7999 samples, .* at 16 kHz"),
        ([np.ones(8 * 44_100)], "window 0 has 352800 samples, .* at 16 kHz"),
    ],
    ids=["none", "silent", "nearly silent", "short", "44.1 kHz"],
)
def test_windows_that_calibrate_nothing_are_refused(windows, message):
    with pytest.raises(ExportError, match=message):
        require_windows(windows)


def test_one_loud_window_is_enough():
    require_windows([np.zeros(8_000), np.full(8 * SECOND, 2e-3)])


def test_what_is_refused_calibrates_nothing():
    model = to_onnx(make_network("statistics"))

    with pytest.raises(ExportError, match="none of them louder"):
        collect_activations(model, ["mel"], [np.zeros(SECOND, np.float32)])
