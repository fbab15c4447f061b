import numpy as np
import pytest

from espressivo.errors import CorpusError
from espressivo.training.corpora import CORPORA
from espressivo.training.corpora.check import check_corpus, decode_digest
from tests.recordings import encode


def tone(hz=200.0, seconds=0.5):
    at = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def link(source, target, leave_out=()):
    """Mirror a corpus by links, all but some recordings."""
    for path in source.rglob("*"):
        if path.is_file() and path.stem not in leave_out:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
    return target


HERE = ["ravdess", "tess", "nemo", "emodb", "emovo", "urdu", "emotiontts"]
LEFT_OUT = {
    "emovo": {"disgust, fear and surprise": 252},
    "emotiontts": {"given on request": 5700},
}


@pytest.mark.parametrize("name", HERE)
def test_real_corpora_are_complete(shared, name):
    check = check_corpus(name, shared / "corpora" / name, decode=False)
    assert check.complete
    assert check.left_out == LEFT_OUT.get(name, {})
    assert check.selection == 0
    assert all(found == wanted for found, wanted in check.by_label().values())


def test_a_real_corpus_decodes_and_its_progress_is_told(shared):
    seen = []
    check = check_corpus(
        "emodb", shared / "corpora/emodb", progress=lambda *n: seen.append(n)
    )
    assert check.complete
    assert check.decoded
    assert seen == [(n, 339) for n in range(1, 340)]


def test_ravdess_full_release_is_1440(shared):
    check = check_corpus("ravdess", shared / "corpora/ravdess", decode=False)
    assert sum(check.published.values()) == 1440
    assert set(check.published.values()) == {96, 192}


def test_the_pair_that_was_published_alike_is_no_fault(shared, tmp_path):
    actor = link(shared / "corpora/ravdess/Actor_07", tmp_path / "Actor_07")
    check = check_corpus("ravdess", actor)
    pair = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert check.known_same_audio == (pair,)
    assert check.same_audio == ()
    assert not check.complete  # 23 actors are missing
    assert len(check.missing) == 23 * 60
    assert len(check.absent) == 23
    assert "07" not in check.absent


@pytest.mark.parametrize(
    ("name", "stem", "cell"),
    [
        ("ravdess", "03-01-05-02-01-01-12", ("12", "angry")),
        ("tess", "OA_bite_neutral", ("OAF", "neutral")),
        ("nemo", "KS0_anger_17", ("KS0", "anger")),
        ("emovo", "tri-m1-l4", ("", "m1", "sadness")),
        ("urdu", "SM5_F72_N0100", ("SM5", "Neutral")),
        ("emotiontts", "neo00305", ("public sample", "neo", "anger")),
    ],
)
def test_what_is_missing_is_named(shared, tmp_path, name, stem, cell):
    root = link(shared / "corpora" / name, tmp_path, leave_out={stem})
    check = check_corpus(name, root, decode=False)
    assert not check.complete
    assert check.missing == (stem,)
    (difference,) = check.differing
    assert tuple(difference.where.values()) == cell
    assert difference.found == difference.published - 1


def test_emodb_is_no_grid_so_only_its_counts_tell(shared, tmp_path):
    root = link(shared / "corpora/emodb", tmp_path, leave_out={"03a01Wa"})
    check = check_corpus("emodb", root, decode=False)
    assert [str(d) for d in check.differing] == ["speaker 03, anger: 13 of 14"]
    assert check.missing == ()
    assert not check.complete


def test_emotions_that_are_not_used_are_not_compared(shared, tmp_path):
    root = link(shared / "corpora/emodb", tmp_path)
    (root / "03a01La.wav").touch()
    check = check_corpus("emodb", root, decode=False)
    assert check.complete
    assert check.by_label()["boredom"] == (1, None)


def test_a_part_of_which_anything_is_there_is_compared(shared, tmp_path):
    root = link(shared / "corpora/emovo", tmp_path)
    (root / "f1/pau-f1-b1.wav").touch()

    check = check_corpus("emovo", root, decode=False)

    assert not check.complete
    assert check.left_out == {}
    assert len(check.missing) == 251
    assert "pau-f1-b2" in check.missing
    assert check.by_label()["fear"] == (1, 84)
    cell = "disgust, fear and surprise, speaker f1, fear: 1 of 14"
    assert cell in map(str, check.differing)


def test_the_whole_of_emovo_is_complete(tmp_path):
    for name in CORPORA["emovo"].names(tmp_path):
        (tmp_path / f"{name}.wav").touch()
    check = check_corpus("emovo", tmp_path, decode=False)
    assert check.complete
    assert check.left_out == {}
    assert set(check.by_label().values()) == {(84, 84)}


def test_emovo_without_its_main_emotions_lacks_them(tmp_path):
    (tmp_path / "pau-f1-b1.wav").touch()
    check = check_corpus("emovo", tmp_path, decode=False)
    assert check.left_out == {}
    assert len(check.missing) == 587


def test_the_whole_of_emotiontts_is_complete(tmp_path):
    for name in CORPORA["emotiontts"].names(tmp_path):
        (tmp_path / f"{name}.wav").touch()
    check = check_corpus("emotiontts", tmp_path, decode=False)
    assert check.complete
    assert check.by_label()["sadness"] == (1500, 1500)


def test_a_word_that_tess_does_not_have_is_unexpected(shared, tmp_path):
    root = link(shared / "corpora/tess", tmp_path)
    (root / "OAF_aardvark_sad.wav").touch()
    check = check_corpus("tess", root, decode=False)
    assert check.unexpected == ("OAF_aardvark_sad",)
    assert not check.complete


def test_broken_recordings_are_named_with_the_reason(tmp_path):
    encode(tmp_path / "03a01Fa.wav", tone())
    (tmp_path / "03a01Nc.wav").write_bytes(b"")
    (tmp_path / "03a01Wa.wav").write_text("not audio")
    encode(tmp_path / "03a02Fc.wav", tone(seconds=0.1))
    encode(tmp_path / "03a02Nc.wav", np.zeros(16_000, np.float32))
    whole = encode(tmp_path / "03a02Ta.wav", tone(300, seconds=2)).read_bytes()
    (tmp_path / "03a02Ta.wav").write_bytes(whole[: len(whole) // 2])

    broken = {b.id: b.reason for b in check_corpus("emodb", tmp_path).broken}

    assert broken.keys() == {"03a01Nc", "03a01Wa", "03a02Fc", "03a02Nc", "03a02Ta"}
    assert "empty" in broken["03a01Nc"]
    assert "cannot be read as a recording" in broken["03a01Wa"]
    assert broken["03a02Fc"] == "lasts only 0.100 s"
    assert broken["03a02Nc"] == "is silent for all its 1.0 s"
    assert "truncated" in broken["03a02Ta"]


def test_identical_audio_is_found_whatever_the_container(tmp_path):
    signal = tone()
    encode(tmp_path / "03a01Fa.wav", signal)
    encode(tmp_path / "08a01Fa.wav", signal)
    encode(tmp_path / "09a01Fa.wav", tone(300))
    (same,) = check_corpus("emodb", tmp_path).same_audio
    assert same == ("03a01Fa", "08a01Fa")


def test_a_quick_check_decodes_nothing(tmp_path):
    (tmp_path / "03a01Nc.wav").write_bytes(b"")
    check = check_corpus("emodb", tmp_path, decode=False)
    assert (check.broken, check.decoded) == ((), False)


def test_a_manifest_is_complete_when_all_its_files_sound(tmp_path):
    encode(tmp_path / "1.wav", tone())
    table = tmp_path / "mine.csv"
    table.write_text("path,emotion,speaker\n1.wav,anger,ann\n")
    assert check_corpus("manifest", table).complete

    encode(tmp_path / "1.wav", np.zeros(16_000, np.float32))
    check = check_corpus("manifest", table)
    assert not check.complete
    assert check.broken[0].reason.startswith("is silent")


def test_a_check_becomes_json(tmp_path):
    import json

    encode(tmp_path / "03a01Fa.wav", tone())
    plain = check_corpus("emodb", tmp_path).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["labels"]["happiness"] == {"found": 1, "published": 71}
    assert plain["complete"] is False


def test_nothing_there_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="holds no recording"):
        check_corpus("emodb", tmp_path)


def test_listening_gives_either_a_digest_or_a_reason(tmp_path):
    good = encode(tmp_path / "a.flac", tone())
    digest, reason = decode_digest(good)
    assert len(digest) == 64
    assert reason == ""
