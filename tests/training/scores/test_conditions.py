"""Scores by corpus and condition: changes from clean, means, missing predictions."""

import json
from dataclasses import replace

import numpy as np
import pytest

from espressivo.errors import CorpusError
from espressivo.training.calibrate import calibrate
from espressivo.training.scores.conditions import ConditionMatrix, ConditionScores
from espressivo.training.scores.evaluation import read_evaluation
from espressivo.types import Emotion
from tests.training.test_evaluate import made_up


def in_condition(clean, name, confused):
    """The predictions, of which a share is replaced by anger."""
    rows = clean.probabilities.copy()
    worse = np.random.default_rng(1).random(len(rows)) < confused
    rows[worse] = [0.7, 0.1, 0.1, 0.1]
    return replace(clean, probabilities=rows, condition=name, condition_key="k")


@pytest.fixture
def matrix():
    rows = []
    for seed, corpus in enumerate(("emodb", "tess", "urdu")):
        clean = made_up(200, seed, corpus)
        rows.append(ConditionScores(corpus, clean, clean))
        for name, confused in (("telephone", 0.3), ("room", 0.0)):
            changed = in_condition(clean, name, confused)
            rows.append(ConditionScores(corpus, changed, clean))
    return ConditionMatrix(rows)


def test_changes_are_differences_to_clean(matrix):
    for corpus in matrix.corpora:
        clean = matrix.rows[corpus, "clean"]
        telephone = matrix.rows[corpus, "telephone"]
        change = telephone.changes["ua"]
        assert change.difference == pytest.approx(telephone.ua - clean.ua)
        assert change.interval.low <= change.difference <= change.interval.high < 0
        assert matrix.rows[corpus, "room"].changes["ua"].difference == 0
        assert clean.changes == {}
    plain = json.loads(matrix.to_json())
    assert list(plain["corpora"]) == ["emodb", "tess", "urdu"]
    assert list(plain["mean"]) == ["clean", "telephone", "room"]
    clean = plain["corpora"]["tess"]["conditions"]["clean"]
    assert (clean["change"], clean["change_interval"]) == (None, None)


def test_means_are_over_corpora_and_narrower_than_each(matrix):
    clean, telephone, room = matrix.means
    rows = [matrix.rows[corpus, "telephone"] for corpus in matrix.corpora]
    assert telephone.ua == pytest.approx(np.mean([row.ua for row in rows]))
    assert telephone.change == pytest.approx(telephone.ua - clean.ua)
    widths = [
        row.changes["ua"].interval.high - row.changes["ua"].interval.low for row in rows
    ]
    assert telephone.interval.high - telephone.interval.low < max(widths)
    assert telephone.interval.low < telephone.change < telephone.interval.high
    assert (room.change, clean.change) == (0, None)


def test_only_what_both_predicted_is_compared(matrix):
    clean = matrix.clean("emodb")
    whole = matrix.rows["emodb", "telephone"]
    half = whole.evaluation.select(lambda u: int(u.id.split("/")[1]) < 100)
    row = ConditionScores("emodb", half, clean)
    rest = clean.select(lambda u: int(u.id.split("/")[1]) < 100)
    expected = half.scores.ua - rest.scores.ua
    assert row.changes["ua"].difference == pytest.approx(expected)


def test_readers_are_no_part_of_the_mean(matrix):
    readers = made_up(40, 9, "librispeech").select(
        lambda u: u.emotion == Emotion.NEUTRAL
    )
    rows = [*matrix.rows.values()]
    rows += [
        ConditionScores("librispeech", replace(readers, condition=name), readers)
        for name in matrix.conditions
    ]
    more = ConditionMatrix(rows)
    assert [mean.ua for mean in more.means] == [mean.ua for mean in matrix.means]
    assert more.rows["librispeech", "clean"].emotions == [Emotion.NEUTRAL]
    assert more.rows["librispeech", "clean"].ua == readers.scores.wa


def test_a_condition_in_which_nothing_is_heard_has_no_scores(matrix):
    clean = matrix.clean("emodb")
    nothing = replace(
        clean.select(lambda _: False),
        condition="quiet",
        without_speech=clean.utterances,
    )
    row = ConditionScores("emodb", nothing, clean)
    assert np.isnan(row.ua)
    assert row.changes == {}
    assert row.n_unscored == 200
    plain = row.to_dict()
    assert (plain["ua"], plain["interval"], plain["change"]) == (None, None, None)
    others = [matrix.rows[c, "telephone"] for c in ("tess", "urdu")]
    rows = [
        row,
        *(
            replace(o, evaluation=replace(o.evaluation, condition="quiet"))
            for o in others
        ),
    ]
    (mean,) = ConditionMatrix(rows).means
    assert mean.to_dict() == {
        "ua": None,
        "change": None,
        "change_interval": None,
        "ece": None,
    }


def test_one_speaker_has_a_change_without_an_interval():
    clean = made_up()
    alone = replace(
        clean, utterances=tuple(replace(u, speaker="x/1") for u in clean.utterances)
    )
    row = ConditionScores("x", in_condition(alone, "room", 0.5), alone)
    assert row.changes == {}
    assert row.interval is None
    assert row.change == pytest.approx(row.ua - alone.scores.ua)
    assert row.to_dict()["change_interval"] is None


def test_an_evaluation_in_which_nothing_is_heard_is_kept_too(matrix, tmp_path):
    clean = matrix.clean("emodb")
    nothing = replace(
        clean.select(lambda _: False),
        condition="quiet",
        without_speech=clean.utterances,
    )

    nothing.write(tmp_path)

    found = read_evaluation(tmp_path, clean.utterances, {"condition": "quiet"})
    assert found.utterances == ()
    assert found.without_speech == clean.utterances
    assert ConditionScores("emodb", found, clean).to_dict()["ua"] is None
    with pytest.raises(CorpusError, match="no recording got an answer"):
        calibrate([tmp_path])
