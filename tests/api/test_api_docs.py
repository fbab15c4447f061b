"""docs/api.md says what is so, and its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from contextlib import suppress

from espressivo.cli.main import build_parser
from tests.api.clients import pcm_of, running
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "api.md").read_text("utf-8")


def test_the_table_has_every_limit_and_its_default(capsys):
    rows = re.findall(r"^\| `(--[\w-]+) \w+`[^|]* \| ([^|]+) \|", TEXT, re.MULTILINE)
    with suppress(SystemExit):
        build_parser().parse_args(["api", "--help"])
    text = " ".join(capsys.readouterr().out.partition("limits:")[2].split())
    told = re.findall(r"(--[\w-]+) [A-Z]+ [^(]*\(default: ([^)]+)\)", text)

    assert len(rows) == 12
    assert rows == told


def test_the_example_runs(analyzer, note, tmp_path):
    with wave.open(str(tmp_path / "note.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", None))
        file.writeframes(pcm_of(note))
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

    with running(analyzer) as url:
        address = url.removeprefix("http://").rstrip("/")
        code = example.replace("127.0.0.1:8766", address)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )

    lines = done.stdout.splitlines()
    assert lines[-1] == f"report {analyzer.analyze(note).emotion}"
    assert {line.split()[0] for line in lines[:-1]} == {"estimate"}
