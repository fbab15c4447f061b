"""What is a corpus of a recipe worth to the other corpora, as strangers?

    python -m research.strangers.without CORPUS RECIPE --cache DIR

Each other corpus is scored twice: by the recipe's classifier fitted to all corpora but
this one, and by one that CORPUS was left out of as well. The table has the UA of both,
as the recordings are and through a telephone, and the paired change with its 95 %
interval over speakers. The classifier is the recipe's, copies and background included,
before quantization. With the cache of `espressivo train` the encoder need not run.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ConfigError
from espressivo.training.config import read_config
from espressivo.training.fit.closed_form import fit_with_background
from espressivo.training.fit.lda import fit_lda
from espressivo.training.scores.bootstrap import resample_speakers, sums_by_speaker
from espressivo.training.scores.metrics import scores_from_sums, utterance_sums
from espressivo.training.scores.temperature import softmax
from espressivo.types import Emotion
from research.run import run
from research.strangers.settings import READERS, TESTED, Clips, read_clips
from research.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.scores.metrics import Floats


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", help="the corpus to leave out, as in the recipe")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="as of train --cache")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as of train"
    )
    raise SystemExit(run(_study, parser.parse_args()))


def _study(args: argparse.Namespace) -> int:
    config = read_config(args.recipe, args.set)
    if args.corpus not in config.corpora or config.classifier.fit != "discriminant":
        raise ConfigError(
            f"{args.recipe}: needs {args.corpus} under [corpora], and a classifier "
            "whose fit is discriminant"
        )
    clips = read_clips(config, args.cache, skipped=())
    print(table(clips, config, args.corpus).to_markdown())
    return 0


def table(clips: Clips, config: ExperimentConfig, corpus: str) -> Table:
    """Return UA with and without a corpus, in %, and the change, in points."""
    found = Table("without", f"UA %, trained with and without {corpus}", places=1)
    scored = [
        name
        for name in dict.fromkeys(clips.corpora.tolist())
        if name not in (corpus, READERS)
    ]
    draws = {
        name: _draws(clips, config, name, corpus, seed)
        for seed, name in enumerate(scored)
    }
    draws["mean"] = np.mean([draws[name] for name in scored], axis=0)
    others = [draws[name] for name in scored if name != "ravdess"]
    draws["mean without ravdess"] = np.mean(others, axis=0)
    for name, of_sounds in draws.items():
        found.rows[name] = {}
        for sound, (kept, left) in zip(TESTED, of_sounds, strict=True):
            found.rows[name] |= {
                f"{sound}, with": Cell(float(kept[0])),
                f"{sound}, without": Cell(float(left[0])),
                f"{sound}, change": Cell.of(left - kept),
            }
    return found


def _draws(
    clips: Clips, config: ExperimentConfig, scored: str, corpus: str, seed: int
) -> Floats:
    """Return the UA of `scored` in %, [sounds, with and without `corpus`, 1 + R].

    The first of each row is as measured, the others are of resampled speakers.
    """
    is_scored = clips.corpora == scored
    speakers = clips.speakers[is_scored].tolist()
    times = resample_speakers(speakers, seed)
    if times is None:
        raise ConfigError(f"{scored}: has one speaker, so that no interval can be had")
    times = np.concatenate([np.ones((1, times.shape[1])), times])
    uas = []
    for left_out in ((scored,), (scored, corpus)):
        for logits in _logits(clips, config, left_out, is_scored):
            sums = utterance_sums(clips.labels[is_scored], softmax(logits))
            by_speaker = sums_by_speaker(sums, speakers)
            uas.append(100 * scores_from_sums(times @ by_speaker, len(Emotion))["ua"])
    return np.stack(uas).reshape(2, len(TESTED), -1).swapaxes(0, 1)


def _logits(
    clips: Clips, config: ExperimentConfig, left_out: Sequence[str], wanted: Floats
) -> list[Floats]:
    """Return the logits of the wanted clips in each of `TESTED`, without `left_out`."""
    kept = clips.is_trained & ~np.isin(clips.corpora, left_out)
    parts = [clips.embeddings[n][kept] for n in ("clean", *config.augmentation.copies)]
    rows = np.concatenate(parts).reshape(len(parts) * kept.sum(), -1)
    mean = rows.mean(0)
    classifier = config.classifier
    lda = partial(fit_lda, interaction=classifier.interaction, ridge=classifier.ridge)
    weight, bias = fit_with_background(
        lda,
        clips.background - mean,
        rows - mean,
        np.tile(clips.labels[kept], len(parts)),
        clips.corpora[kept].tolist() * len(parts),
    )
    n = len(Emotion)
    return [
        (clips.embeddings[sound][wanted].reshape(wanted.sum(), -1) - mean)
        @ weight[:n].T
        + bias[:n]
        for sound in TESTED
    ]


if __name__ == "__main__":
    main()
