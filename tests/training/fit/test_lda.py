import numpy as np
import pytest

from espressivo.errors import TrainingError
from espressivo.training.fit.lda import (
    fit_lda,
    left_out_temperature,
)
from espressivo.training.scores.temperature import fit_temperature


def clips(n=400, width=6, seed=0):
    """Balanced classes around random means, in a random covariance."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    mixing = rng.standard_normal((width, width))
    rows = rng.standard_normal((n, width)) @ mixing
    return rows + 2 * rng.standard_normal((4, width))[labels], labels


def test_with_one_corpus_it_is_scikit_learns():
    analysis = pytest.importorskip("sklearn.discriminant_analysis")
    rows, labels = clips()
    theirs = analysis.LinearDiscriminantAnalysis(solver="lsqr").fit(rows, labels)
    weight, bias = fit_lda(rows, labels, ["a"] * len(rows), ridge=0.0)
    ours = rows @ weight.T + bias
    wanted = theirs.decision_function(rows)
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True),
        wanted - wanted.mean(1, keepdims=True),
        atol=1e-8,
    )


def test_a_larger_corpus_counts_no_more():
    rows, labels = clips()
    corpora = ["a"] * 200 + ["b"] * 200
    once = fit_lda(rows, labels, corpora)
    again = np.r_[np.arange(400), np.arange(200)]
    twice = fit_lda(rows[again], labels[again], corpora + corpora[:200])
    np.testing.assert_allclose(twice[0], once[0], atol=1e-8)
    np.testing.assert_allclose(twice[1], once[1], atol=1e-8)


def test_what_means_the_opposite_elsewhere_is_not_listened_to():
    rng = np.random.default_rng(0)
    labels = np.arange(800) % 4
    sign = np.where(np.arange(800) < 400, 1.0, -1.0)
    rows = rng.standard_normal((800, 2))
    rows[:, 0] += labels  # the same in both corpora
    rows[:, 1] += 3 * sign * labels + labels  # louder anger in one, softer in the other
    corpora = ["a"] * 400 + ["b"] * 400
    deaf, _ = fit_lda(rows, labels, corpora, interaction=1.0)
    keen, _ = fit_lda(rows, labels, corpora, interaction=0.0)
    assert np.ptp(deaf[:, 1]) < 0.2 * np.ptp(keen[:, 1])
    assert np.ptp(deaf[:, 0]) > 0.9 * np.ptp(keen[:, 0])


def test_a_corpus_offset_changes_no_direction():
    rows, labels = clips()
    corpora = ["a"] * 200 + ["b"] * 200
    moved = rows + np.where(np.arange(400) < 200, 0.0, 50.0)[:, None]
    one, _ = fit_lda(rows, labels, corpora)
    two, _ = fit_lda(moved, labels, corpora)
    np.testing.assert_allclose(np.diff(two, axis=0), np.diff(one, axis=0), atol=1e-8)


def test_a_corpus_without_a_class_is_named():
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 2])
    corpora = ["a"] * 4 + ["b"] * 4

    with pytest.raises(TrainingError, match="corpus 'b' has no utterance of class 3"):
        fit_lda(rng.normal(size=(8, 5)), labels, corpora)


def crowd(n=480, width=40, n_speakers=8, seed=3):
    """Classes that every speaker shifts in a way of their own."""
    rng = np.random.default_rng(seed)
    labels, speakers = np.arange(n) % 4, np.arange(n) // 4 % n_speakers
    offsets = 2 * rng.standard_normal((n_speakers, width))
    rows = rng.standard_normal((n, width)) + offsets[speakers]
    rows += 0.8 * rng.standard_normal((4, width))[labels]
    return rows, labels, ["a"] * n, [f"a/{s}" for s in speakers]


def test_the_fewer_speakers_the_hotter():
    rows, labels, corpora, speakers = crowd()
    few = np.array(speakers) < "a/2"

    hot = left_out_temperature(
        fit_lda,
        rows[few],
        labels[few],
        ["a"] * int(few.sum()),
        [s for s in speakers if s < "a/2"],
    )

    mild = left_out_temperature(fit_lda, rows, labels, corpora, speakers)
    assert hot > mild > 1


def test_the_temperature_is_that_of_answers_to_left_out_speakers():
    rows, labels, corpora, speakers = crowd()
    who = np.array(speakers)
    logits = np.zeros((len(rows), 4))
    for speaker in set(speakers):
        kept = who != speaker
        weight, bias = fit_lda(rows[kept], labels[kept], ["a"] * kept.sum())
        logits[~kept] = rows[~kept] @ weight.T + bias

    found = left_out_temperature(fit_lda, rows, labels, corpora, speakers)

    assert found == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_without_anyone_to_leave_out_the_temperature_is_one():
    rows, labels, corpora, _ = crowd()

    assert left_out_temperature(fit_lda, rows, labels, corpora, corpora) == 1
