"""Whether the API answers as its OpenAPI document says, by schemathesis.

    pip install schemathesis
    python benchmarks/server/contract.py --cases 10000

Requests are generated from the served document, valid and invalid ones, for a server
without a token, for one with a token, which they send, and for one with a token and few
requests a minute. Each response must have a documented status, content type, headers
and body, and none may be 5xx; what is invalid must be refused, and what lacks the
token, too. Nothing may be logged.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).with_name("schemathesis.toml")
TOKEN = "a-token-of-the-benchmark"  # noqa: S105 - no secret
KINDS = ("no token", "token", "rate")


def main() -> None:
    """Run schemathesis against the servers in turn until there are enough cases."""
    args = _arguments()
    if shutil.which(args.schemathesis) is None:
        raise SystemExit(
            f"{args.schemathesis}: is not there; pip install schemathesis, or name it "
            "with --schemathesis PATH"
        )
    n_cases, failures = dict.fromkeys(KINDS, 0), list[str]()
    seeds = count(args.seed)
    for kind in cycle(KINDS):
        if sum(n_cases.values()) >= args.cases:
            break
        with serving(args.model, kind) as url:
            n, failed = tested(url, kind, next(seeds), args)
        n_cases[kind] += n
        failures += failed
        print(f"{n_cases}, {len(failures)} failures", flush=True)
        print(*failed, sep="\n", end="\n" * bool(failed))
    raise SystemExit(1 if failures else 0)


def tested(
    url: str, kind: str, seed: int, args: argparse.Namespace
) -> tuple[int, list[str]]:
    """Return the number of cases of one run, and its failures."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [args.schemathesis, "--config-file", str(CONFIG), "run"]
        command += [f"{url}v1/openapi.json", "--mode", "all", "--seed", str(seed)]
        command += ["--phases", "coverage,fuzzing", "--max-examples", str(args.each)]
        command += ["--suppress-health-check", "all", "--continue-on-failure"]
        command += [
            "--no-shrink",
            "--report",
            "json",
            "--report-json-path",
            str(report),
        ]
        if kind != "no token":
            command += ["--header", f"Authorization: Bearer {TOKEN}"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if not report.exists():
            raise SystemExit(f"schemathesis: {done.stdout}{done.stderr}")
        result = json.loads(report.read_text("utf-8"))
    return cases_of(result), failures_of(result, done.stdout)


@contextmanager
def serving(model: str, kind: str) -> Iterator[str]:
    """Serve in another process; yield the URL, and require that it logs nothing."""
    rate = "60" if kind == "rate" else "0"
    command = [sys.executable, "-m", "espressivo", "api", "--port", "0"]
    command += ["--model", model, "--max-rate", rate]
    environment = dict(os.environ)
    if kind != "no token":
        environment["ESPRESSIVO_TOKEN"] = TOKEN
    with (
        TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout is not None
        words = server.stdout.readline().split()
        try:
            yield next(word for word in words if word.startswith("http"))
        finally:
            server.terminate()
            server.wait()
        log.seek(0)
        if logged := log.read():
            raise SystemExit(f"the server logged: {logged}")


def cases_of(result: dict[str, Any]) -> int:
    """Return the number of generated cases in a report of schemathesis."""
    if result["stop_reason"] != "completed" or result["errors"]:
        raise SystemExit(f"schemathesis: {result['stop_reason']} {result['errors']}")
    return int(result["test_cases"]["generated"])


def failures_of(result: dict[str, Any], output: str) -> list[str]:
    """Return a line for each kind of failure, the first with what was printed."""
    failures = [f"{f['title']}: {f['count']}" for f in result["failures"]]
    return [f"{failures[0]}\n{output}", *failures[1:]] if failures else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000, help="in all, at least")
    parser.add_argument("--each", type=int, default=500, help="examples an operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="espressivo-tiny")
    parser.add_argument("--schemathesis", default="st", help="name or path of it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
