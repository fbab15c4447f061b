r"""Size, time and accuracy of quantization variants: docs/quantization.md.

For each variant: the file size; the time over that of the plain graph (onnxruntime and
onnxruntime-web, one thread, 8 s, in turn); and the predictions on labelled recordings
of speakers who were used neither for training nor for calibration. Every measurement is
stored in OUT when it is finished, so that a stopped run resumes. A `model.onnx` that is
removed is written and measured again.

    (cd benchmarks/quantization/web && npm ci)
    python benchmarks/quantization/run.py OUT --model espressivo-tiny=RUN \
        --model DistilHuBERT=RESULT/held-out/seed-0 --held-out ravdess=DIR \
        --docs docs/quantization.md

RUN is a folder of `espressivo train`. A fold of `espressivo crossval` is scored on its
own test speakers, any other run on the corpora of `--held-out`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import onnxruntime

from espressivo.files.atomic import write_text
from espressivo.machine import eight_bit_instructions, load_average, processor_name

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.quantization.figure import draw
from benchmarks.quantization.measure import Rounds, Study
from benchmarks.quantization.tables import (
    operators_table,
    sites_table,
    variants_table,
    write_between,
)
from benchmarks.quantization.variants import Subject


def main() -> None:
    """Measure what is missing, then write results, tables and figure."""
    args = _arguments()
    # onnxruntime.quantization logs recommendations that the variants ignore on purpose.
    logging.disable(logging.WARNING)
    held_out = {name: Path(root) for name, root in args.held_out}
    models = {}
    for name, run in args.model:
        subject = Subject(name, Path(run), held_out, args.out / "cache")
        rounds = Rounds(args.rounds, args.web_rounds)
        study = Study(subject, args.out / name, rounds)
        names = [n for n in study.names if not args.only or n in args.only]
        for step in study.measure(names):
            print(f"{datetime.now(UTC):%H:%M:%S} {name}: {step}", flush=True)
        models[name] = study.results(names)
    results = {
        "machine": {
            "processor": processor_name(),
            "instructions": eight_bit_instructions(),
            "load": load_average(),
            "onnxruntime": onnxruntime.__version__,
        },
        "models": models,
    }
    write_text(json.dumps(results, indent=1) + "\n", args.out / "results.json")
    tables = {
        "variants": variants_table(results),
        "operators": operators_table(results),
        "sites": sites_table(results),
    }
    for table in tables.values():
        print(f"\n{table}")
    for page in args.docs:
        write_between(page, tables)
    draw(results, args.figure or args.out / "quantization.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of all results")
    for option, metavar in (("--model", "NAME=RUN"), ("--held-out", "NAME=DIR")):
        parser.add_argument(
            option,
            action="append",
            default=[],
            type=lambda text: text.split("=", 1),
            metavar=metavar,
        )
    parser.add_argument("--only", action="append", help="a variant; may be repeated")
    parser.add_argument("--rounds", type=int, default=15, help="rounds, native")
    parser.add_argument("--web-rounds", type=int, default=5, help="0: no WebAssembly")
    parser.add_argument(
        "--docs",
        type=Path,
        action="append",
        default=[],
        help="a page whose tables are replaced; may be repeated",
    )
    parser.add_argument("--figure", type=Path, help="path of the figure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
