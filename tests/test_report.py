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

from espressivo.report import SCHEMA, Report, round_to_one
from espressivo.types import Emotion, Estimate, Segment
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
    estimates=(
        Estimate(Segment(0, 48_000), (0.7, 0.1, 0.1, 0.1)),
        Estimate(Segment(64_000, 80_000), (0.1, 0.1, 0.1, 0.7)),
    ),
)
SILENT = replace(REPORT, segments=(), estimates=())


def test_the_whole_is_the_mean_weighted_by_duration():
    whole = REPORT.probabilities

    assert whole[Emotion.ANGER] == pytest.approx((3 * 0.7 + 0.1) / 4)
    assert whole[Emotion.SADNESS] == pytest.approx((3 * 0.1 + 0.7) / 4)
    assert REPORT.emotion is Emotion.ANGER
    assert REPORT.speech_s == 4.0
    assert REPORT.speech_share == 0.4


def test_without_speech_there_is_no_emotion():
    assert SILENT.emotion is None
    assert SILENT.probabilities is None
    assert SILENT.to_dict()["emotion"] is None
    (row,) = csv.DictReader(io.StringIO(SILENT.to_csv()))
    assert row["emotion"] == row["anger"] == ""


@pytest.mark.parametrize("report", [REPORT, SILENT], ids=["speech", "silence"])
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


@pytest.mark.parametrize("field", ["emotion", "windows", "model", "schema"])
def test_the_schema_misses_nothing_that_matters(field):
    document = REPORT.to_dict()
    del document[field]

    with pytest.raises(jsonschema.ValidationError, match=field):
        jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text("utf-8")))


def test_csv_and_json_say_the_same():
    rows = list(csv.DictReader(io.StringIO(REPORT.to_csv())))
    document = REPORT.to_dict()

    assert [r["part"] for r in rows] == ["window", "window", "recording"]
    for row, window in zip(rows, [*document["windows"], document], strict=True):
        assert row["emotion"] == window["emotion"]
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
