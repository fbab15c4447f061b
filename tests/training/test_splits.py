from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from espressivo.errors import SplitError
from espressivo.training.corpora import Utterance
from espressivo.training.folds.splits import (
    Fold,
    held_out_speakers,
    hold_speakers_out,
    leave_one_corpus_out,
    leave_one_session_out,
    leave_one_speaker_group_out,
    leave_one_speaker_out,
    speakers_of,
)
from espressivo.types import Emotion


def utterance(n, corpus, speaker):
    return Utterance(
        id=f"{corpus}/{n}",
        path=Path(f"{n}.wav"),
        speaker=f"{corpus}/{speaker}",
        session=f"{corpus}/{speaker // 2}",
        emotion=list(Emotion)[n % 4],
        corpus=corpus,
    )


cells = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 11)), max_size=60
)
corpora = cells.map(lambda drawn: [utterance(n, *c) for n, c in enumerate(drawn)])


def assert_a_partition(folds, utterances):
    """Parts of a fold share no speaker; each utterance is tested exactly once."""
    for fold in folds:
        parts = (fold.train, fold.validation, fold.test)
        assert Counter(u for part in parts for u in part) == Counter(utterances)
        speakers = [speaker for part in parts for speaker in speakers_of(part)]
        assert len(speakers) == len(set(speakers))
    assert Counter(u for fold in folds for u in fold.test) == Counter(utterances)


@given(corpora, st.integers(0, 5))
def test_leaving_corpora_out(utterances, seed):
    names = {u.corpus for u in utterances}
    if len(names) < 2:
        with pytest.raises(SplitError, match="at least 2"):
            list(leave_one_corpus_out(utterances))
        return
    folds = list(leave_one_corpus_out(utterances, seed=seed))
    assert_a_partition(folds, utterances)
    for fold in folds:
        assert {u.corpus for u in fold.test} == {fold.name}
        assert {u.corpus for u in fold.train} == names - {fold.name}


@given(corpora)
def test_leaving_sessions_out(utterances):
    sessions = sorted({u.session for u in utterances})
    if len(sessions) < 3:
        with pytest.raises(SplitError, match="at least 3"):
            list(leave_one_session_out(utterances))
        return
    folds = list(leave_one_session_out(utterances))
    assert_a_partition(folds, utterances)
    assert [{u.session for u in fold.test} for fold in folds] == [{s} for s in sessions]
    after = [{u.session for u in fold.validation} for fold in folds]
    assert after == [{s} for s in sessions[1:] + sessions[:1]]


@given(corpora, st.integers(0, 14))
def test_leaving_speaker_groups_out(utterances, n):
    if not 3 <= n <= len(speakers_of(utterances)):
        with pytest.raises(SplitError, match="groups of"):
            list(leave_one_speaker_group_out(utterances, n))
        return
    folds = list(leave_one_speaker_group_out(utterances, n))
    assert_a_partition(folds, utterances)
    sizes = {len(speakers_of(fold.test)) for fold in folds}
    assert len(folds) == n
    assert max(sizes) - min(sizes) <= 1


def test_six_groups_of_ravdess_are_two_men_and_two_women_each():
    utterances = [utterance(n, "ravdess", 10 + n) for n in range(24)]
    for fold in leave_one_speaker_group_out(utterances, 6):
        numbers = [int(s.rpartition("/")[2]) for s in speakers_of(fold.test)]
        assert sum(n % 2 for n in numbers) == 2
        assert len(numbers) == 4


@given(corpora, st.floats(0, 0.99), st.integers(0, 5))
def test_held_out_speakers_are_no_others(utterances, share, seed):
    kept, held = held_out_speakers(utterances, share, seed)
    assert Counter(kept + held) == Counter(utterances)
    assert not speakers_of(kept) & speakers_of(held)
    assert {u.corpus for u in kept} == {u.corpus for u in utterances}
    assert (kept, held) == held_out_speakers(utterances, share, seed)
    if share == 0:
        assert not held


@given(corpora, st.integers(0, 5))
def test_who_is_held_out_does_not_depend_on_the_other_corpora(utterances, seed):
    _, held = held_out_speakers(utterances, 0.3, seed)
    alone = [u for u in utterances if u.corpus == "a"]
    _, held_alone = held_out_speakers(alone, 0.3, seed)
    assert held_alone == tuple(u for u in held if u.corpus == "a")


def test_train_only_utterances_train_in_every_fold():
    utterances = [utterance(n, "a", n) for n in range(8)]
    extra = [utterance(n, "b", n) for n in range(3)]
    for fold in leave_one_session_out(utterances, extra):
        assert set(extra) < set(fold.train)


def test_train_only_utterances_of_a_tested_speaker_are_refused():
    utterances = [utterance(n, "a", n) for n in range(8)]
    again = [replace(utterances[0], id="a/again")]
    with pytest.raises(SplitError, match=r"speakers in two parts: a/0"):
        list(leave_one_session_out(utterances, again))


def test_a_fold_with_a_speaker_in_two_parts_cannot_be_built():
    one, other = utterance(0, "a", 3), utterance(1, "a", 3)
    with pytest.raises(SplitError, match=r"fold mine: .* a/3; keep each speaker"):
        Fold((one,), (), (other,), "mine", "session")


def test_a_share_that_is_no_share_is_refused():
    with pytest.raises(SplitError, match=r"1\.5, not in 0\.\.1"):
        held_out_speakers([], 1.5)


def test_an_utterance_in_two_parts_is_refused_and_so_is_one_listed_twice():
    one, other = utterance(0, "a", 3), utterance(0, "a", 4)
    for protocol in ("session", "random"):
        with pytest.raises(SplitError, match=r"in two parts: a/0; keep each in one"):
            Fold((one,), (), (other,), "mine", protocol)
        with pytest.raises(SplitError, match=r"twice in one part: a/0; list each once"):
            Fold((one, other), (), (), "mine", protocol)


def test_only_a_random_fold_has_a_speaker_in_two_parts_or_validates_on_the_test():
    one, other = utterance(0, "a", 3), utterance(1, "a", 3)
    fold = Fold((one,), (other,), (other,), "mine", "random")
    assert speakers_of(fold.train) == speakers_of(fold.test)
    with pytest.raises(SplitError, match="in two parts"):
        Fold((), (other,), (other,), "mine", "session")


@given(corpora)
def test_leaving_speakers_out_is_leaving_out_groups_of_one(utterances):
    if len(speakers_of(utterances)) < 3:
        with pytest.raises(SplitError, match="at least 3"):
            list(leave_one_speaker_out(utterances))
        return
    folds = list(leave_one_speaker_out(utterances))
    assert_a_partition(folds, utterances)
    groups = leave_one_speaker_group_out(utterances, len(folds))
    assert [(f.train, f.validation, f.test) for f in folds] == [
        (f.train, f.validation, f.test) for f in groups
    ]


def test_the_speakers_named_are_held_out():
    utterances = [utterance(n, "ravdess", 1 + n // 4) for n in range(96)]
    extra = [utterance(n, "b", n) for n in range(3)]
    actors = [f"ravdess/{n}" for n in (21, 22, 23, 24)]
    fold = hold_speakers_out(utterances, actors[:2], actors[2:], extra)
    assert speakers_of(fold.validation) == set(actors[:2])
    assert speakers_of(fold.test) == set(actors[2:])
    assert len(fold.train) == 80 + 3
    with pytest.raises(SplitError, match="there is no speaker ravdess/25"):
        hold_speakers_out(utterances, [], ["ravdess/25"])
    with pytest.raises(SplitError, match="in two parts: ravdess/"):
        hold_speakers_out(utterances, actors[:1], actors[:1])


@given(corpora)
def test_train_only_corpora_are_never_scored_when_corpora_are_left_out(utterances):
    scored = [u for u in utterances if u.corpus != "c"]
    extra = [u for u in utterances if u.corpus == "c"]
    if len({u.corpus for u in scored}) == 2:
        for fold in leave_one_corpus_out(scored, train_only=extra):
            assert set(extra) <= set(fold.train)
            assert not set(extra) & {*fold.validation, *fold.test}


keys = st.lists(st.text(min_size=1), min_size=3, max_size=8, unique=True)


@given(keys)
@example(["a", "A", "a-2"])
@example(["..", "a/b", "a-b", "a b"])
@example(["Ses01", "Ses02", "Ses03"])
def test_names_of_folds_name_a_folder_each(speakers):
    utterances = [
        replace(utterance(n, "a", 0), speaker=s) for n, s in enumerate(speakers)
    ]
    names = [fold.name for fold in leave_one_speaker_out(utterances)]
    assert len({name.casefold() for name in names}) == len(speakers)
    for name in names:
        assert name == PurePosixPath(name).name
        assert name not in ("", ".", "..")


def test_the_corpus_is_left_out_of_names_that_do_without():
    def names(*speakers):
        made = [
            replace(utterance(n, "x", 0), speaker=s) for n, s in enumerate(speakers)
        ]
        return [fold.name for fold in leave_one_speaker_out(made)]

    assert names("x/Ses01", "x/Ses02", "x/Ses03") == ["Ses01", "Ses02", "Ses03"]
    assert names("x/03", "x/08", "x/09") == ["x-03", "x-08", "x-09"]
    assert names("x/a", "x/b", "y/a") == ["x-a", "x-b", "y-a"]
