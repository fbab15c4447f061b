"""Commands of the documentation run, or the parsers of their programs take them."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import tomllib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise

import pytest

from espressivo.cli.main import _COMMANDS, _EXTRA, build_parser, main
from tests.conftest import ROOT
from tests.pages.blocks import PAGES, blocks_of, calls_of, is_synopsis

RUN = {
    "README.md": {"adapt", "analyze", "archive", "profile", "models"},
    "docs/adaptation.md": {"adapt", "analyze", "profile"},
    "docs/analyze.md": {"analyze"},
    "docs/archive.md": {"archive"},
    "docs/models/espressivo-base.md": {"models"},
    "docs/models/espressivo-tiny.md": {"models"},
    "docs/models/espressivo-nano.md": {"models"},
    "docs/tables.md": {"tables"},
}
"""Page -> commands that are run. All others need corpora, a trained run, a microphone,
a network, an end by Ctrl-C or, as `bench`, half a minute: they are parsed, and run by
the tests of the command with data of their own."""

PARSED = {
    "archive s3://bucket/calls.parquet": "needs an object store",
    "analyze -": "needs a pipe",
    "tables runs/light-sernet runs/whisper --out": "test_python_blocks.py writes it",
}
"""Beginnings of commands of `RUN` that are parsed only, and why."""

ELSEWHERE = {
    ("docs/extending.md", "python make_tones.py"): "tests/training/test_extending.py",
}
"""Blocks of commands that another test runs, and which."""

VALUES = {
    "N": "2",
    "P": "0.5",
    "S": "0.5",
    "T": "1.4",
    "CHANGE": "0.02",
    "SHARE": "0.8",
}
VALUES |= {"--format FORMAT": "html", "--headerless FORMAT": "u8:8000"}
VALUES |= {"--table NAME": "main", "--conditions LIST": "telephone"}
"""What the words of a synopsis stand for, where a parser reads them."""

PROGRAMS = ("pip", "make", "npm", "pytest", "python", "espressivo")
"""Programs whose commands in the text are looked at."""

EXTRAS = {*_EXTRA, "onnx_ir", "opensmile", "accelerate"}
"""Packages without which a script cannot be imported: then its text is read."""


def refuse(parser, message):
    raise AssertionError(f"{parser.prog}: {message}")


def taken(parser, argv):
    """Return whether a parser takes these arguments, and what it says if not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "error", refuse)
        try:
            _, unknown = parser.parse_known_args(argv)
        except AssertionError as error:
            return False, str(error)
    return not unknown, f"{parser.prog}: unknown {unknown}"


@cache
def command_parser(command):
    return build_parser(command)


class BuiltError(Exception):
    """Raised with a parser in place of the arguments that it would parse."""


@cache
def script_parser(module):
    """Return the parser of a study or a benchmark, or None without its extra."""

    def stop(parser, *_):
        raise BuiltError(parser)

    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        return None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(BuiltError) as built:
            found.main()
    return built.value.args[0]


def options_of(parser):
    """Return the options of a parser and of its subcommands."""
    found = {*parser._option_string_actions}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*map(options_of, action.choices.values()))
    return found


def script_of(argv):
    """Return the module of `python -m MODULE` or `python FILE`, and its arguments."""
    if argv[0] == "-m":
        module = argv[1] + ".__main__" * (ROOT / argv[1].replace(".", "/")).is_dir()
        argv = argv[1:]
    else:
        module = argv[0].removesuffix(".py").replace("/", ".")
    path = ROOT / f"{module.replace('.', '/')}.py"
    assert path.is_file(), path
    return module, argv[1:]


@cache
def script_options():
    """Return the options of all studies and benchmarks, from their texts."""
    scripts = [*ROOT.glob("benchmarks/*/*.py"), *ROOT.glob("research/**/*.py")]
    texts = [path.read_text("utf-8") for path in scripts]
    return {option for text in texts for option in re.findall(r'"(--[\w-]+)"', text)}


def check(argv, *, run=False, whole=True):
    """Run a command line, or have its program's parser take it.

    Of one that is not `whole`, as text mentions commands, the options are looked up.
    """
    program, *argv = argv
    if program == "espressivo":
        check_espressivo(argv, run=run, whole=whole)
    elif program == "python":
        check_script(argv, whole=whole)
    elif program == "pip":
        assert argv[0] in ("install", "download"), argv
        for extras in re.findall(r"\[(.+)\]", " ".join(argv)):
            known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
            assert {*extras.split(",")} <= {*known["project"]["optional-dependencies"]}
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text("utf-8")
        assert re.search(rf"^{re.escape(argv[0])}:", makefile, re.MULTILINE), argv
    elif program == "pytest":
        path, _, name = ROOT / argv[0], *argv[1:]
        files = path.rglob("test_*.py") if path.is_dir() else [path]
        assert any(name in file.read_text("utf-8") for file in files), argv
    elif program == "npm" and argv[0] == "run":
        scripts = json.loads((ROOT / "web/package.json").read_text())["scripts"]
        assert argv[1] in scripts, argv
    elif program == "docker" and argv[0] == "run":  # the image runs `espressivo api`
        served = ["api", *argv[argv.index("espressivo") + 1 :]]
        check_espressivo(served, run=False, whole=whole)


def check_espressivo(argv, *, run, whole):
    argv = [
        VALUES.get(f"{before} {word}", VALUES.get(word, word))
        for before, word in pairwise(["", *argv])
    ]
    parser = command_parser(argv[0])
    accepted, said = taken(parser, argv)
    if not accepted and not whole:
        require_options(argv, options_of(parser))
        return
    assert accepted, said
    for word in argv:
        assert not word.startswith("recipes/") or (ROOT / word).is_file(), word
    given = " ".join(argv)
    if not run or any(given.startswith(beginning) for beginning in PARSED):
        return
    if argv[0] == "archive":
        if find_spec("pyarrow") is None:
            return
        shutil.rmtree("tables", ignore_errors=True)  # the examples share their --out
        argv += ["--workers", "1"]  # in this process
    assert main(argv) == 0, given


def check_script(argv, *, whole):
    module, argv = script_of(argv)
    parsed = whole and argv and module.startswith(("benchmarks.", "research."))
    if not parsed or (parser := script_parser(module)) is None:
        require_options(argv, script_options())
        return
    accepted, said = taken(parser, argv)
    assert accepted, said


def require_options(argv, options):
    given = {word.partition("=")[0] for word in argv if word.startswith("--")}
    assert given <= {*options}, given - {*options}


def mentioned(code):
    """Return the words of a command in inline code; nothing for other code."""
    code = code.replace("python mine.py", "espressivo")  # docs/extending.md
    words = shlex.split(code) if code.count('"') % 2 == code.count("'") % 2 == 0 else []
    if len(words) > 1 and words[0] in PROGRAMS:
        known = words[0] != "espressivo" or words[1] in _COMMANDS
        return words if known else []
    if len(words) > 1 and words[0] in _COMMANDS:
        return ["espressivo", *words]
    return []


@pytest.mark.parametrize("page", PAGES)
def test_commands(page, folder, request, capsys):
    if page == "docs/tables.md":
        made = request.getfixturevalue("results")
        shutil.copytree(made, folder, dirs_exist_ok=True)
    for block in blocks_of(page):
        if block.key in ELSEWHERE:
            continue
        inline = block.language == "inline"
        try:
            calls = [mentioned(block.text)] if inline else calls_of(block, folder)
            for call in filter(None, calls):
                run = not is_synopsis(block) and call[1] in RUN.get(page, ())
                check(call, run=run, whole=not inline)
        except BaseException as error:
            error.add_note(f"{block}: {block.key[1]}")
            raise


def test_options_that_the_text_names_are_there():
    commands = [options_of(command_parser(name)) for name in _COMMANDS]
    known = script_options().union(*commands)
    found = [
        (str(block), block.text.split()[0].partition("=")[0])
        for page in PAGES
        if not page.startswith("web/")  # whose options are those of bundlers
        for block in blocks_of(page)
        if block.language == "inline" and block.text.startswith("--")
    ]

    assert len(found) > 100
    assert [option for option in found if option[1] not in known] == []
