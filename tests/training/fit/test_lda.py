import numpy as np
import pytest

from espressivo.errors import TrainingError
from espressivo.training.fit.lda import (
    fit_lda,
    left_out_logits,
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
    deaf, _ = fit_lda(rows, labels, corpora, interaction=1.0, ridge=0.0)
    keen, _ = fit_lda(rows, labels, corpora, interaction=0.0, ridge=0.0)
    assert np.ptp(deaf[:, 1]) < 0.2 * np.ptp(keen[:, 1])
    assert np.ptp(deaf[:, 0]) > 0.9 * np.ptp(keen[:, 0])


def test_what_moves_a_whole_corpus_is_not_listened_to():
    rows, labels = clips()
    corpora = ["a"] * 200 + ["b"] * 200
    moved = rows.copy()
    moved[200:, 0] += 50.0

    still, _ = fit_lda(rows, labels, corpora, ridge=0.0)
    weight, _ = fit_lda(moved, labels, corpora, ridge=0.0)

    assert np.ptp(weight[:, 0]) < 0.1 * np.ptp(still[:, 0])


def test_a_corpus_of_one_class_teaches_that_class():
    rows, labels = clips()
    corpora = ["a"] * 200 + ["b"] * 200
    # Read speech, half way from what is class 2 elsewhere to class 0.
    reading = (rows[labels == 0] + rows[labels == 2]) / 2

    without = fit_lda(rows, labels, corpora)
    taught = fit_lda(
        np.r_[rows, reading],
        np.r_[labels, np.full(len(reading), 2)],
        corpora + ["c"] * len(reading),
    )

    def recall(classifier, rows, label):
        return np.mean((rows @ classifier[0].T + classifier[1]).argmax(1) == label)

    assert recall(taught, reading, 2) > recall(without, reading, 2) + 0.1
    for label in (1, 3):  # classes that the corpus lacks
        mine = rows[labels == label]
        assert recall(taught, mine, label) > recall(without, mine, label) - 0.1


def test_a_class_that_no_corpus_has_is_named():
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 3, 3, 0, 1, 0, 1])

    with pytest.raises(TrainingError, match="no corpus has an utterance of class 2"):
        fit_lda(rng.normal(size=(8, 5)), labels, ["a"] * 4 + ["b"] * 4)


def test_the_ridge_is_a_share_of_the_mean_variance():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    rows = rng.standard_normal((400, 3)) * [1.0, 1.0, 1e-3]
    rows[:, 2] += 1e-3 * labels  # a small dimension that says much
    rows[:, 1] += labels

    weight, bias = fit_lda(rows, labels, ["a"] * 400)
    scaled = fit_lda(7 * rows, labels, ["a"] * 400)

    np.testing.assert_allclose(
        7 * rows @ scaled[0].T + scaled[1], rows @ weight.T + bias
    )
    assert np.ptp(weight[:, 2] * 1e-3) < 1e-3 * np.ptp(weight[:, 1])


def crowd(n=480, width=40, n_speakers=8, seed=3):
    """Classes that every speaker shifts in a way of their own."""
    rng = np.random.default_rng(seed)
    labels, speakers = np.arange(n) % 4, np.arange(n) // 4 % n_speakers
    offsets = 2 * rng.standard_normal((n_speakers, width))
    rows = rng.standard_normal((n, width)) + offsets[speakers]
    rows += 0.8 * rng.standard_normal((4, width))[labels]
    return rows, labels, ["a"] * n, [f"a/{s}" for s in speakers]


def temperature_of(rows, labels, corpora, speakers):
    return left_out_logits(fit_lda, rows, labels, corpora, speakers).temperature


def test_the_fewer_speakers_the_hotter():
    rows, labels, corpora, speakers = crowd()
    few = np.array(speakers) < "a/2"
    n_few = int(few.sum())

    hot = temperature_of(
        rows[few], labels[few], ["a"] * n_few, [s for s in speakers if s < "a/2"]
    )

    assert hot > temperature_of(rows, labels, corpora, speakers) > 1


@pytest.mark.parametrize("left_out", ["speakers", "corpora"])
def test_the_temperature_is_that_of_answers_to_what_was_left_out(left_out):
    rows, labels, corpora, speakers = crowd()
    if left_out == "corpora":  # four of two speakers each
        corpora = [f"c{int(s[2:]) // 2}" for s in speakers]
    groups = np.array(speakers if left_out == "speakers" else corpora)
    logits = np.zeros((len(rows), 4))
    for group in set(groups.tolist()):
        kept = groups != group
        names = [c for c, k in zip(corpora, kept, strict=True) if k]
        weight, bias = fit_lda(rows[kept], labels[kept], names)
        logits[~kept] = rows[~kept] @ weight.T + bias

    found = temperature_of(rows, labels, corpora, speakers)

    assert found == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_copies_are_left_out_with_their_clips_and_not_predicted():
    rows, labels, corpora, speakers = crowd()
    twice = (np.r_[rows, rows], np.r_[labels, labels], corpora * 2, speakers * 2)

    found = left_out_logits(fit_lda, *twice, n_clips=len(rows))

    wanted = left_out_logits(fit_lda, rows, labels, corpora, speakers)
    assert found.labels.tolist() == wanted.labels.tolist()
    np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-8)


def test_read_speech_is_never_left_out():
    rows, labels, _, speakers = crowd()
    corpora = [f"c{int(s[2:]) // 2}" for s in speakers]
    corpora[:5], labels[:5] = ["reading"] * 5, 2

    found = left_out_logits(fit_lda, rows, labels, corpora, speakers)

    assert found.part == "corpus"
    assert set(found.corpora) == {"c0", "c1", "c2", "c3"}
    assert len(found.labels) == len(rows) - 5


def test_without_anyone_to_leave_out_the_temperature_is_one():
    rows, labels, corpora, _ = crowd()

    assert temperature_of(rows, labels, corpora, corpora) == 1


def test_a_weight_is_as_many_corpora_alike():
    rows, labels = clips()
    corpora = ["a"] * 200 + ["b"] * 200
    weighed = fit_lda(rows, labels, corpora, weights={"b": 2.0})
    again = np.r_[np.arange(400), np.arange(200, 400)]
    twice = fit_lda(rows[again], labels[again], [*corpora, *["c"] * 200])
    np.testing.assert_allclose(weighed[0], twice[0], atol=1e-8)
    np.testing.assert_allclose(weighed[1], twice[1], atol=1e-8)
