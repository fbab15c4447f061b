"""`espressivo train`: training of one model from a configuration, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.display.printing import say
from espressivo.cli.recipe import (
    add_recipe_arguments,
    load_utterances,
    read_recipe,
    read_utterances,
)

if TYPE_CHECKING:
    from espressivo.training.config import ExperimentConfig

_DESCRIPTION = """\
Train one model from a TOML file with its corpora, network, epochs and augmentation.
The run folder contains the configuration, the metrics of every epoch, and the weights;
`espressivo export` makes a model of them. The same command resumes an interrupted run,
even a killed one, after its last finished epoch, and ends with the same weights.

With --leave-out, a corpus is not trained on but scored after every epoch: it shows how
well the model does on an unseen corpus. Nothing is selected by that score. To train
and test on the folds of a protocol, use `espressivo crossval`.

With `task = "dimensions"` or "both" in the file, arousal, valence or dominance are
learned from listeners' ratings, with the loss 1 - CCC. See docs/train.md, "Dimensions".

With --licence commercial, training is refused if the terms of a corpus, or of the
starting weights, forbid commercial use or leave it open; all such are named. Terms of
your own recordings are stated as `licences.manifest` (CC-BY-4.0, CC0-1.0, own, ...).

With `speakers.CORPUS = "even"` in the file, only every second speaker of that corpus is
trained on; `espressivo evaluate --speakers odd` scores the model on the others.

With [adaptation] in the file, corpora or speakers are made alike for the network (DANN,
CDAN, CORAL, MixStyle, ...). With `adaptation.target = "left-out"`, the recordings of
--leave-out take part, without their labels. See docs/train.md, "Domain adaptation"."""

_EPILOG = """\
examples:
  espressivo train recipes/espressivo-tiny.toml --out runs/tiny
  espressivo train recipes/espressivo-tiny.toml --out runs/no-tess --leave-out tess
  espressivo train mine.toml --out runs/mine --corpus ravdess=~/corpora/ravdess
  espressivo train mine.toml --out runs/mine --set training.epochs=5
  espressivo train mine.toml --out runs/sold --licence commercial
  espressivo train mine.toml --out runs/aligned --leave-out tess \\
      --set adaptation.method=class-coral --set adaptation.target=left-out

exit codes:
  0 done, 1 the configuration or a corpus is at fault, 130 interrupted (resumable)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "train",
        help="train a model from a configuration",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="the run's folder"
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="CORPUS",
        help="do not train on this one, score it instead; repeatable (default: train "
        "on all)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="random seed (default: the configuration's)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep decoded recordings and the outputs of frozen layers here, for the "
        "next epoch and run (default: no cache)",
    )
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="go on without recordings that cannot be read (default: stop)",
    )
    parser.add_argument(
        "--licence",
        choices=("commercial",),
        help="refuse corpora and weights that do not allow this use (default: take "
        "all; the model's card says what they forbid)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start or resume the training."""
    from dataclasses import replace

    from espressivo.cli.display.training_progress import (
        epochs_bar,
        interrupted,
    )
    from espressivo.training.runs.train import train

    config = read_recipe(args, args.leave_out)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    utterances, validation = read_utterances(config, args.leave_out)
    if args.licence == "commercial":
        _require_commercial(config, {u.corpus for u in utterances}, args.leave_out)
    clips = load_utterances(
        [*utterances, *validation],
        config,
        args.cache,
        skip_unreadable=args.skip_unreadable,
    )
    trained_on = {utterance.id for utterance in utterances}
    left_out = [clip for clip in clips if clip.utterance.id not in trained_on]
    try:
        with epochs_bar(config.training.epochs) as on_epoch:
            train(
                config,
                [clip for clip in clips if clip.utterance.id in trained_on],
                args.out,
                validation=left_out,
                left_out=left_out,
                cache=args.cache,
                on_epoch=on_epoch,
            )
    except KeyboardInterrupt as interrupt:
        return interrupted(args.out, interrupt)
    say(f"{args.out}: trained; next: espressivo export {args.out} --out DIR")
    return 0


def _require_commercial(
    config: ExperimentConfig, corpora: set[str], left_out: list[str]
) -> None:
    from espressivo.training.config import LEFT_OUT
    from espressivo.training.corpora.use import require_commercial
    from espressivo.training.export.card import sources_of

    # A model is made from unlabelled recordings too.
    target = config.adaptation.target
    unlabelled = {*left_out} if target == LEFT_OUT else {Path(target).name} - {""}
    require_commercial(sources_of(config, corpora | unlabelled))
