import json

import numpy as np
import pytest

from espressivo.errors import CorpusError
from espressivo.training.corpora import read_corpus
from espressivo.training.reproduce.table_two import (
    STUDY_COUNTS,
    STUDY_WEIGHTS,
    table_two,
)
from espressivo.types import Emotion
from tests.trees import IEMOCAP_COUNTS, build_crema_d, build_iemocap


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """All labels as published; not one recording."""
    root = tmp_path_factory.mktemp("corpora")
    iemocap = read_corpus("iemocap", build_iemocap(root))
    return iemocap, read_corpus("crema-d", build_crema_d(root))


def test_table_two_is_exact(corpora):
    table = table_two(*corpora)

    weights = [round(table.weights[emotion], 4) for emotion in Emotion]
    assert weights == [1.0648, 0.9127, 0.9739, 1.0699]  # the study prints three digits
    assert table.counts == STUDY_COUNTS
    assert table.n_folds == 5
    assert table.as_published


def test_no_recording_was_read(corpora):
    iemocap, crema_d = corpora
    assert not any(u.path.exists() for u in iemocap)
    assert {u.path.stat().st_size for u in crema_d} == {0}


def test_without_crema_d_it_is_another_table(corpora):
    iemocap, crema_d = corpora
    table = table_two(iemocap, crema_d[:0])

    ang, hap, exc, neu, sad = np.array([*IEMOCAP_COUNTS.values()]).T
    counts = np.array([ang, hap + exc, neu, sad])  # [4 classes, 5 sessions]
    # Session i tests, i + 1 validates.
    train = sum(np.roll(counts, -i, axis=1) for i in (2, 3, 4))
    wanted = (train.sum(0) / (4 * train)).mean(1)
    assert [*table.weights.values()] == pytest.approx(wanted)
    assert table.weights != pytest.approx(STUDY_WEIGHTS, abs=0.02)
    assert not table.as_published


def test_the_study_stands_beside(corpora):
    lines = table_two(*corpora).to_markdown().splitlines()
    assert lines[0].count("study") == 3
    assert "| anger | 1,103 | 1,103 | 1,271 | 1,271 | 1.065 | 1.065 |" in lines
    assert "| neutral | 1,708 | 1,708 | 1,087 | 1,087 | 0.974 | 0.974 |" in lines
    assert lines[-1] == "| all | 5,531 | 5,531 | 4,900 | 4,900 | | |"
    assert {line.count("|") for line in lines} == {8}


def test_a_missing_label_shows(corpora):
    iemocap, crema_d = corpora
    table = table_two(iemocap[1:], crema_d)
    assert not table.as_published
    assert sum(table.counts["iemocap"].values()) == 5530


def test_it_becomes_json(corpora):
    plain = table_two(*corpora).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["study"]["weights"]["sadness"] == 1.070


def test_a_session_less_is_no_table_two(corpora):
    iemocap, crema_d = corpora
    four = [u for u in iemocap if u.session != "iemocap/Ses03"]
    with pytest.raises(
        CorpusError, match=r"^4 sessions of IEMOCAP .*, not 5; .* check"
    ):
        table_two(four, crema_d)
