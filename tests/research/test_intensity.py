"""The intensity study: known movements are found, and its page has its own numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pyarrow import parquet

from espressivo.errors import CorpusError
from espressivo.model.find import DEFAULT
from espressivo.training.corpora.utterance import Utterance
from espressivo.training.scores.evaluation import Evaluation
from espressivo.types import Emotion
from research.intensity import movement
from research.intensity.__main__ import main
from research.intensity.oracle import from_neutral, moved_means, nearest
from research.intensity.resampling import group_means
from research.intensity.space import fit_space, log_odds
from research.intensity.unscripted import gain, offset, resampled_mean

RESEARCH = Path(__file__).parents[2] / "research"
MEANS = np.array([[3.0, 0, 0, -3], [1, 3, 0, -2], [-1, 0, 3, 0], [-2, 0, 1, 3]])
LABELS = {"05": Emotion.ANGER, "03": Emotion.HAPPINESS, "04": Emotion.SADNESS}


def published():
    """Return the predictions that `research.peers` published, by corpus."""
    folder = RESEARCH / "peers" / "data"
    said = parquet.read_table(folder / "espressivo-base.parquet").to_pylist()
    by_id = {row["id"]: [float(row[e]) for e in Emotion] for row in said}
    parts = {}
    for row in parquet.read_table(folder / "clips.parquet").to_pylist():
        parts.setdefault(row["corpus"], []).append(
            Utterance(
                row["id"],
                Path(),
                row["speaker"],
                "",
                Emotion(row["emotion"]),
                row["corpus"],
                original="calm" if row["calm"] else "",
            )
        )
    del parts["librispeech"]  # neutral only
    return {
        name: evaluation(part, np.array([by_id[u.id] for u in part]))
        for name, part in parts.items()
    }


def softmax(logits):
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def evaluation(utterances, probabilities):
    return Evaluation("m", "1", "0", "clips", tuple(utterances), probabilities)


def corpus(name, *, seed=0, scale=1.0, emotions=tuple(Emotion)):
    """Return predictions of 40 clips of each emotion, by four speakers."""
    rng = np.random.default_rng(seed)
    chosen = [e for e in emotions for _ in range(40)]
    utterances = [
        Utterance(f"{name}/{i}", Path(), f"{name}/{i % 4}", "", emotion, name)
        for i, emotion in enumerate(chosen)
    ]
    rows = MEANS[[list(Emotion).index(e) for e in chosen]]
    logits = scale * (rows + rng.normal(size=rows.shape))
    return evaluation(utterances, softmax(logits))


def ravdess(moved):
    """Return predictions of three actors, whose strong clips have moved logits."""
    rng = np.random.default_rng(5)
    utterances, logits = [], []
    for actor in ("01", "02", "03"):
        for code, label in (LABELS | {"02": Emotion.NEUTRAL}).items():
            own = rng.normal(size=4)
            for level in ("01", "02"):
                utterances.append(
                    Utterance(
                        f"ravdess/03-01-{code}-{level}-01-01-{actor}",
                        Path(),
                        f"ravdess/{actor}",
                        "",
                        label,
                        "ravdess",
                        original="calm" if code == "02" else "",
                    )
                )
                logits.append(own + (moved if level == "02" else 0))
    return evaluation(utterances, softmax(np.array(logits)))


def test_axes_point_to_what_they_are_named_after_and_their_unit_is_the_scatter():
    others = [corpus("a", seed=1), corpus("b", seed=2)]
    space = fit_space(others)
    anger, happiness, neutral, sadness = space.means
    assert min(anger[0], happiness[0]) > max(neutral[0], sadness[0])
    assert happiness[1] > max(anger[1], sadness[1])
    within = [
        np.cov(space.place(e.probabilities)[e.labels == k].T, bias=True)
        for e in others
        for k in range(4)
    ]
    assert_allclose(np.mean(within, axis=0), np.eye(3), atol=1e-9)


@given(scale=st.floats(0.2, 5))
def test_the_temperature_of_the_models_has_no_influence(scale):
    plain, scaled = corpus("a", seed=1), corpus("a", seed=1, scale=scale)
    a, b = fit_space([plain]), fit_space([scaled])
    assert_allclose(b.means, a.means, atol=1e-6)
    assert_allclose(
        b.place(scaled.probabilities), a.place(plain.probabilities), atol=1e-6
    )


def test_differences_of_log_odds_are_those_of_logits():
    logits = np.array([[1.0, -2, 3, 0.5]])
    assert_allclose(log_odds(softmax(logits)), logits - logits.mean(), atol=1e-12)


def test_a_corpus_without_an_emotion_defines_no_axes():
    with pytest.raises(CorpusError, match=r"a: holds no sadness"):
        fit_space([corpus("a", emotions=tuple(Emotion)[:3])])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_known_movement_is_found_on_its_axis(axis):
    space = fit_space([corpus("a", seed=1), corpus("b", seed=2)])
    # The logits that move a clip by 2 along the axis, and along no other.
    moved = 2 * np.linalg.pinv(space.projection)[axis]
    found = movement.movements(movement.paired(ravdess(moved)), space)
    for draws in found.values():
        assert_allclose(draws, np.tile(2 * np.eye(3)[axis], (len(draws), 1)), atol=1e-9)
    shares = movement.share_table(found, space).rows["anger, happiness, sadness"]
    assert [round(shares[name].value) for name in ("arousal", "valence", "rest")] == [
        100 * (i == axis) for i in range(3)
    ]
    assert shares["by one shift"].value == pytest.approx(100)
    assert shares["by one gain"].value < 90


def test_a_clip_without_its_other_intensity_is_left_out():
    whole = ravdess(np.zeros(4))
    missing = whole.utterances[0].id
    kept = movement.paired(whole.select(lambda u: u.id != missing))
    assert len(kept.utterances) == len(whole.utterances) - 2


def test_a_file_of_another_corpus_has_no_intensity():
    with pytest.raises(CorpusError, match="no file name of RAVDESS"):
        movement.paired(corpus("a"))


@given(factor=st.floats(0.1, 3), shift=st.floats(-3, 3))
def test_gain_and_offset_are_recovered_and_undone(factor, shift):
    others = fit_space([corpus("a", seed=1)]).means
    own = from_neutral(others, factor) + shift
    assert_allclose(gain(own, others), factor)
    assert_allclose(offset(own, from_neutral(others, factor)), shift, atol=1e-9)
    corrected = moved_means(own, others)
    assert_allclose(corrected["offset and gain"], own, atol=1e-9)
    assert nearest(own, corrected["offset and gain"]).argmax(1).tolist() == [0, 1, 2, 3]


def test_resamples_are_paired_and_draw_whole_speakers():
    speakers = ["a", "a", "b", "b"]
    rows = np.array([[1.0], [2.0], [5.0], [6.0]])
    means = group_means(rows, ["x", "y", "x", "y"], speakers)
    assert_allclose(means["y"] - means["x"], 1)
    assert set(np.unique(means["x"])) == {1.0, 3.0, 5.0}
    with pytest.raises(CorpusError, match="two"):
        group_means(rows, ["x"] * 4, ["a"] * 4)


def test_corpora_are_resampled_but_not_as_measured():
    means = np.tile(np.array([[1.0], [4.0]]), (50, 1, 1))
    found = resampled_mean(means)
    assert found[0] == pytest.approx(2.5)
    assert set(np.unique(found)) == {1.0, 2.5, 4.0}


def test_a_model_that_was_trained_on_the_corpus_is_refused(shared, tmp_path, capsys):
    case = ["--case", DEFAULT, "urdu", str(shared / "corpora" / "urdu")]
    assert main([*case, "--out", str(tmp_path / "report")]) == 1
    assert "was trained on urdu" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_the_published_tables_hold_for_the_model_before_quantization():
    """`research.peers` keeps the predictions of the same recipe in fp32."""
    evaluations = published()
    others = [e for name, e in evaluations.items() if name != "ravdess"]
    whole = movement.paired(evaluations["ravdess"])
    found = movement.movements(whole, fit_space(others))
    with (RESEARCH / "intensity" / "data" / "tables.csv").open() as file:
        table = {(r["table"], r["row"], r["column"]): r for r in csv.DictReader(file)}
    for label, draws in found.items():
        for i, axis in enumerate(("arousal", "valence", "rest")):
            row = table["movement", label, axis]
            assert draws[0, i] == pytest.approx(float(row["value"]), abs=0.1)
    for label, row in movement.recall_table(whole).rows.items():
        for level in ("normal", "strong"):
            wanted = float(table["recall", label, level]["value"])
            assert row[level].value == pytest.approx(wanted, abs=4)  # four clips of 96
