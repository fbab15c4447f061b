"""Is the rounded graph as good as the exact one on labelled recordings?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espressivo.training import statistics
from espressivo.training.corpora import read_corpus
from espressivo.training.evaluate import evaluate
from espressivo.training.export.folder import write_model
from espressivo.training.export.parity import agreement_of
from espressivo.training.export.report import HeldOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx


def score_held_out(
    fp32: onnx.ModelProto,
    shipped: onnx.ModelProto,
    details: dict[str, Any],
    corpora: Mapping[str, Path],
) -> tuple[HeldOut, ...]:
    """Score both graphs on every corpus, as `espressivo evaluate` does.

    Args:
        fp32: The exact graph.
        shipped: The graph to compare with it.
        details: Their card.
        corpora: Name of a corpus -> its folder.
    """
    if not corpora:
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        exact, rounded = Path(scratch, "exact"), Path(scratch, "rounded")
        for folder, graph in ((exact, fp32), (rounded, shipped)):
            folder.mkdir()
            write_model(folder, graph, details)
        return tuple(
            _score(name, root, exact, rounded) for name, root in corpora.items()
        )


def _score(corpus: str, root: Path, exact: Path, rounded: Path) -> HeldOut:
    utterances = read_corpus(corpus, root)
    wanted, found = evaluate(exact, utterances), evaluate(rounded, utterances)
    ua = statistics.compare(
        wanted.labels, wanted.probabilities, found.probabilities, wanted.speakers
    ).get("ua")
    return HeldOut(
        corpus=corpus,
        ua_fp32=wanted.scores.ua,
        ua=found.scores.ua,
        low=None if ua is None else ua.interval.low,
        high=None if ua is None else ua.interval.high,
        agreement=agreement_of(wanted.probabilities, found.probabilities),
    )
