"""A system: a network that a recipe of this repository trains on the table's clips.

    python -m research.peers.trained RECIPE --cache DIR TABLE OUT

The recipe reads the corpora's own recordings, which it trims and cuts as the clips are;
its copies of them in other conditions, and its recordings of noise, are part of it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.model.classifier import load_classifier
from espressivo.model.find import find_model
from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.config import ProfileConfig, read_config
from espressivo.training.corpora import Utterance
from espressivo.training.fit.predict import predict_clips
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.folder import is_finished, load_run
from espressivo.training.runs.train import train
from espressivo.training.scores.temperature import read_temperature, softmax
from espressivo.types import Emotion
from research.peers.features import cpu_time, load_clip
from research.peers.table import Cost, read_table, write_probabilities
from research.run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.networks.network import EmotionNetwork
    from espressivo.types import Signal
    from research.peers.table import Row

TIMED_CLIPS = 20


def main(argv: list[str] | None = None) -> int:
    """Train on a table, predict its test clips, and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.peers.trained", description=str(__doc__)
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="the exported model of this recipe, which is what is shipped and timed",
    )
    parser.add_argument("table", type=Path, metavar="TABLE")
    parser.add_argument("out", type=Path, metavar="OUT")
    return run(_predict, parser.parse_args(argv))


def _predict(args: argparse.Namespace) -> int:
    config = replace(read_config(args.recipe), profile=ProfileConfig())
    folder = args.cache / "runs" / args.recipe.stem / args.table.stem
    train_rows, test_rows = read_table(args.table)
    cache = args.cache / "espressivo"
    clips, unreadable = load_clips(
        [_utterance(row) for row in (*train_rows, *test_rows)], config.signal, cache
    )
    require_readable(unreadable)
    known, unknown = clips[: len(train_rows)], clips[len(train_rows) :]
    if is_finished(folder):
        torch.set_num_threads(config.threads)
        network = load_run(folder)
    else:
        network = train(config, known, folder, cache=cache)
    extractor = FeatureExtractor(network.eval(), cache)
    logits = predict_clips(make_batches(extractor, unknown, config))
    signals = [
        load_clip(row.path) for row in test_rows[:: -(-len(test_rows) // TIMED_CLIPS)]
    ]
    write_probabilities(
        args.out,
        [row.id for row in test_rows],
        softmax(logits, read_temperature(folder)["temperature"]),
        _cost(network, signals, args.model),
    )
    return 0


def _utterance(row: Row) -> Utterance:
    # The emotion of a test clip is not known here; no score is made of it.
    emotion = Emotion(row.label) if row.label else Emotion.NEUTRAL
    return Utterance(
        id=row.id,
        path=row.recording,
        speaker=row.speaker,
        session=row.speaker,
        emotion=emotion,
        corpus=row.corpus,
    )


def _cost(
    network: EmotionNetwork, signals: Sequence[Signal], model: str | None
) -> Cost:
    n_parameters, _ = count_parameters(network)
    if model is None:

        @torch.inference_mode()
        def classify(signal: Signal) -> object:
            return network(torch.tensor(signal)[None])

        return Cost(4 * n_parameters, n_parameters, cpu_time(classify, signals))
    folder = find_model(model)
    classifier = load_classifier(folder)
    return Cost(
        (folder / "model.onnx").stat().st_size,
        n_parameters,
        cpu_time(lambda signal: classifier(np.asarray(signal[None])), signals),
    )


if __name__ == "__main__":
    sys.exit(main())
