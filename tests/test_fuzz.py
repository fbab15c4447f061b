"""The fuzzer of `benchmarks/fuzz`, in small; figures: docs/results/archives.md."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(("kind", "n"), [("recordings", 400), ("models", 60)])
def test_mutated_input_gives_a_report_or_one_of_our_errors(tmp_path, kind, n):
    path = tmp_path / "found.json"
    command = [sys.executable, "benchmarks/fuzz/run.py", kind, "--n", str(n)]
    command += ["--seed", "1", "--json", str(path)]

    subprocess.run(command, cwd=ROOT, capture_output=True, check=False)

    found = json.loads(path.read_text("utf-8"))
    assert found["n"] == n
    assert found["bad"] == []
    assert set(found["outcomes"]) == {"report", "error"}
    assert found["largest_bytes"] < 1e9
