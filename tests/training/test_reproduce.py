from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from espressivo.errors import ConfigError, CorpusError, TrainingError
from espressivo.training.clips.preprocess import trim
from espressivo.training.config import read_config
from espressivo.training.corpora import read_corpus
from espressivo.training.folds.weights import fold_class_weights
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.networks.network import count_parameters
from espressivo.training.reproduce.cross_corpus import evaluate_cross_corpus
from espressivo.training.reproduce.estimate import (
    ASSUMED_S,
    NetworkCosts,
    durations,
    estimate,
    is_kept,
    measure,
)
from espressivo.training.reproduce.operations import OperationCounter
from espressivo.training.reproduce.studies import (
    RECIPES,
    changes,
    light_sernet_stages,
    paper_stages,
    pepino_stages,
    read_study_recipe,
)
from espressivo.training.reproduce.study_corpora import StudyCorpus, read_study_corpus
from espressivo.training.reproduce.table_two import STUDY_WEIGHTS
from espressivo.types import Emotion
from tests.recordings import encode
from tests.trees import build_crema_d, build_iemocap

ROOT = Path(__file__).parents[2]
STUDIES = ("paper", "pepino", "light-sernet")
LONGEST_S = 34.1  # of IEMOCAP


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """All labels as published; not one recording."""
    root = tmp_path_factory.mktemp("corpora")
    roots = {"iemocap": build_iemocap(root), "crema-d": build_crema_d(root)}
    return {
        name: StudyCorpus(name, path, tuple(read_corpus(name, path)))
        for name, path in roots.items()
    }


@pytest.fixture(scope="module")
def stages(sources):
    """Every stage of every study, by study and name."""
    iemocap = sources["iemocap"]
    made = {
        "paper": paper_stages(read_study_recipe("paper"), sources, ("I", "fig1")),
        "pepino": pepino_stages(read_study_recipe("pepino"), iemocap),
        "light-sernet": light_sernet_stages(read_study_recipe("light-sernet"), iemocap),
    }
    return {(study, stage.entry.name): stage for study in made for stage in made[study]}


@pytest.mark.parametrize("name", STUDIES)
def test_a_recipe_has_one_source_which_is_shipped(name):
    assert (RECIPES / f"{name}.toml").is_file()
    assert not (ROOT / "recipes" / f"{name}.toml").exists()
    assert RECIPES.parent.parent == ROOT / "src" / "espressivo"


def test_the_papers_recipe_is_the_studys():
    config = read_study_recipe("paper")
    s, n, a = config.signal, config.network, config.augmentation
    assert (s.trim_db, s.pre_emphasis, s.peak, s.longest_s) == (20, 0.97, 0.95, 8)
    assert (n.kind, n.weights) == ("distilhubert", "ntu-spml/distilhubert")
    assert (n.frozen, n.padding, n.window_s) == ("convolutions", "fixed", 8)
    assert (n.states, n.head, n.dropout) == ((-1,), "mean", 0.1)
    assert (a.probability, a.gain_db, a.noise) == (0.5, (-18, 6), (0.001, 0.015))
    assert (a.pitch, a.speed_probability, a.variants) == (2, 0, 0)
    loss, t = config.loss, config.training
    assert (loss.gamma, loss.smoothing, loss.weights) == (2, 0.1, "balanced")
    assert (t.optimizer, t.learning_rate, t.weight_decay) == ("adamw", 5e-5, 0.01)
    assert (t.schedule, t.warmup) == ("cosine", 0.1)
    assert (t.batch_size, t.epochs, t.patience) == (16, 25, 6)
    assert (loss.balance, t.encoder_rate, t.layer_decay, t.draws) == ("none", 0, 1, 0)


@pytest.mark.parametrize("name", ["pepino", "light-sernet"])
def test_the_baselines_hear_whole_recordings(name):
    signal = read_study_recipe(name).signal
    assert signal.longest_s > LONGEST_S
    assert (signal.pre_emphasis, signal.peak, signal.crop_s) == (0, 0, 0)
    quiet = np.full(16_000, 1 / 32_768, np.float32)  # 16 bit know nothing quieter
    quiet[8_000] = 1.0
    quiet[:4_000] = 0.0
    assert len(trim(quiet, signal.trim_db)) == 16_000
    assert not read_study_recipe(name).augmentation.varies


def test_pepino_trains_what_was_published():
    import torch

    with torch.device("meta"):
        network = build_network(read_study_recipe("pepino").network)
    assert count_parameters(network)[1] == 115_473
    t = read_study_recipe("pepino").training
    assert (t.optimizer, t.learning_rate, t.batch_size) == ("adam", 1e-4, 32)
    assert (t.epochs, t.patience, t.weight_decay) == (100, 4, 0)
    assert (t.clip, t.schedule, t.warmup) == (0, "constant", 0)


def test_light_sernet_trains_what_was_published():
    config = read_study_recipe("light-sernet")
    assert count_parameters(build_network(config.network))[0] == 462_468
    t = config.training
    assert (t.optimizer, t.learning_rate, t.batch_size) == ("adam", 1e-4, 32)
    assert (t.epochs, t.patience, t.weight_decay) == (300, 0, 2e-6)
    assert (t.schedule, t.decay, t.decay_from, t.decay_every) == ("steps", 0.15, 60, 20)
    assert (config.loss.gamma, config.loss.smoothing) == (2, 0)
    assert (config.loss.weights, config.network.window_s) == ("none", 7)


@pytest.mark.parametrize("name", STUDIES)
def test_crossval_reads_the_same_recipe(name):
    config = read_config(RECIPES / f"{name}.toml")
    assert config == read_study_recipe(name)
    assert config.protocol.kind == "session"


def test_weights_are_a_folder_or_a_name_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "distilhubert").mkdir()
    monkeypatch.chdir(tmp_path)
    found = read_study_recipe("paper", weights="distilhubert").network.weights
    assert found == str(tmp_path / "distilhubert")
    assert read_study_recipe("paper", weights="a/b").network.weights == "a/b"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("protocol.kind=random", "reproduce sets protocol.kind itself"),
        ("name=mine", "reproduce sets name itself"),
        ("network.weights=x", "pass --weights"),
        ("training.epoch=1", "did you mean 'training.epochs'"),
    ],
)
def test_settings_that_make_another_experiment_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        read_study_recipe("paper", [setting])


def test_changes_are_told_once_and_only_if_they_matter():
    assert changes([]) == changes(["threads=1", "device=cuda", "workers=4"]) == ""
    twice = ["training.epochs=2", "threads=1", "training.epochs=3"]
    assert changes(twice) == "not the published recipe: training.epochs=3."


def test_no_corpus_but_iemocap_is_scored_in_table_one(stages):
    for name in ("iemocap-only", "with-crema-d"):
        folds = stages["paper", name].folds
        assert [fold.name for fold in folds] == [f"Ses0{i}" for i in range(1, 6)]
        assert {fold.protocol for fold in folds} == {"session"}
        assert sum(len(fold.test) for fold in folds) == 5531
        scored = {u.corpus for f in folds for u in (*f.validation, *f.test)}
        assert scored == {"iemocap"}


def test_table_ones_folds_are_table_twos(stages):
    folds = stages["paper", "with-crema-d"].folds
    mean = {e: np.mean([fold_class_weights(f)[e] for f in folds]) for e in Emotion}
    assert mean == pytest.approx(STUDY_WEIGHTS, abs=5e-4)


def test_the_production_model_trains_on_95_percent_of_both(stages):
    (fold,) = stages["paper", "production"].folds
    assert len(fold.test) == round(0.05 * (5531 + 4900))
    assert len(fold.train) + len(fold.test) == 5531 + 4900
    assert fold.test == fold.validation
    assert fold.protocol == "random"


def test_without_crema_d_there_is_no_table_with_it(sources):
    only = {"iemocap": sources["iemocap"]}
    stages = paper_stages(read_study_recipe("paper"), only, ("I", "production"), "all")
    names = [stage.entry.name for stage in stages]
    assert names == ["iemocap-only-frozen", "production-frozen"]
    assert {stage.config.network.frozen for stage in stages} == {"all"}
    assert [list(stage.config.corpora) for stage in stages] == [["iemocap"]] * 2


def test_the_baselines_differ_from_our_folds_in_the_leak_alone(stages):
    published = stages["light-sernet", "as-published"]
    ours = stages["light-sernet", "our-folds"]
    assert published.config.training == ours.config.training
    assert published.config.network == ours.config.network
    assert [f.validation == f.test for f in published.folds] == [True] * 10
    assert {f.protocol for f in ours.folds} == {"session"}

    names = ("as-published", "training-statistics", "our-folds")
    three = [stages["pepino", name] for name in names]
    by_speaker = [s.config.training.speaker_statistics for s in three]
    assert by_speaker == [True, False, False]
    assert three[0].folds == three[1].folds
    assert [s.folds[0].protocol for s in three] == ["random", "random", "session"]
    tested = [[f.test for f in s.folds] for s in three]
    assert tested[0] == tested[2]


def test_a_missing_session_is_refused_whatever_is_allowed(tmp_path):
    folder = build_iemocap(tmp_path, n=1)
    (folder / "Session3").rename(tmp_path / "elsewhere")
    for incomplete in (False, True):
        with pytest.raises(CorpusError, match="nothing of iemocap/Ses03, and the fold"):
            read_study_corpus("iemocap", folder, incomplete=incomplete)


def test_another_count_is_refused_or_told(tmp_path):
    folder = build_crema_d(tmp_path)
    assert read_study_corpus("crema-d", folder).caution == ""
    next(folder.glob("AudioWAV/*_ANG_*.wav")).unlink()
    with pytest.raises(CorpusError, match=r"has 4,899 of 4,900 .* pass --incomplete"):
        read_study_corpus("crema-d", folder)
    source = read_study_corpus("crema-d", folder, incomplete=True)
    assert source.caution.startswith("CREMA-D has 4,899 of 4,900 recordings")


def test_who_was_trained_on_is_no_other_corpus(stages, sources, tmp_path):
    (fold,) = stages["paper", "production"].folds
    with pytest.raises(TrainingError, match=r"crema-d is what .* was trained on"):
        evaluate_cross_corpus(tmp_path, fold, sources["crema-d"], tmp_path / "out")


COSTS = NetworkCosts(
    front_macs=50,
    train_macs=300,
    head_macs=20,
    front_s=0.5,
    vary_s=1.0,
    step_s=2.0,
    head_s=0.25,
    front_bytes=10,
    state_bytes=100,
    moment_bytes=40,
)


def test_an_estimate_adds_up(stages):
    stage = stages["paper", "production"]
    found = estimate(stage, 2, COSTS)
    n_steps = -(-found.n_train // 16)
    epoch_s = n_steps * 2.0 + found.n_train * 1.0 + found.n_validation * 0.75
    run_s = 25 * epoch_s + (found.n_validation + found.n_test) * 0.75
    assert found.seconds == pytest.approx(2 * run_s)
    epoch_macs = found.n_train * (50 + 300) + found.n_validation * (50 + 20)
    run_macs = 25 * epoch_macs + (found.n_validation + found.n_test) * (50 + 20)
    assert found.macs == 2 * run_macs
    assert (found.kept_bytes, found.passing_bytes, found.front_bytes) == (200, 240, 0)


def test_a_kept_front_is_paid_for_once(stages):
    assert not is_kept(read_study_recipe("paper"))
    one, two = (estimate(stages["pepino", "our-folds"], n, COSTS) for n in (1, 2))
    assert one.front_bytes == two.front_bytes == 55_310
    once_s = 5531 * 0.5
    assert two.seconds - once_s == pytest.approx(2 * (one.seconds - once_s))


def test_costs_are_measured_on_the_network_itself():
    config = read_study_recipe("light-sernet", ["training.batch_size=2", "device=cpu"])
    costs = measure(config, 1.0)
    assert costs.front_bytes == 2 * 434 * 40  # fp16 coefficients of 7 s
    assert costs.state_bytes == pytest.approx(4 * 462_468, rel=0.01)
    assert costs.moment_bytes == 2 * 4 * (462_468 - 2 * 864)  # but for statistics
    assert min(costs.front_s, costs.vary_s, costs.step_s, costs.head_s) > 0
    # Gradients of weights and of inputs, but the first layer has no gradient of inputs.
    assert 2.8 * costs.head_macs < costs.train_macs < 3 * costs.head_macs
    assert 0 < costs.front_macs < costs.head_macs


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "light_sernet", "padding": "fixed", "window_s": 3.0},
        {"kind": "whisper", "n_layers": 1, "frozen": "convolutions"},
        # Of its convolutions with strides or groups torch overestimates gradients.
        {"kind": "distilhubert", "frozen": "convolutions", "n_frozen": 1},
    ],
)
def test_operations_are_counted_as_torch_counts_them(options):
    """But for attention, which torch counts in its plain form alone."""
    network = build_network(NetworkConfig(**options)).train()
    samples = torch.randn(2, 8000)
    with sdpa_kernel(SDPBackend.MATH):
        counted, torchs = OperationCounter(), FlopCounterMode(display=False)
        with torchs, counted:
            loss = network(samples).sum()
        assert 2 * counted.forward == torchs.get_total_flops() > 0
        with FlopCounterMode(display=False) as torchs:
            loss.backward()
    assert 2 * counted.backward == torchs.get_total_flops() > 0


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({"kind": "distilhubert", "head": "mean"}, 27.8e9), ({"kind": "whisper"}, 3.6e9)],
)
def test_operations_of_8_s_are_the_known_ones(options, wanted):
    with torch.device("meta"), torch.no_grad(), OperationCounter() as counted:
        network = build_network(NetworkConfig(**options))
        network.embedding(network.front(torch.zeros(1, 128_000)))
    assert counted.forward == pytest.approx(wanted, rel=0.05)
    assert counted.backward == 0


def test_durations_come_from_headers(sources, tmp_path):
    seconds, n_assumed = durations(sources["iemocap"].utterances[:3])
    assert (seconds, n_assumed) == ([ASSUMED_S] * 3, 3)
    folder = build_iemocap(tmp_path, n=1)
    utterances = read_corpus("iemocap", folder)
    encode(utterances[0].path, np.zeros(24_000, np.float32))
    utterances[1].path.write_bytes(b"no header")
    flac = utterances[2].path.with_suffix(".flac")
    utterances[2] = replace(utterances[2], path=encode(flac, np.zeros(40_000, "f4")))
    seconds, n_assumed = durations(utterances)
    assert seconds[2] == pytest.approx(2.5, abs=0.01)
    assert seconds[0] == pytest.approx(1.5, abs=0.01)
    assert n_assumed == 1
    assert seconds[1] == pytest.approx(np.median([seconds[0], *seconds[2:]]))
