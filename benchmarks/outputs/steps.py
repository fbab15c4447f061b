"""What is asked of the commands; steps of `capture.py`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.outputs.inputs import CLIPS, NO_RECORDINGS, WORK, speech

if TYPE_CHECKING:
    from benchmarks.outputs.capture import Capture


def analyze(run: Capture) -> None:
    """Reports of good, odd and broken recordings, with and without a profile."""
    corpora = [p for c in CLIPS for p in sorted((WORK / c).rglob("*.[fo]*"))[::7]]
    clips = [WORK / "voice-note.m4a", *corpora][:30]
    cases = sorted((WORK / "cases").iterdir())
    cases = [path for path in cases if path.suffix not in NO_RECORDINGS]
    broken = sorted((WORK / "broken").iterdir())
    run("table", "analyze", *clips, "--threads", 1)
    run("json", "analyze", "--json", *clips)
    run("csv", "analyze", "--csv", *clips, *cases, *broken)
    for path in [*cases, *broken, WORK / "missing.wav", WORK]:
        run(f"case-{path.name}", "analyze", "--json", path)
    run("stdin", "analyze", "-", "--json", stdin=clips[0].read_bytes())
    run(
        "plot-nowhere", "analyze", *clips[:3], "--plot", WORK / "plots" / "timeline.svg"
    )
    (WORK / "plots").mkdir()
    run("plot", "analyze", *clips[:3], "--plot", WORK / "plots" / "timeline.svg")
    run.files("plots", WORK / "plots")
    run("model", "analyze", clips[0], "--model", WORK / "no-such-model")
    run("usage", "analyze", clips[0], "--json", "--csv")


def profile(run: Capture) -> None:
    """A profile's life, and reports that it takes part in."""
    anna = sorted((WORK / "emodb").glob("03*"))
    run("create", "profile", "create", "anna", *anna[:4])
    run("update", "profile", "update", "anna", *anna[4:6], WORK / "broken" / "text.wav")
    run("other", "profile", "create", "other", *sorted((WORK / "tess").glob("OAF*")))
    run("again", "profile", "create", "anna")
    run("table", "analyze", "--speaker", "anna", "--no-update", anna[5])
    run(
        "json",
        "analyze",
        "--speaker",
        "anna",
        "--json",
        *anna[5:8],
        WORK / "voice-note.m4a",
    )
    run("csv", "analyze", "--speaker", "anna", "--csv", *anna[5:8])
    run("show", "profile", "show", "anna")
    run("show-json", "profile", "show", "anna", "--json")
    run("merge", "profile", "merge", "anna", "other")
    run("merged", "profile", "show", "anna", "--json")
    run("list", "profile", "list")
    run("delete", "profile", "delete", "other")
    run("deleted", "analyze", "--speaker", "other", anna[0])


def listen(run: Capture) -> None:
    """Estimates and reports of what comes through a pipe."""
    note, pcm = (WORK / "voice-note.m4a").read_bytes(), speech()
    wav = (WORK / "cases" / "sox-to-pipe.wav").read_bytes()
    flac = (WORK / "cases" / "read-4s.flac").read_bytes()
    run("lines", "listen", "-", "--lines", stdin=flac)
    run("json", "listen", "-", "--json", stdin=wav)
    run("text", "listen", "-", stdin=flac)
    run("note", "listen", "-", "--json", stdin=note)
    run("raw-lines", "listen", "-", "--raw", "--lines", "--hop", 0.5, stdin=pcm)
    run("raw-csv", "listen", "-", "--raw", "--csv", "--hop", 0, stdin=pcm)
    run("raw-json", "listen", "-", "--raw", "--json", stdin=pcm[:-1])
    run("text-file", "listen", "-", "--json", stdin=b"no sound" * 1000)


def archive(run: Capture) -> None:
    """Tables of a folder and of a manifest, by one process and by two."""
    folder = WORK / "notes"
    for corpus in ("emodb", "tess", "broken", "cases"):
        shutil.copytree(WORK / corpus, folder / corpus)
    (folder / "empty folder").mkdir()
    for workers in (1, 2):
        out = WORK / f"tables-{workers}"
        options = ["--out", out, "--workers", workers, "--shard-size", 16]
        run(f"folder-{workers}", "archive", folder, *options, fresh=out)
        run.files(f"tables-{workers}", out)
    run("resumed", "archive", folder, *options)
    run("refused", "archive", folder, "--out", out, "--shard-size", 8)
    out = WORK / "tables-3"
    run("pattern", "archive", f"{folder}/**/*.opus", "--out", out, fresh=out)
    rows = [f"{p.stem},{p}\n" for p in sorted((WORK / "nemo").glob("*.opus"))]
    rows += [f"none,{WORK}/none.wav\n", f"folder,{WORK}\n"]
    (WORK / "list.csv").write_text("id,path\n" + "".join(rows))
    out, figure = WORK / "tables-4", WORK / "shares" / "shares.svg"
    figure.parent.mkdir()
    options = ["--out", out, "--plot", figure]
    run("manifest", "archive", WORK / "list.csv", *options, fresh=out)
    run.files("tables-4", out)
    run.files("shares", figure.parent)


def crossval(run: Capture) -> None:
    """Cross-validation, and the tables and audits of what it wrote."""
    seeds = ["--seeds", 0, 1]
    results = [WORK / "results" / name for name in ("statistics", "frozen")]
    for result, jobs in zip(results, (1, 2), strict=True):
        config = WORK / f"{result.name}.toml"
        options = ["--out", result, *seeds, "--jobs", jobs]
        run(result.name, "crossval", config, *options)
        run(f"{result.name}-resumed", "crossval", config, *options)
        run.files(f"result-{result.name}", result, leave=["cache"])
        run(f"audit-{result.name}", "corpora", "audit", config)
        run(f"audit-{result.name}-json", "corpora", "audit", result, "--json")
        for form in ("--markdown", "--latex", "--csv"):
            run(f"tables-{result.name}{form}", "tables", result, form)
    tables = ["--table", "folds", "--table", "confusion", "--table", "published"]
    run("tables", "tables", *results, *tables)
    run("against", "tables", results[0], "--against", results[0], "--calibrated")
    report = WORK / "report"
    run("report", "tables", *results, "--out", report)
    run.files("report", report)
    run(
        "wrong",
        "crossval",
        WORK / "light.toml",
        "--out",
        WORK / "x",
        "--set",
        "lossy=1",
    )
    options = ["--iemocap", WORK / "iemocap", "--incomplete", "--window", 3]
    options += ["--set", "training.epochs=1", "--set", "threads=1"]
    out = WORK / "reproduced"
    run("reproduce", "reproduce", "light-sernet", *options, "--out", out)
    run.files("reproduced", out, leave=["cache"])


def evaluate(run: Capture) -> None:
    """Scores of the bundled model, checks of corpora, cards of models."""
    for corpus in ("ravdess", "emodb", "tess", "nemo"):
        run(f"check-{corpus}", "corpora", "check", corpus, WORK / corpus)
        run(f"check-{corpus}-json", "corpora", "check", corpus, WORK / corpus, "--json")
    run("corpora", "corpora", "list")
    run("models", "models", "list")
    run("card", "models", "show", "espressivo-tiny")
    run("verify", "models", "verify", "espressivo-tiny")
    scores = WORK / "scores"
    model, emodb = "espressivo-tiny", WORK / "emodb"
    run("emodb", "evaluate", model, "emodb", emodb, "--json", "--out", scores)
    run.files("scores", scores)
    against = ["--against", scores, "--pipeline"]
    run("emodb-pipeline", "evaluate", model, "emodb", emodb, *against)
    run("ravdess", "evaluate", model, "ravdess", WORK / "ravdess")
    run("broken", "evaluate", model, "manifest", WORK / "with-broken.csv", "--json")


def train(run: Capture) -> None:
    """Runs in closed form and by gradients, model folders, temperature and studies."""
    runs, models, emodb = WORK / "runs", WORK / "models", WORK / "emodb"
    for name in ("statistics", "tiny", "varied", "light"):
        run(name, "train", WORK / f"{name}.toml", "--out", runs / name)
    options: list[object] = ["--out", runs / "left", "--leave-out", "emodb"]
    run("left", "train", WORK / "tiny.toml", *options)
    few = ["--calibration", 24]
    forms: dict[str, list[object]] = {
        "tiny-fp16": ["--precision", "fp16"],
        "tiny-int8": few,
        "tiny-kept": ["--keep", "blocks.0.*", *few],
        "statistics-fp32": ["--precision", "fp32"],
        "light-int8": [*few, "--held-out", f"tess={WORK / 'tess'}"],
        "varied-fp32": ["--precision", "fp32", "--temperature", 1.5],
        "left-fp32": ["--precision", "fp32"],
    }
    for name, options in forms.items():
        out = models / name
        run(
            f"export-{name}",
            "export",
            runs / name.split("-")[0],
            "--out",
            out,
            *options,
        )
        run.files(f"model-{name}", out)
        if name.endswith("int8"):
            run(f"analyze-{name}", "analyze", WORK / "voice-note.m4a", "--model", out)
    scores, left = WORK / "scores-left", models / "left-fp32"
    run("left-scores", "evaluate", left, "emodb", emodb, "--out", scores)
    run("calibrate", "calibrate", runs / "varied", scores)
    run.files("runs", runs)
    # Once `espressivo study`, then modules of their own.
    studies = {"profile": "research.adaptation", "vad": "research.vad"}
    noise = ["--noise", WORK / "noise", "--notes", 1]
    asked: dict[str, list[object]] = {
        "profile": ["--case", left, "emodb", emodb, "--draws", 2, "--notes", 2],
        "vad": ["--case", left, "emodb", WORK / "one-speaker", *noise],
    }
    for name, options in asked.items():
        out = WORK / f"study-{name}"
        if run.has("study"):
            run(out.name, "study", name, *options, "--out", out)
        else:
            run(out.name, *options, "--out", out, module=studies[name])
        run.files(out.name, out)
