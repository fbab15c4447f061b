from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.errors import SplitError
from espressivo.training.corpora import Utterance
from espressivo.training.folds.leaky import (
    iemocap_name,
    leave_one_prefix_out,
    leave_one_session_out_by_prefix,
    random_hold_out,
    random_k_folds,
)
from espressivo.training.folds.splits import (
    leave_one_session_out,
    speakers_of,
)
from espressivo.types import Emotion


def numbered(n):
    return [
        Utterance(f"a/{i}", Path(f"{i}.wav"), f"a/{i % 7}", "a/1", Emotion.ANGER, "a")
        for i in range(n)
    ]


def iemocap():
    """Every session, prefix, style, talker and emotion."""
    scenes = ("impro01", "script02_1b")
    for s, prefix, scene, talker, n in product("12345", "FM", scenes, "FM", range(4)):
        name = f"Ses0{s}{prefix}_{scene}_{talker}00{n}"
        yield Utterance(
            id=f"iemocap/{name}",
            path=Path(f"{name}.wav"),
            speaker=f"iemocap/Ses0{s}{talker}",
            session=f"iemocap/Ses0{s}",
            emotion=list(Emotion)[n],
            corpus="iemocap",
        )


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Ses01F_impro01_M003", ("Ses01F", "Ses01M")),
        ("iemocap/Ses05M_script03_2_F012", ("Ses05M", "Ses05F")),
        ("Ses03M_impro05b_MXX0", ("Ses03M", "Ses03M")),
        ("Ses01F_impro01", None),
        ("ravdess/03-01-05-02-01-01-12", None),
    ],
)
def test_the_talker_is_the_last_field_of_an_iemocap_name(name, read):
    assert iemocap_name(name) == read


@pytest.mark.parametrize("select_on_test", [False, True])
def test_in_prefix_folds_both_talkers_of_the_tested_session_train(select_on_test):
    utterances = list(iemocap())
    folds = list(leave_one_prefix_out(utterances, select_on_test=select_on_test))
    prefixes = [f"Ses0{s}{p}" for s, p in product("12345", "FM")]
    assert [fold.name for fold in folds] == prefixes
    assert Counter(u for f in folds for u in f.test) == Counter(utterances)
    for fold in folds:
        assert fold.protocol == "random"
        assert {u.id[8:14] for u in fold.test} == {fold.name}
        assert (fold.validation == fold.test) is select_on_test
        assert {*fold.train, *fold.validation, *fold.test} == set(utterances)
        if select_on_test:
            assert speakers_of(fold.test) < speakers_of(fold.train)


def test_pepino_tests_a_session_and_validates_on_a_prefix_whose_talkers_train():
    utterances = list(iemocap())
    folds = list(leave_one_session_out_by_prefix(utterances))
    ours = list(leave_one_session_out(utterances))
    assert [f.test for f in folds] == [f.test for f in ours]
    for fold in folds:
        assert fold.protocol == "random"
        assert not speakers_of(fold.test) & speakers_of(fold.train)
        next_session = 1 + int(fold.name[-1]) % 5
        assert {u.id[8:14] for u in fold.validation} == {f"Ses0{next_session}F"}
        assert speakers_of(fold.validation) < speakers_of(fold.train)
        parts = (fold.train, fold.validation, fold.test)
        assert Counter(u for part in parts for u in part) == Counter(utterances)


def test_prefixes_are_iemocaps_alone():
    with pytest.raises(SplitError, match=r"a/0: is not named as in IEMOCAP"):
        list(leave_one_prefix_out(numbered(4)))
    extra = numbered(4)
    for fold in leave_one_prefix_out(list(iemocap()), extra):
        assert set(extra) < set(fold.train)


@given(st.integers(0, 40), st.integers(0, 12), st.integers(0, 3), st.booleans())
def test_random_folds_partition_whatever_the_seed(n, k, seed, select_on_test):
    utterances = numbered(n)
    if not 3 <= k <= n:
        with pytest.raises(SplitError, match="random parts of"):
            list(random_k_folds(utterances, k, seed))
        return
    folds = list(random_k_folds(utterances, k, seed, select_on_test=select_on_test))
    assert Counter(u for f in folds for u in f.test) == Counter(utterances)
    assert max(len(f.test) for f in folds) - min(len(f.test) for f in folds) <= 1
    for fold in folds:
        assert {*fold.train, *fold.validation, *fold.test} == set(utterances)
        assert (fold.validation == fold.test) is select_on_test
    assert folds == list(
        random_k_folds(utterances, k, seed, select_on_test=select_on_test)
    )


def test_another_seed_makes_other_random_folds():
    first, other = (list(random_k_folds(numbered(40), 4, seed)) for seed in (0, 1))
    assert first != other


@given(st.integers(20, 60), st.sampled_from([0.05, 0.1, 0.5]), st.integers(0, 3))
def test_the_hold_out_is_tested_and_nothing_validates_unless_asked(n, share, seed):
    utterances, extra = numbered(n), numbered(80)[70:]
    fold = random_hold_out(utterances, share, seed, extra)
    assert fold.protocol == "random"
    assert fold.validation == ()
    assert len(fold.test) == round(share * n)
    assert Counter((*fold.train, *fold.test)) == Counter((*utterances, *extra))

    asked = random_hold_out(utterances, share, seed, extra, validation_share=0.2)
    assert asked.test == fold.test
    assert len(asked.validation) == round(0.2 * n)
    assert not {*asked.validation} & {*asked.test, *extra}

    published = random_hold_out(utterances, share, seed, extra, select_on_test=True)
    assert published.validation == published.test == fold.test


@pytest.mark.parametrize(("share", "more"), [(0, 0), (1, 0), (0.5, 0.5), (-0.1, 0)])
def test_a_hold_out_that_leaves_a_part_empty_is_refused(share, more):
    with pytest.raises(SplitError, match="leave nothing to test or to train on"):
        random_hold_out(numbered(10), share, validation_share=more)
