"""Cross-validations that reproduce each published study, with published numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.errors import ConfigError
from espressivo.training.config import ExperimentConfig, read_config
from espressivo.training.folds.protocol import (
    ProtocolConfig,
    make_folds,
)
from espressivo.training.networks import build_network, load_pretrained
from espressivo.training.scores.evaluation import PREDICTIONS
from espressivo.training.tables.published import (
    OTHERS,
    STUDY,
    Published,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.folds.splits import Fold
    from espressivo.training.networks.config import Frozen
    from espressivo.training.reproduce.study_corpora import StudyCorpus

RECIPES = Path(__file__).parents[1] / "recipes"
"""Folder of `paper.toml`, `pepino.toml` and `light-sernet.toml`."""

# Settings that a stage sets itself; other values would make another experiment.
_SET_HERE = ("protocol", "corpora", "name", "seed")
# Settings that change no result, except in the last digits.
_NEUTRAL = ("threads", "workers", "device")


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """One result of a study, measured here or not.

    Attributes:
        name: Name of the result folder.
        table: The study's table that shows it.
        title: What is tested, in words.
        published: The published numbers; None if there are none under these folds.
    """

    name: str
    table: str
    title: str
    published: Published | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One cross-validation.

    Attributes:
        entry: Entry of the study that the results belong to.
        config: Configuration of the experiment.
        folds: The folds, in order.
    """

    entry: StudyEntry
    config: ExperimentConfig
    folds: tuple[Fold, ...]


# The study's text allows both readings: only the convolutions are frozen, or all
# but the head.
_BOTH_WAYS = (("", ""), ("-frozen", ", all but the head frozen"))
_PEPINO = tuple(p for p in OTHERS if p.source.startswith("Pepino"))
(_LIGHT_SERNET,) = (p for p in OTHERS if p.system == "LIGHT-SERNET")
ENTRIES: dict[str, tuple[StudyEntry, ...]] = {
    "paper": tuple(
        StudyEntry(name + ending, table, title + words, published)
        for (name, table, title), published in zip(
            (
                ("iemocap-only", "I", "IEMOCAP only"),
                ("with-crema-d", "I", "with CREMA-D"),
                ("production", "production", "production model"),
                ("ravdess", "fig1", "production model on RAVDESS"),
            ),
            STUDY,
            strict=True,
        )
        for ending, words in _BOTH_WAYS
    ),
    "pepino": (
        StudyEntry("as-published", "all", "as published", _PEPINO[0]),
        StudyEntry(
            "training-statistics",
            "all",
            "as published, training statistics",
            _PEPINO[1],
        ),
        StudyEntry("our-folds", "all", "our folds", None),
    ),
    "light-sernet": (
        StudyEntry("as-published", "all", "as published", _LIGHT_SERNET),
        StudyEntry("our-folds", "all", "our folds", None),
    ),
}
"""Name of a study -> its results, in the order of the tables."""


def read_study_recipe(
    name: str, settings: Sequence[str] = (), weights: str = ""
) -> ExperimentConfig:
    """Read the recipe of a study with the settings of the command line.

    Args:
        name: `paper`, `pepino` or `light-sernet`.
        settings: Settings of the command line, `KEY=VALUE` each.
        weights: Pretrained encoder: a folder or a name on the hub; the recipe's if
            empty.

    Raises:
        ConfigError: A setting is invalid, or is fixed by `reproduce`.
    """
    for setting in settings:
        key = setting.partition("=")[0].strip()
        # Whatever a stage sets itself would silently overwrite the user's value.
        if key.partition(".")[0] in _SET_HERE:
            raise ConfigError(
                f"'{setting}': reproduce sets {key} itself; run espressivo crossval "
                f"with a copy of {RECIPES / name}.toml for another experiment"
            )
        if key == "network.weights":
            raise ConfigError(f"'{setting}': pass --weights instead")
    config = read_config(RECIPES / f"{name}.toml", settings)
    if not weights:
        return config
    folder = Path(weights).expanduser()
    # The configuration is saved in a result folder, where relative paths would start.
    found = str(folder.absolute()) if folder.is_dir() else weights
    return replace(config, network=replace(config.network, weights=found))


def changes(settings: Sequence[str]) -> str:
    """Return a sentence that lists the settings that differ from the recipe.

    Settings that affect no number are left out; without others the text is empty.

    >>> changes(["training.epochs=2", "device=cpu"])
    'not the published recipe: training.epochs=2.'
    """
    last = {s.partition("=")[0].strip(): s for s in settings}
    told = [setting for key, setting in last.items() if key not in _NEUTRAL]
    return f"not the published recipe: {', '.join(told)}." if told else ""


def require_weights(stages: Sequence[Stage], out: Path, seeds: Sequence[int]) -> None:
    """Load the pretrained encoder once, so that an error shows before corpora are read.

    Args:
        stages: All stages of one study, which have the same encoder.
        out: Folder of their results; if all are finished, nothing is loaded.
        seeds: Seeds of the runs.

    Raises:
        TrainingError: The weights are absent, or belong to another network.
    """
    runs = (
        out / stage.entry.name / fold.name / f"seed-{seed}" / PREDICTIONS
        for stage in stages
        for fold in stage.folds
        for seed in seeds
    )
    if not all(run.is_file() for run in runs):
        config = stages[0].config.network
        load_pretrained(build_network(config), config)


def paper_stages(
    config: ExperimentConfig,
    sources: Mapping[str, StudyCorpus],
    tables: Sequence[str],
    frozen: Frozen = "convolutions",
) -> list[Stage]:
    """Return the study's stages for the requested tables.

    Args:
        config: The recipe `paper.toml`.
        sources: Corpora by name: `iemocap`, and optionally `crema-d`.
        tables: Requested tables: `I`, `production` and `fig1`, which tests the
            production model.
        frozen: Part of the encoder that is not trained.
    """
    ending = "" if frozen == "convolutions" else "-frozen"
    entries = {entry.name: entry for entry in ENTRIES["paper"]}
    ours = replace(config, network=replace(config.network, frozen=frozen))
    only = {"iemocap": sources["iemocap"]}
    # CREMA-D only trains; the study never validates or tests on it.
    both = only | {n: s for n, s in sources.items() if n == "crema-d"}
    session = ProtocolConfig("session")
    planned = []
    if "I" in tables:
        planned.append(("iemocap-only", "iemocap", session, only))
    if "I" in tables and len(both) > 1:
        with_more = replace(session, train_only=("crema-d",))
        planned.append(("with-crema-d", "iemocap-crema-d", with_more, both))
    if {"production", "fig1"} & set(tables):
        # The study describes two parts and early stopping, so its 5 % test part must
        # also have selected the epoch.
        random = ProtocolConfig("hold-out", share=0.05, select_on_test=True)
        planned.append(("production", "production", random, both))
    return [
        _stage(
            entries[folder + ending],
            replace(ours, name=f"distilhubert-{name}{ending}"),
            protocol,
            chosen,
        )
        for folder, name, protocol, chosen in planned
    ]


def pepino_stages(config: ExperimentConfig, iemocap: StudyCorpus) -> list[Stage]:
    """Return Pepino's three stages.

    The first standardizes by per-speaker statistics, the second by training statistics;
    the third has our folds.
    """
    # The published number needs statistics of the test speakers, which a deployed
    # system lacks; hence the second stage.
    speakers = replace(config.training, speaker_statistics=True)
    published, training, ours = ENTRIES["pepino"]
    prefix, only = ProtocolConfig("session-prefix"), {"iemocap": iemocap}
    return [
        _stage(
            published,
            replace(config, name="pepino-as-published", training=speakers),
            prefix,
            only,
        ),
        _stage(
            training, replace(config, name="pepino-training-statistics"), prefix, only
        ),
        _stage(
            ours,
            replace(config, name="pepino-our-folds"),
            ProtocolConfig("session"),
            only,
        ),
    ]


def light_sernet_stages(
    config: ExperimentConfig,
    iemocap: StudyCorpus,
    window_s: float = 7.0,
) -> list[Stage]:
    """Return LIGHT-SERNET's two stages: as published, and with our folds.

    The published folds go by name prefix, and the test part selects the epoch.
    """
    # LIGHT-SERNET was published with windows of 3 and 7 s.
    config = replace(config, network=replace(config.network, window_s=window_s))
    protocols = (
        ProtocolConfig("prefix", select_on_test=True),
        ProtocolConfig("session"),
    )
    return [
        _stage(
            entry,
            replace(config, name=f"light-sernet-{entry.name}"),
            protocol,
            {"iemocap": iemocap},
        )
        for entry, protocol in zip(ENTRIES["light-sernet"], protocols, strict=True)
    ]


def _stage(
    entry: StudyEntry,
    config: ExperimentConfig,
    protocol: ProtocolConfig,
    sources: Mapping[str, StudyCorpus],
) -> Stage:
    roots = {name: source.root for name, source in sources.items()}
    utterances = [u for source in sources.values() for u in source.utterances]
    config = replace(config, protocol=protocol, corpora=roots)
    folds = tuple(make_folds(protocol, utterances, config.seed))
    return Stage(entry, config, folds)
