"""The pages of the documentation: their code blocks and the commands in them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.conftest import ROOT

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "web/*.md",
        "research/**/*.md",
        "recipes/*.md",
        "benchmarks/*.md",
        "examples/*.md",
    )
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"  # tells of options that are gone
)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


class Block(NamedTuple):
    """A fenced block, or inline code (`language` is "inline"), and where it stands."""

    page: str
    line: int
    language: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """The page and the first line, by which a test names the block."""
        return self.page, self.text.partition("\n")[0].strip()

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """Return the blocks and the inline code of a page, in their order."""
    text = (ROOT / page).read_text("utf-8")
    found = []

    def keep(match: re.Match[str], language: str, code: str) -> str:
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, code))
        return re.sub(r"[^\n]", " ", match[0])

    rest = FENCE.sub(lambda m: keep(m, m[2], m[3]), text)
    INLINE.sub(lambda m: keep(m, "inline", " ".join(m[1].split())), rest)
    return sorted(found, key=lambda block: block.line)


def is_synopsis(block: Block) -> bool:
    """Return whether a block tells how commands are written, options in brackets."""
    starts = re.match(r"espressivo [a-z]|pip install ", block.text)
    return block.language == "" and starts is not None


def calls_of(block: Block, folder) -> list[list[str]]:
    """Return the command lines of a block of commands, word by word; else nothing."""
    if is_synopsis(block):
        lines = re.sub(r"\s+#.*$", "", block.text, flags=re.MULTILINE)
        joined = re.sub(r"\n +", " ", lines)
        return [words for line in joined.splitlines() for words in readings(line)]
    if block.language == "sh":
        return expand(block.text, folder)
    if block.language == "" and block.text.startswith("$ "):
        typed = re.findall(r"^\$ ((?:.*\\\n)*.*)$", block.text, re.MULTILINE)
        return expand("\n".join(typed), folder)
    if block.language == "" and block.text.startswith("usage: "):  # docs/cli.md
        shown = block.text.partition("examples:\n")[2].partition("\n\n")[0]
        joined = re.sub(r" \\\n +", " ", shown)
        typed = re.findall(r"^  (\S.*?)(?:  .*)?$", joined, re.MULTILINE)
        return expand("\n".join(typed), folder)
    return []


def readings(synopsis: str) -> list[list[str]]:
    """Return command lines that a synopsis allows: each option alone, each choice.

    What stands for a value (`DIR`) stays.
    """
    if '"' in synopsis:  # pip install "espressivo[train]"
        return [shlex.split(synopsis)]
    groups = [*_groups(synopsis)]
    lines = [_without(synopsis, groups)]
    for chosen in groups:
        start, end = chosen
        for choice in synopsis[start + 1 : end - 1].split(" | "):
            others = [group for group in groups if group != chosen]
            line = (
                synopsis[: start + 1] + choice + " " * (end - start - 1 - len(choice))
            )
            lines.append(_without(line + synopsis[end:], others))
    return [words for line in lines for words in _with_choices(_plain(line))]


def _groups(synopsis: str):
    """Yield start and end of each pair of outermost brackets."""
    depth = start = 0
    for n, letter in enumerate(synopsis):
        if letter == "[":
            start = start if depth else n
            depth += 1
        elif letter == "]":
            depth -= 1
            if not depth:
                yield start, n + 1


def _without(line: str, groups) -> str:
    for start, end in groups:
        line = line[:start] + " " * (end - start) + line[end:]
    return line


def _plain(line: str) -> list[str]:
    words = re.sub(r"[\[\]]", " ", line).split()
    return [word.removesuffix("...").rstrip(",") for word in words if word != "..."]


def _with_choices(words: list[str]):
    """Yield the words with each of the choices `one|other`, one at a time."""
    first = [word.partition("|")[0] for word in words]
    yield first
    for n, word in enumerate(words):
        for choice in word.split("|")[1:]:
            yield [*first[:n], choice, *first[n + 1 :]]


_NOTED = """
[ "${BASH_VERSINFO[0]}" -ge 4 ] || exit 99  # macOS comes with 3.2
note() { printf '%s\\0' "$@" >> "$CALLS"; printf '\\n\\0' >> "$CALLS"; }
command_not_found_handle() { note "$@"; }
python() { case $1 in -c) "$PYTHON" "$@";; *) note python "$@";; esac; }
cd() { :; }
"""


def expand(shell: str, folder) -> list[list[str]]:
    """Run shell code with bash; return what programs it calls, which are not run.

    Loops, variables, patterns and redirections are bash's, in `folder`. Only `cp` and
    `mkdir` are programs that it finds.
    """
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    programs = folder / ".programs"
    if not programs.is_dir():
        programs.mkdir()
        for name in ("cp", "mkdir"):
            (programs / name).symlink_to(shutil.which(name))
    calls = folder / "calls.noted"
    calls.write_bytes(b"")
    done = subprocess.run(
        [bash, "-e", "-u", "-o", "pipefail", "-c", _NOTED + shell],
        cwd=folder,
        env={
            "PATH": str(programs),
            "HOME": str(folder),
            "CALLS": str(calls),
            "PYTHON": sys.executable,
            "ESPRESSIVO_DATA": "shared",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip("needs bash 4 or newer")
    assert done.returncode == 0, f"{shell}\n{done.stderr}"
    noted = calls.read_bytes().decode().split("\n\0")[:-1]
    return [call.split("\0")[:-1] for call in noted]
