import csv
import math
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from espressivo.errors import CorpusError
from espressivo.training.corpora import CORPORA, read_corpus
from espressivo.training.corpora.files import find_recordings
from espressivo.training.corpora.utterance import (
    Utterance,
    count_emotions,
    select_speakers,
)
from espressivo.training.folds.splits import speakers_of
from espressivo.types import Emotion

COUNTS = {  # anger, happiness, neutral, sadness; speakers
    "ravdess": ((192, 192, 288, 192), 24),
    "tess": ((400, 400, 400, 400), 2),
    "nemo": ((749, 749, 809, 769), 9),
    "emodb": ((127, 71, 79, 62), 10),
    "iemocap": ((1103, 1636, 1708, 1084), 10),
    "crema-d": ((1271, 1271, 1087, 1271), 91),
    "savee": ((60, 60, 120, 60), 4),
    "emovo": ((84, 84, 84, 84), 6),
    "urdu": ((100, 100, 100, 100), 29),
    "emotiontts": ((1500, 1500, 1500, 1500), 15),
    "librispeech": ((0, 0, 292_367, 0), 2484),
}
# What is at hand, where it is not all of the corpus.
PARTS = {"emotiontts": ((75, 75, 75, 75), 15), "librispeech": ((0, 0, 60, 0), 60)}
HERE = ("ravdess", "tess", "nemo", "emodb", "emovo", "urdu", "emotiontts")
NO_TEXTS = ("urdu",)


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize("name", HERE)
def test_real_corpora_have_the_published_counts(shared, name):
    utterances = read_corpus(name, shared / "corpora" / name)

    counts, n_speakers = PARTS.get(name, COUNTS[name])
    assert tuple(count_emotions(utterances).values()) == counts
    assert len(speakers_of(utterances)) == n_speakers
    ids = [u.id for u in utterances]
    assert ids == sorted(set(ids))
    assert all(u.path.is_file() for u in utterances)
    assert {bool(u.text) for u in utterances} == {name not in NO_TEXTS}
    assert all(u.id.startswith(f"{name}/") for u in utterances)
    assert all(u.speaker.startswith(f"{name}/") for u in utterances)
    assert {u.sex for u in utterances} <= {"female", "male"}


COUNTED = [name for name, corpus in CORPORA.items() if corpus.published]


@pytest.mark.parametrize("name", COUNTED)
def test_published_facts_agree_with_each_other(name):
    corpus = CORPORA[name]
    counts, n_speakers = COUNTS[name]
    of_emotion = dict.fromkeys(Emotion, 0)
    for label, emotion in corpus.emotions.items():
        of_emotion[emotion] += corpus.published_labels[label]
    assert tuple(of_emotion.values()) == counts
    assert corpus.n_speakers == n_speakers


@pytest.mark.parametrize("name", COUNTED)
def test_all_that_was_published_of_a_corpus_sums_to_the_same(name):
    corpus = CORPORA[name]
    used = sum(corpus.published_labels[label] for label in corpus.emotions)
    for table in corpus.published:
        if "label" not in table.of:
            assert sum(table.counts.values()) == used
        if "speaker" in table.of:
            at = table.of.index("speaker")
            assert {key[at] for key in table.counts} == corpus.speakers


def test_full_grids_have_as_many_names_as_published_recordings(tmp_path):
    sizes = {"ravdess": 1440, "tess": 1600, "savee": 480}
    sizes |= {"emovo": 588, "urdu": 400, "emotiontts": 6000}
    for name, n in sizes.items():
        corpus = CORPORA[name]
        published = sum(corpus.published_labels.values())
        assert len(corpus.names(tmp_path)) == published == n


def test_ravdess_as_published(tmp_path):
    touch(
        tmp_path,
        "Audio_Speech_Actors_01-24/Actor_12/03-01-05-02-01-01-12.wav",
        "Audio_Speech_Actors_01-24/Actor_12/03-01-02-01-02-01-12.WAV",
        "Audio_Speech_Actors_01-24/Actor_12/03-01-06-01-02-01-12.wav",  # fear
        "Audio_Song_Actors_01-24/Actor_12/03-02-05-02-01-01-12.wav",  # song
        "Video/Actor_12/01-01-05-02-01-01-12.mp4",
    )
    calm, angry = read_corpus("ravdess", tmp_path)

    assert angry.id == "ravdess/03-01-05-02-01-01-12"
    assert (angry.emotion, angry.original) == (Emotion.ANGER, "angry")
    assert (angry.speaker, angry.session) == ("ravdess/12", "ravdess/12")
    assert angry.text == "Kids are talking by the door"
    assert angry.sex == "female"
    assert (calm.emotion, calm.original) == (Emotion.NEUTRAL, "calm")
    assert calm.text == "Dogs are sitting by the door"


def test_ravdess_without_calm_is_672(shared):
    utterances = read_corpus("ravdess", shared / "corpora/ravdess")
    assert len([u for u in utterances if u.original != "calm"]) == 672


def test_tess_as_published(tmp_path):
    touch(
        tmp_path,
        "OAF_angry/OAF_back_angry.wav",
        "OAF_neutral/OA_bite_neutral.wav",  # the one that was published misnamed
        "OAF_Pleasant_surprise/OAF_back_ps.wav",
        "YAF_sad/YAF_youth_sad.wav",
    )
    back, bite, youth = read_corpus("tess", tmp_path)
    assert (bite.id, bite.speaker) == ("tess/OA_bite_neutral", "tess/OAF")
    assert (back.emotion, back.text) == (Emotion.ANGER, "Say the word back")
    assert (youth.emotion, youth.speaker) == (Emotion.SADNESS, "tess/YAF")
    assert (back.age, youth.age) == (64, 26)


def test_tess_whose_misnamed_file_was_mended_is_the_same(tmp_path):
    (mended,) = read_corpus("tess", touch(tmp_path, "OAF_bite_neutral.wav"))
    assert mended.id == "tess/OA_bite_neutral"


def test_nemo_as_published(tmp_path):
    touch(tmp_path, "samples/KS0_anger_17.wav", "samples/KS0_fear_17.wav")
    header = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
    row = 'KS0_anger_17.wav\tanger\tMówi: "Tak."\tmówi tak\t        KS0\tmale\t23\n'
    (tmp_path / "data.tsv").write_text(header + row, "utf-8")

    for root in (tmp_path, tmp_path / "samples"):
        (utterance,) = read_corpus("nemo", root)
        assert utterance.text == 'Mówi: "Tak."'
        assert utterance.speaker == "nemo/KS0"
        assert (utterance.sex, utterance.age) == ("male", 23)


def test_nemo_without_its_table_has_no_texts(tmp_path):
    (utterance,) = read_corpus("nemo", touch(tmp_path, "KS0_anger_17.opus"))
    assert utterance.text is None


def test_nemo_with_another_table_is_refused(tmp_path):
    touch(tmp_path, "KS0_anger_17.opus")
    (tmp_path / "data.tsv").write_text("name\ttext\n", "utf-8")
    with pytest.raises(CorpusError, match="has no column file_id, raw_text; restore"):
        read_corpus("nemo", tmp_path)


def test_emodb_as_published(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "wav/03a01La.wav", "lablaut/03a01Fa.lablaut")
    (utterance,) = read_corpus("emodb", tmp_path)
    assert (utterance.emotion, utterance.speaker) == (Emotion.HAPPINESS, "emodb/03")
    assert utterance.text == "Der Lappen liegt auf dem Eisschrank."


def test_emovo_as_published(tmp_path):
    touch(
        tmp_path,
        "EMOVO/f1/rab-f1-b1.wav",
        "EMOVO/m2/gio-m2-d2.wav",
        "EMOVO/m2/pau-m2-d2.wav",  # fear
        "EMOVO/documents/readme.txt",
    )
    joy, anger = read_corpus("emovo", tmp_path)
    assert (joy.emotion, joy.original) == (Emotion.HAPPINESS, "joy")
    assert (joy.text, joy.sex, joy.age) == ("Porti con te quella cosa?", "male", 27)
    assert (anger.emotion, anger.speaker) == (Emotion.ANGER, "emovo/f1")
    assert (anger.sex, anger.age) == ("female", 28)


def test_urdu_as_published(tmp_path):
    touch(tmp_path, "Angry/SM1_F1_A01.wav", "Sad/SF10_F2_S02.wav", "README.md")
    sad, angry = read_corpus("urdu", tmp_path)
    assert (sad.emotion, sad.speaker, sad.sex) == (
        Emotion.SADNESS, "urdu/SF10", "female"
    )  # fmt: skip
    assert (angry.emotion, angry.original, angry.sex) == (
        Emotion.ANGER, "Angry", "male"
    )  # fmt: skip


def test_every_published_name_of_urdu_is_known(shared):
    found = {path.stem for path in find_recordings(shared / "corpora/urdu")}
    assert CORPORA["urdu"].names(shared) == found


EMOTIONTTS = {  # from the scripts, not from the README, which swaps the last two
    "00001": (Emotion.NEUTRAL, "public sample"),
    "00100": (Emotion.NEUTRAL, "given on request"),
    "00101": (Emotion.HAPPINESS, "public sample"),
    "00200": (Emotion.HAPPINESS, "given on request"),
    "00201": (Emotion.SADNESS, "public sample"),
    "00205": (Emotion.SADNESS, "public sample"),
    "00206": (Emotion.SADNESS, "given on request"),
    "00301": (Emotion.ANGER, "public sample"),
    "00400": (Emotion.ANGER, "given on request"),
}


@pytest.mark.parametrize("number", EMOTIONTTS)
def test_emotiontts_tells_emotion_and_part_by_number(tmp_path, number):
    emotion, part = EMOTIONTTS[number]
    folder = touch(tmp_path, f"emotional-to-emotional/nek/wav/nek{number}.wav")
    for nothing in ("00000", "00401", "0001", "00500"):
        touch(folder, f"emotional-to-emotional/nek/wav/nek{nothing}.wav")
    touch(folder, "Main/wav/mfa00001.wav")  # another corpus of the same repository

    (utterance,) = read_corpus("emotiontts", folder)
    (clip,) = CORPORA["emotiontts"].inventory(folder)

    assert (utterance.emotion, clip.part) == (emotion, part)
    assert (utterance.speaker, utterance.sex) == ("emotiontts/nek", "male")
    assert utterance.text is None


def test_emotiontts_takes_texts_from_the_scripts_beside(shared, tmp_path):
    sad = read_corpus("emotiontts", shared / "corpora/emotiontts")
    texts = {u.id: u.text for u in sad}
    # "How many times have I told you that it cannot be cancelled?" is no sadness.
    assert "취소는 안 된다고" in texts["emotiontts/nea00304"]
    assert not any(text.startswith("\ufeff") for text in texts.values())

    touch(tmp_path, "ema/wav/ema00001.wav", "ema/script/ema00001.txt")
    (tmp_path / "ema/script/ema00001.txt").write_bytes(b"\xff\xfe\xff")
    (utterance,) = read_corpus("emotiontts", tmp_path)
    assert utterance.text is None

    touch(tmp_path, "ema/transcript/ema00001.txt")
    (tmp_path / "ema/transcript/ema00001.txt").write_text("\ufeff안녕", "utf-8")
    (utterance,) = read_corpus("emotiontts", tmp_path)
    assert utterance.text == "안녕"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("ravdess", "03-01-05-02-01-01-12"),
        ("tess", "OAF_back_angry"),
        ("nemo", "KS0_anger_17"),
        ("emodb", "03a01Fa"),
        ("crema-d", "1001_IEO_ANG_HI"),
        ("savee", "DC_sa01"),
        ("emovo", "rab-f1-b1"),
        ("urdu", "SM1_F1_A01"),
        ("emotiontts", "ema00001"),
        ("librispeech", "84-121123-0000"),
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac", ".opus"])
def test_containers_are_taken_alike_and_hidden_files_are_not(
    tmp_path, name, stem, suffix
):
    touch(
        tmp_path,
        f"a/{stem}{suffix}",
        f"a/._{stem}{suffix}",
        f".cache/{stem}{suffix}",
        f"__MACOSX/a/{stem}{suffix}",
        f"a/{stem}.txt",
    )
    (utterance,) = read_corpus(name, tmp_path)
    assert utterance.path == tmp_path / f"a/{stem}{suffix}"


def test_a_recording_that_is_there_twice_is_refused(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "flac/03a01Fa.flac")
    with pytest.raises(CorpusError, match=r"03a01Fa is also at .*keep one of the two"):
        read_corpus("emodb", tmp_path)


def test_errors_say_what_was_found_and_wanted(tmp_path):
    with pytest.raises(CorpusError, match=r"holds no recording named as in EmoDB"):
        read_corpus("emodb", touch(tmp_path, "speech.wav"))
    with pytest.raises(CorpusError, match="no such folder"):
        read_corpus("emodb", tmp_path / "absent")
    with pytest.raises(CorpusError, match="is a file, not a folder"):
        find_recordings(tmp_path / "speech.wav")
    with pytest.raises(
        CorpusError, match="corpus 'emo' is unknown; pass one of crema-d"
    ):
        read_corpus("emo", tmp_path)


ROWS = [
    {"path": "b/2.wav", "emotion": "sadness", "speaker": "ann", "text": "Hello, you"},
    {"path": "1.wav", "emotion": "Anger", "speaker": "bob", "text": ""},
]


def write_table(root, suffix, rows):
    table = root / f"calls{suffix}"
    if suffix == ".csv":
        with table.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), table)
    return table


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_manifest(tmp_path, suffix):
    touch(tmp_path, "1.wav", "b/2.wav")
    first, second = read_corpus("manifest", write_table(tmp_path, suffix, ROWS))

    assert (first.id, first.path) == ("calls/1.wav", tmp_path / "1.wav")
    assert (first.emotion, first.original) == (Emotion.ANGER, "Anger")
    assert (first.speaker, first.session) == ("calls/bob", "calls/bob")
    assert (first.corpus, first.text) == ("calls", None)
    assert second.text == "Hello, you"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_manifest_with_all_columns(tmp_path, suffix):
    touch(tmp_path, "1.wav")
    row = ROWS[1] | {
        "id": "x1",
        "session": "monday",
        "corpus": "ravdess",
        "speaker": "ravdess/12",
    }
    (utterance,) = read_corpus("manifest", write_table(tmp_path, suffix, [row]))
    assert utterance.id == "ravdess/x1"
    assert utterance.session == "ravdess/monday"
    assert utterance.speaker == "ravdess/12"  # as the reader of RAVDESS calls him


NOTES = {"ratings": "1 to 5", "labels": "angry=anger, Frustrated=-"}
RATED = [
    {
        "path": "1.wav",
        "emotion": "angry",
        "speaker": "ann",
        "arousal": "4",
        "valence": "1",
        "dominance": "",
        "votes_anger": "3",
        "votes_sadness": "1",
    },
    dict.fromkeys(("arousal", "valence", "dominance", "votes_anger"), "")
    | {"path": "2.wav", "emotion": "frustrated", "speaker": "ann"},
]


def write_noted(root, suffix, rows, notes):
    """Write a manifest with notes before its header."""
    table = write_table(root, suffix, rows)
    if suffix == ".parquet":
        content = parquet.read_table(table)
        parquet.write_table(content.replace_schema_metadata(notes), table)
        return table
    text = "".join(f"# {name}: {note}\n" for name, note in notes.items())
    table.write_text(text + table.read_text("utf-8-sig"), "utf-8-sig")
    return table


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_manifest_has_ratings_votes_and_labels_of_its_own(tmp_path, suffix):
    touch(tmp_path, "1.wav", "2.wav")
    table = write_noted(tmp_path, suffix, RATED, NOTES)
    (utterance,) = read_corpus("manifest", table)

    assert (utterance.emotion, utterance.original) == (Emotion.ANGER, "angry")
    assert (utterance.ratings.arousal, utterance.ratings.valence) == (0.75, 0.0)
    assert math.isnan(utterance.ratings.dominance)
    assert utterance.votes == (0.75, 0.0, 0.0, 0.25)


def test_a_row_with_ratings_needs_no_emotion_to_train_dimensions(tmp_path):
    touch(tmp_path, "1.wav", "2.wav")
    bare = RATED[0] | {"path": "2.wav", "emotion": ""}
    table = write_noted(tmp_path, ".csv", [RATED[0], bare], NOTES)
    assert [u.emotion for u in read_corpus("manifest", table)] == [Emotion.ANGER]
    both = read_corpus("manifest", table, rated=True)
    assert [u.emotion for u in both] == [Emotion.ANGER, None]
    with pytest.raises(CorpusError, match="no row has an emotion; without, only dim"):
        read_corpus("manifest", write_noted(tmp_path, ".csv", [bare], NOTES))


@pytest.mark.parametrize(
    "notes",
    [
        '# ratings: 1 to 5,,,\n"# labels: angry=anger, frustrated=-",,,\n',
        "sep=,\n#Ratings: 1 TO 5\n\n# labels: angry=anger\n# labels: frustrated=-\n",
    ],
)
def test_notes_of_a_spreadsheet_are_read(tmp_path, notes):
    touch(tmp_path, "1.wav", "2.wav")
    table = write_table(tmp_path, ".csv", RATED)
    table.write_text(notes + table.read_text("utf-8-sig"))
    (utterance,) = read_corpus("manifest", table)
    assert utterance.ratings.arousal == 0.75


@pytest.mark.parametrize(
    ("row", "notes", "message"),
    [
        (
            {},
            {},
            "'angry' is not one of .*begin the table with `# labels: angry=anger`",
        ),
        ({"emotion": "anger"}, {}, "has ratings, and the table does not say on which"),
        (
            {},
            {"ratings": "five"},
            "`ratings` is 'five'; write the lowest and the highe",
        ),
        ({}, {"labels": "angry=mad"}, "`labels` has 'angry=mad'; write label=emotion"),
        ({}, {"labels": "angry=-,frustrated=-"}, "`labels` leaves every row out"),
        ({"arousal": "6"}, {}, "column arousal: 6 is not from 1 to 5; correct it"),
        ({"arousal": "high"}, {}, "column arousal: 'high' is not a number"),
        ({"votes_anger": "1e999"}, {}, "column votes_anger: '1e999' is not a number"),
        ({}, {"labels": "angry=anger, angry=-"}, "has 'angry' twice"),
        ({}, {"ratings": "0 to 1e999"}, "`ratings` is '0 to 1e999'"),
        ({"votes_anger": "-1"}, {}, "has fewer than 0 votes"),
    ],
)
def test_a_wrong_rating_or_note_is_named(tmp_path, row, notes, message):
    touch(tmp_path, "1.wav", "2.wav")
    notes = NOTES | notes if row.get("emotion") != "anger" and (row or notes) else {}
    table = write_noted(tmp_path, ".csv", [RATED[0] | row, RATED[1]], notes)
    with pytest.raises(CorpusError, match=message):
        read_corpus("manifest", table)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("columns", "notes", "message"),
    [
        (["votes_angry"], {}, "column votes_angry, .* if it is votes_anger, rename it"),
        (["Activation"], {}, "column activation, .* if it is arousal, rename it"),
        (["sesion"], {}, "column sesion, which .* if it is session, rename it"),
        ([], {"label": "a=anger"}, "note `label`, .* did you mean `labels`?"),
        (["speaker_id", "texture", "date"], {"source": "a.org/?v=1", "n": "2"}, None),
    ],
)
def test_what_seems_to_be_meant_and_would_be_ignored_is_named(
    tmp_path, suffix, columns, notes, message
):
    touch(tmp_path, "1.wav")
    row = {"path": "1.wav", "emotion": "anger", "speaker": "ann"}
    table = write_noted(tmp_path, suffix, [row | dict.fromkeys(columns, "1")], notes)
    if message is None:
        assert len(read_corpus("manifest", table)) == 1
        return
    with pytest.raises(CorpusError, match=message):
        read_corpus("manifest", table)


@pytest.mark.parametrize("text", ["1 to 5", "sad=sadness, dull = -"])
def test_a_scale_or_labels_under_an_unknown_name_are_an_error(tmp_path, text):
    touch(tmp_path, "1.wav")
    row = {"path": "1.wav", "emotion": "anger", "speaker": "ann"}
    table = write_noted(tmp_path, ".csv", [row], {"foo": text})
    with pytest.raises(CorpusError, match=r"note `foo`, .* are ratings and labels$"):
        read_corpus("manifest", table)


def test_a_scale_without_a_column_of_ratings_is_an_error(tmp_path):
    touch(tmp_path, "1.wav")
    row = {"path": "1.wav", "emotion": "anger", "speaker": "ann", "level": "4"}
    table = write_noted(tmp_path, ".csv", [row], {"ratings": "1 to 5"})
    with pytest.raises(CorpusError, match="no column arousal, valence, dominance"):
        read_corpus("manifest", table)


def test_manifest_takes_absolute_paths(tmp_path):
    path = touch(tmp_path, "far/1.wav") / "far/1.wav"
    (tmp_path / "near").mkdir()
    table = write_table(tmp_path / "near", ".csv", [ROWS[1] | {"path": str(path)}])
    (utterance,) = read_corpus("manifest", table)
    assert utterance.path == path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emotion": "fear"}, "column emotion: 'fear' is not one of anger, happiness"),
        ({"emotion": ""}, "column emotion: is empty"),
        ({"speaker": " "}, "column speaker: is empty"),
        ({"path": "absent.wav"}, "column path: no such file: .*absent.wav; relative"),
    ],
)
@pytest.mark.parametrize(
    ("suffix", "where"), [(".csv", "line 3"), (".parquet", "row 2")]
)
def test_a_bad_row_is_named(tmp_path, change, message, suffix, where):
    touch(tmp_path, "1.wav", "b/2.wav")
    table = write_table(tmp_path, suffix, [ROWS[0], ROWS[1] | change])
    with pytest.raises(CorpusError, match=rf"calls\{suffix}, {where}, {message}"):
        read_corpus("manifest", table)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_manifest_without_a_column_says_which(tmp_path, suffix):
    rows = [{k: v for k, v in row.items() if k != "speaker"} for row in ROWS]
    with pytest.raises(CorpusError, match=r"has no column speaker \(it has: path, emo"):
        read_corpus("manifest", write_table(tmp_path, suffix, rows))


def test_a_file_listed_twice_is_refused(tmp_path):
    touch(tmp_path, "1.wav")
    rows = [ROWS[1] | {"id": "a"}, ROWS[1] | {"id": "b", "path": "./1.wav"}]
    with pytest.raises(CorpusError, match="keep one of the two"):
        read_corpus("manifest", write_table(tmp_path, ".csv", rows))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("calls.xlsx", b"path\n", "ends in '.xlsx'; pass a .csv or .parquet"),
        ("calls.csv", b"", "has no column path, emotion, speaker"),
        ("calls.csv", b"path,emotion,speaker\n", "has no rows"),
        ("calls.csv", b"\xff\xfe\x00path", "is no CSV in UTF-16"),
        ("calls.parquet", b"not parquet", "is no Parquet file"),
        ("calls.parquet", b"", "is no Parquet file"),
    ],
)
def test_what_is_no_manifest(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_corpus("manifest", tmp_path / name)


def test_a_manifest_that_is_not_there(tmp_path):
    with pytest.raises(CorpusError, match="no such file"):
        read_corpus("manifest", tmp_path / "calls.csv")
    with pytest.raises(CorpusError, match="is a folder, not a table"):
        read_corpus("manifest", Path(tmp_path))


@given(names=st.lists(st.text("abc", min_size=1), min_size=1))
def test_halves_share_no_speaker_and_are_all(names):
    utterances = [
        Utterance(str(n), Path("x.wav"), name, name, Emotion.ANGER, "x")
        for n, name in enumerate(names)
    ]
    even, odd = (select_speakers(utterances, half) for half in ("even", "odd"))
    assert sorted(even + odd, key=lambda u: int(u.id)) == utterances
    heard, unheard = ({u.speaker for u in half} for half in (even, odd))
    assert not heard & unheard
    assert len(heard) - len(unheard) in (0, 1)
    assert min(names) in heard
    assert select_speakers(utterances, "all") == utterances
