"""Training on listeners' ratings, from recordings to tables and a model folder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
transformers = pytest.importorskip("transformers", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from pyarrow import parquet  # noqa: E402

from espressivo.cli.main import main  # noqa: E402
from espressivo.errors import TrainingError  # noqa: E402
from espressivo.model.classifier import load_classifier  # noqa: E402
from espressivo.training.clips.batches import make_batches  # noqa: E402
from espressivo.training.clips.feature_cache import FeatureExtractor  # noqa: E402
from espressivo.training.clips.load import load_clips  # noqa: E402
from espressivo.training.config import LossConfig, TrainingConfig  # noqa: E402
from espressivo.training.corpora.utterance import Ratings  # noqa: E402
from espressivo.training.fit.predict import predict_dimensions  # noqa: E402
from espressivo.training.folds.splits import Fold  # noqa: E402
from espressivo.training.networks import NetworkConfig  # noqa: E402
from espressivo.training.runs.crossval import crossval  # noqa: E402
from espressivo.training.runs.train import train  # noqa: E402
from espressivo.training.scores.crossval_results import read_results  # noqa: E402
from espressivo.training.scores.dimensions import (  # noqa: E402
    RatedPredictions,
    mean_ccc,
)
from espressivo.training.tables import dimension_table  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.training.experiments import HZ, small_config, small_corpus  # noqa: E402
from tests.training.test_hubert import tiny  # noqa: E402
from tests.training.test_tables import cells  # noqa: E402
from tests.trees import build_iemocap, voice, write_wav  # noqa: E402

NAMES = ("arousal", "valence")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Tones: the higher, the more aroused; one has no ratings, one no valence."""
    utterances = small_corpus(tmp_path_factory.mktemp("clips"), n_speakers=4)
    rated = [
        replace(u, ratings=Ratings(n % 3 / 2, HZ[u.emotion] / 1000, np.nan))
        for n, u in enumerate(utterances)
    ]
    rated[0] = replace(rated[0], ratings=None)
    rated[1] = replace(rated[1], ratings=Ratings(np.nan, 0.6, np.nan))
    return load_clips(rated, small_config().signal)[0]


def config(task, **training):
    rates = {"batch_size": 12, "learning_rate": 0.01, "warmup": 0.0}
    return replace(
        small_config(),
        task=task,
        network=NetworkConfig("statistics", dropout=0.0, dimensions=NAMES),
        loss=LossConfig(),
        training=TrainingConfig(**({"epochs": 6} | rates | training)),
    )


@pytest.mark.parametrize("task", ["dimensions", "both"])
def test_the_best_epoch_by_the_score_of_the_task_is_kept(tmp_path, clips, task):
    settings, held_out = config(task), clips[:8]
    network = train(settings, clips, tmp_path, validation=held_out, select=True)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line) for line in lines]
    ccc = [np.mean(list(epoch["ccc"].values())) for epoch in epochs]
    ua = [epoch["mean_recall"] for epoch in epochs]
    assert ccc[-1] > ccc[0]

    batches = make_batches(FeatureExtractor(network), held_out, settings)
    logits, predicted = predict_dimensions(batches)
    speakers = [clip.utterance.speaker for clip in held_out]
    kept = mean_ccc(RatedPredictions(NAMES, batches.ratings, predicted, speakers))
    if task == "dimensions":
        assert kept == pytest.approx(max(ccc), abs=1e-5)
    else:
        labels = batches.labels
        recalls = [(logits.argmax(1) == k)[labels == k].mean() for k in range(4)]
        best = max(a + b for a, b in zip(ccc, ua, strict=True))
        assert kept + np.mean(recalls) == pytest.approx(best, abs=1e-5)


def test_without_ratings_to_validate_on_the_ua_chooses(tmp_path, clips):
    bare = [
        replace(clip, utterance=replace(clip.utterance, ratings=None))
        for clip in clips[:8]
    ]
    settings = config("both", patience=2)
    train(settings, clips, tmp_path, validation=bare, select=True)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert found[0]["ccc"] is None
    # It waits for two epochs after the best one, and not from the first.
    best = max(range(len(found)), key=lambda i: found[i]["mean_recall"])
    assert len(found) == min(6, best + 3)


def test_every_fold_is_checked_before_the_first_is_trained(tmp_path, clips):
    one, two, three, four = (
        tuple(clip.utterance for clip in clips[i : i + 4]) for i in range(0, 16, 4)
    )
    bare = tuple(replace(u, ratings=None) for u in four)
    folds = [
        Fold(one + two, three, bare, "a", "speaker"),
        Fold(bare, three, one, "b", "speaker"),
    ]
    with pytest.raises(TrainingError, match="have ratings of arousal, valence"):
        crossval(config("dimensions"), folds, tmp_path)
    assert not (tmp_path / "a").exists()


def test_tones_are_rated_by_their_pitch(tmp_path, clips):
    settings = config("dimensions", epochs=40)
    network = train(settings, clips, tmp_path)
    batches = make_batches(FeatureExtractor(network), clips, settings)
    _, predicted = predict_dimensions(batches)
    assert predicted.min() >= 0
    assert predicted.max() <= 1
    rated = RatedPredictions(NAMES, batches.ratings, predicted, ["s"] * len(clips))
    assert rated.n_rated == {"arousal": 15, "valence": 14}
    assert rated.scores["ccc_arousal"] > 0.9


def test_ratings_and_votes_that_nobody_gave_are_named(tmp_path, clips):
    settings = config("dimensions")
    names = (*NAMES, "dominance")
    settings = replace(settings, network=replace(settings.network, dimensions=names))
    with pytest.raises(TrainingError, match="have ratings of dominance, which task"):
        train(settings, clips, tmp_path)
    settings = replace(config("both"), loss=LossConfig(votes=True))
    with pytest.raises(TrainingError, match=r"has votes of listeners, which 'loss"):
        train(settings, clips, tmp_path)


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory):
    """A synthetic tree with a tiny wav2vec2, and the settings that name them."""
    folder = tmp_path_factory.mktemp("iemocap")
    tree = build_iemocap(folder, n=1)
    tiny("wav2vec2").save_pretrained(folder / "wav2vec2")
    return options("iemocap", tree, folder / "wav2vec2"), tree


def options(corpus, tree, weights):
    """Return arguments that run a recipe on a synthetic tree, in seconds."""
    settings = (f"network.weights={weights}", "threads=1", "device=cpu")
    settings += ("signal.crop_s=0.5", "training.epochs=1")
    return [
        *("--corpus", f"{corpus}={tree}", "--cache", str(weights.parent / "cache")),
        *(part for setting in settings for part in ("--set", setting)),
    ]


def test_the_recipe_of_iemocap_runs_from_recordings_to_a_model(
    iemocap, tmp_path, capsys
):
    settings, tree = iemocap
    recipe = ROOT / "recipes/dimensions/iemocap.toml"
    names = ("arousal", "valence", "dominance")

    result = tmp_path / "result"
    assert main(["crossval", str(recipe), "--out", str(result), *settings]) == 0
    assert "Dimensions, against listeners' ratings" in capsys.readouterr().out
    results = read_results(result)
    assert results.protocol == "session"
    assert results.dimension_names == names
    assert len(results.folds) == 5
    assert results.intervals["rmse_valence"].low <= results.pooled["rmse_valence"]
    columns = parquet.read_table(result / "predictions.parquet").column_names
    assert {*names, *(f"rated_{name}" for name in names)} <= set(columns)
    assert main(["tables", str(result), "--table", "dimensions", "--csv"]) == 0
    assert capsys.readouterr().out.count("iemocap-dimensions") >= 3

    run, model, scores = (tmp_path / name for name in ("run", "model", "scores"))
    assert main(["train", str(recipe), "--out", str(run), *settings]) == 0
    assert main(["export", str(run), "--out", str(model)]) == 0
    card = load_classifier(model).card
    assert card.dimensions == names
    assert card.details["dimensions"]["valence"]["source"] == "ratings"
    capsys.readouterr()
    evaluate = ["evaluate", str(model), "iemocap", str(tree), "--out", str(scores)]
    assert main(evaluate) == 0
    assert "Pearson" in capsys.readouterr().out
    found = json.loads((scores / "scores.json").read_text())["dimensions"]
    assert found["valence"]["n_rated"] == 40
    low, high = found["valence"]["intervals"]["rmse"]
    assert low <= found["valence"]["rmse"] <= high
    # The graph says what the network said of these recordings.
    assert main([*evaluate[:4], "--against", str(scores), "--json"]) == 0
    against = json.loads(capsys.readouterr().out)["against"]
    assert against["ccc_valence"]["difference"] == 0


def test_the_recipe_of_msp_podcast_tests_the_authors_part(tmp_path, capsys):
    tree = tmp_path / "MSP-Podcast"
    rows = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"]
    parts = ("Train", "Train", "Development", "Test1", "Test1", "Test2")
    for speaker, part in enumerate(parts):
        for n, label in enumerate("AHNSX"):  # X: the listeners agreed on no emotion
            name = f"MSP-PODCAST_{speaker:04}_{n:04}.wav"
            write_wav(tree / "Audios" / name, voice("anger", name))
            ratings = f"{6 - n}.2,{2 + n / 2},{(speaker + n) % 7 + 1}"
            rows.append(f"{name},{label},{ratings},{speaker},Female,{part}")
    (tree / "Labels").mkdir()
    (tree / "Labels/labels_consensus.csv").write_text("\n".join(rows))
    tiny("hubert").save_pretrained(tmp_path / "hubert")

    recipe, out = ROOT / "recipes/dimensions/msp-podcast.toml", tmp_path / "result"
    settings = options("msp-podcast", tree, tmp_path / "hubert")
    assert main(["crossval", str(recipe), "--out", str(out), *settings]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 fold, the corpus's own parts" in printed
    assert "trained on dimensions alone" in printed
    results = read_results(out)
    assert results.folds == ["Test1"]
    assert results.n_utterances == 10
    assert results.pool.confusion.sum() == 8
    assert results.predictions.labels.min() == -1
    assert "2 of 10 utterances are of none of the four emotions" in printed
    dimensions = cells(dimension_table([results]))[0]
    assert dimensions["utterances"] == "10"
    trained = json.loads(next(out.glob("Test1/*/run.json")).read_text())
    assert trained["utterances"]["msp-podcast/other"] == 2
    assert results.dimension_names == ("arousal", "valence", "dominance")
    assert 0 < results.pooled["rmse_dominance"] < 1
