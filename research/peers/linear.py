"""A system: features of a clip, standardized, and a classifier of them.

    python -m research.peers.linear --features egemaps --classifier logistic TABLE OUT

All settings are fixed beforehand, and none is chosen by results: C = 1 throughout, the
kernel's width is scikit-learn's `scale`, the discriminant is espressivo's own with its
own settings. All four classes have equal weight; to the discriminant, all corpora too.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espressivo.cli.display.progress import counting_bar
from espressivo.training.fit.closed_form import fit_logistic
from espressivo.training.fit.lda import fit_lda
from espressivo.training.scores.temperature import softmax
from research.peers.features import (
    compute_features,
    cpu_time,
    find_features,
    load_clip,
)
from research.peers.table import EMOTIONS, Cost, read_table, write_probabilities
from research.run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TIMED_CLIPS = 20


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        logits: Function from standardized features [N, width] to logits [N, 4].
        n_parameters: Number of its parameters.
    """

    logits: Callable[[Floats], Floats]
    n_parameters: int


def fit_linear(
    fit: Callable[..., tuple[Floats, Floats]],
    rows: Floats,
    labels: NDArray[np.integer],
    corpora: Sequence[str],
) -> Classifier:
    """Return a classifier with a weight and a bias for each class."""
    weight, bias = fit(rows, labels, corpora)
    return Classifier(lambda x: x @ weight.T + bias, weight.size + bias.size)


def fit_svm(
    kernel: str, rows: Floats, labels: NDArray[np.integer], _corpora: Sequence[str]
) -> Classifier:
    """Return a support vector machine, whose logits are its decision values."""
    from sklearn.svm import SVC, LinearSVC  # noqa: PLC0415 - slow

    if kernel == "linear":
        # One class against the rest, as is usual for eGeMAPS.
        model = LinearSVC(C=1.0, class_weight="balanced", max_iter=20_000)
        model.fit(rows, labels)
        n = model.coef_.size + model.intercept_.size
    else:
        model = SVC(C=1.0, kernel=kernel, gamma="scale", class_weight="balanced")
        model.fit(rows, labels)
        n = model.support_vectors_.size + model.dual_coef_.size + len(model.intercept_)
    return Classifier(model.decision_function, n)


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {
    "logistic": lambda *data: fit_linear(fit_logistic, *data),
    "discriminant": lambda *data: fit_linear(fit_lda, *data),
    "svm-linear": lambda *data: fit_svm("linear", *data),
    "svm-rbf": lambda *data: fit_svm("rbf", *data),
}


def main(argv: list[str] | None = None) -> int:
    """Run the system on a table and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.peers.linear", description=str(__doc__)
    )
    parser.add_argument("--features", required=True, metavar="NAME")
    parser.add_argument("--weights", type=Path, help="Whisper's encoder")
    parser.add_argument("--classifier", required=True, choices=CLASSIFIERS)
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR")
    parser.add_argument("table", type=Path, metavar="TABLE")
    parser.add_argument("out", type=Path, metavar="OUT")
    return run(_predict, parser.parse_args(argv))


def _predict(args: argparse.Namespace) -> int:
    train, test = read_table(args.table)
    features = find_features(args.features, args.weights)
    paths = [row.path for row in (*train, *test)]
    with counting_bar(features.key) as progress:
        rows = compute_features(features, paths, args.cache, progress)
    known, unknown = rows[: len(train)], rows[len(train) :]
    mean = known.mean(0, dtype=np.float64)
    scale = known.std(0, dtype=np.float64) + 1e-6
    classifier = CLASSIFIERS[args.classifier](
        (known - mean) / scale,
        np.array([EMOTIONS.index(row.label) for row in train]),
        [row.corpus for row in train],
    )

    def logits(some: NDArray[np.floating]) -> Floats:
        return classifier.logits((some - mean) / scale)

    signals = [load_clip(row.path) for row in test[:: -(-len(test) // TIMED_CLIPS)]]
    n = features.n_parameters + mean.size + scale.size + classifier.n_parameters
    cost = Cost(
        n_bytes=features.n_bytes + 4 * (n - features.n_parameters),
        n_parameters=n,
        ms_per_s=cpu_time(lambda x: logits(features.compute(x)[None]), signals),
    )
    ids = [row.id for row in test]
    write_probabilities(args.out, ids, softmax(logits(unknown)), cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
