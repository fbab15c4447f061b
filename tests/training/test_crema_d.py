import numpy as np
import pytest

from espressivo.errors import CorpusError
from espressivo.training.corpora import read_corpus
from espressivo.training.corpora.check import check_corpus, decode_digest
from espressivo.types import Emotion
from tests.trees import CREMA_D_SENTENCES, build_crema_d, write_wav

POINTER = """\
version https://git-lfs.github.com/spec/v1
oid sha256:4665bda2dba5b1bdfa9ff1c8ee1d4d6c9d2a3b5d2b6dbe5b62ff0b4ff4c8a9f1
size 72838
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All published names, their files empty."""
    return build_crema_d(tmp_path_factory.mktemp("crema-d"))


@pytest.fixture
def small(tmp_path):
    return build_crema_d(tmp_path, n=1, n_actors=2)


def touch(root, *names):
    for name in names:
        (root / name).touch()
    return root


def test_as_published(tmp_path):
    touch(tmp_path, "1001_IEO_ANG_HI.wav", "1091_WSI_FEA_XX.wav", "1040_ITH_SAD_X.wav")
    angry, sad = read_corpus("crema-d", tmp_path)

    assert angry.id == "crema-d/1001_IEO_ANG_HI"
    assert (angry.emotion, angry.original) == (Emotion.ANGER, "ANG")
    assert (angry.speaker, angry.session) == ("crema-d/1001", "crema-d/1001")
    assert angry.text == "It's eleven o'clock"
    assert sad.text == "I think I have a doctor's appointment"
    assert (angry.sex, angry.age, angry.vote) == ("", None, "")  # no tables there


def test_tables_tell_of_actors_and_listeners(small):
    (small / "processedResults/summaryTable.csv").write_text(
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel",'
        '"MultiModalVote","MultiModalLevel"\n'
        '"1","1001_IEO_ANG_LO","N","54","A","62","A","70"\n'
        '"2","1002_IEO_ANG_LO","A:D","54:50","A","62","A","70"\n'
        '"3","1001_IEO_HAP_LO","N:S","20:60","A","62","A","70"\n'
        '"4","1002_IEO_HAP_LO","F","70","A","62","A","70"\n'
    )
    (small / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n'
        '1001,51,"Male","Caucasian","Not Hispanic"\n'
    )
    for root in (small, small / "AudioWAV"):
        of = {u.id: u for u in read_corpus("crema-d", root)}
        one, two = of["crema-d/1001_IEO_ANG_LO"], of["crema-d/1002_IEO_ANG_LO"]
        assert (one.sex, one.age, one.vote) == ("male", 51, "NEU")
        assert one.original == "ANG"  # what was asked for, whatever was heard
        assert (two.sex, two.age, two.vote) == ("", None, "ANG:DIS")
        assert one.votes == (0.0, 0.0, 1.0, 0.0)
        assert two.votes == (1.0, 0.0, 0.0, 0.0)  # disgust is none of the four
        three = of["crema-d/1001_IEO_HAP_LO"]
        assert three.votes == (0.0, 0.0, 0.25, 0.75)  # a tie counts by the levels
        assert of["crema-d/1002_IEO_HAP_LO"].votes is None  # nobody heard one of them


def test_a_table_in_the_folder_itself_is_found(small):
    table = small / "processedResults/summaryTable.csv"
    table.rename(small / "summaryTable.csv")
    assert all(u.vote for u in read_corpus("crema-d", small))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("VideoDemographics.csv", "Actor,Sex\n", "has no column ActorID, Age; restore"),
        (
            "summaryTable.csv",
            "FileName,VoiceVote,VoiceLevel\n1001_IEO_ANG_HI,N:S,50\n",
            "VoiceLevel is '50' for the vote 'N:S', not a number for each",
        ),
        (
            "summaryTable.csv",
            "FileName,VoiceVote,VoiceLevel\n1001_IEO_ANG_HI,N,nan\n",
            "VoiceLevel is 'nan' for the vote 'N', not a number",
        ),
        (
            "summaryTable.csv",
            "FileName\n",
            "has no column VoiceLevel, VoiceVote; restore",
        ),
    ],
)
def test_another_table_is_refused(tmp_path, name, text, message):
    touch(tmp_path, "1001_IEO_ANG_HI.wav")
    (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_corpus("crema-d", tmp_path)


def test_all_that_was_published_is_complete(whole):
    check = check_corpus("crema-d", whole, decode=False)
    assert check.complete
    assert sum(check.found.values()) == 7442
    assert check.ignored == ()

    utterances = read_corpus("crema-d", whole)
    assert len(utterances) == 4900
    assert len({u.speaker for u in utterances}) == 91
    assert len({u.text for u in utterances}) == len(CREMA_D_SENTENCES) == 12


@pytest.mark.parametrize("stem", ["1040_ITH_SAD_X", "1040_ITH_SAD_XX"])
def test_the_misnamed_file_has_its_vote_mended_or_not(tmp_path, stem):
    touch(tmp_path, f"{stem}.wav")
    table = "FileName,VoiceVote,VoiceLevel\n1040_ITH_SAD_XX,S,60\n"
    (tmp_path / "summaryTable.csv").write_text(table)
    (utterance,) = read_corpus("crema-d", tmp_path)
    assert (utterance.id, utterance.vote) == ("crema-d/1040_ITH_SAD_X", "SAD")


def test_the_clip_that_was_published_silent_is_told_but_no_fault(tmp_path):
    for name in ("1076_MTI_SAD_XX", "1076_MTI_ANG_XX"):
        write_wav(tmp_path / f"{name}.wav", np.zeros(16_000, np.float32))
    check = check_corpus("crema-d", tmp_path)
    assert [b.id for b in check.known_broken] == ["1076_MTI_SAD_XX"]
    assert [b.id for b in check.broken] == ["1076_MTI_ANG_XX"]


def test_half_a_corpus_is_named(tmp_path):
    check = check_corpus("crema-d", build_crema_d(tmp_path, n_actors=5), decode=False)
    assert check.absent == tuple(str(n) for n in range(1006, 1092))
    assert str(check.differing[0]) == f"ANG: {5 * 14 - 3} of 1271"
    assert not check.complete


@pytest.mark.parametrize(
    "name",
    [
        "1092_IEO_ANG_HI",  # 91 actors
        "1000_IEO_ANG_HI",
        "1001_ABC_ANG_HI",  # no such sentence
        "1001_IEO_ang_HI",
        "1001_IEO_SUR_HI",
        "1001_IEO_ANG",
    ],
)
def test_misnamed_recordings_are_named(small, name):
    before = read_corpus("crema-d", small)
    touch(small / "AudioWAV", f"{name}.wav")
    assert read_corpus("crema-d", small) == before
    check = check_corpus("crema-d", small, decode=False)
    assert check.ignored == (f"AudioWAV/{name}.wav",)


def test_a_second_copy_is_refused(small):
    (small / "copy").mkdir()
    touch(small / "copy", "1001_IEO_ANG_LO.flac")
    with pytest.raises(CorpusError, match="keep one of the two"):
        read_corpus("crema-d", small)


def test_a_clone_without_its_large_files_says_what_to_do(tmp_path):
    path = tmp_path / "1001_IEO_ANG_HI.wav"
    path.write_text(POINTER)
    digest, reason = decode_digest(path)
    assert digest == ""
    assert reason == "is a Git LFS pointer, no recording: run git lfs pull there"


def test_the_small_tree_sounds(small):
    check = check_corpus("crema-d", small)
    assert (check.broken, check.same_audio) == ((), ())
