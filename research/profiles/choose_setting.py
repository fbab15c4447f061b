"""Choose how a profile is used: a grid over corpora that are left out of training.

Each run was trained without one corpus and exported in fp32. Its profile head is scored
on that corpus with every setting, on the histories of the profile study. The chosen
setting has the largest mean change of UA over all kinds and sizes of history, among
those with which no one-sided history costs more than one point on any of the corpora.
If there is none, the setting that costs least is chosen.

    python -m research.profiles.choose_setting \
        runs/profile/tess tess $ESPRESSIVO_DATA/corpora/tess \
        runs/profile/nemo nemo $ESPRESSIVO_DATA/corpora/nemo \
        runs/profile/emodb emodb $ESPRESSIVO_DATA/corpora/emodb
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from espressivo.model.classifier import load_classifier
from espressivo.training.corpora import read_corpus
from espressivo.training.fit.profile_head import ProfileClassifier
from espressivo.training.runs.folder import PROFILE
from research.profiles.histories import HISTORY_KINDS
from research.profiles.report import ProfileCase, gains
from research.profiles.study import ClipPredictions, predict_clips, score_histories

PATIENCE = (1.0, 2.0, 4.0)
DISCOUNT = (0.7, 1.0)
SPREAD = (0.5, 0.7, 0.8, 0.9)
SIZES = (2, 5, 10, 20, None)
LEAST = -0.01


def main() -> None:
    """Print the mean and the worst one-sided change of each setting, and the choice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+", metavar="RUN CORPUS DIR")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    triples = np.reshape(args.cases, (-1, 3)).tolist()
    heads = [ProfileClassifier.read(Path(run) / PROFILE) for run, _, _ in triples]
    folders = [Path(run) / "model" for run, _, _ in triples]
    temperatures = [load_classifier(folder).card.temperature for folder in folders]
    predicted = [
        predict_clips(folder, read_corpus(corpus, Path(root)))
        for folder, (_, corpus, root) in zip(folders, triples, strict=True)
    ]
    known = list(zip(heads, temperatures, predicted, strict=True))
    print("patience discount spread   mean  worst  balanced 20  one 20")
    found = []
    for setting in product(PATIENCE, DISCOUNT, SPREAD):
        mean, worst, *shown = _score_setting(known, setting, args.draws)
        rank = (1, mean) if worst >= LEAST else (0, worst)
        found.append((*rank, setting))
        line = " ".join(f"{100 * value:+7.2f}" for value in (mean, worst, *shown))
        print("{:8g} {:8g} {:6g}".format(*setting), line, flush=True)
    _, _, setting = max(found)
    print("chosen: patience {:g}, discount {:g}, spread {:g}".format(*setting))


def _score_setting(
    known: list[tuple[ProfileClassifier, float, ClipPredictions]],
    setting: tuple[float, float, float],
    n_draws: int,
) -> tuple[float, float, float, float]:
    patience, discount, spread = setting
    cases = []
    for head, temperature, clips in known:
        tried = replace(
            head,
            patience=patience,
            discount=discount,
            spread=spread,
        )
        cells = score_histories(
            clips,
            partial(tried.probabilities, temperature=temperature),
            kinds=[kind for kind in HISTORY_KINDS if not kind.transductive],
            sizes=SIZES,
            n_draws=n_draws,
        )
        n_speakers = len(set(clips.speakers))
        n_clips = len(clips.labels)
        cases.append(ProfileCase("", {}, n_clips, n_speakers, n_draws, tuple(cells)))
    change = gains(cases)
    kinds = ("balanced", "natural", "one", "two")
    mean = np.mean(
        [np.mean([v for k, v in change.items() if k[0] == kind]) for kind in kinds]
    )
    worst = min(
        v for case in cases for k, v in gains([case]).items() if k[0] in {"one", "two"}
    )
    one = np.mean([v for k, v in change.items() if k[0] == "one" and k[2] == "20"])
    return float(mean), worst, change["balanced", (), "20"], float(one)


if __name__ == "__main__":
    main()
