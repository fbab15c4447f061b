"""HTML template of a report: no scripts or requests; light and dark colours."""

# Braces of CSS are doubled, since the page is a template of `str.format`. The policy
# lets the browser load images from `data:` only, and makes it refuse all scripts.
# Figures stand on white in the dark scheme, too: their ink is dark.
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
  --line: #d0d0d0; --shade: #f2f6fa; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e8e8e8; --soft: #a8a8a8; --paper: #16181b; --line: #44484d;
    --shade: #20262d; }}
}}
body {{ margin: 0 auto; padding: 1.5rem; max-width: 84rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1.2rem; margin-top: 2.5rem; }}
.table {{ overflow-x: auto; margin-top: 1.5rem; }}
table {{ border-collapse: collapse; font-size: .85rem;
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
.notes {{ color: var(--soft); font-size: .85rem; padding-left: 1.2rem; }}
figure {{ margin: 1.5rem 0; }}
figure img {{ display: block; box-sizing: border-box; max-width: 100%; background: #fff;
  padding: .5rem; }}
figcaption {{ color: var(--soft); font-size: .85rem; margin-top: .4rem; }}
</style>
</head>
<body>
<main>
<h1>Cross-validation</h1>
<h2>Tables</h2>
{tables}
<h2>Figures</h2>
{figures}
</main>
</body>
</html>
"""
