"""Which classifier holds on a corpus that it never met?

    python -m research.strangers.settings RECIPE --cache DIR

Each corpus of the recipe is left out of the fit in turn and scored, except RAVDESS,
which is neither trained on nor scored here: it tests what is chosen. The table has the
UA of each left-out corpus as it is and through a telephone, and the share of unheard
readers of LibriSpeech who are neutral. The encoder runs once for each clip and
condition; with the cache of `espressivo train` it need not run at all.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.errors import ConfigError
from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.config import read_config
from espressivo.training.corpora import read_corpus
from espressivo.training.corpora.utterance import select_speakers
from espressivo.training.fit.closed_form import embed_background, fit_logistic
from espressivo.training.fit.lda import fit_lda
from espressivo.training.fit.predict import apply_to_clips
from espressivo.training.networks import build_network, load_pretrained
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import softmax
from research.run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.config import ExperimentConfig

    Rows = NDArray[np.float64]
    Fit = Callable[[Rows, NDArray[np.intp], Sequence[str]], tuple[Rows, Rows]]

TESTED = ("clean", "telephone")
READERS = "librispeech"


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    Attributes:
        name: What the row is called.
        fit: Function that fits the classifier.
        copies: Conditions of which every clip has a copy in training.
        states: Which of the joined hidden states are used, from 0; all if empty.
        standardized: Whether every dimension is divided by its deviation.
    """

    name: str
    fit: Fit
    copies: tuple[str, ...] = ()
    states: tuple[int, ...] = ()
    standardized: bool = False


@dataclass(frozen=True, slots=True)
class Clips:
    """What is known of all clips.

    Attributes:
        embeddings: Condition -> [N, states, width].
        labels: [N].
        corpora: [N].
        speakers: [N].
        background: Embeddings of silence and noise [M, states * width], as the recipe
            trains on them; M is 0 if it does not.
        is_trained: Whether a clip may be trained on [N]; the rest are unheard readers.
    """

    embeddings: dict[str, Rows]
    labels: NDArray[np.intp]
    corpora: NDArray[np.str_]
    speakers: NDArray[np.str_]
    background: Rows
    is_trained: NDArray[np.bool_]


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="as of train --cache")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as of train"
    )
    raise SystemExit(run(_study, parser.parse_args()))


def _study(args: argparse.Namespace) -> int:
    config = read_config(args.recipe, args.set)
    if READERS not in config.corpora or READERS not in config.speakers:
        raise ConfigError(
            f"{args.recipe}: needs {READERS} under [corpora] and half of its speakers "
            "under [speakers]; the others are the unheard readers"
        )
    clips = read_clips(config, args.cache)
    found = dict.fromkeys(clips.corpora.tolist())
    names = [str(name) for name in found if name != READERS]
    print("| setting | sound |", " | ".join(names), "| mean | readers neutral |")
    print("|---|---" + "|---" * (len(names) + 2) + "|")
    for setting in settings(config):
        for sound, scores in _scores(clips, setting).items():
            shown = [scores[name] for name in names]
            shown += [float(np.mean(shown)), scores[READERS]]
            cells = " | ".join(f"{100 * value:.1f}" for value in shown)
            print(f"| {setting.name} | {sound} | {cells} |", flush=True)
    return 0


def settings(config: ExperimentConfig) -> list[Setting]:
    """Return the rows of the table, as far as the recipe makes their copies."""
    lda = fit_lda
    states = config.network.states
    telephone = ("telephone",)
    both = ("telephone", "varied")
    one_by_one = [
        Setting(f"state {state}", lda, states=(i,)) for i, state in enumerate(states)
    ]
    rows = [
        *one_by_one,
        Setting("all states", lda),
        Setting("every dimension standardized", lda, standardized=True),
        Setting("copies: telephone", lda, telephone),
        Setting("copies: telephone, varied", lda, both),
        Setting("the same, ridge 0.1", partial(lda, ridge=0.1), both),
        Setting("the same, ridge 1", partial(lda, ridge=1.0), both),
        Setting("the same, interaction 0.3", partial(lda, interaction=0.3), both),
        Setting("the same, interaction 3", partial(lda, interaction=3.0), both),
        Setting(
            "the same, logistic regression, C 0.003",
            partial(fit_logistic, strength=0.003),
            both,
            standardized=True,
        ),
    ]
    made = {*TESTED, *config.augmentation.copies}
    return [row for row in rows if made.issuperset(row.copies)]


def read_clips(
    config: ExperimentConfig, cache: Path, skipped: Sequence[str] = ("ravdess",)
) -> Clips:
    """Return the embeddings of all clips but those of `skipped`, in all conditions."""
    torch.set_num_threads(config.threads)
    utterances = [
        utterance
        for name, root in config.corpora.items()
        if name not in skipped
        for utterance in read_corpus(name, root)
    ]
    kept = {
        u.id
        for name, half in config.speakers.items()
        for u in select_speakers([u for u in utterances if u.corpus == name], half)
    }
    loaded, unreadable = load_clips(utterances, config.signal, cache)
    require_readable(unreadable)
    network = build_network(config.network)
    load_pretrained(network, config.network)
    batches = make_batches(FeatureExtractor(network.eval(), cache), loaded, config)
    embeddings = {}
    for name in dict.fromkeys((*TESTED, *config.augmentation.copies)):
        part = batches if name == "clean" else batches.in_condition(name)
        rows = apply_to_clips(part, network.pooled).astype(np.float64)
        embeddings[name] = rows.reshape(len(rows), len(config.network.states), -1)
    width = embeddings["clean"][0].size
    background = (
        embed_background(batches).numpy().astype(np.float64)
        if config.classifier.background
        else np.zeros((0, width))
    )
    return Clips(
        embeddings,
        batches.labels.astype(np.intp),
        np.array([u.corpus for u in utterances]),
        np.array([u.speaker for u in utterances]),
        background,
        np.array([u.corpus not in config.speakers or u.id in kept for u in utterances]),
    )


def _scores(clips: Clips, setting: Setting) -> dict[str, dict[str, float]]:
    """Return, by sound, the UA on each corpus left out; accuracy on the readers."""
    chosen = {
        name: (rows[:, list(setting.states)] if setting.states else rows).reshape(
            len(rows), -1
        )
        for name, rows in clips.embeddings.items()
    }
    scores: dict[str, dict[str, float]] = {sound: {} for sound in TESTED}
    for name in dict.fromkeys(clips.corpora.tolist()):
        is_left = (clips.corpora == name) & ((name != READERS) | ~clips.is_trained)
        kept = clips.is_trained & ~is_left
        parts = [chosen[part][kept] for part in ("clean", *setting.copies)]
        rows = np.concatenate(parts)
        mean = rows.mean(0)
        scale = rows.std(0) + 1e-4 if setting.standardized else 1.0
        weight, bias = setting.fit(
            (rows - mean) / scale,
            np.tile(clips.labels[kept], len(parts)),
            clips.corpora[kept].tolist() * len(parts),
        )
        for sound in TESTED:
            logits = (chosen[sound][is_left] - mean) / scale @ weight.T + bias
            found = score(clips.labels[is_left], softmax(logits))
            scores[sound][name] = found.wa if name == READERS else found.ua
    return scores


if __name__ == "__main__":
    main()
