"""The whole of `espressivo reproduce`, on small corpora in the real formats."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from espressivo.cli.main import main
from tests.trees import build_crema_d, build_iemocap, build_ravdess

SMALL = (
    *("--set", "training.batch_size=8", "--set", "threads=1", "--set", "device=cpu"),
    "--incomplete",
)
EMOTIONS = ["anger", "happiness", "neutral", "sadness"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    build_iemocap(root, n=1)
    build_crema_d(root, n=1, n_actors=2)
    build_ravdess(root, actors=(1, 2), n=1)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Tiny encoders with random weights, as transformers writes checkpoints."""
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    transformers = pytest.importorskip("transformers", reason="needs the extra 'train'")
    root = tmp_path_factory.mktemp("checkpoints")
    tiny = {
        "conv_dim": [16] * 7,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_attention_heads": 4,
        "num_conv_pos_embedding_groups": 4,
    }
    torch.manual_seed(7)
    hubert = transformers.HubertConfig(
        num_hidden_layers=2, feat_proj_layer_norm=False, **tiny
    )
    transformers.HubertModel(hubert).save_pretrained(root / "distilhubert")
    wav2vec2 = transformers.Wav2Vec2Config(num_hidden_layers=2, **tiny)
    transformers.Wav2Vec2Model(wav2vec2).save_pretrained(root / "wav2vec2")
    return root


def reproduce(study, root, out, *more):
    iemocap = root / "IEMOCAP_full_release"
    args = ["reproduce", study, "--iemocap", iemocap, "--out", out, *SMALL, *more]
    return [str(arg) for arg in args]


def paper(root, weights, out, *more, crema_d=True):
    return reproduce(
        "paper",
        root,
        out,
        *(("--crema-d", root / "CREMA-D") if crema_d else ()),
        *("--ravdess", root / "RAVDESS"),
        *("--weights", weights / "distilhubert"),
        *("--set", "training.epochs=2", "--set", "network.window_s=1"),
        *more,
    )


@pytest.fixture(scope="module")
def finished(root, weights, tmp_path_factory):
    """All of the study, run by the one command."""
    out = tmp_path_factory.mktemp("paper")
    assert main(paper(root, weights, out)) == 0
    return out


def rows(result):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'train'")
    return parquet.read_table(result / "predictions.parquet").to_pylist()


def by_clip(result):
    return {
        (r["fold"], r["part"], r["id"]): [r[emotion] for emotion in EMOTIONS]
        for r in rows(result)
    }


@pytest.mark.parametrize("name", ["iemocap-only", "with-crema-d"])
def test_every_utterance_is_tested_once(finished, name):
    test = [r for r in rows(finished / name) if r["part"] == "test"]
    assert Counter(r["fold"] for r in test) == {f"Ses0{i}": 8 for i in range(1, 6)}
    assert len({r["id"] for r in test}) == 40
    assert {r["corpus"] for r in rows(finished / name)} == {"iemocap"}
    sums = [sum(r[emotion] for emotion in EMOTIONS) for r in test]
    assert sums == pytest.approx([1.0] * 40)


def test_the_session_after_the_tested_one_validates(finished):
    validated = {
        r["fold"]: r["session"]
        for r in rows(finished / "with-crema-d")
        if r["part"] == "validation"
    }
    wanted = {f"Ses0{i}": f"iemocap/Ses0{i % 5 + 1}" for i in range(1, 6)}
    assert validated == wanted


def test_ravdess_is_only_tested_and_both_ways(finished):
    from espressivo.training.folds.table import read_folds

    test = rows(finished / "ravdess")
    assert {r["corpus"] for r in test} == {"ravdess"}
    assert {r["part"] for r in test} == {"test"}
    assert sum(r["original"] == "calm" for r in test) == 2
    for result in finished.glob("*/folds.parquet"):
        for fold in read_folds(result):
            trained = {u.corpus for u in (*fold.train, *fold.validation)}
            assert "ravdess" not in trained
    tables = sorted(p.name for p in (finished / "summary").glob("fig-1*.md"))
    assert tables == [
        "fig-1-confusion-ravdess.md",
        "fig-1-ravdess-without-calm.md",
        "fig-1-ravdess.md",
    ]


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("table-I-iemocap-only", ["| WA | 0.595 ± 0.031 |", "| F1 neutral | 0.512 |"]),
        ("table-I-with-crema-d", ["| **UA** | **0.614 ± 0.030** |"]),
        ("production-production", ["| WA | 0.755 |", "chosen on the test part"]),
        ("fig-1-ravdess", ["| WA | 0.433 |", "| **UA** | **0.462** |"]),
        ("fig-1-ravdess-without-calm", ["| WA | - |"]),
        ("fig-1-confusion-ravdess", ["| study, calm as neutral | anger | 0.970 |"]),
    ],
)
def test_published_values_stand_beside_ours(finished, table, wanted):
    text = (finished / "summary" / f"{table}.md").read_text("utf-8")
    for line in wanted:
        assert line in text
    assert "Published, not measured here" in text
    assert (finished / "summary" / f"{table}.csv").is_file()


def test_all_tables_say_what_they_are_not(finished):
    tables = [*finished.glob("summary/*.md"), *finished.glob("report/*/tables/*.md")]
    assert len(tables) > 20
    for path in tables:
        text = path.read_text("utf-8")
        if path.stem == "table-II":
            continue  # every number stands beside the published one
        assert "IEMOCAP has 40 of 5,531 recordings" in text, path
        assert "not the published recipe: training.batch_size=8, tr" in text, path
        assert "device=cpu" not in text
    page = (finished / "summary.html").read_text("utf-8")
    assert "IEMOCAP has 40 of 5,531" in page
    assert "Table II" in page


def test_the_reports_have_figures(finished):
    for name in ("table-I", "production", "fig-1"):
        assert (finished / "report" / name / "report.html").is_file()
    confusion = finished / "report/fig-1/figures/confusion-ravdess.svg"
    assert confusion.is_file()
    assert "<svg role" in (finished / "summary.html").read_text("utf-8")


def test_what_is_finished_is_not_run_again(finished, root, weights, capsys):
    names = ("model.safetensors", "predictions.parquet")
    made = [p for name in names for p in finished.glob(f"*/*/*/{name}")]
    made.append(finished / "ravdess/predictions.parquet")
    before = {path: path.stat().st_mtime_ns for path in made}
    capsys.readouterr()

    assert main(paper(root, weights, finished)) == 0

    assert len(before) == 23
    assert {path: path.stat().st_mtime_ns for path in made} == before
    out, err = capsys.readouterr()
    assert "epoch" not in err
    assert out.count("0.595 ± 0.031") == 1


def test_another_recipe_does_not_mix_with_a_result(finished, root, weights, capsys):
    more = ("--table", "I", "--set", "training.learning_rate=1")
    assert main(paper(root, weights, finished, *more)) == 1
    assert "another configuration" in capsys.readouterr().err


def test_both_readings_of_frozen_stand_beside_each_other(
    finished, root, weights, capsys
):
    more = ("--table", "fig1", "--frozen", "all", "--set", "training.epochs=1")
    assert main(paper(root, weights, finished, *more)) == 0
    out = capsys.readouterr().out
    assert "tested: production model;" in out
    assert "tested: production model, all but the head frozen;" in out
    assert (finished / "ravdess-frozen/predictions.parquet").is_file()


def test_weights_of_another_network_are_refused_before_anything_is_read(
    root, weights, tmp_path, capsys
):
    more = ("--weights", weights / "wav2vec2")
    assert main(paper(root, weights, tmp_path / "out", "--table", "I", *more)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "a checkpoint of another network than distilhubert" in last
    assert not (tmp_path / "out").exists()


def test_a_killed_command_goes_on_to_the_same_predictions(
    finished, root, weights, tmp_path
):
    args = paper(root, weights, tmp_path / "out", "--table", "I", crema_d=False)
    child = subprocess.Popen(
        [sys.executable, "-m", "espressivo", *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    first = tmp_path / "out/iemocap-only/Ses02/seed-0/run.json"
    while not first.exists():
        assert child.poll() is None
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "out/summary.html").exists()

    assert main(args) == 0

    killed = by_clip(tmp_path / "out/iemocap-only")
    assert killed == by_clip(finished / "iemocap-only")


def test_pepino_as_published_and_under_our_folds(root, weights, tmp_path, capsys):
    more = ("--weights", weights / "wav2vec2", "--set", "training.epochs=1")
    assert main(reproduce("pepino", root, tmp_path / "out", *more)) == 0
    out = capsys.readouterr().out
    assert "tested: as published; protocol: random split" in out
    assert "Difference: as published, minus our folds" in out
    assert "Difference: as published, training statistics, minus our folds" in out
    for value in ("0.672", "0.658"):
        text = "".join(p.read_text() for p in (tmp_path / "out/summary").glob("*.md"))
        assert f"**{value}**" in text
    tested = {
        name: {r["id"] for r in rows(tmp_path / "out" / name) if r["part"] == "test"}
        for name in ("as-published", "training-statistics", "our-folds")
    }
    assert {len(ids) for ids in tested.values()} == {40}
    # The same folds and seed, and other statistics.
    published, training = (
        by_clip(tmp_path / "out" / n) for n in ("as-published", "training-statistics")
    )
    assert published.keys() == training.keys()
    assert not np.allclose([*published.values()], [*training.values()], atol=1e-4)


def test_light_sernet_as_published_and_under_our_folds(root, tmp_path, capsys):
    # Folds and tables are those of any number of epochs; training is tested elsewhere.
    more = ("--window", "3", "--set", "training.epochs=0")
    assert main(reproduce("light-sernet", root, tmp_path / "out", *more)) == 0
    out = capsys.readouterr().out
    assert "chosen on the test part" in out
    assert "not the published recipe: training.batch_size=8" in out
    assert "network.window_s=3" in " ".join(out.split())
    assert "Difference: as published, minus our folds" in out
    published = rows(tmp_path / "out/as-published")
    parts = [
        {r["id"] for r in published if r["part"] == p} for p in ("validation", "test")
    ]
    assert parts[0] == parts[1]
    assert len({r["fold"] for r in published}) == 10
    assert len({r["fold"] for r in rows(tmp_path / "out/our-folds")}) == 5


def test_table_two_needs_no_audio_and_no_torch(tmp_path):
    build_iemocap(tmp_path)
    build_crema_d(tmp_path)
    code = (
        "import sys; from espressivo.cli.main import main; "
        "assert main(sys.argv[1:]) == 0; "
        "assert 'torch' not in sys.modules and 'pyarrow' not in sys.modules"
    )
    args = ["reproduce", "paper", "--table", "II"]
    args += ["--iemocap", str(tmp_path), "--crema-d", str(tmp_path / "CREMA-D")]
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    assert "| anger | 1,103 | 1,103 | 1,271 | 1,271 | 1.065 | 1.065 |" in done.stdout
    assert "Every number is the study's, to its last digit." in done.stdout


def test_a_dry_run_says_what_it_takes_and_writes_nothing(
    root, weights, tmp_path, capsys
):
    out = tmp_path / "out"
    assert main(paper(root, weights, out, "--dry-run", "--seeds", "0", "1")) == 0
    told = capsys.readouterr().out
    assert "with-crema-d" in told
    row = next(line.split() for line in told.splitlines() if "iemocap-only" in line)
    assert row[1:6] == ["10", "24", "8", "8", "2"]  # 5 folds x 2 seeds
    assert row[7] == "GMAC"
    words = " ".join(told.split())
    assert "for clips of 1 s. They are the same on every machine." in words
    assert "A GPU that sustains N TFLOP/s takes" in words
    assert "in a short benchmark just now on cpu with threads=1" in words
    assert "Nothing was written." in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--table", "II"], "--table II needs --crema-d"),
        (["--table", "fig1,II"], "needs --crema-d"),
        (["--set", "training.epoch=2", "--incomplete"], "did you mean 'training.epoc"),
        (["--set", "protocol.kind=random", "--incomplete"], "reproduce sets protocol"),
        (["--set", "network.weights=x", "--incomplete"], "pass --weights"),
        ([], "not the published corpus: IEMOCAP has 40 of 5,531"),
    ],
)
def test_what_cannot_be_reproduced_is_one_line_and_exit_1(
    root, tmp_path, more, message, capsys
):
    iemocap = str(root / "IEMOCAP_full_release")
    args = ["reproduce", "paper", "--iemocap", iemocap, "--out", str(tmp_path / "out")]
    assert main([*args, *more]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(root, tmp_path, capsys):
    (tmp_path / "file").touch()
    args = ["reproduce", "paper", "--iemocap", str(root), "--table", "II"]
    args += ["--crema-d", str(root / "CREMA-D"), "--out", str(tmp_path / "file/out")]
    assert main(args) == 1
    assert "cannot be written (Not a directory)" in capsys.readouterr().err


def test_a_table_that_is_none_is_the_command_lines_fault(root, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "paper", "--iemocap", str(root), "--table", "III"])
    assert stopped.value.code == 2
    assert "there is no table III" in capsys.readouterr().err
