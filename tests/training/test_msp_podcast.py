from __future__ import annotations

import math

import pytest

from espressivo.errors import CorpusError, SplitError
from espressivo.training.corpora import read_corpus
from espressivo.training.folds.protocol import ProtocolConfig, make_folds
from espressivo.types import Emotion

HEAD = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
LABELS = "".join(
    f"MSP-PODCAST_{podcast:04}_{n:04}.wav,{label},{1 + n % 7},4,7,{speaker},"
    f"{sex},{part}\n"
    for podcast, speaker, sex, part in (
        (1, "101", "Female", "Train"),
        (2, "Unknown", "Male", "Train"),
        (3, "103", "Unknown", "Development"),
        (4, "104", "Male", "Test1"),
        (5, "Unknown", "Female", "Test2"),
    )
    for n, label in enumerate("ANHSUX")
)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Audios").mkdir()
    write(tmp_path, LABELS)
    return tmp_path


def write(root, labels):
    (root / "Labels/labels_consensus.csv").write_text(HEAD + labels)


def folds(root, **settings):
    config = ProtocolConfig(kind="published", **settings)
    return make_folds(config, read_corpus("msp-podcast", root))


def test_labels_and_ratings(root):
    path = root / "Audios/MSP-PODCAST_0001_0002.wav"
    path.touch()
    utterances = read_corpus("msp-podcast", root)

    assert len(utterances) == 5 * 4  # of six labels four are used
    happy = next(u for u in utterances if u.id.endswith("0001_0002"))
    assert (happy.emotion, happy.original, happy.path) == (Emotion.HAPPINESS, "H", path)
    assert (happy.speaker, happy.sex) == ("msp-podcast/101", "female")
    assert happy.ratings.arousal == pytest.approx((3 - 1) / 6)
    assert (happy.ratings.valence, happy.ratings.dominance) == (0.5, 1.0)
    assert {u.part for u in utterances} == {"Train", "Development", "Test1", "Test2"}

    # Dimensions are learned from ratings of any label.
    rated = read_corpus("msp-podcast", root, rated=True)
    assert [u for u in rated if u.emotion] == utterances
    others = [u for u in rated if u.emotion is None]
    assert {u.original for u in others} == {"U", "X"}
    assert len(others) == 5 * 2


def test_unknown_speakers_are_kept_together_by_podcast(root):
    speakers = {u.speaker for u in read_corpus("msp-podcast", root)}
    assert {"msp-podcast/unknown-0002", "msp-podcast/unknown-0005"} < speakers


def test_a_missing_rating_is_none(root):
    write(root, "MSP-PODCAST_0001_0001.wav,A,,4,7,101,Female,Train\n")
    (utterance,) = read_corpus("msp-podcast", root)
    assert math.isnan(utterance.ratings.arousal)
    assert utterance.ratings.valence == 0.5


def test_the_published_parts_are_the_fold(root):
    (fold,) = folds(root, test=("Test1",))
    for part, name in (
        (fold.train, {"Train"}),
        (fold.validation, {"Development"}),
        (fold.test, {"Test1"}),
    ):
        assert {u.part for u in part} == name
    assert fold.name == "Test1"
    assert [f.name for f in folds(root, test=("Test1", "Test2"))] == ["Test1", "Test2"]


def test_a_podcast_of_unknown_speakers_is_in_one_part(root):
    other = "MSP-PODCAST_0002_0009.wav,A,1,4,7,Unknown,Male,Test1\n"
    write(root, LABELS + other)
    (fold,) = folds(root, test=("Test1",))
    assert "msp-podcast/unknown-0002" in {u.speaker for u in fold.test}
    assert "msp-podcast/unknown-0002" not in {u.speaker for u in fold.train}


def test_a_known_speaker_in_two_parts_is_refused(root):
    write(root, LABELS + "MSP-PODCAST_0009_0009.wav,A,1,4,7,101,Female,Test1\n")
    with pytest.raises(SplitError, match="msp-podcast/101"):
        folds(root, test=("Test1",))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("note.wav,A,1,4,7,1,Male,Train\n", "FileName is 'note.wav'"),
        ("MSP-PODCAST_1_1.wav,angry,1,4,7,1,Male,Train\n", "EmoClass is 'angry'"),
        ("MSP-PODCAST_1_1.wav,A,1,4,7,1,Male,Test9\n", "Split_Set is 'Test9'"),
        ("MSP-PODCAST_1_1.wav,A,high,4,7,1,Male,Train\n", "EmoAct is 'high'"),
        # Ratings that someone has scaled already.
        ("MSP-PODCAST_1_1.wav,A,0.5,4,7,1,Male,Train\n", "EmoAct is '0.5', not a n"),
    ],
)
def test_another_table_is_refused(root, row, reason):
    write(root, row)
    with pytest.raises(CorpusError, match=reason):
        read_corpus("msp-podcast", root)
