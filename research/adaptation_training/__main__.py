"""Does domain adaptation in training help on a corpus that is left out?

    python -m research.adaptation_training run RECIPE --cache DIR --out DIR
    python -m research.adaptation_training report DIR --data DIR

Seven corpora, each left out in turn. `run` trains a linear classifier, one with a
hidden layer (both on frozen embeddings of the recipe's network) and the encoder's last
block, by every method of `[adaptation]`, without and with the unlabelled recordings of
the corpus that is left out. The settings of a method are chosen first, on six corpora:
RAVDESS is neither trained on nor scored there. An interrupted `run` resumes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.training.config import LEFT_OUT, AdaptationConfig, read_config
from espressivo.training.scores.metrics import score
from research.adaptation_training.report import report
from research.adaptation_training.study import (
    CORPORA,
    Part,
    Run,
    read_block,
    read_heads,
    train_and_predict,
)
from research.run import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from espressivo.training.corpora.utterance import Utterance

# The first of each is the default, as published.
SETTINGS: dict[str, list[dict[str, float]]] = {
    "dann": [{"weight": w} for w in (1.0, 0.1, 0.01)],
    "cdan": [{"weight": w} for w in (1.0, 0.1, 0.01)],
    "coral": [{"weight": w} for w in (1.0, 30.0, 1000.0)],
    "class-coral": [{"weight": w} for w in (1.0, 0.1, 10.0)],
    "mixstyle": [{"probability": p} for p in (0.5, 1.0)],
    "style": [{"probability": p} for p in (0.5, 1.0)],
    "group-dro": [{"step": s} for s in (0.01, 0.1, 1.0)],
}
SKEWED = ("class-coral", "mixstyle", "style")
WITHOUT_TARGET = ("none", "group-dro")
CHOOSING_SEEDS = (0, 1)


def main() -> None:
    """Parse the arguments, then run or report."""
    parser = argparse.ArgumentParser(
        prog="python -m research.adaptation_training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="train and predict")
    one.add_argument("recipe", type=Path)
    one.add_argument("--cache", type=Path, required=True, help="as of train --cache")
    one.add_argument("--out", type=Path, required=True, help="folder of the result")
    one.add_argument(
        "--parts",
        nargs="+",
        default=["linear", "hidden", "block"],
        choices=["linear", "hidden", "block"],
        help="what is trained (default: all three)",
    )
    one.add_argument(
        "--methods",
        nargs="+",
        default=["none", *SETTINGS],
        choices=["none", *SETTINGS],
        help="methods (default: all)",
    )
    one.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0, 1, 2, 3, 4],
        help="(default: 0 to 4)",
    )
    one.add_argument(
        "--only-target",
        action="store_true",
        help="leave out methods without the target's recordings (default: train both)",
    )
    one.set_defaults(study=_run)
    two = commands.add_parser("report", help="print the tables of a result")
    two.add_argument("folder", type=Path, help="as of run --out")
    two.add_argument("--data", type=Path, required=True, help="where the CSVs go")
    two.set_defaults(study=lambda args: report(args.folder, args.data))
    args = parser.parse_args()
    raise SystemExit(run(args.study, args))


def _run(args: argparse.Namespace) -> int:
    config = read_config(args.recipe)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = read_heads(config, args.cache)
    parts.append(read_block(config, args.cache))
    _write_clips(parts, args.out)
    for part in parts:
        if part.name not in args.parts:
            continue
        # The block has the settings of the hidden layer: choosing its own takes hours.
        is_block = part.name == "block"
        settings_of = "hidden" if is_block else part.name
        if not is_block:
            _run_all(part, list(_choosing(args.methods)), args.out / "choosing.jsonl")
        chosen = _read(args.out / "choosing.jsonl", settings_of)
        runs = list(_final(args.methods, args.seeds, chosen, is_block=is_block))
        if args.only_target:
            plain = AdaptationConfig()
            runs = [r for r in runs if r.adaptation == plain or r.adaptation.target]
        _run_all(part, runs, args.out / "runs.jsonl")
    return 0


def _choosing(methods: Iterable[str]) -> Iterator[Run]:
    for adaptation in _candidates(methods):
        for left_out in CORPORA[1:]:
            for seed in CHOOSING_SEEDS:
                yield Run(adaptation, left_out, seed, untouched=CORPORA[:1])


def _candidates(methods: Iterable[str]) -> Iterator[AdaptationConfig]:
    for method in methods:
        targets = ("",) if method in WITHOUT_TARGET else ("", LEFT_OUT)
        for settings in SETTINGS.get(method, [{}]):
            for target in targets:
                made: Any = {"method": method, "target": target, **settings}
                yield AdaptationConfig(**made)


def _final(
    methods: Sequence[str],
    seeds: Sequence[int],
    choosing: list[dict[str, Any]],
    *,
    is_block: bool,
) -> Iterator[Run]:
    """Yield the runs, with the settings that are best on the others of the six."""
    candidates = list(_candidates(methods))
    scores = {
        adaptation: {
            name: np.mean(
                [
                    row["ua"]
                    for row in choosing
                    if row["adaptation"] == asdict(adaptation)
                    and row["left_out"] == name
                ]
            )
            for name in CORPORA[1:]
        }
        for adaptation in candidates
    }
    for seed in seeds:
        for left_out in CORPORA:
            others = [name for name in CORPORA[1:] if name != left_out]
            best: dict[tuple[str, str], AdaptationConfig] = {}
            for one in candidates:
                key = one.method, one.target
                known = best.setdefault(key, one)
                means = [
                    np.mean([scores[c][name] for name in others]) for c in (known, one)
                ]
                best[key] = one if means[1] > means[0] else known
            for adaptation in best.values():
                yield Run(adaptation, left_out, seed)
                if adaptation.target and adaptation.method in SKEWED and not is_block:
                    yield Run(adaptation, left_out, seed, skewed=True)
            if not is_block and "none" in methods:
                for skewed in (False, True):
                    plain = AdaptationConfig()
                    yield Run(plain, left_out, seed, centred=True, skewed=skewed)


def _run_all(part: Part, runs: list[Run], path: Path) -> None:
    """Append a line for each run that the file lacks."""
    done = {_key(row) for row in _read(path, part.name)}
    with path.open("a", encoding="utf-8") as file:
        for one in runs:
            row: dict[str, Any] = {
                "part": part.name,
                "adaptation": asdict(one.adaptation),
                "left_out": one.left_out,
                "seed": one.seed,
                "centred": one.centred,
                "skewed": one.skewed,
            }
            if _key(row) in done:
                continue
            predicted = train_and_predict(part, one)
            labels = part.labels[part.corpora == one.left_out]
            row["ua"] = score(labels, np.eye(4)[predicted]).ua
            row["predicted"] = "".join(map(str, predicted.tolist()))
            file.write(json.dumps(row) + "\n")
            file.flush()


def _read(path: Path, part: str) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row for row in rows if row["part"] == part]


def _key(row: dict[str, Any]) -> str:
    keys = ("part", "adaptation", "left_out", "seed", "centred", "skewed")
    known = {key: row.get(key, False) for key in keys}
    return json.dumps(known, sort_keys=True)


def _write_clips(parts: list[Part], folder: Path) -> None:
    used: dict[Utterance, list[str]] = {}
    for part in parts:
        for utterance in part.utterances:
            used.setdefault(utterance, []).append(part.name)
    rows = [
        {
            "id": u.id,
            "corpus": u.corpus,
            "speaker": u.speaker,
            "emotion": str(u.emotion),
            "parts": names,
        }
        for u, names in used.items()
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "clips.jsonl").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
