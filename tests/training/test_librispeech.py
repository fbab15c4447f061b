"""LibriSpeech in its published layout, and as a folder of some recordings of it."""

import pytest

from espressivo.errors import CorpusError
from espressivo.training.corpora import CORPORA, read_corpus
from espressivo.training.corpora.check import check_corpus
from espressivo.training.folds.splits import speakers_of
from espressivo.types import Emotion
from tests.training.test_corpora import touch

READERS = """\
; Some pipe(|) separated metadata about all LibriVox readers
;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-360  | 25.03 | Kristin LeMoine
60   | M | train-clean-100  | 20.18 | Gord | CBW
84   | F | dev-clean        |  8.02 | Christie Nowak
"""


@pytest.fixture
def library(tmp_path):
    """A little of two subsets, as unpacked."""
    root = tmp_path / "LibriSpeech"
    for subset, chapter in (
        ("dev-clean", "84-121123"),
        ("dev-clean", "84-121550"),
        ("train-clean-100", "60-121082"),
    ):
        folder = root / subset / chapter.replace("-", "/")
        touch(folder, f"{chapter}-0000.flac", f"{chapter}-0001.flac")
        sheet = folder / f"{chapter}.trans.txt"
        sheet.write_text(f"{chapter}-0000 GO  DO YOU HEAR\n{chapter}-0001 BUT\n")
    (root / "SPEAKERS.TXT").write_text(READERS)
    return root


def test_all_of_it_is_neutral_read_speech(library):
    utterances = read_corpus("librispeech", library)

    assert len(utterances) == 6
    assert {u.emotion for u in utterances} == {Emotion.NEUTRAL}
    assert {u.original for u in utterances} == {"read speech"}
    assert speakers_of(utterances) == {"librispeech/60", "librispeech/84"}
    # A reader in two chapters is one speaker, and so never in two parts of a fold.
    assert {u.session for u in utterances} == {u.speaker for u in utterances}
    by_id = {u.id: u for u in utterances}
    first = by_id["librispeech/84-121123-0000"]
    assert (first.text, first.sex, first.age) == ("GO  DO YOU HEAR", "female", None)
    assert by_id["librispeech/60-121082-0001"].sex == "male"


@pytest.mark.parametrize("place", [".", "..", "dev-clean"])
def test_readers_are_found_from_above_and_within(library, place):
    utterances = read_corpus("librispeech", library / place)
    assert {u.sex for u in utterances if u.speaker.endswith("/84")} == {"female"}


def test_without_readers_and_texts_recordings_are_read(tmp_path):
    touch(tmp_path, "84-121123-0000.flac", "notes-1.flac", "84-121123-00.flac")
    (utterance,) = read_corpus("librispeech", tmp_path)
    assert (utterance.text, utterance.sex) == (None, "")


def test_a_table_of_readers_that_is_no_text_is_named(library):
    (library / "SPEAKERS.TXT").write_bytes(b"84 | F \xff\xfe")
    with pytest.raises(CorpusError, match=r"SPEAKERS.TXT: cannot be read as text"):
        read_corpus("librispeech", library)


def test_subsets_are_compared_each_and_the_others_are_left_out(library):
    check = check_corpus("librispeech", library, decode=False)

    assert not check.complete
    assert [str(d) for d in check.differing] == [
        "dev-clean, read speech: 4 of 2703",
        "train-clean-100, read speech: 2 of 28539",
    ]
    assert check.left_out == {
        "dev-other": 2864,
        "test-clean": 2620,
        "test-other": 2939,
        "train-clean-360": 104_014,
        "train-other-500": 148_688,
    }
    assert check.by_label() == {"read speech": (6, 2703 + 28_539)}
    assert check.missing == ()


def test_what_a_chapter_lists_and_lacks_is_named(library):
    (library / "dev-clean/84/121550/84-121550-0001.flac").unlink()
    touch(library, "dev-clean/84/121550/84-121550-0007.flac")
    check = check_corpus("librispeech", library, decode=False)
    assert check.missing == ("84-121550-0001",)
    assert check.unexpected == ("84-121550-0007",)


def test_a_whole_subset_is_complete(tmp_path):
    folder = tmp_path / "dev-clean" / "84"
    names = [f"84-{n // 100}-{n % 100:04}" for n in range(2703)]
    touch(folder, *(f"{name}.flac" for name in names))
    check = check_corpus("librispeech", tmp_path, decode=False)
    assert check.complete
    assert "train-clean-100" in check.left_out


def test_a_selection_is_compared_with_nothing(shared):
    utterances = read_corpus("librispeech", shared / "speech")
    assert len(speakers_of(utterances)) == len(utterances) == 60
    assert all(u.path.is_file() for u in utterances)

    check = check_corpus("librispeech", shared / "speech")

    assert check.complete
    assert check.selection == 60
    assert check.by_label() == {"read speech": (60, None)}
    assert check.differing == check.missing == ()


def test_a_selection_beside_a_subset_is_not_part_of_it(library):
    touch(library, "more/1998-15444-0003.flac")
    check = check_corpus("librispeech", library, decode=False)
    assert check.selection == 1
    assert check.unexpected == ()
    assert str(check.differing[0]) == "dev-clean, read speech: 4 of 2703"


def test_speakers_of_the_subsets_are_those_of_the_paper():
    assert CORPORA["librispeech"].n_speakers == 2484
    assert sum(CORPORA["librispeech"].parts.values()) == 292_367
