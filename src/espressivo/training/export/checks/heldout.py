"""UA of the exact graph and the shipped one on labelled recordings."""

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
        details: The card of both.
        sets: Name -> recordings that neither trained nor calibrated anything.
    """
    if not sets:
        return ()
    # Written and loaded as users do, so that the card counts too (temperature, window).
    with tempfile.TemporaryDirectory() as scratch:
        exact, compressed = Path(scratch, "exact"), Path(scratch, "compressed")
        for folder, graph in ((exact, fp32), (compressed, shipped)):
            folder.mkdir()
            write_model(folder, graph, details)
        return tuple(
            _score(name, utterances, exact, compressed)
            for name, utterances in sets.items()
        )


def _score(
    name: str, utterances: Sequence[Utterance], exact: Path, compressed: Path
) -> HeldOut:
    wanted, found = evaluate(exact, utterances), evaluate(compressed, utterances)
    # Paired by speaker: the graphs differ far less than speakers do.
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
