from __future__ import annotations

import csv
import io
import re
import shlex

import pytest

from espressivo.cli.main import main
from tests.conftest import ROOT
from tests.training.synthetic_results import crossval_rows, write_crossval


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_crossval(folder / "good", crossval_rows())
    write_crossval(
        folder / "poor", crossval_rows(skill=0.3, prediction_seed=1, seeds=(0,))
    )
    leaky = crossval_rows(random=True, prediction_seed=2, calm=False)
    write_crossval(folder / "leaky", leaky, protocol="random")
    return folder


def tables(*args):
    return main(["tables", *map(str, args)])


def test_the_main_table_is_printed_with_systems_abreast(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert tables(runs / "good", runs / "leaky") == 0
    out, err = capsys.readouterr()
    lines = {line.split("  ")[0]: line for line in out.splitlines() if line}
    assert "good" in lines["system"]
    assert "±" in lines["UA"]
    assert "no clip was unreadable" in out
    assert "random split: speakers are in several parts" in " ".join(out.split())
    assert err == ""


@pytest.mark.parametrize("width", ["40", "80", "300"])
def test_every_number_is_there_however_wide_the_terminal(
    runs, capsys, monkeypatch, width
):
    monkeypatch.setenv("COLUMNS", "400")
    tables(runs / "good", runs / "poor", runs / "leaky")
    wide = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", width)
    tables(runs / "good", runs / "poor", runs / "leaky")
    narrow = capsys.readouterr().out

    def numbers(text):
        return sorted(word for word in text.split() if word.startswith("0."))

    assert numbers(narrow) == numbers(wide)


def test_csv_latex_and_markdown_go_to_stdout_alone(runs, capsys):
    assert tables(runs / "good", runs / "poor", "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["system"] for row in rows] == ["good", "good", "poor", "poor"]
    assert 0 < float(rows[0]["UA"]) < 1

    assert tables(runs / "good", "--latex") == 0
    assert capsys.readouterr().out.startswith("% needs booktabs")
    assert tables(runs / "good", "--format", "markdown") == 0
    assert capsys.readouterr().out.startswith("**Cross-validation**")


def test_comparison(runs, capsys):
    assert tables(runs / "poor", "--against", runs / "good", "--csv") == 0
    main_text, comparison = capsys.readouterr().out.split("\n\n")
    assert main_text.startswith("system,")
    ua = next(
        row
        for row in csv.DictReader(io.StringIO(comparison))
        if (row["measure"], row["calm"]) == ("UA", "as neutral")
    )
    assert float(ua["difference high"]) < 0
    assert float(ua["p"]) < 0.05


def test_tables_are_chosen_by_name(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert tables(runs / "good", "--table", "folds", "--table", "emotions") == 0
    out = capsys.readouterr().out
    assert "mean over folds" in out
    assert "recall pooled" in " ".join(out.split())
    assert "parameters" not in out
    assert tables(runs / "leaky", "--table", "comparison") == 1
    assert "comparison needs --against" in capsys.readouterr().err


def test_out_writes_the_page_and_says_where(runs, tmp_path, capsys):
    costs = tmp_path / "costs.csv"
    costs.write_text("name,size_mb\npoor,5.2\n")
    out = tmp_path / "report"
    assert tables(runs / "poor", "--out", out, "--costs", costs) == 0
    assert f"wrote {out / 'report.html'}" in " ".join(capsys.readouterr().out.split())
    assert (out / "figures" / "pareto.svg").is_file()
    assert (out / "tables" / "folds-poor.tex").is_file()


def test_errors_are_one_line(runs, tmp_path, capsys):
    assert tables(tmp_path) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "espressivo crossval" in err
    assert tables(runs / "good", "--costs", tmp_path / "c.csv") == 1
    assert "name its folder with --out" in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        tables("--help")
    out = capsys.readouterr().out
    assert "--against" in out
    assert "espressivo tables runs/whisper --latex > table.tex" in out


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """The text of docs/tables.md, with the results that it speaks of."""
    for n, name in enumerate(("light-sernet", "whisper")):
        write_crossval(
            tmp_path / "runs" / name, crossval_rows(prediction_seed=n, seeds=(0,))
        )
    monkeypatch.chdir(tmp_path)
    return (ROOT / "docs" / "tables.md").read_text("utf-8")


def test_the_documented_commands_run(documented, capsys):
    commands = re.findall(r"^espressivo (tables runs.*)$", documented, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        line = command.replace("runs/*", "runs/light-sernet runs/whisper")
        words = shlex.split(line.partition(">")[0], comments=True)
        assert main(words) == 0, command


def test_the_documented_code_runs(documented, tmp_path, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", documented, re.DOTALL)
    exec(compile(code, "docs/tables.md", "exec"), {})
    assert "Difference from light-sernet" in capsys.readouterr().out
    assert (tmp_path / "report" / "report.html").is_file()
