from itertools import product
from pathlib import Path

import numpy as np
import pytest

from espressivo.errors import ConfigError, SplitError
from espressivo.training.config import read_config, to_toml
from espressivo.training.corpora import Utterance, read_corpus
from espressivo.training.folds.protocol import (
    ProtocolConfig,
    make_folds,
)
from espressivo.training.folds.splits import (
    Fold,
    speakers_of,
)
from espressivo.training.folds.weights import fold_class_weights
from espressivo.types import Emotion
from tests.trees import IEMOCAP_COUNTS


def corpus(name, n_speakers, n_each=1, emotions=tuple(Emotion)):
    """n_each utterances of each speaker and emotion; two speakers make a session."""
    return [
        Utterance(
            id=f"{name}/{s:02}{emotion}{n}",
            path=Path(f"{name}/{s:02}{emotion}{n}.wav"),
            speaker=f"{name}/{s:02}",
            session=f"{name}/{s // 2:02}",
            emotion=emotion,
            corpus=name,
        )
        for s, emotion, n in product(range(n_speakers), emotions, range(n_each))
    ]


def labels(name, speaker, counts):
    """As many utterances of each emotion as `counts` says."""
    order = [e for e, n in zip(Emotion, counts, strict=True) for _ in range(n)]
    return [
        Utterance(
            id=f"{name}/{speaker}_{n}",
            path=Path(f"{n}.wav"),
            speaker=f"{name}/{speaker}",
            session=f"{name}/{speaker}",
            emotion=emotion,
            corpus=name,
        )
        for n, emotion in enumerate(order)
    ]


def test_the_studys_folds_have_its_class_weights_to_the_last_digit():
    utterances = labels("crema-d", "1001", (1271, 1271, 1087, 1271))
    for session, (anger, happy, excited, *rest) in IEMOCAP_COUNTS.items():
        counts = (anger, happy + excited, *rest)
        utterances += labels("iemocap", f"Ses0{session}", counts)
    assert len(utterances) == 5531 + 4900

    folds = make_folds(ProtocolConfig(train_only=("crema-d",)), utterances)

    assert [fold.name for fold in folds] == [f"Ses0{n}" for n in range(1, 6)]
    weights = [list(fold_class_weights(fold).values()) for fold in folds]
    # Printed as 1.065, 0.913, 0.974, 1.070 in the study's table II.
    mean = np.mean(weights, axis=0).round(4).tolist()
    assert mean == [1.0648, 0.9127, 0.9739, 1.0699]
    for fold in folds:
        assert {u.corpus for u in (*fold.validation, *fold.test)} == {"iemocap"}


def test_class_weights_balance_the_classes():
    fold = Fold(tuple(labels("a", "1", (1, 2, 3, 10))), (), (), "mine", "session")
    weights = fold_class_weights(fold)
    counts = dict(zip(Emotion, (1, 2, 3, 10), strict=True))
    assert {e: weights[e] * counts[e] for e in Emotion} == dict.fromkeys(Emotion, 4.0)
    assert weights[Emotion.ANGER] == 4.0


@pytest.mark.parametrize(
    ("settings", "names", "protocol"),
    [
        ({}, ["a-00", "a-01", "a-02"], "session"),
        ({"kind": "speaker"}, [f"a-{n:02}" for n in range(6)], "speaker-group"),
        (
            {"kind": "speaker-group", "n_groups": 3},
            ["group-01", "group-02", "group-03"],
            "speaker-group",
        ),
        (
            {"kind": "held-out-speakers", "validation": ("a/02",), "test": ("a/05",)},
            ["held-out"],
            "speaker-group",
        ),
        (
            {"kind": "random", "n_groups": 3},
            ["random-01", "random-02", "random-03"],
            "random",
        ),
        ({"kind": "hold-out"}, ["hold-out"], "random"),
    ],
)
def test_each_kind_makes_its_folds_and_train_only_corpora_only_train(
    settings, names, protocol
):
    utterances = corpus("a", 6, 4) + corpus("b", 2)
    folds = make_folds(ProtocolConfig(train_only=("b",), **settings), utterances)
    assert [fold.name for fold in folds] == names
    for fold in folds:
        assert fold.protocol == protocol
        assert {u.corpus for u in (*fold.validation, *fold.test)} == {"a"}
        assert {u for u in fold.train if u.corpus == "b"} == set(corpus("b", 2))
        assert {*fold.train, *fold.validation, *fold.test} == set(utterances)
    scored = ProtocolConfig(scored=("a",), train_only=("b",), **settings)
    assert make_folds(scored, utterances) == folds


def test_the_share_held_out_is_the_studys_unless_said():
    utterances = corpus("a", 5, 5)
    for share, n in ((0.0, 5), (0.05, 5), (0.2, 20)):
        config = ProtocolConfig(kind="hold-out", share=share)
        assert [len(f.test) for f in make_folds(config, utterances)] == [n]


def test_corpora_are_left_out_in_turn():
    utterances = corpus("a", 4) + corpus("b", 4) + corpus("c", 2)
    config = ProtocolConfig(kind="corpus", validation_share=0.25, train_only=("c",))
    folds = make_folds(config, utterances, seed=1)
    assert [(f.name, f.protocol) for f in folds] == [("a", "corpus"), ("b", "corpus")]
    for fold in folds:
        assert {u.corpus for u in fold.test} == {fold.name}
        assert len(speakers_of(fold.validation)) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": "speaker-group"},
            "protocol.n_groups is missing, .* add n_groups = 6",
        ),
        ({"kind": "corpus"}, "protocol.validation_share is missing"),
        ({"kind": "held-out-speakers"}, "protocol.test is missing"),
        ({"n_groups": 6}, "protocol.n_groups is 6, which kind 'session' does not use"),
        (
            {"select_on_test": True},
            "select_on_test is True, .* one of prefix, random, hold-out",
        ),
        (
            {"kind": "hold-out", "select_on_test": True, "validation_share": 0.1},
            "are both set",
        ),
        ({"train_only": ("bb",)}, "protocol.train_only names 'bb', .*did you mean 'b'"),
        ({"scored": ("a", "b"), "train_only": ("b",)}, "b: in protocol.scored and"),
        ({"scored": ("a",)}, "b: in neither protocol.scored nor protocol.train_only"),
        ({"train_only": ("a", "b")}, "names every corpus"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_folds(ProtocolConfig(**settings), corpus("a", 6) + corpus("b", 2))


def test_what_the_corpora_do_not_give_says_which_kind_was_asked_for():
    config = ProtocolConfig(kind="prefix")
    with pytest.raises(
        SplitError, match=r"protocol.kind = 'prefix': a/00anger0: is not"
    ):
        make_folds(config, corpus("a", 6))
    with pytest.raises(SplitError, match=r"'session': only a/00, a/01 to split by"):
        make_folds(ProtocolConfig(), corpus("a", 4))


def test_a_class_that_a_fold_cannot_train_on_is_named_with_the_fold():
    calm = corpus("a", 6, emotions=[e for e in Emotion if e != Emotion.SADNESS])
    sad = labels("a", "99", (0, 0, 0, 5))
    with pytest.raises(SplitError, match=r"fold a-02: no sadness to train on"):
        make_folds(ProtocolConfig(), calm + sad)


def test_a_class_absent_from_the_test_part_is_no_error():
    sad = [
        u for u in corpus("a", 8) if u.emotion != Emotion.SADNESS or u.speaker < "a/06"
    ]
    folds = make_folds(ProtocolConfig(), sad)
    assert {u.emotion for u in folds[-1].test} == {*Emotion} - {Emotion.SADNESS}


def test_an_experiment_says_its_protocol_in_a_table(tmp_path):
    path = tmp_path / "x.toml"
    text = """name = "x"
        [corpora]
        a = "a"
        [protocol]
        kind = "speaker-group"
        n_groups = 6
        train_only = ["crema-d"]
        """
    path.write_text(text)
    config = read_config(path)
    assert config.protocol == ProtocolConfig(
        kind="speaker-group", n_groups=6, train_only=("crema-d",)
    )
    path.write_text(to_toml(config))
    assert read_config(path) == config

    path.write_text(text.replace("train_only", "trainonly"))
    with pytest.raises(ConfigError, match=r"did you mean 'protocol.train_only'"):
        read_config(path)


def test_ravdess_splits_as_pepino_split_it(shared):
    utterances = read_corpus("ravdess", shared / "corpora/ravdess")
    (fold,) = make_folds(
        ProtocolConfig(
            kind="held-out-speakers",
            validation=("ravdess/21", "ravdess/22"),
            test=("ravdess/23", "ravdess/24"),
        ),
        utterances,
    )
    sizes = [len(part) for part in (fold.train, fold.validation, fold.test)]
    assert sizes == [720, 72, 72]
