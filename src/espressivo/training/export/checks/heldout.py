"""Is the reduced graph as good as the exact one on labelled recordings?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espressivo.training.evaluate import evaluate
from espressivo.training.export.checks.parity import agreement_of
from espressivo.training.export.folder import write_model
from espressivo.training.export.report import HeldOut
from espressivo.training.scores import bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from espressivo.training.corpora import Utterance


def score_held_out(
    fp32: onnx.ModelProto,
    shipped: onnx.ModelProto,
    details: dict[str, Any],
    sets: Mapping[str, Sequence[Utterance]],
) -> tuple[HeldOut, ...]:
    """Score both graphs on labelled recordings, as `espressivo evaluate` does.

    Args:
        fp32: The exact graph.
        shipped: The graph to compare with it.
        details: Their card.
        sets: Name -> recordings that trained nothing.
    """
    if not sets:
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        exact, reduced = Path(scratch, "exact"), Path(scratch, "reduced")
        for folder, graph in ((exact, fp32), (reduced, shipped)):
            folder.mkdir()
            write_model(folder, graph, details)
        return tuple(
            _score(name, utterances, exact, reduced)
            for name, utterances in sets.items()
        )


def _score(
    name: str, utterances: Sequence[Utterance], exact: Path, reduced: Path
) -> HeldOut:
    wanted, found = evaluate(exact, utterances), evaluate(reduced, utterances)
    difference = bootstrap.compare(
        wanted.labels, wanted.probabilities, found.probabilities, wanted.speakers
    ).get("ua")
    return HeldOut(
        corpus=name,
        n_speakers=len({*wanted.speakers}),
        ua_fp32=wanted.scores.ua,
        ua_fp32_interval=wanted.intervals.get("ua"),
        ua=found.scores.ua,
        ua_interval=found.intervals.get("ua"),
        difference=None if difference is None else difference.interval,
        agreement=agreement_of(wanted.probabilities, found.probabilities),
    )
