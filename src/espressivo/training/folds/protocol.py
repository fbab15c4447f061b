"""The `[protocol]` section of an experiment, and the folds made from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from espressivo.errors import ConfigError, SplitError
from espressivo.training.folds import leaky, splits
from espressivo.training.folds.weights import fold_class_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.folds.splits import Fold

Kind = Literal[
    "session",
    "speaker-group",
    "speaker",
    "held-out-speakers",
    "corpus",
    "published",
    "random",
    "hold-out",
    "prefix",
    "session-prefix",
]

# Setting -> kinds of folds that use it; any other combination is refused.
_USED_BY = {
    "n_groups": ("speaker-group", "random"),
    "share": ("hold-out",),
    "validation_share": ("corpus", "hold-out"),
    "validation": ("held-out-speakers",),
    "test": ("held-out-speakers", "published"),
    "select_on_test": ("prefix", "random", "hold-out"),
}
_NEEDED_BY = {
    "n_groups": ("speaker-group", "random"),
    "validation_share": ("corpus",),
    "test": ("held-out-speakers", "published"),
}
_SUCH_AS = {"n_groups": "6", "validation_share": "0.2", "test": '["ravdess/23"]'}


@dataclass(frozen=True, slots=True)
class ProtocolConfig:
    """Settings of the folds.

    Attributes:
        kind: Kind of fold. `session` (the study's), `speaker-group`, `speaker`: each is
            tested once and the next one validates. `corpus`: each is tested and some
            speakers of the others validate. `published`: a fold for each part in
            `test`, with the corpus's own parts Train and Development.
            `held-out-speakers`: one fold with the named speakers. With speakers in
            several parts: `random` (random parts), `hold-out` (one random part;
            production model), `prefix` (IEMOCAP's name
            prefixes), `session-prefix` (sessions are tested, a prefix validates).
        scored: Corpora that validate and test; if empty, all but `train_only`.
        train_only: Corpora that train in every fold, and are never scored.
        n_groups: Number of groups of `speaker-group`, or of parts of `random`.
        share: Share of the utterances tested by `hold-out`; 0 stands for 0.05.
        validation_share: Share of each training corpus's speakers, for `corpus`; share
            of the utterances, for `hold-out`, where 0 means no validation part.
        validation: Speakers that validate under `held-out-speakers`.
        test: Speakers that are tested under `held-out-speakers`, such as `ravdess/23`;
            parts of the corpus under `published`, such as `Test1`.
        select_on_test: Whether the test part also validates: a leak that some
            published results have.
    """

    kind: Kind = "session"
    scored: tuple[str, ...] = ()
    train_only: tuple[str, ...] = ()
    n_groups: int = 0
    share: float = 0.0
    validation_share: float = 0.0
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    select_on_test: bool = False


def make_folds(
    config: ProtocolConfig, utterances: Sequence[Utterance], seed: int = 0
) -> list[Fold]:
    """Make the folds of `config`; every training part has all classes.

    Args:
        config: The protocol.
        utterances: The utterances of all corpora, including those that only train.
        seed: Seed of random choices.

    Raises:
        ConfigError: A setting is missing, does not belong to the kind, or names an
            unknown corpus.
        SplitError: The utterances do not suffice for such folds.
    """
    _check_settings(config)
    scored, train_only = _roles(config, utterances)
    try:
        folds = list(_folds(config, scored, train_only, seed))
    except SplitError as error:
        raise SplitError(f"protocol.kind = '{config.kind}': {error}") from error
    for fold in folds:
        fold_class_weights(fold)  # refuses a fold that lacks a class
    return folds


def _folds(  # noqa: C901, PLR0911 - one a kind
    config: ProtocolConfig,
    scored: Sequence[Utterance],
    train_only: Sequence[Utterance],
    seed: int,
) -> Iterable[Fold]:
    chosen = config.select_on_test
    match config.kind:
        case "session":
            return splits.leave_one_session_out(scored, train_only)
        case "speaker-group":
            n = config.n_groups
            return splits.leave_one_speaker_group_out(scored, n, train_only)
        case "speaker":
            return splits.leave_one_speaker_out(scored, train_only)
        case "held-out-speakers":
            named = (config.validation, config.test)
            return [splits.hold_speakers_out(scored, *named, train_only)]
        case "corpus":
            share = config.validation_share
            return splits.leave_one_corpus_out(scored, share, seed, train_only)
        case "published":
            return splits.published_parts(scored, config.test, train_only)
        case "prefix":
            return leaky.leave_one_prefix_out(scored, train_only, select_on_test=chosen)
        case "session-prefix":
            return leaky.leave_one_session_out_by_prefix(scored, train_only)
        case "random":
            return leaky.random_k_folds(
                scored, config.n_groups, seed, train_only, select_on_test=chosen
            )
        case "hold-out":
            fold = leaky.random_hold_out(
                scored,
                # The study's production model was tested on a random 5 %.
                config.share or 0.05,
                seed,
                train_only,
                validation_share=config.validation_share,
                select_on_test=chosen,
            )
            return [fold]


def _check_settings(config: ProtocolConfig) -> None:
    # A setting without effect would make a recipe look like another experiment.
    for key, kinds in _USED_BY.items():
        value = getattr(config, key)
        if value and config.kind not in kinds:
            raise ConfigError(
                f"protocol.{key} is {value!r}, which kind '{config.kind}' does not "
                f"use; remove it, or set protocol.kind to one of {', '.join(kinds)}"
            )
        if not value and config.kind in _NEEDED_BY.get(key, ()):
            raise ConfigError(
                f"protocol.{key} is missing, which kind '{config.kind}' needs; "
                f"add {key} = {_SUCH_AS[key]}, for example"
            )
    if config.select_on_test and config.validation_share:
        raise ConfigError(
            "protocol.validation_share and protocol.select_on_test are both set; "
            "remove the one that should not choose the epoch"
        )


def _roles(
    config: ProtocolConfig, utterances: Sequence[Utterance]
) -> tuple[list[Utterance], list[Utterance]]:
    """Split utterances into those that may be scored and those that only train."""
    corpora = Counter(u.corpus for u in utterances)
    for key, names in (("scored", config.scored), ("train_only", config.train_only)):
        for name in names:
            if name not in corpora:
                meant = get_close_matches(name, corpora, n=1)
                hint = f"did you mean '{meant[0]}'?" if meant else "remove it"
                raise ConfigError(
                    f"protocol.{key} names '{name}', which is none of the corpora "
                    f"({', '.join(sorted(corpora)) or 'there are none'}); {hint}"
                )
    if both := set(config.scored) & set(config.train_only):
        raise ConfigError(
            f"{', '.join(sorted(both))}: in protocol.scored and protocol.train_only; "
            "keep it in one"
        )
    scored = set(config.scored) or set(corpora) - set(config.train_only)
    if idle := sorted(set(corpora) - scored - set(config.train_only)):
        raise ConfigError(
            f"{', '.join(idle)}: in neither protocol.scored nor protocol.train_only; "
            "add it to one, or remove it from the corpora"
        )
    if not scored:
        raise ConfigError(
            "protocol.train_only names every corpus; leave one to be scored"
        )
    return (
        [u for u in utterances if u.corpus in scored],
        [u for u in utterances if u.corpus not in scored],
    )
