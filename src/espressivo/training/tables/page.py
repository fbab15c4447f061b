"""HTML page of a report: no scripts or requests; light and dark colours."""

from __future__ import annotations

import re
from html import escape

# Braces of CSS are doubled, since the page is a template of `str.format`. The policy
# lets the browser load images from `data:` only, and makes it refuse all scripts.
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>espressivo: cross-validation</title>
<style>
:root {{ color-scheme: light dark; --ink: #1a1a1a; --soft: #595959; --paper: #fff;
  --line: #d0d0d0; --shade: #f2f6fa; --blue: #0072b2; --orange: #d55e00;
  --grey: #8c8c8c; --cell: #08519c; --grid: #e5e5e5; }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --ink: #e8e8e8; --soft: #a8a8a8; --paper: #16181b; --line: #44484d;
    --shade: #20262d; --blue: #56b4e9; --orange: #f08a3c; --grey: #9a9a9a;
    --cell: #2b7bc4; --grid: #2c3035; }}
}}
body {{ margin: 0 auto; padding: 1.5rem; max-width: 84rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1.2rem; margin-top: 2.5rem; }}
h3 {{ font-size: 1rem; margin-top: 2rem; }}
.lead {{ font-size: 1.2rem; max-width: 46rem; }}
.table, .drawing {{ overflow-x: auto; }}
/* A shadow at the side to which a wide table goes on. */
.table {{ margin-top: 1.5rem; background:
  linear-gradient(to right, var(--paper) 50%, transparent) left local,
  linear-gradient(to left, var(--paper) 50%, transparent) right local,
  linear-gradient(to right, var(--line), transparent) left,
  linear-gradient(to left, var(--line), transparent) right;
  background-repeat: no-repeat; background-size: 2rem 100%, 2rem 100%, .8rem 100%,
  .8rem 100%; }}
table {{ border-collapse: collapse; font-size: .85rem; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; font-size: 1rem; padding: .3rem 0; }}
th, td {{ padding: .3rem .6rem; text-align: left; vertical-align: top; }}
thead th {{ border-bottom: 2px solid var(--ink); vertical-align: bottom; }}
tbody tr {{ border-bottom: 1px solid var(--line); }}
tbody th {{ font-weight: 400; min-width: 7rem; }}
td {{ min-width: 2.5rem; }}
td.long {{ min-width: 11rem; }}
td.n, thead th.n {{ text-align: right; white-space: nowrap; }}
tr.strong {{ background: var(--shade); }}
tr.strong > * {{ font-weight: 700; }}
.notes, footer {{ color: var(--soft); font-size: .85rem; }}
.notes {{ padding-left: 1.2rem; }}
footer {{ margin-top: 3rem; border-top: 1px solid var(--line); }}
figure {{ margin: 1.5rem 0; }}
figure svg {{ display: block; max-width: 100%; height: auto; fill: var(--ink);
  stroke-linejoin: round; stroke-linecap: butt; }}
figcaption {{ color: var(--soft); font-size: .85rem; margin-top: .4rem; }}
</style>
</head>
<body>
<main>
<h1>Cross-validation</h1>
{lead}
<h2>Tables</h2>
{tables}
<h2>Figures</h2>
{figures}
</main>
{end}
</body>
</html>
"""

_COLOURS = {
    "#000000": "ink",
    "#333333": "soft",
    "#ffffff": "paper",
    "#0072b2": "blue",
    "#d55e00": "orange",
    "#8c8c8c": "grey",
    "#08519c": "cell",
    "#e5e5e5": "grid",
}
"""Colours of figures on white -> the page's variable that replaces them."""

_LEAST_SIZE = 0.75  # smaller, the letters of a figure cannot be read; it scrolls then


def to_figure(svg: str, name: str, alt: str, caption: str = "") -> str:
    """Return a figure as HTML: matplotlib's SVG in the colours of the page.

    Args:
        svg: The file's text.
        name: Name of the figure, for ids that are unique on the page.
        alt: What the figure shows, for those who cannot see it.
        caption: Line below it.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'((?:\bid="|url\(#|href="#))', rf"\1{name}-", body)
    # White letters stand on dark cells in either scheme; all else white is paper.
    body = body.replace('<g style="fill: #ffffff', '<g style="fill: white')
    for colour, variable in _COLOURS.items():
        body = body.replace(f" {colour}", f" var(--{variable})")
    found = re.search(r'width="([\d.]+)pt"', body)
    assert found is not None  # matplotlib writes the size of the canvas
    width = float(found[1]) * 4 / 3
    label = f'role="img" aria-label="{escape(alt)}"'
    body = body.replace(
        "<svg", f'<svg {label} style="min-width: {_LEAST_SIZE * width:.0f}px"', 1
    )
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    box = f'<div class="drawing" tabindex="0">{body.strip()}</div>'
    return f"<figure>{box}{below}</figure>"
