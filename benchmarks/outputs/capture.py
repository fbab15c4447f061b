"""What the commands print and write, kept so that two versions can be compared.

    python benchmarks/outputs/capture.py --checkout DIR --out DIR [--only STEP ...]
    python benchmarks/outputs/capture.py --compare OUT1 OUT2

Every command is run with this Python and the checkout's `src`, on copies of recordings
in one work folder, whose path is always the same, so that it may stand in what is kept.
Texts and Parquet tables are kept as they are, but for what `normalized` replaces; of
other files the SHA-256. `not-compared/` holds what may differ. Linux, about 6 minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.outputs.inputs import NOT_COMPARED, WORK, prepare
from benchmarks.outputs.servers import api, serve
from benchmarks.outputs.steps import (
    analyze,
    archive,
    crossval,
    evaluate,
    listen,
    profile,
    train,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TEXTS = {".csv", ".html", ".json", ".jsonl", ".md", ".svg", ".tex", ".toml", ".txt"}
LARGEST_BYTES = 1_000_000  # of a text that is kept whole

# One of some 16 `archive` commands of November 2026 ended so, when all was written and
# printed: a thread of Arrow's freed Python's bytes while the interpreter ended.
ABORT = b"terminate called without an active exception"
N_TRIES = 3

VARIES = [
    # Where things are: modules of the checkout, and a port that was free.
    (r"CHECKOUT/src/(?:[\w.-]+/)+", "CHECKOUT/src/.../"),
    (r"(?<=127\.0\.0\.1:)\d{4,5}", "PORT"),
    # JSON: time and memory that were measured, when it was, and of which commit.
    (r'("(?:seconds|started|git|peak_bytes)": )("[^"]*"|[-\d.e]+|null)', r'\1"VARIES"'),
    (r'(?ms)^  "costs": \{.*?^  \}', '  "costs": "VARIES"'),
    # Figures: when they were drawn, and matplotlib's ids, made of memory addresses.
    (r"<dc:date>[^<]*</dc:date>", "<dc:date>VARIES</dc:date>"),
    (r"\b([mp])[0-9a-f]{10}\b", r"\1VARIES"),
    # `train` and `crossval`: what an epoch took.
    (r"(?m)^((?:\S+  )?\w+ \d+/\d+  loss .*)  \d+ s$", r"\1  N s"),
    # `archive`: how fast it was.
    (r"(?m)^[\d,]+ in [\d:.]+, [\d,]+ x real time", "N in T, N x real time"),
    # `export`: time and memory that were measured, and operators, sorted by time.
    (r"(?m)^(\| )?(time|peak memory), .*$", r"\1\2: VARIES"),
    (r"(?ms)^\| operator \|.*?(?=\n\n|\Z)", "OPERATORS VARY"),
]


def normalized(text: str, checkout: Path) -> str:
    """Replace what is not the same twice, or differs between checkouts."""
    text = text.replace(str(checkout), "CHECKOUT").replace(str(WORK), "WORK")
    for pattern, replacement in VARIES:
        text = re.sub(pattern, replacement, text)
    # `crossval --jobs 2`: which of two runs is the first to have finished an epoch.
    return re.sub(r"(?m)(?:^\S+/seed-\d+  .*\n)+", _in_order, text)


def _in_order(lines: re.Match[str]) -> str:
    return "".join(sorted(lines[0].splitlines(keepends=True)))


class Capture:
    """Runs commands of a checkout, and keeps what they print and write.

    Args:
        checkout: Whose `src` is run.
        out: The folder that is written; a folder for each step.
    """

    def __init__(self, checkout: Path, out: Path) -> None:
        self.checkout, self.out, self.step = checkout, out, ""
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        self.environment = kept | {
            "COLUMNS": "100",
            "ESPRESSIVO_PROFILES": str(WORK / "profiles"),
            "HF_HUB_OFFLINE": "1",
            "HOME": str(WORK),
            "LC_ALL": "C.UTF-8",
            "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "espressivo-matplotlib"),
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(checkout / "src"),
            "PYTHONPYCACHEPREFIX": str(WORK / "pycache"),  # the checkout stays as it is
        }

    def require_checkout(self) -> None:
        """Check that it is the checkout's package that runs, not an installed one."""
        line = "import espressivo, matplotlib.font_manager; print(espressivo.__file__)"
        found = subprocess.check_output(
            [sys.executable, "-c", line], cwd=WORK, env=self.environment, text=True
        )
        if not Path(found).is_relative_to(self.checkout / "src"):
            sys.exit(f"{found.strip()}: runs, not {self.checkout}")

    def command(self, *arguments: object, module: str = "espressivo") -> list[str]:
        """Return the command line of an espressivo command, or of a study."""
        return [sys.executable, "-m", module, *map(str, arguments)]

    def has(self, command: str) -> bool:
        """Say whether there is such a command."""
        line = self.command(command, "--help")
        done = subprocess.run(
            line, env=self.environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def __call__(
        self,
        name: str,
        *arguments: object,
        stdin: bytes = b"",
        module: str = "espressivo",
        fresh: Path | None = None,
    ) -> None:
        """Run a command; keep its exit code and what it prints.

        Args:
            name: Of what is kept.
            arguments: Of the command.
            stdin: What it reads.
            module: What is run.
            fresh: A folder that it makes, and that is removed when it is run again.
        """
        began = time.monotonic()
        for _ in range(N_TRIES):
            done = subprocess.run(
                self.command(*arguments, module=module),
                cwd=self.checkout,
                env=self.environment,
                input=stdin,
                capture_output=True,
                check=False,
                timeout=600,
            )
            if ABORT not in done.stderr:
                break
            print(f"  {name}: aborted at its end, once more", flush=True)
            if fresh is not None:
                shutil.rmtree(fresh)
        out, err = (
            text.decode(errors="replace") for text in (done.stdout, done.stderr)
        )
        self.text(f"{name}.out", f"exit {done.returncode}\n{out}--- stderr\n{err}")
        took_s = time.monotonic() - began
        print(f"  {name}: exit {done.returncode}, {took_s:.1f} s", flush=True)

    def text(self, name: str, text: str, folder: str | None = None) -> None:
        """Keep a text of this step, or in another folder."""
        path = self.out / (folder or self.step) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(normalized(text, self.checkout), "utf-8")

    def files(self, name: str, folder: Path, leave: Sequence[str] = ()) -> None:
        """Keep the files below a folder: texts, tables, and hashes of all others."""
        hashes = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            inner = path.relative_to(folder)
            if inner.parts[0] in leave:
                continue
            large = path.stat().st_size > LARGEST_BYTES
            if path.suffix in TEXTS and not large:
                self.text(f"{name}/{inner}", path.read_text("utf-8"))
            elif path.suffix == ".parquet":
                target = self.out / self.step / name / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            else:
                hashes.append(
                    f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {inner}\n"
                )
        self.text(f"{name}/sha256.txt", "".join(hashes))

    @contextmanager
    def serving(
        self, *arguments: object, source: Path | None = None
    ) -> Iterator[str | None]:
        """Run a server; give its host and port, or None when it does not start."""
        environment = dict(self.environment)
        if source is not None:
            environment["PYTHONPATH"] = str(source)
        with (WORK / "server.err").open("w+b") as err:
            server = subprocess.Popen(
                self.command(*arguments, "--port", 0),
                cwd=self.checkout,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
            assert server.stdout is not None
            said = server.stdout.readline()
            found = re.search(r"http://([\w.]+:\d+)/", said)
            try:
                yield found[1] if found else None
            finally:
                server.terminate()
                rest = server.communicate(timeout=60)[0]
                err.seek(0)
                whole = f"exit {server.returncode}\n{said}{rest}--- stderr\n"
                self.text("server.out", whole + err.read().decode())


STEPS = (analyze, profile, listen, archive, serve, api, crossval, evaluate, train)


def capture(checkout: Path, out: Path, shared: Path, only: Sequence[str]) -> None:
    """Run all steps, or some, and write what they print and write to `out`."""
    if out.exists():
        sys.exit(f"{out}: is there already; name another folder, or remove it")
    try:
        WORK.mkdir()
    except FileExistsError:
        sys.exit(f"{WORK}: another capture runs, or was killed; then remove it")
    began = time.monotonic()
    try:
        prepare(checkout, shared)
        run = Capture(checkout, out)
        run.require_checkout()
        for step in STEPS:
            if not only or step.__name__ in only:
                run.step = step.__name__
                print(f"{run.step} ({time.monotonic() - began:.0f} s)", flush=True)
                try:
                    step(run)
                except Exception:  # noqa: BLE001 - the other steps are still wanted
                    traceback.print_exc()
                    run.text("broken-off.txt", "This step did not end.\n")
    finally:
        shutil.rmtree(WORK)
    print(f"{out}: written in {time.monotonic() - began:.0f} s")


def compare(first: Path, second: Path) -> int:
    """Print the files that differ, or are in one folder only; return the exit code."""
    trees = [
        {
            str(path.relative_to(out)): path.read_bytes()
            for path in out.rglob("*")
            if path.is_file() and NOT_COMPARED not in path.parts
        }
        for out in (first, second)
    ]
    names = sorted({*trees[0], *trees[1]})
    different = [name for name in names if trees[0].get(name) != trees[1].get(name)]
    for name in different:
        lacking = [
            str(o) for o, t in zip((first, second), trees, strict=True) if name not in t
        ]
        print(f"{name}: " + (f"not in {lacking[0]}" if lacking else "differs"))
    print(f"{len(names) - len(different)} files alike")
    return 1 if different or not names else 0


def main() -> int:
    """Capture, or compare."""
    shared = Path(__file__).resolve().parents[3] / "shared"
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--shared", type=Path, default=shared, metavar="DIR")
    names = [step.__name__ for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="STEP")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="OUT")
    args = parser.parse_args()
    if args.compare:
        return compare(*args.compare)
    if args.checkout is None or args.out is None:
        parser.error("give --checkout and --out, or --compare")
    capture(args.checkout.resolve(), args.out.resolve(), args.shared, args.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
