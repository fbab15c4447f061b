"""Follow docs/extending.md: write its files, run its commands."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

from tests.conftest import NOTE, ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FILES = dict(
    re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
END = "-- end of a command --\n"
RUN_ALL = f"""
import json, runpy, sys
for n, argv in enumerate(json.loads(sys.argv[1])):
    print({END!r} * (n > 0), end="")
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            sys.exit(f"{{argv}}: {{stop.code}}")
"""
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page's commands have been run, and what each printed."""
    folder = tmp_path_factory.mktemp("extending")
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    shutil.copy(NOTE, folder / "recording.wav")
    return folder


@pytest.fixture(scope="module")
def printed(folder):
    """Output of each command of the page, by its subcommand."""
    lines = [shlex.split(line) for line in COMMANDS.splitlines()]
    assert {program for program, *_ in lines} == {"python"}
    commands = [argv for _, *argv in lines]
    # One process for all of them, since each would import torch first.
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(commands)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = done.stdout.split(END)
    names = [argv[1] if len(argv) > 1 else argv[0] for argv in commands]
    return dict(zip(names, outputs, strict=True))


def test_the_page_names_its_files():
    assert {"make_tones.py", "tones.py", "mel_moments.py", "mine.py", "tones.toml"} == {
        *FILES
    }


def test_the_corpus_is_read_and_complete(printed):
    assert "complete" in printed["corpora"]


def test_the_network_is_trained_exported_and_scored(printed, folder):
    card = json.loads((folder / "models/tones/model.json").read_text("utf-8"))
    assert card["training_corpora"][0]["license"] == "CC0 1.0 (docs/extending.md)"
    assert card["use"]["commercial"] == "yes"
    assert card["training_corpora"][0]["n_utterances"] == 32
    assert "WA" in printed["evaluate"]


def test_a_recording_is_analysed(printed):
    assert "recording.wav" in printed["analyze"]
