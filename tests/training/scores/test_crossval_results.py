from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import metrics

from espressivo.errors import CorpusError, TrainingError
from espressivo.training.scores.crossval_results import read_results
from espressivo.training.scores.learning_curves import read_learning_curves
from espressivo.types import Emotion
from tests.training.synthetic_results import crossval_rows, write_crossval

FOLDS = ["group-01", "group-02", "group-03", "group-04"]


@pytest.fixture
def rows():
    return crossval_rows()


def recalls(rows, fold, seed):
    chosen = [
        r for r in rows if (r["fold"], r["seed"], r["part"]) == (fold, seed, "test")
    ]
    truth, guess = ([r[key] for r in chosen] for key in ("emotion", "predicted"))
    return metrics.recall_score(truth, guess, average=None, labels=list(Emotion))


def test_scores_of_runs_and_folds_equal_scikit_learns(tmp_path, rows):
    results = read_results(write_crossval(tmp_path / "r", rows))

    assert results.folds == FOLDS
    assert list(results.by_run) == [(f, s) for f in FOLDS for s in (0, 1)]
    for (fold, seed), found in results.by_run.items():
        assert found["ua"] == pytest.approx(recalls(rows, fold, seed).mean())
    by_fold = [np.mean([recalls(rows, f, s).mean() for s in (0, 1)]) for f in FOLDS]
    over_folds = results.over_folds("ua")
    assert over_folds.mean == pytest.approx(np.mean(by_fold))
    assert over_folds.sd == pytest.approx(np.std(by_fold, ddof=1))
    by_seed = [np.mean([recalls(rows, f, s).mean() for f in FOLDS]) for s in (0, 1)]
    assert list(results.by_seed("ua").values()) == pytest.approx(by_seed)


def test_pooled_counts_each_utterance_once(tmp_path, rows):
    results = read_results(write_crossval(tmp_path / "r", rows))

    assert (results.n_utterances, results.n_speakers) == (192, 12)
    assert results.corpora == ["ravdess"]
    assert results.pool.confusion.sum() == pytest.approx(192)
    test = [r for r in rows if r["part"] == "test"]
    right = np.mean([r["emotion"] == r["predicted"] for r in test])
    assert results.pooled["wa"] == pytest.approx(right)
    assert results.intervals["wa"].low < right < results.intervals["wa"].high


def test_the_order_of_rows_does_not_matter(tmp_path, rows):
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    one = read_results(write_crossval(tmp_path / "one", rows))
    other = read_results(write_crossval(tmp_path / "other", shuffled))

    assert other.pooled == one.pooled
    assert other.intervals == one.intervals
    found = other.compare(one).differences["ua"]
    assert (found.difference, found.p) == (0, 1)


def test_without_calm_only_calm_is_left_out(tmp_path, rows):
    results = read_results(write_crossval(tmp_path / "r", rows))
    without = results.without_variant

    assert (results.treatment, without.treatment) == ("as neutral", "left out")
    kept = {r["id"] for r in rows if r["original"] != "calm"}
    assert set(without.predictions.ids.tolist()) == kept
    assert without.pooled["recall_anger"] == results.pooled["recall_anger"]
    assert without.without_variant is None
    plain = write_crossval(tmp_path / "plain", crossval_rows(calm=False))
    assert read_results(plain).without_variant is None
    assert read_results(plain).treatment == ""


def test_unfinished_folds_and_seeds_are_missing_and_the_others_count(tmp_path, rows):
    left = [
        r
        for r in rows
        if r["fold"] != "group-03" and (r["fold"], r["seed"]) != (FOLDS[0], 1)
    ]
    folder = write_crossval(tmp_path / "r", left, folds=FOLDS, seeds=[0, 1])
    results = read_results(folder)

    assert results.is_partial
    assert results.folds == ["group-01", "group-02", "group-04"]
    assert results.in_fold("group-01", "ua").mean == results.by_run["group-01", 0]["ua"]
    assert np.isnan(results.in_fold("group-01", "ua").sd)
    assert list(results.by_seed("ua")) == [0]
    assert results.pool.confusion.sum() == pytest.approx(144)


def test_runs_are_read_one_by_one_when_nothing_put_them_together(tmp_path, rows):
    whole = read_results(write_crossval(tmp_path / "whole", rows))
    cut = write_crossval(tmp_path / "cut", rows)
    (cut / "predictions.parquet").unlink()
    for fold in FOLDS[:2]:
        run = cut / fold / "seed-0"
        run.mkdir(parents=True)
        some = [
            {k: v for k, v in r.items() if k not in ("fold", "seed")}
            for r in rows
            if (r["fold"], r["seed"]) == (fold, 0)
        ]
        parquet.write_table(pa.Table.from_pylist(some), run / "predictions.parquet")

    results = read_results(cut)

    assert list(results.by_run) == [("group-01", 0), ("group-02", 0)]
    for run, found in results.by_run.items():
        assert found == whole.by_run[run]


def test_validating_on_the_test_part_is_noticed(tmp_path, rows):
    leak = [r | {"part": "validation"} for r in rows if r["part"] == "test"]
    tests = [r for r in rows if r["part"] == "test"]
    assert read_results(write_crossval(tmp_path / "leak", tests + leak)).chosen_by_test
    assert not read_results(write_crossval(tmp_path / "r", rows)).chosen_by_test


def with_value(rows, **value):
    """The same rows, the first tested one changed."""
    at = next(i for i, r in enumerate(rows) if r["part"] == "test")
    return [*rows[:at], rows[at] | value, *rows[at + 1 :]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"fold": "Ses09"}, "fold Ses09 is none of crossval.json"),
        ({"seed": 7}, "seed 7 is none of crossval.json"),
        ({"anger": float("nan")}, "do not sum to 1"),
        ({"anger": 3.0}, "do not sum to 1"),
        ({"emotion": "fear"}, "emotions fear, not only anger"),
        ({"id": "ravdess/004"}, "tests an utterance twice"),
        ({"id": "ravdess/new"}, "in fold group-01, seeds 0 and 1 do not test the same"),
    ],
)
def test_broken_tables_are_refused(tmp_path, rows, value, message):
    folder = write_crossval(
        tmp_path / "r", with_value(rows, **value), folds=FOLDS, seeds=[0, 1]
    )
    with pytest.raises(TrainingError, match=message) as caught:
        read_results(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"schema": "espressivo.crossval/2"}, "schema is not espressivo.crossval/1"),
        (None, r"crossval\.json: is not there or broken"),
    ],
)
def test_a_folder_without_its_card_is_no_result(tmp_path, rows, card, message):
    folder = write_crossval(tmp_path / "r", rows, **(card or {}))
    if card is None:
        (folder / "crossval.json").write_text('{"schema": ')
    with pytest.raises(TrainingError, match=message):
        read_results(folder)


def test_a_card_that_lacks_something_says_what(tmp_path, rows):
    folder = write_crossval(tmp_path / "r", rows)
    card = json.loads((folder / "crossval.json").read_text())
    del card["protocol"]
    (folder / "crossval.json").write_text(json.dumps(card))
    with pytest.raises(TrainingError, match="does not say protocol"):
        read_results(folder)


def test_predictions_that_are_not_there_or_not_a_table(tmp_path, rows):
    folder = write_crossval(tmp_path / "r", rows)
    table = folder / "predictions.parquet"
    table.write_bytes(table.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot be read"):
        read_results(folder)
    parquet.write_table(pa.table({"id": ["a"]}), table)
    with pytest.raises(TrainingError, match="has no column fold, seed, part, corpus"):
        read_results(folder)
    table.unlink()
    with pytest.raises(TrainingError, match="no fold is finished"):
        read_results(folder)
    validation = [r for r in rows if r["part"] == "validation"]
    with pytest.raises(TrainingError, match="no fold is finished"):
        read_results(write_crossval(tmp_path / "v", validation))


def test_comparison_with_itself_and_with_other_seeds(tmp_path, rows):
    one = read_results(write_crossval(tmp_path / "one", rows))
    twin = read_results(write_crossval(tmp_path / "twin", rows))
    found = twin.compare(one)
    assert (found.n_utterances, found.n_speakers) == (192, 12)
    ua = found.differences["ua"]
    assert (ua.difference, ua.interval.low, ua.interval.high, ua.p) == (0, 0, 0, 1)

    poor = crossval_rows(seeds=(5,), skill=0.0, prediction_seed=1)
    poor = read_results(write_crossval(tmp_path / "poor", poor))
    forth, back = one.compare(poor).differences, poor.compare(one).differences
    assert forth["ua"].difference == pytest.approx(one.pooled["ua"] - poor.pooled["ua"])
    assert forth["ua"].difference == pytest.approx(-back["ua"].difference)
    assert forth["ua"].p == back["ua"].p < 0.01


def test_comparison_is_on_what_both_answered(tmp_path, rows):
    whole = read_results(write_crossval(tmp_path / "whole", rows))
    some = [r for r in rows if r["fold"] != "group-01"]
    part = read_results(write_crossval(tmp_path / "part", some))
    found = part.compare(whole)
    assert (found.n_utterances, found.n_speakers) == (144, 9)
    assert found.differences["ua"].p == 1

    other = crossval_rows(corpus="emodb", calm=False)
    other = read_results(write_crossval(tmp_path / "emodb", other))
    with pytest.raises(CorpusError, match="tested no utterance in common"):
        other.compare(whole)
    relabelled = [
        r | ({"emotion": "sadness"} if r["id"] == "ravdess/000" else {}) for r in rows
    ]
    relabelled = read_results(write_crossval(tmp_path / "relabelled", relabelled))
    with pytest.raises(CorpusError, match="ravdess/000: its label or speaker"):
        relabelled.compare(whole)


def test_learning_curves_are_read_to_the_last_whole_line(tmp_path, rows):
    results = read_results(write_crossval(tmp_path / "r", rows, curves=True))
    log = results.folder / "group-01" / "seed-0" / "metrics.jsonl"
    log.write_text(log.read_text() + '{"stage": "fine')
    (results.folder / "group-02" / "seed-1" / "metrics.jsonl").unlink()

    curves = read_learning_curves(results)

    assert ("group-02", 1) not in curves
    assert len(curves) == 7
    lines = log.read_text().splitlines()[:-1]
    expected = [json.loads(line)["mean_recall"] for line in lines]
    assert curves["group-01", 0] == expected


def test_other_folds_change_means_but_not_what_is_pooled(tmp_path):
    rng = np.random.default_rng(0)
    rows = crossval_rows(seeds=(0,))
    tests = [r for r in rows if r["part"] == "test"]
    whole = read_results(write_crossval(tmp_path / "r", tests))
    names = sorted({r["speaker"] for r in tests})
    moved = dict(zip(names, rng.permutation(np.arange(len(names)) % 3), strict=True))
    other = [r | {"fold": f"group-{moved[r['speaker']]:02}"} for r in tests]
    again = read_results(write_crossval(tmp_path / "again", other))

    assert again.intervals == whole.intervals
    assert again.pooled == whole.pooled
    assert again.over_folds("f1_anger") != whole.over_folds("f1_anger")


def test_a_temperature_from_validation_changes_how_sure_and_no_answer(tmp_path):
    rows = crossval_rows()
    order = [str(emotion) for emotion in Emotion]
    for row in rows:  # three times as sure as is right
        p = np.array([row[name] for name in order]) ** 3
        row.update(zip(order, (p / p.sum()).tolist(), strict=True))
    sure = read_results(write_crossval(tmp_path / "sure", rows))
    mild = read_results(write_crossval(tmp_path / "mild", crossval_rows()))
    found = sure.calibrated()
    assert found.pooled["ua"] == sure.pooled["ua"]
    assert found.over_folds("ece").mean < sure.over_folds("ece").mean
    # What was three times as sure is, at its temperature, what it was.
    np.testing.assert_allclose(
        found.predictions.probabilities,
        mild.calibrated().predictions.probabilities,
        atol=1e-6,
    )
    assert "temperature" in found.card["cautions"][-1]


def test_without_validation_apart_from_the_test_there_is_no_temperature(tmp_path):
    rows = [row for row in crossval_rows() if row["part"] == "test"]
    alone = read_results(write_crossval(tmp_path / "alone", rows))
    with pytest.raises(CorpusError, match="no validation part apart from the test"):
        alone.calibrated()


def test_dimensions_are_scored_by_run_and_pooled(tmp_path):
    rows = crossval_rows(dimensions=("arousal", "valence"))
    for row in rows:  # one fold has no ratings of valence
        if row["fold"] == "group-02":
            row["rated_valence"] = float("nan")
    results = read_results(write_crossval(tmp_path / "r", rows))
    assert results.dimension_names == ("arousal", "valence")

    def pearson(chosen):
        kept = [r for r in chosen if not np.isnan(r["rated_arousal"])]
        pairs = [[r["arousal"], r["rated_arousal"]] for r in kept]
        return np.corrcoef(np.array(pairs).T)[0, 1]

    test = [r for r in rows if r["part"] == "test"]
    for (fold, seed), found in results.by_run.items():
        own = [r for r in test if (r["fold"], r["seed"]) == (fold, seed)]
        assert found["pearson_arousal"] == pytest.approx(pearson(own))
        assert np.isnan(found["ccc_valence"]) == (fold == "group-02")
    # Every utterance has two runs, which count half each.
    assert results.pooled["pearson_arousal"] == pytest.approx(pearson(test))
    ends = results.intervals["ccc_arousal"]
    assert ends.low < results.pooled["ccc_arousal"] < ends.high
    assert not np.isnan(results.over_folds("ccc_valence").mean)


def test_dimensions_of_two_systems_are_compared(tmp_path):
    good, poor = (
        read_results(
            write_crossval(
                tmp_path / name,
                crossval_rows(skill=skill, dimensions=("arousal",), seeds=(0,)),
            )
        )
        for name, skill in (("good", 2.0), ("poor", 0.5))
    )
    found = good.compare(poor).differences["ccc_arousal"]
    apart = good.pooled["ccc_arousal"] - poor.pooled["ccc_arousal"]
    assert found.difference == pytest.approx(apart)
    assert found.interval.low > 0
    plain = read_results(write_crossval(tmp_path / "plain", crossval_rows(seeds=(0,))))
    assert "ccc_arousal" not in plain.compare(good).differences
