"""The field's known leaks, each of which has to be found; and folds without one."""

import shutil
from dataclasses import replace
from itertools import product

import pytest

from espressivo.training.corpora import read_corpus
from espressivo.training.folds.audit import audit
from espressivo.training.folds.protocol import (
    ProtocolConfig,
    make_folds,
)
from espressivo.training.folds.splits import Fold
from espressivo.training.folds.table import (
    PARTS,
    ListedFold,
    ListedUtterance,
)
from tests.trees import build_iemocap, build_ravdess

PAIR = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory):
    root = build_iemocap(tmp_path_factory.mktemp("corpora"), n=4)
    return read_corpus("iemocap", root)


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory):
    """Six actors; the pair of actor 7 is one file twice, as published."""
    root = build_ravdess(tmp_path_factory.mktemp("corpora"), actors=range(5, 11), n=4)
    first, second = (root / "Actor_07" / f"{name}.wav" for name in PAIR)
    shutil.copy(first, second)
    return read_corpus("ravdess", root)


def kinds(found):
    return {finding.kind for finding in found.findings}


def of(found, kind, parts=("train", "test")):
    return [f for f in found.findings if f.kind == kind and f.parts == parts]


def as_listed(fold, speaker):
    """Write a fold down as others do: with their idea of who speaks, and no path."""
    parts = (
        tuple(
            ListedUtterance(name, None, speaker(name), emotion=u.emotion)
            for u in getattr(fold, part)
            for name in [u.id.rpartition("/")[2]]
        )
        for part in PARTS
    )
    return ListedFold(fold.name, *parts)


def test_ten_folds_by_name_prefix_leak_both_talkers(iemocap):
    """LIGHT-SERNET's folds; it also picks the epoch on the test fold."""
    config = ProtocolConfig(kind="prefix", select_on_test=True)
    found = audit(make_folds(config, iemocap))

    shared = of(found, "speakers")
    assert [f.fold for f in shared] == [
        f"Ses0{s}{p}" for s, p in product("12345", "FM")
    ]
    for finding in shared:
        session = finding.fold[:5]
        assert finding.names == (f"iemocap/{session}F", f"iemocap/{session}M")
        assert finding.share == 1
    assert len(of(found, "selection", ("validation", "test"))) == 10
    assert len(of(found, "sessions")) == 10
    assert not of(found, "speakers", ("validation", "test"))  # says the same again


def test_pepinos_validation_leaks_by_the_prefix_that_it_took_for_a_speaker(iemocap):
    found = audit(make_folds(ProtocolConfig(kind="session-prefix"), iemocap))
    assert len(of(found, "speakers", ("train", "validation"))) == 5
    assert {f.parts for f in found.leaks} == {("train", "validation")}


@pytest.mark.parametrize("path", [False, True])
def test_emoboxs_speaker_column_is_not_believed(iemocap, path):
    """Its speakers are name prefixes: folds that seem to have no speaker in common."""
    folds = [
        as_listed(fold, lambda name: name[:6])
        for fold in make_folds(ProtocolConfig(kind="prefix"), iemocap)
    ]
    if path:  # ids may be numbers, where the files still have their names
        paths = {u.id.rpartition("/")[2]: u.path for u in iemocap}
        numbers = {name: str(n) for n, name in enumerate(paths)}
        folds = [
            ListedFold(
                fold.name,
                *(
                    tuple(
                        replace(m, id=numbers[m.id], path=paths[m.id])
                        for m in getattr(fold, part)
                    )
                    for part in PARTS
                ),
            )
            for fold in folds
        ]
    for fold in folds:
        said = [{m.speaker for m in getattr(fold, part)} for part in PARTS]
        assert not said[0] & said[2]

    found = audit(folds, decode=False)

    assert {f.fold for f in found.leaks if f.kind == "speakers"} == {
        fold.name for fold in folds
    }
    (wrong,) = of(found, "talkers", ())
    crossed = [u for u in iemocap if u.id[8:14] != u.speaker[8:]]
    assert wrong.n_utterances == len(crossed)
    u = crossed[0]
    assert any(
        name.endswith(f"speaker {u.id[8:14]}, but the talker is {u.speaker[8:]}")
        for name in wrong.names
    )


def test_a_speaker_label_of_two_talkers_is_wrong_whatever_it_is_called(iemocap):
    folds = make_folds(ProtocolConfig(), iemocap)
    numbered = [as_listed(fold, lambda name: name[4]) for fold in folds]
    (wrong,) = of(audit(numbered, decode=False), "talkers", ())
    assert wrong.share == 1
    assert not audit(numbered, decode=False).leaks

    told = [as_listed(f, lambda n: f"{n[4]}-{n.rpartition('_')[2][0]}") for f in folds]
    assert not of(audit(told, decode=False), "talkers", ())


def test_a_random_split_of_utterances_leaks_speakers(iemocap):
    for config in (
        ProtocolConfig(kind="random", n_groups=5),
        ProtocolConfig(kind="hold-out", share=0.2),
    ):
        folds = make_folds(config, iemocap)
        shared = of(audit(folds), "speakers")
        assert [f.fold for f in shared] == [fold.name for fold in folds]


def test_a_speaker_who_is_a_session_alone_is_told_once(ravdess):
    found = audit(make_folds(ProtocolConfig(kind="hold-out", share=0.2), ravdess))
    assert kinds(found) >= {"speakers", "sentences"}
    assert "sessions" not in kinds(found)


def test_ravdesss_duplicate_in_two_parts_leaks_though_named_differently(ravdess):
    assert_the_duplicate_leaks([u for u in ravdess if u.speaker == "ravdess/07"])


def test_the_published_duplicate_of_ravdess_leaks(shared):
    utterances = read_corpus("ravdess", shared / "corpora/ravdess")
    assert_the_duplicate_leaks([u for u in utterances if u.speaker == "ravdess/07"])


def assert_the_duplicate_leaks(utterances):
    """Call every clip its own speaker, so that nothing but the samples tells."""
    alone = [replace(u, speaker=u.id, session=u.id) for u in utterances]
    one, other = (next(u for u in alone if u.id == f"ravdess/{name}") for name in PAIR)
    rest = [u for u in alone if u not in (one, other)]
    for parts in (
        ((*rest[2:], one), tuple(rest[:2]), (other,)),
        ((*rest[2:], one), (other,), tuple(rest[:2])),
    ):
        found = audit([Fold(*parts, "mine", "speaker-group")])
        (leak,) = found.leaks
        assert leak.kind == "audio"
        assert leak.names == (f"{one.id} = {other.id}",)
        assert leak.n_utterances == 1
        assert not audit([Fold(*parts, "mine", "speaker-group")], decode=False).leaks

    chosen = Fold(tuple(rest), (one,), (other,), "mine", "speaker-group")
    (leak,) = audit([chosen]).leaks
    assert (leak.kind, leak.names) == ("selection", (other.id,))

    (fold,) = make_folds(
        ProtocolConfig(kind="held-out-speakers", test=(rest[0].speaker,)), alone
    )
    found = audit([fold])
    assert not found.leaks
    assert of(found, "audio-in-part", ("train",))[0].names == (
        f"{one.id} = {other.id}",
    )


def test_a_test_set_that_selects_is_a_leak(iemocap):
    def listed(session):
        return tuple(
            ListedUtterance(u.id, u.path, u.speaker)
            for u in iemocap
            if u.session == session
        )

    train, test = listed("iemocap/Ses01"), listed("iemocap/Ses02")
    both = ("validation", "test")
    for decode in (False, True):
        found = audit([ListedFold("mine", train, test, test)], decode=decode)
        (leak,) = found.leaks
        assert leak.kind == "selection"
        assert leak.share == 1

        found = audit([ListedFold("mine", train, test[:1], test)], decode=decode)
        assert of(found, "selection", both)[0].names == (test[0].id,)
        assert of(found, "speakers", both)[0].names == (test[0].speaker,)


def test_a_recording_in_two_parts_is_found_under_another_id(iemocap):
    u, other = iemocap[0], next(u for u in iemocap if u.session != iemocap[0].session)
    train = (ListedUtterance("1", u.path, "a"), ListedUtterance("2", other.path, "b"))
    fold = ListedFold("mine", train, (), (ListedUtterance("3", u.path, "c"),))
    found = audit([fold], decode=False)
    assert of(found, "recordings")[0].names == ("3",)
    assert kinds(audit([fold])) == kinds(found)


def test_sessions_tested_in_turn_do_not_leak(iemocap):
    found = audit(make_folds(ProtocolConfig(), iemocap))
    assert not found.leaks
    # The scripts were played in every session: to be reported, not forbidden.
    assert kinds(found) == {"sentences"}
    assert len(of(found, "sentences")) == 5
    assert (found.n_decoded, found.n_recordings) == (len(iemocap), len(iemocap))


def test_six_groups_of_ravdess_do_not_leak(shared):
    utterances = read_corpus("ravdess", shared / "corpora/ravdess")
    config = ProtocolConfig(kind="speaker-group", n_groups=6)
    found = audit(make_folds(config, utterances))
    assert not found.leaks
    assert found.n_decoded == 864
    # The duplicate pair is of one actor, so both are in the same part of each fold.
    same = [f for f in found.findings if f.kind == "audio-in-part"]
    assert [f.names for f in same] == [(" = ".join(f"ravdess/{n}" for n in PAIR),)] * 6
    (sentences,) = {f.names for f in of(found, "sentences")}
    assert sentences == (
        "dogs are sitting by the door",
        "kids are talking by the door",
    )


def test_leaving_emodbs_speakers_out_does_not_leak(shared):
    utterances = read_corpus("emodb", shared / "corpora/emodb")
    found = audit(make_folds(ProtocolConfig(kind="speaker"), utterances))
    assert not found.leaks
    assert found.n_decoded == 339
    assert {c.n_speakers_trained for c in found.counts} == {0}
    # A session is the speaker there, which is not worth a word.
    assert kinds(found) == {"sentences"}


def test_what_does_not_decode_is_named_and_counted_and_the_rest_compared(
    iemocap, tmp_path
):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    absent = tmp_path / "absent.wav"
    u, other = iemocap[0], next(u for u in iemocap if u.session != iemocap[0].session)
    copy = tmp_path / "copy.wav"
    shutil.copy(u.path, copy)
    train = tuple(
        ListedUtterance(f"t{n}", path, "a")
        for n, path in enumerate((u.path, bad, absent))
    )
    test = (
        ListedUtterance("x", copy, "b"),
        ListedUtterance("y", other.path, "b"),
        ListedUtterance("z", None, "b"),
    )
    calls = []
    found = audit(
        [ListedFold("mine", train, (), test)],
        progress=lambda done, total: calls.append((done, total)),
    )
    assert of(found, "audio")[0].names == ("t0 = x",)
    assert [(b.id, b.path) for b in found.undecodable] == [
        ("t1", bad),
        ("t2", absent),
    ]
    assert (found.n_decoded, found.n_recordings) == (3, 6)
    assert calls == [(n, 5) for n in range(1, 6)]
    assert found.to_dict()["unheard"][1]["reason"] == "no such file"


def test_a_recording_is_decoded_once_however_many_folds_it_is_in(ravdess):
    folds = make_folds(ProtocolConfig(kind="speaker"), ravdess)
    calls = []
    audit(folds, progress=lambda *done: calls.append(done))
    assert calls == [(n, len(ravdess)) for n in range(1, len(ravdess) + 1)]


def test_the_same_number_in_two_corpora_is_no_shared_speaker():
    def one(corpus):
        return (ListedUtterance("1", None, "1", session="s", corpus=corpus, text="a"),)

    fold = ListedFold("mine", one("a"), one("b"), one("c"))
    assert kinds(audit([fold])) == {"sentences"}
    fold = ListedFold("mine", one(""), (), one(""))
    assert kinds(audit([fold])) >= {"recordings", "speakers", "sessions"}


def test_sentences_are_compared_by_their_words():
    def one(n, text):
        return (ListedUtterance(n, None, n, text=text),)

    fold = ListedFold(
        "mine", one("1", "Yes, it is!"), one("2", ""), one("3", "yes it is")
    )
    assert of(audit([fold]), "sentences")[0].names == ("yes it is",)
    fold = ListedFold("mine", one("1", None), one("2", None), one("3", None))
    assert kinds(audit([fold])) == set()


def test_a_part_without_a_class_or_without_anything_is_told(iemocap):
    few = [u for u in iemocap if u.emotion != "sadness" or u.session < "iemocap/Ses05"]
    found = audit(make_folds(ProtocolConfig(), few), decode=False)
    assert [(f.fold, f.names) for f in of(found, "classes", ("test",))] == [
        ("Ses05", ("sadness",))
    ]
    found = audit(make_folds(ProtocolConfig(kind="hold-out"), iemocap), decode=False)
    assert of(found, "no-validation", ("validation",))


def test_the_counts_are_of_every_part(iemocap, tmp_path):
    folds = make_folds(ProtocolConfig(), iemocap)
    counts = audit(folds, decode=False).counts
    assert [(c.fold, c.part) for c in counts] == [
        (fold.name, part) for fold in folds for part in PARTS
    ]
    for count, fold in zip(counts[2::3], folds, strict=True):
        assert sum(count.labels.values()) == len(fold.test)
        assert list(count.labels) == ["anger", "happiness", "neutral", "sadness"]
        assert (count.n_speakers, count.n_speakers_trained) == (2, 0)
