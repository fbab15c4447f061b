"""Measurements of every variant, each stored as soon as it is finished."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from benchmarks.quantization.variants import (
    DYNAMIC,
    OURS_FP32,
    OURS_INT8,
    PLAIN,
    SEARCHED,
    Subject,
    variants,
)
from espressivo.bench import profile, time_graphs
from espressivo.files.atomic import replacing, write_text
from espressivo.training.export.checks.parity import (
    agreement_of,
    probabilities,
)
from espressivo.training.scores import bootstrap, metrics
from espressivo.training.scores.metrics import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from espressivo.training.corpora import Utterance
    from espressivo.types import Signal

WEB = Path(__file__).with_name("web")
_WINDOW = 8 * 16_000

PAIRS = (
    (OURS_INT8, DYNAMIC),
    (OURS_INT8, OURS_FP32),
    (SEARCHED, DYNAMIC),
    (SEARCHED, OURS_FP32),
)
"""Pairs that are also timed against each other; all are timed against plain fp32."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Number of timing rounds in onnxruntime and in WebAssembly (0: not timed)."""

    native: int
    web: int


class Study:
    """One network with its variants and their stored measurements.

    Args:
        subject: The trained network.
        folder: Folder for graphs and measurements.
        rounds: Number of timing rounds.
    """

    def __init__(self, subject: Subject, folder: Path, rounds: Rounds) -> None:
        self._subject, self._folder, self._rounds = subject, folder, rounds
        self._makers = variants(subject, self.path(PLAIN))

    @property
    def names(self) -> list[str]:
        """Names of all variants."""
        return list(self._makers)

    def measure(self, names: list[str]) -> Iterator[str]:
        """Write and measure these variants; yield a description before each step."""
        for name in dict.fromkeys([PLAIN, *names]):
            yield f"{name}: making it"
            self._make(name)
            yield f"{name}: classifying {len(self._judges)} recordings"
            self._probabilities(name)
        for name in names:
            yield f"{name}: profiling it"
            self._operators(name)
            for runtime, timed in (("native", self._native), ("web", self._web)):
                for other in self._compared(name, names):
                    yield f"{name}: timing against {other}, {runtime}"
                    timed(name, other)

    def results(self, names: list[str]) -> dict[str, Any]:
        """Return every figure of these variants, which must have been measured."""
        speakers = [u.speaker for u in self._judges]
        return {
            "n": len(speakers),
            "n_speakers": len(set(speakers)),
            "variants": {name: self._result(name, names) for name in names},
            "sites": self._exported().get("sites", []),
        }

    def path(self, name: str) -> Path:
        """Return the path of a variant's graph."""
        return self._folder / re.sub(r"\W+", "-", name) / "model.onnx"

    def _result(self, name: str, names: list[str]) -> dict[str, Any]:
        wanted, found = self._probabilities(PLAIN), self._probabilities(name)
        labels = labels_of([u.emotion_name for u in self._judges])
        speakers = [u.speaker for u in self._judges]
        ua = bootstrap.compare(labels, wanted, found, speakers)["ua"]
        agreement = agreement_of(wanted, found)
        return {
            "bytes": self.path(name).stat().st_size,
            "top1": agreement.top1,
            "change": agreement.mean,
            "worst": agreement.worst,
            "turned": _turned(wanted, found),
            "ua": metrics.score(labels, found).ua,
            "ua_difference": ua.difference,
            "ua_low": ua.interval.low,
            "ua_high": ua.interval.high,
            "operators": self._operators(name),
            "native": {o: self._native(name, o) for o in self._compared(name, names)},
            "web": {o: self._web(name, o) for o in self._compared(name, names)},
        }

    @staticmethod
    def _compared(name: str, names: list[str]) -> list[str]:
        others = [b for a, b in PAIRS if a == name and b in names]
        return others if name == PLAIN else [PLAIN, *others]

    @cached_property
    def _judges(self) -> list[Utterance]:
        return self._subject.judges()

    @cached_property
    def _windows(self) -> list[Signal]:
        return self._subject.windows(self._judges)

    def _make(self, name: str) -> None:
        path = self.path(name)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        for figure in path.parent.glob("*.json"):  # measurements of a removed graph
            figure.unlink()
        with replacing(path) as partial:
            self._makers[name](partial)

    def _exported(self) -> dict[str, Any]:
        """Return the exporter's report on our int8 graph; empty if there is none."""
        path = self.path(OURS_INT8).parent / "exported" / "export.json"
        report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return report

    def _probabilities(self, name: str) -> NDArray[np.float64]:
        def predict() -> list[list[float]]:
            model = onnx.load(self.path(name))
            rows: list[list[float]] = probabilities(model, self._windows).tolist()
            return rows

        return np.array(self._kept(name, "probabilities", predict))

    def _operators(self, name: str) -> dict[str, float]:
        """Return each operator's share of the time, largest first."""

        def profiled() -> dict[str, float]:
            found = profile(self.path(name).read_bytes(), runs=3)
            return {o.operator: o.seconds / found.seconds for o in found.by_operator()}

        shares: dict[str, float] = self._kept(name, "operators", profiled)
        return shares

    def _native(self, name: str, other: str) -> dict[str, float]:
        def timed() -> dict[str, Any]:
            graphs = {n: self.path(n).read_bytes() for n in (other, name)}
            seconds = time_graphs(graphs, 8.0, 1, self._rounds.native)
            ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
            return {
                "ratio": median(ratios),
                "seconds": median(seconds[name]),
                "other_seconds": median(seconds[other]),
            }

        found: dict[str, float] = self._kept(name, f"native against {other}", timed)
        return found

    def _web(self, name: str, other: str) -> dict[str, Any] | None:
        if not self._rounds.web or not (WEB / "node_modules").exists():
            return None
        found: dict[str, Any] = self._kept(
            name, f"web against {other}", lambda: self._time_web(name, other)
        )
        return found

    def _time_web(self, name: str, other: str) -> dict[str, Any]:
        samples = self._folder / "samples.f32"
        window = np.resize(self._windows[0], _WINDOW).astype("<f4")
        samples.write_bytes(window.tobytes())
        paths = [str(self.path(n).resolve()) for n in (other, name)]
        done = subprocess.run(
            [
                *("node", str(WEB / "time.mjs"), "--rounds", str(self._rounds.web)),
                *("--samples", str(samples.resolve()), *paths),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "rror" in line]
            return {"error": (lines or ["no message"])[0][:300]}
        report = json.loads(done.stdout)
        _, model = report["models"]
        (native,) = probabilities(onnx.load(self.path(name)), [window])
        return {
            "ratio": model["ratio"],
            "seconds": model["median_s"],
            "other_seconds": report["models"][0]["median_s"],
            "from_native": float(np.abs(native - model["probabilities"]).max()),
            "versions": [report["onnxruntime_web"], report["node"]],
        }

    def _kept(self, name: str, what: str, compute: Callable[[], Any]) -> Any:
        path = self.path(name).with_name(re.sub(r"\W+", "-", what) + ".json")
        if not path.exists():
            write_text(json.dumps(compute()), path)
        return json.loads(path.read_text())


def _turned(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> list[float]:
    """Return the fp32 margins, ascending, of predictions whose emotion changed."""
    first, second = np.sort(wanted, 1)[:, :-3:-1].T
    turned = wanted.argmax(1) != found.argmax(1)
    lead: list[float] = np.sort((first - second)[turned]).tolist()
    return lead
