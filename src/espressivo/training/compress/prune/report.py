"""The report of a pruning: an object, JSON, rows for a terminal, Markdown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from espressivo.training.compress.prune.cost import Int8Costs
    from espressivo.training.export.checks.parity import Agreement

_STEP = (
    *("step", "parameters left", "int8, MB", "time ratio"),
    *("change: removed", "recovered"),
    *("distance: removed", "recovered", "UA, left out: removed", "recovered"),
)

SCHEMA = "espressivo.prune/1"
"""Name and version of the JSON that `PruneReport.to_dict` returns."""


@dataclass(frozen=True, slots=True)
class PrunedLayer:
    """What was removed of a layer.

    Attributes:
        name: Name of the layer.
        n_before: Its units (heads, neurons, channels) before.
        n_after: Its units after.
        importance: Importance of its units in the unpruned network, summed, as a share
            of that of all layers.
    """

    name: str
    n_before: int
    n_after: int
    importance: float


@dataclass(frozen=True, slots=True)
class PruningStep:
    """One step of the schedule, compared with the unpruned network on the same clips.

    Attributes:
        step: Number of the step, from 1.
        n_parameters: Parameters that are left of the layers that are pruned.
        n_bytes: Size of the int8 graph.
        time_ratio: Its time over that of the unpruned one, median of rounds in turn.
        change_removed: Largest change of a probability, mean over the clips, before the
            recovery.
        change_recovered: The same after the recovery.
        distance_removed: Squared distance of embeddings and logits as a share of their
            variances, mean over the clips, before the recovery.
        distance_recovered: The same after the recovery.
        ua_removed: UA on the corpora that were left out of training, their mean, with
            the unpruned run's last layer and before the recovery; None without any.
        ua_recovered: The same after the recovery.
    """

    step: int
    n_parameters: int
    n_bytes: int
    time_ratio: float
    change_removed: float
    change_recovered: float
    distance_removed: float
    distance_recovered: float
    ua_removed: float | None = None
    ua_recovered: float | None = None


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """UA on a corpus of the configuration that was left out of training.

    Attributes:
        corpus: Name of the corpus.
        n: Recordings.
        before: UA of the unpruned run, 0 to 1.
        after: UA of the pruned run.
    """

    corpus: str
    n: int
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a pruning removed and measured.

    Attributes:
        name: Name of the run.
        kind: Kind of the network.
        run_sha256: Hash of the unpruned run's weights.
        n_parameters_before: Parameters of the whole network before.
        n_parameters_after: Parameters of the whole network after.
        n_prunable_before: Parameters of the layers that are pruned, before.
        n_prunable_after: The same after.
        layers: What was removed of each layer.
        steps: The steps of the schedule.
        change: Change of the probabilities of the finished run, its last layer fitted
            again, on the clips of `steps`.
        costs: Size and time in int8.
        scores: UA on the corpora that were left out of training; none if all trained.
        n_calibration: Recordings that the importance was measured on.
        epochs: Epochs of recovery in each step.
        n_draws: Clips drawn for an epoch.
    """

    name: str
    kind: str
    run_sha256: str
    n_parameters_before: int
    n_parameters_after: int
    n_prunable_before: int
    n_prunable_after: int
    layers: tuple[PrunedLayer, ...]
    steps: tuple[PruningStep, ...]
    change: Agreement
    costs: Int8Costs
    scores: tuple[CorpusScore, ...] = ()
    n_calibration: int
    epochs: int
    n_draws: int

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as a dictionary of JSON values."""
        return {"schema": SCHEMA} | asdict(self)


def rows_of(report: PruneReport) -> list[tuple[str, str]]:
    """Return the main figures as pairs of name and value."""
    costs, last, change = report.costs, report.steps[-1], report.change
    before, after = 1e3 * costs.seconds_before, 1e3 * costs.seconds_after
    share = report.n_prunable_after / report.n_prunable_before
    rows = [
        (
            "parameters",
            f"{report.n_parameters_before:,} -> {report.n_parameters_after:,}",
        ),
        (
            "of the pruned layers",
            (
                f"{report.n_prunable_before:,} -> {report.n_prunable_after:,} "
                f"({share:.1%})"
            ),
        ),
        (
            "int8 graph",
            f"{costs.bytes_before / 1e6:.2f} -> {costs.bytes_after / 1e6:.2f} MB",
        ),
        (
            "time, int8",
            (
                f"{before:.1f} -> {after:.1f} ms "
                f"(ratio {costs.ratio:.3f}, median of rounds in turn)"
            ),
        ),
        (
            "change of probabilities",
            (
                f"{last.change_removed:.4f} after the last removal, "
                f"{last.change_recovered:.4f} recovered (means)"
            ),
        ),
        (
            "of the finished run",
            (
                f"top-1 {change.top1:.1%}, change {change.mean:.4f} mean, "
                f"{change.worst:.3f} worst, {change.n} training recordings"
            ),
        ),
    ]
    rows += [
        (
            f"UA, {score.corpus} (left out)",
            f"{score.before:.2%} -> {score.after:.2%} ({score.n:,} recordings)",
        )
        for score in report.scores
    ]
    return rows


def to_markdown(report: PruneReport) -> str:
    """Return the report as Markdown."""
    costs = report.costs
    lines = [f"# {report.name}: pruned", "", *_table(("", ""), rows_of(report)), ""]
    lines.append(
        f"Times: medians on one thread of {costs.processor}, a window of "
        f"{costs.window_s:g} s. Importance from {report.n_calibration} recordings; "
        f"{report.epochs} epochs of {report.n_draws:,} clips after each step."
    )
    head = ("layer", "before", "after", "of all importance")
    rows = [
        (
            layer.name,
            f"{layer.n_before:,}",
            f"{layer.n_after:,}",
            f"{layer.importance:.1%}",
        )
        for layer in report.layers
    ]
    lines += ["", "## What was removed", "", *_table(head, rows)]
    steps = [
        (
            str(step.step),
            f"{step.n_parameters:,}",
            f"{step.n_bytes / 1e6:.2f}",
            f"{step.time_ratio:.3f}",
            f"{step.change_removed:.4f}",
            f"{step.change_recovered:.4f}",
            f"{step.distance_removed:.4f}",
            f"{step.distance_recovered:.4f}",
            _percent(step.ua_removed),
            _percent(step.ua_recovered),
        )
        for step in report.steps
    ]
    lines += ["", "## Steps", "", *_table(_STEP, steps), ""]
    lines.append(
        "Change: the largest of a recording's four probabilities, mean. Distance: "
        "squared, of embeddings and logits, as a share of their variances. UA: mean of "
        "the corpora that were left out of training, with the unpruned last layer."
    )
    return "\n".join(lines) + "\n"


def _percent(ua: float | None) -> str:
    return "" if ua is None else f"{ua:.2%}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
