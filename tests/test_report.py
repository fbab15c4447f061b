from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from espressivo.model.classifier import Certainty
from espressivo.report import SCHEMA, Report, name_top, round_to_one
from espressivo.types import (
    Dimension,
    Earlier,
    Emotion,
    Segment,
    to_estimates,
)
from tests.conftest import NOTE, ROOT

SCHEMA_FILE = ROOT / "docs" / "report.schema.json"

REPORT = Report(
    recording="note.wav",
    model="m",
    model_version="1",
    model_sha256="0" * 64,
    emotions=tuple(Emotion),
    duration_s=10.0,
    segments=(Segment(0, 48_000), Segment(64_000, 80_000)),
    estimates=to_estimates(
        (Segment(0, 48_000), Segment(64_000, 80_000)),
        [*Emotion],
        np.array([(0.7, 0.1, 0.1, 0.1), (0.1, 0.1, 0.1, 0.7)]),
    ),
)
SILENT = replace(REPORT, segments=(), estimates=())
# The whole is anger at 0.55 exactly (up to rounding); both windows are at 0.7.
JUDGED = replace(REPORT, certainty=Certainty(0.6, 0.8))


def named(*probabilities):
    """Return the probabilities of the emotions, in their order."""
    return dict(zip(Emotion, probabilities, strict=True))


def test_the_whole_is_the_mean_weighted_by_duration():
    whole = REPORT.probabilities

    assert whole[Emotion.ANGER] == pytest.approx((3 * 0.7 + 0.1) / 4)
    assert whole[Emotion.SADNESS] == pytest.approx((3 * 0.1 + 0.7) / 4)
    assert REPORT.emotion is Emotion.ANGER
    assert [e.emotion for e in REPORT.estimates] == ["anger", "sadness"]
    assert [*REPORT.estimates[0].probabilities] == [*whole] == [*Emotion]
    assert REPORT.speech_s == 4.0
    assert repr(REPORT) == "<Report 'note.wav': anger 55%, 10.0 s, 2 windows>"
    assert REPORT.speech_share == 0.4


def test_without_speech_there_is_no_emotion():
    assert SILENT.emotion is None
    assert SILENT.probabilities is None
    assert SILENT.to_dict()["emotion"] is None
    (row,) = csv.DictReader(io.StringIO(SILENT.to_csv()))
    assert row["emotion"] == row["anger"] == ""


def test_what_is_below_the_threshold_is_uncertain():
    document = JUDGED.to_dict()

    assert JUDGED.probabilities[Emotion.ANGER] == pytest.approx(0.55)
    assert document["uncertain"] is JUDGED.uncertain is True
    assert document["emotion"] == "anger"  # the most probable one all the same
    assert [w["uncertain"] for w in document["windows"]] == [False, False]
    assert document["model"]["certainty"] == {"threshold": 0.6, "accuracy": 0.8}
    assert JUDGED.verdict == "uncertain (anger 55%, sadness 25%)"
    certain = replace(JUDGED, certainty=Certainty(0.5, 0.8))
    assert certain.uncertain is False
    assert certain.verdict == "anger 55%"


def test_a_probability_at_the_threshold_is_certain():
    exact = replace(JUDGED, certainty=Certainty(0.7, 0.8))
    above = replace(JUDGED, certainty=Certainty(0.7000001, 0.8))

    assert [exact.is_uncertain(e) for e in exact.estimates] == [False, False]
    assert [above.is_uncertain(e) for e in above.estimates] == [True, True]


def test_without_a_threshold_nothing_is_said_of_certainty():
    document = REPORT.to_dict()

    assert document["model"]["certainty"] is None
    assert [document["uncertain"], document["windows"][0]["uncertain"]] == [None, None]
    assert {r["uncertain"] for r in _rows(REPORT)} == {""}
    assert REPORT.verdict == "anger 55%"


def test_without_speech_it_is_neither_certain_nor_uncertain():
    silent = replace(SILENT, certainty=Certainty(0.6, 0.8))

    assert silent.to_dict()["uncertain"] is silent.uncertain is None
    assert silent.verdict == "no speech found"
    assert [r["uncertain"] for r in _rows(silent)] == [""]


def test_the_most_probable_are_named_in_order():
    assert name_top(named(0.1, 0.38, 0.41, 0.11)) == ("neutral 41%, happiness 38%")
    # Of equal ones the first, as `Report.emotion` says.
    assert name_top(named(0.25, 0.25, 0.25, 0.25), 1) == "anger 25%"


@pytest.mark.parametrize(
    "report", [REPORT, SILENT, JUDGED], ids=["speech", "silence", "judged"]
)
def test_json_follows_its_published_schema(report):
    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))

    document = json.loads(report.to_json())

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    assert document["schema"] == SCHEMA == schema["properties"]["schema"]["const"]


def test_a_real_report_follows_the_schema(analyzer):
    document = json.loads(analyzer.analyze(NOTE).to_json())

    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text("utf-8")))
    assert len(document["windows"]) >= 4


@pytest.mark.parametrize(
    "field", ["emotion", "uncertain", "windows", "model", "schema"]
)
def test_the_schema_misses_nothing_that_matters(field):
    document = REPORT.to_dict()
    del document[field]

    with pytest.raises(jsonschema.ValidationError, match=field):
        jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text("utf-8")))


def test_the_summary_is_of_arousal_where_the_model_has_it():
    names = (Dimension.VALENCE, Dimension.AROUSAL)
    spans = [Segment(i * 80_000, (i + 1) * 80_000) for i in range(8)]
    levels = np.array([(0.4, 0.2)] * 4 + [(0.4, 0.8)] * 4)
    rows = np.array([(0.7, 0.1, 0.1, 0.1)] * 8)
    estimates = to_estimates(spans, [*Emotion], rows, names, levels)
    report = replace(REPORT, duration_s=40.0, estimates=estimates)

    assert report.summary == "Anger throughout."
    aroused = replace(report, dimension_names=names)
    assert aroused.to_dict()["summary"] == "Calm at first, animated from 0:20."
    assert SILENT.to_dict()["summary"] is None
    # Of a long stream, only the newest windows are known.
    longer = replace(
        aroused, earlier=Earlier(until=20 * 16_000), estimates=estimates[4:]
    )
    assert longer.summary == "From 0:20 on: animated throughout."


def _rows(report):
    return list(csv.DictReader(io.StringIO(report.to_csv())))


def test_csv_and_json_say_the_same():
    rows = _rows(JUDGED)
    document = JUDGED.to_dict()

    assert [r["part"] for r in rows] == ["window", "window", "recording"]
    for row, window in zip(rows, [*document["windows"], document], strict=True):
        assert row["emotion"] == window["emotion"]
        assert row["uncertain"] == str(window["uncertain"]).lower()
        assert row["emotion_without"] == row["change"] == ""
        for emotion, probability in window["probabilities"].items():
            assert float(row[emotion]) == probability
    assert float(rows[1]["start_s"]) == document["windows"][1]["start_s"] == 4.0


@given(
    arrays.arrays(np.float64, st.integers(2, 8), elements=st.floats(1e-6, 1)),
)
def test_rounded_probabilities_sum_to_one_and_stay_close(values):
    exact = values / values.sum()
    rounded = round_to_one(exact.tolist())

    assert round(sum(rounded), 9) == 1
    assert np.abs(exact - rounded).max() < 1e-4
    assert all(round(p, 4) == p for p in rounded)


def test_a_frame_has_the_index_of_audformat(analyzer):
    pd = pytest.importorskip("pandas", reason="needs the extra `pandas`")
    report = analyzer.analyze(NOTE)

    frame = report.to_frame()

    # As of audformat.segmented_index, also without rows.
    assert frame.index.names == ["file", "start", "end"]
    for index in (frame.index, SILENT.to_frame().index):
        assert [str(t) for t in index.dtypes] == [
            "string",
            "timedelta64[ns]",
            "timedelta64[ns]",
        ]
    spans = [(e.segment.start_s, e.segment.end_s) for e in report.estimates]
    found = [(a.total_seconds(), b.total_seconds()) for _, a, b in frame.index]
    assert found == spans
    assert set(frame.index.get_level_values("file")) == {str(NOTE)}
    windows = report.to_dict()["windows"]
    assert frame["emotion"].tolist() == [w["emotion"] for w in windows]
    assert frame["uncertain"].tolist() == [w["uncertain"] for w in windows]
    for part in ("probabilities", "dimensions"):
        expected = pd.DataFrame([w[part] for w in windows])
        shown = frame[[*expected.columns]].to_numpy()
        np.testing.assert_allclose(shown, expected, atol=1e-4)
    assert JUDGED.to_frame()["uncertain"].tolist() == [False, False]
    assert REPORT.to_frame()["uncertain"].isna().all()
    assert SILENT.to_frame().dtypes.equals(REPORT.to_frame().dtypes)
