from collections import Counter

import pytest

from espressivo.errors import CorpusError
from espressivo.training.corpora import read_corpus
from espressivo.training.corpora.check import check_corpus
from espressivo.types import Emotion
from tests.trees import build_ravdess, build_savee


@pytest.mark.parametrize("flat", [True, False])
def test_both_layouts_hold_the_same(tmp_path, flat):
    root = build_savee(tmp_path, flat=flat)
    utterances = read_corpus("savee", root)

    assert len(utterances) == 300
    cells = Counter((u.speaker, u.emotion) for u in utterances)
    for speaker in ("DC", "JE", "JK", "KL"):
        for emotion in Emotion:
            n = 30 if emotion is Emotion.NEUTRAL else 15
            assert cells[f"savee/{speaker}", emotion] == n
    assert utterances[0].id == "savee/DC_a01"
    assert {u.sex for u in utterances} == {"male"}
    check = check_corpus("savee", root, decode=False)
    assert check.complete
    assert sum(check.found.values()) == 480


def test_sadness_is_not_surprise(tmp_path):
    for name in ("DC_sa01.wav", "DC_su01.wav", "DC_a01.wav"):
        (tmp_path / name).touch()
    angry, sad = read_corpus("savee", tmp_path)
    assert (angry.emotion, sad.emotion) == (Emotion.ANGER, Emotion.SADNESS)


def test_what_is_missing_is_named(tmp_path):
    root = build_savee(tmp_path)
    (root / "JK_n30.wav").unlink()
    check = check_corpus("savee", root, decode=False)
    assert check.missing == ("JK_n30",)
    assert [str(d) for d in check.differing] == ["speaker JK, neutral: 29 of 30"]


def test_a_file_of_nobody_is_no_recording_of_savee(tmp_path):
    (tmp_path / "a01.wav").touch()  # whose?
    with pytest.raises(CorpusError, match="holds no recording named as in SAVEE"):
        read_corpus("savee", tmp_path)


def test_one_recording_in_both_layouts_is_refused(tmp_path):
    build_savee(tmp_path, n=1)
    build_savee(tmp_path, n=1, flat=False)
    with pytest.raises(CorpusError, match="DC_a01 is also at"):
        read_corpus("savee", tmp_path)


def test_small_trees_sound(tmp_path):
    for name, root in (
        ("savee", build_savee(tmp_path, n=1)),
        ("ravdess", build_ravdess(tmp_path, actors=range(1, 4), n=1)),
    ):
        check = check_corpus(name, root)
        assert (check.broken, check.same_audio, check.unexpected) == ((), (), ())
    assert len(read_corpus("ravdess", root)) == 3 * 5  # calm is neutral
