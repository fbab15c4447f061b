"""A cache of measurements, with one file per graph and machine."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from espressivo.errors import ExportError
from espressivo.files.atomic import write_text
from espressivo.machine import processor_name
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx

    from espressivo.types import Signal

SCHEMA = "espressivo.measurements/1"


class Measurements:
    """Numbers by name, each written as soon as it is known.

    Attributes:
        path: The file; None keeps them in memory.
    """

    def __init__(self, folder: Path | None, of: dict[str, str]) -> None:
        """Read the file of this graph, recordings and machine, if there is one.

        Args:
            folder: Where such files are kept; made when it is not there.
            of: What the numbers depend on, see `measured_on`. Measurements are the same
                only if all of it is equal.
        """
        self._of = of
        self._numbers: dict[str, float] = {}
        self.path: Path | None = None
        if folder is not None:
            key = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
            # The short name may collide; the file holds all of `of`, which is compared.
            self.path = folder / f"{key[:16]}.json"
            self._numbers = self._read(self.path)

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def __getitem__(self, name: str) -> float:
        return self._numbers[name]

    def put(self, numbers: dict[str, float]) -> None:
        """Add numbers, and write the file.

        Raises:
            ExportError: The file cannot be written.
        """
        self._numbers |= numbers
        if self.path is None:
            return
        table = {"schema": SCHEMA, "of": self._of, "numbers": self._numbers}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(json.dumps(table, indent=1) + "\n", self.path)
        except OSError as error:
            raise ExportError(
                f"{self.path}: cannot be written ({error.strerror or error}); "
                "pass another folder with --cache, or none"
            ) from error

    def _read(self, path: Path) -> dict[str, float]:
        try:
            return _numbers_of(json.loads(path.read_text("utf-8")), self._of)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.warn(
                f"{path}: holds no measurements of this graph ({error}); "
                "they are made again",
                stacklevel=2,
            )
            return {}


def measured_on(
    fp32: onnx.ModelProto, recordings: Sequence[Signal], **settings: object
) -> dict[str, str]:
    """Return everything that measurements depend on, by name.

    Args:
        fp32: The exact graph.
        recordings: Windows that calibrate, and on which changes are measured.
        settings: How the graph is quantized.
    """
    digest = hashlib.sha256()
    for signal in recordings:
        # With lengths: the same samples cut elsewhere are other recordings.
        digest.update(len(signal).to_bytes(8, "little") + signal.tobytes())
    # protobuf's order of maps is not fixed otherwise.
    graph = fp32.SerializeToString(deterministic=True)
    return {
        "graph": hashlib.sha256(graph).hexdigest(),
        "recordings": digest.hexdigest(),
        "espressivo": __version__,
        "onnxruntime": ort.__version__,
        "processor": processor_name(),
    } | {name: str(value) for name, value in settings.items()}


def _numbers_of(table: dict[str, Any], of: dict[str, str]) -> dict[str, float]:
    if table["schema"] != SCHEMA or table["of"] != of:
        raise ValueError("another schema or graph")
    numbers = {str(name): float(value) for name, value in table["numbers"].items()}
    # Python's JSON accepts NaN, with which every comparison of a search is false.
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("a number is none")
    return numbers
