"""Make the pictures of the README anew: python docs/images/make-images.py.

Needs rsvg-convert (Debian: librsvg2-bin) for the terminal's picture.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

from rich.console import Console

import espressivo
from espressivo.cli.display.timeline import print_report
from espressivo.figures.timeline import plot_timelines

HERE = Path(__file__).parent
NOTE = Path("examples/voice-note.m4a")

report = espressivo.load_model().analyze(NOTE)
console = Console(
    record=True, width=72, force_terminal=True, highlight=False, file=io.StringIO()
)
print_report(report, console)
svg = HERE / "terminal.svg"
console.save_svg(str(svg), title=f"espressivo analyze {NOTE}")
subprocess.run(
    ["rsvg-convert", "--zoom=1.2", svg, "-o", HERE / "terminal.png"], check=True
)
svg.unlink()
plot_timelines([report], HERE / "timeline.png")
