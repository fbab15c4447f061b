"""Tables of the study: what a method changes, with intervals over corpora and seeds."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.training.clips.batches import CLASSES
from espressivo.training.scores.bootstrap import (
    N_RESAMPLES,
    Interval,
    percentile_interval,
    resample_speakers,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import scores_from_sums, utterance_sums

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Method = tuple[str, str]
    # Method, and the target that takes part -> corpus -> seed -> predicted classes.
    Predictions = dict[Method, dict[str, dict[int, NDArray[np.int64]]]]

_N_CLASSES = len(CLASSES)
_NONE = ("none", "")
_CENTRED = "own mean removed, no training"
_TARGETS = {"": "", "all": "all of the target", "neutral": "target 70 % neutral"}


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The clips of a corpus that are scored.

    Attributes:
        labels: int [N].
        speakers: [N].
    """

    labels: NDArray[np.int64]
    speakers: list[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a method changes, in points of UA.

    Attributes:
        n_seeds: Number of seeds, the same for all corpora.
        ua: Mean over corpora and seeds, in percent.
        by_corpus: Corpus -> UA and its change against no adaptation.
        change: Mean change.
        interval: 95 % interval of it: corpora, their speakers and seeds are resampled.
    """

    n_seeds: int
    ua: float
    by_corpus: dict[str, tuple[float, float]]
    change: float
    interval: Interval

    @property
    def worst(self) -> str:
        """The corpus that loses most, or gains least."""
        return min(self.by_corpus, key=lambda name: self.by_corpus[name][1])


def report(folder: Path, out: Path) -> int:
    """Print the tables of a result, and write all their figures as CSV."""
    clips = [json.loads(line) for line in _lines(folder / "clips.jsonl")]
    by_part: dict[str, Predictions] = {}
    for line in _lines(folder / "runs.jsonl"):
        row = json.loads(line)
        predictions = by_part.setdefault(row["part"], {})
        key = _method_of(row)
        seeds = predictions.setdefault(key, {}).setdefault(row["left_out"], {})
        seeds[row["seed"]] = np.array([int(digit) for digit in row["predicted"]])
    figures: list[dict[str, Any]] = []
    for part, predictions in by_part.items():
        corpora = _corpora([c for c in clips if part in c["parts"]])
        found = {
            key: measure(corpora, predictions[_NONE], methods)
            for key, methods in predictions.items()
            # An interrupted run may lack corpora.
            if _shared_seeds(corpora, predictions[_NONE], methods)
        }
        if not found:
            continue
        print(f"\n{part}\n\n{to_markdown(found)}")
        figures += [row for key, c in found.items() for row in _rows(part, key, c)]
    _write(out / "tables.csv", figures)
    _write(out / "settings.csv", _settings(folder))
    return 0


def measure(
    corpora: dict[str, Corpus],
    before: dict[str, dict[int, NDArray[np.int64]]],
    after: dict[str, dict[int, NDArray[np.int64]]],
) -> Change:
    """Compare the predictions of a method with those without adaptation.

    The bootstrap is paired: both are resampled alike. Corpora are drawn with
    replacement, in each its speakers, and the seeds.

    Args:
        corpora: The clips of each corpus.
        before: Corpus -> seed -> predicted classes [N].
        after: The same of the method.
    """
    rng = np.random.default_rng(0)
    by_corpus, resampled = {}, []
    seeds = _shared_seeds(corpora, before, after)
    n = len(seeds)
    for name, corpus in corpora.items():
        times = resample_speakers(corpus.speakers, 0)
        assert times is not None
        drawn = rng.multinomial(n, [1 / n] * n, size=N_RESAMPLES)  # [R, seeds]
        uas, differences = [], []
        for runs in (before[name], after[name]):
            sums = np.stack([_sums(corpus, runs[seed]) for seed in seeds])
            uas.append(_ua(sums.sum((0, 1))[None])[0])
            differences.append(_ua(np.einsum("rs,rn,nsk->rk", times, drawn, sums)))
        by_corpus[name] = (100 * uas[1], 100 * (uas[1] - uas[0]))
        resampled.append(100 * (differences[1] - differences[0]))
    n = len(corpora)
    times = rng.multinomial(n, [1 / n] * n, size=N_RESAMPLES) / n  # [R, corpora]
    return Change(
        len(seeds),
        float(np.mean([ua for ua, _ in by_corpus.values()])),
        by_corpus,
        float(np.mean([change for _, change in by_corpus.values()])),
        percentile_interval((np.stack(resampled, 1) * times).sum(1)),
    )


def _shared_seeds(
    corpora: Iterable[str],
    before: dict[str, dict[int, NDArray[np.int64]]],
    after: dict[str, dict[int, NDArray[np.int64]]],
) -> list[int]:
    """Return the seeds of which all corpora have predictions, before and after."""
    parts = [set(runs.get(name, {})) for name in corpora for runs in (before, after)]
    return sorted(set.intersection(*parts))


def to_markdown(changes: dict[Method, Change]) -> str:
    """Return the table of one part, in Markdown."""
    plain = changes[_NONE]
    columns = ["method", "unlabelled", "UA", "change", "95 % interval", "better on"]
    columns += ["worst corpus", "RAVDESS", "seeds"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for target, title in _TARGETS.items():
        for (method, of), change in changes.items():
            if of == target and (method, of) != _NONE:
                cells = " | ".join([method, title or "none", *_cells(change)])
                lines.append(f"| {cells} |")
    scores = ", ".join(f"{name} {ua:.1f}" for name, (ua, _) in plain.by_corpus.items())
    return f"Without adaptation: UA {plain.ua:.1f} ({scores})\n\n" + "\n".join(lines)


def _cells(change: Change) -> list[str]:
    better = sum(value > 0 for _, value in change.by_corpus.values())
    low, high = change.interval.low, change.interval.high
    return [
        f"{change.ua:.1f}",
        f"{change.change:+.1f}",
        f"{low:+.1f} to {high:+.1f}",
        f"{better} of {len(change.by_corpus)}",
        f"{change.worst} {change.by_corpus[change.worst][1]:+.1f}",
        f"{change.by_corpus['ravdess'][1]:+.1f}",
        str(change.n_seeds),
    ]


def _method_of(row: dict[str, Any]) -> Method:
    target = "neutral" if row.get("skewed") else "all"
    if row.get("centred"):
        return _CENTRED, target
    adaptation = row["adaptation"]
    return adaptation["method"], target if adaptation["target"] else ""


def _corpora(clips: list[dict[str, Any]]) -> dict[str, Corpus]:
    rows = defaultdict(list)
    for clip in clips:
        rows[clip["corpus"]].append(clip)
    return {
        name: Corpus(
            np.array([CLASSES[clip["emotion"]] for clip in some]),
            [clip["speaker"] for clip in some],
        )
        for name, some in rows.items()
    }


def _sums(corpus: Corpus, predicted: NDArray[np.int64]) -> Floats:
    rows = utterance_sums(corpus.labels, np.eye(_N_CLASSES)[predicted])
    return sums_by_speaker(rows, corpus.speakers)


def _ua(sums: Floats) -> Floats:
    ua: Floats = scores_from_sums(sums, _N_CLASSES)["ua"]
    return ua


def _rows(part: str, key: Method, change: Change) -> list[dict[str, Any]]:
    of = {"part": part, "method": key[0], "target": key[1], "seeds": change.n_seeds}
    low, high = change.interval.low, change.interval.high
    mean = {"ua": change.ua, "change": change.change, "low": low, "high": high}
    rows: list[dict[str, Any]]
    rows = [of | {"corpus": "mean"} | {k: round(v, 2) for k, v in mean.items()}]
    for name, (ua, value) in change.by_corpus.items():
        figures = {"ua": round(ua, 2), "change": round(value, 2), "low": "", "high": ""}
        rows.append(of | {"corpus": name} | figures)
    return rows


def _settings(folder: Path) -> list[dict[str, Any]]:
    """Return the UA of each setting looked at, on each corpus, the mean over seeds."""
    uas = defaultdict(list)
    for line in _lines(folder / "choosing.jsonl"):
        row = json.loads(line)
        settings = row["adaptation"]
        key = tuple(settings[k] for k in ("method", "weight", "probability", "step"))
        key = (row["part"], *key, int(bool(settings["target"])), row["left_out"])
        uas[key].append(row["ua"])
    names = ("part", "method", "weight", "probability", "step", "target", "corpus")
    return [
        dict(zip(names, key, strict=True)) | {"ua": round(100 * np.mean(some), 2)}
        for key, some in uas.items()
    ]


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
