import shutil
from collections import Counter

import pytest

from espressivo.errors import CorpusError
from espressivo.training.corpora import CORPORA, read_corpus
from espressivo.training.corpora.check import check_corpus
from espressivo.training.corpora.utterance import Ratings
from espressivo.types import Emotion
from tests.trees import (
    IEMOCAP_COUNTS,
    IEMOCAP_IMPROVISED,
    IEMOCAP_LABELS,
    IEMOCAP_WOMEN,
    build_iemocap,
    voice,
    write_wav,
)

SHEET = """\
% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.5000]
C-E2:\tNeutral;\t()
C-F1:\tNeutral; Sadness;\t(tired; a little)
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\texc\t[4.5000, 4.0000, 3.0000]
C-E2:\tExcited;\t()

[12 - 13.5]\tSes01F_impro01_M002\txxx\t[3.0000, 3.0000, 3.0000]
"""
FIRST = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return root


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """All labels as published, no recordings."""
    return build_iemocap(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All labels and recordings as published; the recordings are one."""
    root = tmp_path_factory.mktemp("whole")
    return build_iemocap(root, clip=write_wav(root / "one.wav", voice("anger", "one")))


@pytest.fixture
def small(tmp_path):
    """One turn of each talker and emotion, that sounds."""
    return build_iemocap(tmp_path, n=1)


def test_as_published(tmp_path):
    put(tmp_path, FIRST, SHEET)
    said = "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\nM: [LAUGHTER]\n"
    put(tmp_path, "Session1/dialog/transcriptions/Ses01F_impro01.txt", said)

    excuse, thrilled = read_corpus("iemocap", tmp_path)

    assert excuse.id == "iemocap/Ses01F_impro01_F000"
    assert (excuse.emotion, excuse.original) == (Emotion.NEUTRAL, "neu")
    assert (excuse.session, excuse.text) == ("iemocap/Ses01", "Excuse me.")
    assert excuse.ratings == Ratings(valence=0.375, arousal=0.25, dominance=0.625)
    assert excuse.style == "improvised"
    assert (thrilled.emotion, thrilled.original) == (Emotion.HAPPINESS, "exc")
    assert thrilled.text is None


def test_the_talker_is_the_last_field_not_who_wears_the_markers(tmp_path):
    put(tmp_path, FIRST, SHEET)
    woman, man = read_corpus("iemocap", tmp_path)
    assert (woman.speaker, woman.sex) == ("iemocap/Ses01F", "female")
    assert (man.speaker, man.sex) == ("iemocap/Ses01M", "male")


def test_all_published_numbers_at_once(labels):
    utterances = read_corpus("iemocap", labels)

    cells = Counter((u.session, u.original) for u in utterances)
    assert cells == {
        (f"iemocap/Ses0{session}", label): n
        for session, counts in IEMOCAP_COUNTS.items()
        for label, n in zip(IEMOCAP_LABELS, counts, strict=True)
    }
    talkers = Counter(u.speaker for u in utterances)
    for session, n_women in IEMOCAP_WOMEN.items():
        assert talkers[f"iemocap/Ses0{session}F"] == n_women
        n_men = sum(IEMOCAP_COUNTS[session]) - n_women
        assert talkers[f"iemocap/Ses0{session}M"] == n_men
    assert Counter(u.style for u in utterances)["improvised"] == IEMOCAP_IMPROVISED
    assert len(utterances) == len({u.id for u in utterances}) == 5531
    assert all(u.text and u.ratings for u in utterances)
    # Else a reader that takes the prefix for the talker would pass.
    apart = [u for u in utterances if u.id[len("iemocap/Ses01")] != u.speaker[-1]]
    assert 0.4 < len(apart) / len(utterances) < 0.6


def test_labels_need_no_recordings_but_say_where_they_should_be(labels, whole):
    without, there = (read_corpus("iemocap", root) for root in (labels, whole))
    assert not any(u.path.exists() for u in without)
    assert [u.path.relative_to(labels) for u in without] == [
        u.path.relative_to(whole) for u in there
    ]


def test_the_folder_above_is_taken_too(whole):
    assert read_corpus("iemocap", whole.parent) == read_corpus("iemocap", whole)


@pytest.mark.parametrize("suffix", [".WAV", ".flac", ".opus"])
def test_containers_are_taken_alike(small, suffix):
    before = read_corpus("iemocap", small)
    for path in list(small.glob("Session*/sentences/wav/*/*.wav")):
        path.rename(path.with_suffix(suffix))
    after = read_corpus("iemocap", small)
    assert [u.path for u in after] == [u.path.with_suffix(suffix) for u in before]


def test_what_lies_beside_sheets_and_recordings_is_passed_over(small):
    before = read_corpus("iemocap", small)
    assert list(small.glob("Session1/dialog/EmoEvaluation/._Ses01*.txt"))
    assert list(small.glob("Session1/dialog/EmoEvaluation/Categorical/*.txt"))
    put(small, "Session1/dialog/wav/Ses01F_impro01.wav", "")
    put(small, "Session1/sentences/wav/Ses01F_impro01/._Ses01F_impro01_F000.wav", "")
    put(small, "Session1/dialog/EmoEvaluation/readme.txt", "[x]")
    assert read_corpus("iemocap", small) == before


def test_the_published_corpus_is_complete(whole):
    check = check_corpus("iemocap", whole, decode=False)
    assert check.complete
    assert check.found["fru"] == check.found["xxx"] == 50
    assert check.by_label()["exc"] == (1041, 1041)
    assert check.by_label()["fru"] == (50, None)


def test_a_session_that_is_missing_is_named(whole, tmp_path):
    for path in whole.glob("Session[1245]"):
        (tmp_path / path.name).symlink_to(path)
    check = check_corpus("iemocap", tmp_path, decode=False)
    assert check.absent == ("Ses03F", "Ses03M")
    differing = [str(d) for d in check.differing]
    assert "session Ses03, exc: 0 of 151" in differing
    assert "speaker Ses03M: 0 of 629" in differing
    assert not [d for d in differing if "Ses01" in d]
    assert not check.complete


def test_labels_without_recordings_are_named(small, tmp_path):
    folder = small / "Session2/sentences/wav"
    n_lost = len([*folder.glob("*/*.wav")])
    shutil.rmtree(folder)
    check = check_corpus("iemocap", small)
    # Of those turns two talkers' frustration and disagreement are not used.
    assert len(check.missing) == n_lost - 4
    assert {name[:5] for name in check.missing} == {"Ses02"}
    assert check.broken == ()


def test_recordings_without_labels_are_refused_and_named(small):
    shutil.rmtree(small / "Session4/dialog/EmoEvaluation")
    with pytest.raises(CorpusError, match=r"Ses04 of IEMOCAP: recordings, but no lab"):
        read_corpus("iemocap", small)
    check = check_corpus("iemocap", small, decode=False)
    assert {name[:5] for name in check.unlabelled} == {"Ses04"}
    assert len(check.unlabelled) == 12
    assert check.by_label()["unlabelled"] == (12, None)


def test_a_misnamed_recording_is_named_and_its_turn_missing(small):
    utterance = read_corpus("iemocap", small)[0]
    utterance.path.rename(utterance.path.with_stem("copy of a turn"))
    check = check_corpus("iemocap", small, decode=False)
    assert check.unlabelled == ("copy of a turn",)
    assert check.missing == (utterance.id.removeprefix("iemocap/"),)


def test_broken_recordings_are_named(small):
    utterance = read_corpus("iemocap", small)[0]
    utterance.path.write_text("not audio")
    (broken,) = check_corpus("iemocap", small).broken
    assert broken.path == utterance.path
    assert "cannot be read" in broken.reason


def test_a_recording_in_two_containers_is_refused(small):
    path = read_corpus("iemocap", small)[0].path
    shutil.copy(path, path.with_suffix(".flac"))
    with pytest.raises(CorpusError, match=r"is also at .*keep one of the two"):
        read_corpus("iemocap", small)


def test_a_dialogue_that_is_labelled_twice_is_refused(tmp_path):
    put(tmp_path, FIRST, SHEET)
    put(tmp_path, FIRST.replace("impro01.", "impro01 copy."), SHEET)
    with pytest.raises(CorpusError, match=r"Ses01F_impro01_F000 is also at"):
        read_corpus("iemocap", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tneu\t", "\tneutral\t", r"'neutral' is not one of ang, hap, .*restore"),
        ("[2.5000, 2.0000, 3.5000]", "[2.5000, 2.0000]", r"is no label \('\[6\.2901"),
        ("\tneu\t", "\t", r"is no label"),
        ("[6.2901 - 8.2357]", "[6.2901 8.2357]", r"is no label"),
        ("Ses01F_impro01_F000", "Ses01F_impro01", r"is no label"),
        ("Ses01F_impro01_F000", "turn 1", r"is no label"),
        ("Ses01F_impro01_F000", "Ses02F_impro01_F000", r"move its files to Session2"),
    ],
)
def test_a_malformed_label_is_named_with_its_line(tmp_path, old, new, message):
    put(tmp_path, FIRST, SHEET.replace(old, new, 1))
    with pytest.raises(CorpusError, match=rf"Ses01F_impro01\.txt, line 3: .*{message}"):
        read_corpus("iemocap", tmp_path)


def test_what_is_no_iemocap(tmp_path):
    with pytest.raises(CorpusError, match="no such folder"):
        read_corpus("iemocap", tmp_path / "absent")
    with pytest.raises(CorpusError, match="no folder Session1 to Session5; pass the"):
        read_corpus("iemocap", tmp_path)
    (tmp_path / "Session1").mkdir()
    with pytest.raises(CorpusError, match="holds no recording named as in IEMOCAP"):
        read_corpus("iemocap", tmp_path)


def test_each_published_number_is_compared(labels):
    """Any talker, session or style that is short by one shows in every table."""
    corpus = CORPORA["iemocap"]
    clips = [c for c in corpus.inventory(labels) if c.label in corpus.emotions]
    for table in corpus.published:
        found = table.count(clips, corpus.emotions)
        assert found == table.counts
        short = table.count(clips[1:], corpus.emotions)
        assert sum((found - short).values()) == 1
