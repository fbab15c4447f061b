"""Cost of ONNX models that take samples: time, operators, memory, energy.

This runtime package needs numpy and onnxruntime, but neither onnx nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espressivo.bench.fresh import peak_bytes
    from espressivo.bench.profiling import GraphProfile, NodeCost, OperatorCost, profile
    from espressivo.bench.timing import time_graphs

__all__ = [
    "GraphProfile",
    "NodeCost",
    "OperatorCost",
    "peak_bytes",
    "profile",
    "time_graphs",
]

_HOME = {"peak_bytes": "fresh", "time_graphs": "timing"}


def __getattr__(name: str) -> Any:
    # Names are imported on first use, so that a timed process loads only what it needs.
    if name not in __all__:
        raise AttributeError(f"module 'espressivo.bench' has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    home = importlib.import_module(f"{__name__}.{_HOME.get(name, 'profiling')}")
    return getattr(home, name)
