import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from sklearn import metrics

from espressivo.audio.recording import load_audio
from espressivo.errors import CorpusError, ModelError
from espressivo.model.find import (
    DEFAULT,
    find_model,
)
from espressivo.training.clips.preprocess import find_loud
from espressivo.training.corpora import Utterance, read_corpus
from espressivo.training.corpora.ravdess import CALM
from espressivo.training.evaluate import classify_clip, evaluate
from espressivo.training.figures import plot_confusion
from espressivo.training.scores.evaluation import Evaluation, read_evaluation
from espressivo.types import Emotion, Unreadable
from tests.recordings import encode


class Listener:
    """Stands for a model of 0.5 to 8 s: notes what it is given."""

    def __init__(self):
        self.card = SimpleNamespace(window_s=8.0, min_s=0.5, dimensions=())
        self.heard = []

    def run(self, signals, *names):
        assert names == ("probabilities",)
        self.heard.append(signals[0].copy())
        mean = float(np.clip(np.abs(signals[0]).mean(), 0, 1))
        return (np.array([[mean, 1 - mean, 0, 0]], np.float32),)


def noise(n, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


@given(n=st.integers(1, 400_000))
def test_a_clip_is_heard_once_in_equal_windows_that_the_model_takes(n):
    listener = Listener()
    probabilities = classify_clip(listener, noise(n))
    lengths = [len(signal) for signal in listener.heard]
    assert len(lengths) == max(1, -(-n // 128_000))
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 8_000
    assert max(lengths) <= 128_000
    assert np.array_equal(np.concatenate(listener.heard)[:n], noise(n))
    assert probabilities.sum() == pytest.approx(1)


def test_silent_ends_are_not_heard():
    silence = np.zeros(16_000, np.float32)
    listener = Listener()
    classify_clip(listener, np.concatenate([silence, noise(32_000), silence]))
    (heard,) = listener.heard
    assert 32_000 <= len(heard) < 32_000 + 4 * 2048


@pytest.mark.parametrize("before", [0, 3_000, 12_800])
def test_a_short_sound_is_widened_into_what_was_trimmed(before):
    signal = np.zeros(16_000, np.float32)
    signal[before : before + 1_000] = noise(1_000)
    listener = Listener()
    classify_clip(listener, signal)
    (heard,) = listener.heard
    assert len(heard) == 8_000
    assert np.count_nonzero(heard) == np.count_nonzero(signal)


def test_the_mean_over_windows_is_weighted_by_their_length():
    listener = Listener()
    loud, quiet = noise(100_000), 0.5 * noise(100_000, 1)
    probabilities = classify_clip(listener, np.concatenate([loud, quiet]))
    assert len(listener.heard) == 2
    expected = np.mean([np.abs(signal).mean() for signal in listener.heard])
    assert probabilities[0] == pytest.approx(expected, rel=1e-4)


@pytest.fixture
def calls(tmp_path) -> Path:
    """Eight recordings by four speakers, as a manifest."""
    lines = ["path,emotion,speaker"]
    for n in range(8):
        encode(tmp_path / f"{n}.wav", noise(16_000 + 4_000 * n, n))
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},speaker-{n // 2}")
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_evaluating_the_bundled_model(calls):
    seen = []
    utterances = read_corpus("manifest", calls)
    evaluation = evaluate(
        find_model(DEFAULT), utterances, progress=lambda *n: seen.append(n)
    )
    assert evaluation.utterances == tuple(utterances)
    assert evaluation.probabilities.shape == (8, 4)
    assert evaluation.probabilities.sum(1) == pytest.approx(1, abs=1e-4)
    assert seen == [(n, 8) for n in range(1, 9)]
    again = evaluate(find_model(DEFAULT), utterances)
    assert np.array_equal(evaluation.probabilities, again.probabilities)


@pytest.mark.parametrize("pipeline", [False, True])
def test_dimensions_are_scored_where_they_are_rated(note, tmp_path, pipeline):
    lines = ["# ratings: 0 to 1", "path,emotion,speaker,arousal,valence"]
    for n in range(6):
        encode(tmp_path / f"{n}.wav", note[n * 32_000 : n * 32_000 + 48_000])
        rated = "" if n == 5 else 0.1 + 0.15 * n
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{n // 2},{rated},")
    (tmp_path / "calls.csv").write_text("\n".join(lines) + "\n")
    utterances = read_corpus("manifest", tmp_path / "calls.csv")
    found = evaluate(find_model(DEFAULT), utterances, pipeline=pipeline)
    assert found.dimension_names == ("arousal", "valence")
    assert found.rated.names == ("arousal",)
    predicted, rated = found.dimensions[:5, 0], 0.1 + 0.15 * np.arange(5)
    figures = found.to_dict()["dimensions"]["arousal"]
    assert figures["n_rated"] == 5
    assert figures["pearson"] == pytest.approx(np.corrcoef(predicted, rated)[0, 1])
    assert figures["intervals"]["rmse"][0] <= figures["rmse"]

    found.write(tmp_path / "out")
    wanted = {"model_sha256": found.model_sha256}
    again = read_evaluation(tmp_path / "out", utterances, wanted)
    assert again.to_dict() == found.to_dict()
    worse = replace(found, dimensions=1 - found.dimensions)
    apart = worse.rated.scores["ccc_arousal"] - found.rated.scores["ccc_arousal"]
    compared = worse.compare(tmp_path / "out")["ccc_arousal"]
    assert compared.difference == pytest.approx(apart)


def test_a_broken_recording_is_named_and_costs_only_itself(calls):
    (calls.parent / "3.wav").write_text("not audio")
    utterances = read_corpus("manifest", calls)
    evaluation = evaluate(find_model(DEFAULT), utterances)
    (failure,) = evaluation.failures
    assert failure.id == "calls/3.wav"
    assert "3.wav: cannot be read as a recording" in failure.reason
    assert [u.id for u in evaluation.utterances] == [
        u.id for u in utterances if u.id != "calls/3.wav"
    ]
    assert len(evaluation.probabilities) == 7


def test_the_pipeline_counts_recordings_without_speech(calls):
    evaluation = evaluate(
        find_model(DEFAULT), read_corpus("manifest", calls), pipeline=True
    )
    assert evaluation.protocol == "pipeline"
    assert len(evaluation.without_speech) == 8  # it is all noise
    with pytest.raises(CorpusError, match="nothing to score; no speech was found"):
        _ = evaluation.scores


def test_the_pipeline_finds_speech_in_real_recordings(shared):
    utterances = read_corpus("emodb", shared / "corpora/emodb")[::40]
    evaluation = evaluate(find_model(DEFAULT), utterances, pipeline=True)
    assert len(evaluation.utterances) == len(utterances)


def test_no_utterances_and_no_model(calls, tmp_path):
    with pytest.raises(CorpusError, match="no utterances"):
        evaluate(find_model(DEFAULT), [])
    with pytest.raises(ModelError, match=r"holds no model\.json"):
        evaluate(tmp_path, read_corpus("manifest", calls))


def test_columns_follow_the_models_card(calls, tmp_path):
    folder = shutil.copytree(find_model(DEFAULT), tmp_path / "model")
    card = json.loads((folder / "model.json").read_text())
    card["emotions"] = card["emotions"][::-1]
    (folder / "model.json").write_text(json.dumps(card))
    utterances = read_corpus("manifest", calls)
    turned = evaluate(folder, utterances).probabilities
    straight = evaluate(find_model(DEFAULT), utterances).probabilities
    assert np.array_equal(turned, straight[:, ::-1])


def made_up(n=60, seed=0, corpus="ravdess"):
    """An evaluation of a model that is right more often than not."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    logits = rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    utterances = tuple(
        Utterance(
            id=f"{corpus}/{i}",
            path=Path(f"{i}.wav"),
            speaker=f"{corpus}/{i % 6}",
            session=f"{corpus}/{i % 6}",
            emotion=list(Emotion)[i % 4],
            corpus=corpus,
            original="calm" if i % 8 == 2 else str(list(Emotion)[i % 4]),
        )
        for i in range(n)
    )
    return Evaluation("m", "1", "0" * 64, "clips", utterances, probabilities)


def test_an_evaluation_scores_as_scikit_learn_does():
    evaluation = made_up()
    labels, guesses = evaluation.labels, evaluation.probabilities.argmax(1)
    assert evaluation.scores.ua == pytest.approx(
        metrics.balanced_accuracy_score(labels, guesses)
    )
    matrix = metrics.confusion_matrix(labels, guesses)
    assert np.array_equal(evaluation.confusion, matrix)
    low, high = evaluation.intervals["ua"].low, evaluation.intervals["ua"].high
    assert low <= evaluation.scores.ua <= high


def test_without_calm_only_calm_is_left_out():
    evaluation = made_up()
    without = evaluation.without(CALM)
    assert len(without.utterances) == len(without.probabilities) == 60 - 8
    whole = dict(zip(evaluation.utterances, evaluation.probabilities, strict=True))
    for utterance, row in zip(without.utterances, without.probabilities, strict=True):
        assert np.array_equal(row, whole[utterance])
    assert without.without(CALM) is None
    assert evaluation.to_dict()["without_calm"]["n_utterances"] == 52
    assert without.to_dict()["without_calm"] is None


def test_json_names_what_was_and_was_not_scored():
    failure = Unreadable("ravdess/x", Path("x.wav"), "x.wav: the file is empty")
    plain = json.loads(replace(made_up(), failures=(failure,)).to_json())
    assert plain["schema"] == "espressivo.evaluation/1"
    assert (plain["n_utterances"], plain["n_speakers"]) == (60, 6)
    assert plain["corpora"] == ["ravdess"]
    assert plain["scores"]["recall"].keys() == set(Emotion)
    assert plain["failures"][0]["path"] == "x.wav"
    assert len(plain["intervals"]["ua"]) == 2


def test_predictions_are_written_in_full(tmp_path):
    evaluation = made_up()
    evaluation.write(tmp_path / "new" / "folder")
    rows = parquet.read_table(tmp_path / "new/folder/predictions.parquet").to_pylist()
    assert [row["id"] for row in rows] == [u.id for u in evaluation.utterances]
    for row, wanted in zip(rows, evaluation.probabilities, strict=True):
        assert [row[emotion] for emotion in Emotion] == wanted.tolist()
        assert row["predicted"] == list(Emotion)[wanted.argmax()]
    scores = json.loads((tmp_path / "new/folder/scores.json").read_text())
    assert scores["scores"]["wa"] == evaluation.scores.wa


def test_comparing_with_written_predictions(tmp_path):
    other, evaluation = made_up(seed=1), made_up(seed=2)
    other.write(tmp_path)
    found = evaluation.compare(tmp_path)["wa"]
    assert found.difference == pytest.approx(evaluation.scores.wa - other.scores.wa)
    assert other.compare(tmp_path)["wa"].difference == 0


def test_comparing_needs_predictions_on_the_same_utterances(tmp_path):
    with pytest.raises(CorpusError, match=r"holds no predictions .*--out"):
        made_up().compare(tmp_path)
    made_up(corpus="tess").write(tmp_path)
    with pytest.raises(CorpusError, match="on other utterances only"):
        made_up().compare(tmp_path)


def test_the_confusion_matrix_is_drawn(tmp_path):
    plot_confusion(made_up().confusion, tmp_path / "c.png", "a title")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_condition_keeps_the_windows_of_the_clean_clip(note):
    """Noise has no silent ends, yet the same part of the recording is classified."""
    silence = np.zeros(16_000, np.float32)
    signal = np.concatenate([silence, note[16_000:48_000], silence])
    loud = find_loud(signal)
    listener = Listener()
    classify_clip(listener, signal + 0.5 * noise(len(signal)), loud)
    (heard,) = listener.heard
    assert len(heard) == loud.n_samples


@pytest.mark.parametrize("pipeline", [False, True])
def test_a_condition_changes_predictions_the_same_way_each_time(note, calls, pipeline):
    for n in range(8):
        encode(calls.parent / f"{n}.wav", note[n * 32_000 : n * 32_000 + 48_000])
    utterances = read_corpus("manifest", calls)
    how = {"pipeline": pipeline, "condition": "telephone"}
    clean = evaluate(find_model(DEFAULT), utterances, pipeline=pipeline)
    heard, again = (evaluate(find_model(DEFAULT), utterances, **how) for _ in range(2))
    assert (clean.condition, heard.condition) == ("clean", "telephone")
    assert clean.condition_key == "" != heard.condition_key
    assert np.array_equal(heard.probabilities, again.probabilities)
    both, before = heard.paired([u.id for u in clean.utterances], clean.probabilities)
    assert not np.allclose(both.probabilities, before, atol=0.01)


def test_quiet_speech_is_as_neutral_as_a_quiet_file(note, calls):
    """A condition is what the changed recording gives."""
    for n in range(8):
        signal = note[n * 32_000 : n * 32_000 + 48_000]
        encode(calls.parent / f"{n}.wav", signal)
    utterances = read_corpus("manifest", calls)
    found = evaluate(find_model(DEFAULT), utterances, condition="quiet")
    for n in range(8):
        signal = load_audio(calls.parent / f"{n}.wav")
        encode(calls.parent / f"{n}.wav", np.round(signal * 327.68) / 32768)
    quiet = evaluate(find_model(DEFAULT), utterances)
    np.testing.assert_allclose(found.probabilities, quiet.probabilities, atol=0.02)


def test_an_evaluation_is_read_back(tmp_path):
    lost = Unreadable("ravdess/x", Path("x.wav"), "x.wav: the file is empty")
    kept = replace(made_up(), failures=(lost,), condition="room", condition_key="a1")
    kept.write(tmp_path / "one")
    whole = [
        *kept.utterances,
        replace(kept.utterances[0], id="ravdess/x", path=Path("x.wav")),
    ]
    wanted = {"model_sha256": "0" * 64, "condition": "room", "condition_key": "a1"}
    found = read_evaluation(tmp_path / "one", whole, wanted)
    assert np.array_equal(found.probabilities, kept.probabilities)
    assert found.to_dict() == kept.to_dict()
    assert found.utterances == kept.utterances
    assert read_evaluation(tmp_path / "none", whole, wanted) is None
    with pytest.raises(CorpusError, match="of another set of recordings"):
        read_evaluation(tmp_path / "one", whole[1:], wanted)
    told = {"model_sha256": "model", "condition": "cond", "condition_key": "set of noi"}
    for key, text in told.items():
        with pytest.raises(CorpusError, match=f"evaluation of another {text}"):
            read_evaluation(tmp_path / "one", whole, wanted | {key: "other"})
    (tmp_path / "one/scores.json").write_text("{}")
    with pytest.raises(CorpusError, match=r"scores.json: is no evaluation"):
        read_evaluation(tmp_path / "one", whole, wanted)


def test_readers_of_one_class_have_an_accuracy(shared):
    utterances = read_corpus("librispeech", shared / "speech")[:12]
    evaluation = evaluate(find_model(DEFAULT), utterances)
    called = evaluation.probabilities.argmax(1) == list(Emotion).index(Emotion.NEUTRAL)
    assert evaluation.scores.ua == evaluation.scores.wa == called.mean()
    assert json.loads(evaluation.to_json())["scores"]["recall"]["anger"] is None
