"""`espressivo compress distil`: a small network learns from trained ones, resumable."""

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
    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig

_DESCRIPTION = """\
Train a small network, the student, to give what trained networks, its teachers, give:
the embedding and the probabilities of every clip, of its copies in conditions
(`augmentation.copies`) and of its variants (speed). Where clips have labels, the
student learns them too, and its last layer is fitted to them as `espressivo train`
does it.

CONFIG.toml describes the student as it describes any network; [distillation] weighs
the parts of the loss. With several teachers, their probabilities are averaged, and
the student learns the embedding of each. The run folder is what `espressivo train`
writes: `espressivo export` makes a model of it. The same command resumes an
interrupted run, even a killed one.

With --leave-out, corpora are not trained on but scored after every epoch, and nothing
is selected by it. A teacher that was trained on one of them is refused, since the
student would know it from the teacher.

--unlabelled names a folder of recordings whose labels nobody knows; with no [corpora]
in the file, they are all there is."""

_EPILOG = """\
examples:
  espressivo train recipes/espressivo-base.toml --out runs/base --cache .cache
  espressivo compress distil recipes/student.toml --teacher runs/base \\
      --out runs/student --cache .cache
  espressivo compress distil mine.toml --teacher runs/base --teacher runs/tiny \\
      --out runs/small --unlabelled ~/podcasts

exit codes:
  0 done, 1 the configuration, a teacher or a corpus is at fault, 130 interrupted
  (resumable)"""


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `espressivo compress`."""
    parser = actions.add_parser(
        "distil",
        help="train a small network to do what a large one does",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    add_teachers(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="the run's folder"
    )
    parser.set_defaults(run=run)


def add_teachers(parser: argparse.ArgumentParser) -> None:
    """Add the teachers, the corpora left out, what has no labels, and the cache."""
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        required=True,
        dest="teachers",
        metavar="RUN",
        help="run folder of a trained network; repeatable",
    )
    parser.add_argument(
        "--unlabelled",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of recordings without labels to learn from; repeatable",
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="CORPUS",
        help="do not train on this one, score it instead; repeatable",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep decoded recordings, features and the teachers' outputs here "
        "(default: no cache: a resumed run hears its teachers again)",
    )


def run(args: argparse.Namespace) -> int:
    """Start or resume the distillation."""
    from espressivo.cli.display.training_progress import distillation_bar, interrupted
    from espressivo.training.compress.distil import distil

    config = read_recipe(args, args.leave_out)
    clips, validation, unlabelled = read_clips(config, args)
    try:
        with distillation_bar(config.training.epochs) as (on_teacher, on_epoch):
            distil(
                config,
                clips,
                args.out,
                teachers=args.teachers,
                unlabelled=unlabelled,
                validation=validation,
                cache=args.cache,
                on_teacher=on_teacher,
                on_epoch=on_epoch,
            )
    except KeyboardInterrupt as interrupt:
        return interrupted(args.out, interrupt)
    say(f"{args.out}: trained; next: espressivo export {args.out} --out DIR")
    return 0


def read_clips(
    config: ExperimentConfig, args: argparse.Namespace
) -> tuple[list[LoadedClip], list[LoadedClip], list[LoadedClip]]:
    """Return the clips to train on, those that are left out, and the unlabelled.

    Args:
        config: The recipe.
        args: Arguments of a parser with `add_teachers`.

    Raises:
        CorpusError: A corpus or folder is absent, or a recording cannot be read.
    """
    from espressivo.training.clips.load import load_unlabelled

    trained, scored = read_utterances(config, args.leave_out)
    clips = load_utterances([*trained, *scored], config, args.cache)
    unlabelled = [
        clip
        for folder in args.unlabelled
        for clip in load_unlabelled(
            folder, folder.resolve().name, config.signal, args.cache
        )
    ]
    names = {utterance.id for utterance in trained}
    return (
        [clip for clip in clips if clip.utterance.id in names],
        [clip for clip in clips if clip.utterance.id not in names],
        unlabelled,
    )
