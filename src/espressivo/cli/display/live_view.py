"""Display of a stream's estimates: a live line in the terminal, or lines of JSON."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Self

import numpy as np

from espressivo.cli.display.timeline import clock
from espressivo.report import estimate_to_dict, name_top

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.text import Text

    from espressivo.analyzer import Analyzer
    from espressivo.types import Estimate, Signal

_METER = 20  # width of the level meter, in characters
_QUIETEST_DB = -60.0


class _View:
    """Base class of both views: emotions, threshold, and an empty context manager."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._card = analyzer.classifier.card

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def _uncertain(self, estimate: Estimate) -> bool:
        certainty = self._card.certainty
        values = estimate.probabilities.values()
        return certainty is not None and certainty.is_uncertain(values)


class LineWriter(_View):
    """View that prints each estimate as a line of JSON on standard output."""

    def show(self, estimates: Sequence[Estimate], block: Signal, now_s: float) -> None:
        """Print the estimates; the key `provisional` marks those of open segments."""
        del block
        for estimate in estimates:
            line = estimate_to_dict(estimate, self._card, now_s)
            # Flushed, since a program at the other end of a pipe waits for the line.
            print(json.dumps(line), flush=True)


class LiveView(_View):
    """View that redraws one line on stderr, and prints final estimates above it."""

    def __init__(self, analyzer: Analyzer) -> None:
        from rich.live import Live

        from espressivo.cli.display.console import PlainConsole

        super().__init__(analyzer)
        self._console = PlainConsole(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=10, transient=True)
        self._newest: Estimate | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():  # a log file would contain every state of the line
            self._console.print("listening; Ctrl-C ends it", style="dim")
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, estimates: Sequence[Estimate], block: Signal, now_s: float) -> None:
        """Redraw the line, and print final estimates."""
        for estimate in estimates:
            # Provisional ones are replaced within a hop, and would flood the screen.
            if not estimate.provisional:
                self._console.print(self._row(estimate))
        self._newest = estimates[-1] if estimates else self._newest
        if self._live.is_started:
            self._live.update(self._line(block, now_s))

    def _row(self, estimate: Estimate) -> Text:
        from rich.text import Text

        segment = estimate.segment
        span = f"{clock(segment.start_s)} to {clock(segment.end_s)}  "
        return Text(span, style="dim").append_text(self._named(estimate))

    def _line(self, block: Signal, now_s: float) -> Text:
        from rich.text import Text

        n = round(_METER * loudness(block))
        line = Text(f"{clock(now_s)}  ")
        line.append("▮" * n, style="green").append("▯" * (_METER - n), style="dim")
        if self._newest is not None:
            line.append("  ").append_text(self._named(self._newest))
        return line

    def _named(self, estimate: Estimate) -> Text:
        from rich.text import Text

        from espressivo.figures.timeline import COLOURS

        sign = "~" if estimate.provisional else " "
        if self._uncertain(estimate):
            named = name_top(estimate.probabilities)
            return Text(f"{sign}uncertain ({named})", style="dim")
        named = name_top(estimate.probabilities, 1)
        return Text(f"{sign}{named}", style=COLOURS[estimate.emotion])


def loudness(block: Signal) -> float:
    """Return the level of a block from 0 (-60 dB and less) to 1 (full scale)."""
    power = float(np.square(block, dtype=np.float64).mean()) if len(block) else 0.0
    # The floor avoids the logarithm of 0 in digital silence.
    db = 10 * math.log10(max(power, 1e-12))
    return min(1.0, max(0.0, 1 - db / _QUIETEST_DB))
